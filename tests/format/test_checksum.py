"""The payload's checksum is zlib's, whichever way it is computed."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

from fzdask.checksum import LANE, WORTH, crc32


@pytest.mark.parametrize("size", [0, 1, 100, WORTH - 1, WORTH, WORTH + 1, 3 * WORTH + LANE - 1])
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
