"""CRC-32 of payloads, at the speed of memory where the processor can multiply without carries."""

from __future__ import annotations

import platform
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["crc32"]

# Below this, zlib is done before the call of a kernel is.
WORTH = 1 << 12
CELL = 16  # bytes of which one multiplication takes a half
NARROW, WIDE = 4 * CELL, 16 * CELL  # bytes that the kernels fold at a time
# What tells where bytes begin, what folds them, and how many at a time.
Kernels = tuple[Callable[[Any], int], Callable[..., None], int]


def crc32(data: NDArray[np.uint8], value: int = 0) -> int:
    """CRC-32 of flat, contiguous bytes, as :func:`zlib.crc32`; goes on from ``value``."""
    size = data.size
    kernels = _kernels() if size >= WORTH else None
    if kernels is None:
        return zlib.crc32(data.data, value)
    address, fold, turn = kernels
    # What is left of whole turns has their CRC from a register of 0, which zlib inverts.
    rest = np.empty(CELL + size % turn, np.uint8)
    fold(address(data), size, value ^ 0xFFFFFFFF, rest)
    return zlib.crc32(rest.data, 0xFFFFFFFF)


@lru_cache(maxsize=1)
def _kernels() -> Kernels | None:
    """The quickest, or None where the processor has no such multiplication."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    from llvmlite import binding  # type: ignore[import-untyped]
    from numba.core import config

    if config.CPU_NAME or config.CPU_FEATURES:  # kernels are compiled for another one
        given = (config.CPU_FEATURES or "").split(",")
        able = {feature[1:] for feature in given if feature.startswith("+")}
    else:
        able = {feature for feature, there in binding.get_host_cpu_features().items() if there}
    if "pclmul" not in able:
        return None
    from fzdask import checksum_fold
    from fzdask.addresses import address

    if {"vpclmulqdq", "avx512f"} <= able:
        return address, checksum_fold.fold_wide, WIDE
    return address, checksum_fold.fold_narrow, NARROW
