"""CRC-32 of payloads, at the speed of memory where the processor can multiply without carries."""

from __future__ import annotations

import platform
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["crc32"]

# Below this, zlib is done before the call of a kernel is.
WORTH = 1 << 15
LANE = 64  # bytes that the kernel folds at a time
# x**(512 + 64) and x**512, x**(128 + 64) and x**128 modulo the CRC's polynomial, bits reflected
# (Gopal et al. 2009, "Fast CRC computation for generic polynomials using PCLMULQDQ instruction").
BY_64 = (0x0154442BD4, 0x01C6E41596)
BY_16 = (0x01751997D0, 0x00CCAA009E)


def crc32(data: NDArray[np.uint8], value: int = 0) -> int:
    """CRC-32 of flat, contiguous bytes, as :func:`zlib.crc32`; goes on from ``value``."""
    fold = _fold() if data.size >= WORTH else None
    if fold is None:
        return zlib.crc32(data.data, value)
    whole = data.size // LANE * LANE
    rest = np.empty(16, np.uint8)
    fold(data.ctypes.data, whole, value ^ 0xFFFFFFFF, rest.ctypes.data)
    # What is left of the bytes so far has their CRC from a register of 0, which zlib inverts.
    value = zlib.crc32(rest.data, 0xFFFFFFFF)
    return zlib.crc32(data[whole:].data, value)


@lru_cache(maxsize=1)
def _fold() -> Callable[..., None] | None:
    """The kernel, or None where the processor has no such multiplication."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    from llvmlite import binding  # type: ignore[import-untyped]
    from numba.core import config

    if config.CPU_NAME or config.CPU_FEATURES:  # kernels are compiled for another one
        able = "+pclmul" in (config.CPU_FEATURES or "")
    else:
        able = bool(binding.get_host_cpu_features().get("pclmul"))
    if not able:
        return None
    from fzdask.checksum_fold import fold

    return cast("Callable[..., None]", fold)
