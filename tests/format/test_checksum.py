"""The payload's checksum is zlib's, whichever way it is computed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import zlib

import numpy as np
import pytest
from llvmlite import binding

from fzdask import checksum
from fzdask.addresses import address
from fzdask.checksum import NARROW, WIDE, WORTH, crc32


@pytest.mark.parametrize(
    "size", [0, 1, 100, WORTH - 1, WORTH, WORTH + 1, 3 * WORTH + NARROW, 3 * WORTH + WIDE - 1]
)
def test_it_is_the_crc_of_zlib(size):
    data = np.frombuffer(np.random.default_rng(size).bytes(size + 3), np.uint8)
    for start in range(4):  # at any alignment
        part = data[start : start + size]
        for value in (0, 1, 0xDEADBEEF, 0xFFFFFFFF):
            assert crc32(part, value) == zlib.crc32(part.tobytes(), value)
    zeros = np.zeros(size, np.uint8)
    assert crc32(zeros) == zlib.crc32(zeros.tobytes())


def test_it_goes_on_from_what_came_before():
    data = np.frombuffer(np.random.default_rng(1).bytes(4 * WORTH), np.uint8)
    for cut in (1, 63, WORTH + 7, 2 * WORTH):
        assert crc32(data[cut:], crc32(data[:cut])) == zlib.crc32(data.tobytes())


def test_kernels_for_a_processor_without_the_instruction_do_without():
    """Regression: the instruction was taken where the host had it, whatever Numba compiles for."""
    script = (
        "import zlib, numpy as np; from fzdask.checksum import crc32; x = np.zeros(99999, 'u1'); "
        "assert crc32(x) == zlib.crc32(x)"
    )
    environment = {**os.environ, "NUMBA_CPU_NAME": "generic"}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="x86-64 only")
@pytest.mark.parametrize("turn", [NARROW, WIDE])
def test_each_kernel_gives_the_crc(monkeypatch, turn):
    """Whichever of them this processor would take."""
    needed = {NARROW: ("pclmul",), WIDE: ("pclmul", "vpclmulqdq", "avx512f")}[turn]
    if not all(binding.get_host_cpu_features().get(feature) for feature in needed):
        pytest.skip("the processor has no such multiplication")
    from fzdask import checksum_fold

    fold = {NARROW: checksum_fold.fold_narrow, WIDE: checksum_fold.fold_wide}[turn]
    monkeypatch.setattr(checksum, "_kernels", lambda: (address, fold, turn))
    data = np.frombuffer(np.random.default_rng(2).bytes(2 * WORTH), np.uint8)
    for more in (0, 1, NARROW - 1, NARROW, WIDE - 1, WIDE, WIDE + 1):
        part = data[: WORTH + more]
        assert crc32(part, 7) == zlib.crc32(part.tobytes(), 7)
