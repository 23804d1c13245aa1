"""Values of a lattice on vectors are ``dtype(q * step)`` bit by bit, whatever the step."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from fzdask import FZCodec
from fzdask.codecs.kernels.cpu.lattice_values import KNOWN, compare
from fzdask.codecs.stages.quantize import steps

LARGE = 1 << 20  # values to be computed, so that many are worth comparing


def quick(step, n=LARGE):
    """Below which lattice value binary32 is used for a step."""
    _, _, bias, never = compare(step, n, False, np.zeros(KNOWN, np.int64))
    return 0 if never == -1 else bias - 0x4B400000


def in_binary32(q, step, low):
    """The rule, with what a fused multiply-add rounds computed in longer numbers."""
    high, rest = np.float32(step), q.astype(np.float32) * low
    return (q.astype(np.longdouble) * high + rest.astype(np.longdouble)).astype(np.float32)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs longer numbers")
@pytest.mark.parametrize("step", [0.1, 2.0**-20, 3e5, 0.02 * 0.7331, 2e-3 * 411.25, 1 / 3])
def test_what_is_known_of_a_step_is_so(step):
    known = np.zeros(KNOWN, np.int64)
    _, low, bias, never = compare(step, LARGE, False, known)
    if never == -1:
        return
    below = bias - 0x4B400000
    assert never == -2 * below
    q = np.arange(-below, below)
    assert np.array_equal(in_binary32(q, step, low), (q * step).astype(np.float32))
    assert compare(step, LARGE, False, known)[1:] == (low, bias, never)  # as remembered


def test_many_steps_have_a_use():
    steps = np.random.default_rng(0).uniform(1e-4, 1, 50)
    assert sum(quick(step) >= 1 << 12 for step in steps) > 40


@pytest.mark.parametrize("step", [1e-30, 1e30, float(np.finfo(np.float32).max), 1e-300, 1e300])
def test_steps_at_the_ends_of_binary32_are_left_to_binary64(step):
    assert quick(step) == 0


def test_small_arrays_compare_little():
    assert quick(0.1, 100) <= 64


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", [(40_000,), (300, 91), (20, 16, 70), (2, 9000)])
@pytest.mark.parametrize("places", [50, 500, 5000, 40_000, 3_000_000])
def test_values_halfway_between_two_floats(dtype, shape, places):
    """Bounds that are a round share of the range make for them."""
    top = np.float32(411.3301)
    step = float(top) / places
    q = np.random.default_rng(places).integers(-places, places, shape)
    x = (q * step).astype(dtype)
    bound = step / 2
    cell, inv = steps(bound)
    stream = FZCodec(abs=bound, pipeline="speed").encode(x)
    y = FZCodec(abs=bound, pipeline="speed").decode(stream)
    assert np.array_equal(y, (np.rint(x.astype("f8") * inv) * cell).astype(dtype))


PLAIN = """
import hashlib, numpy as np
from fzdask import FZCodec
x = np.random.default_rng(0).normal(size=(7, 40, 91)).cumsum(2).astype("f4")
codec = FZCodec(abs=1e-3, pipeline="speed")
stream = codec.encode(x)
print(hashlib.sha256(bytes(stream)).hexdigest(), codec.decode(stream).tobytes()[-4000:].hex())
"""


@pytest.mark.slow
def test_a_processor_without_fused_multiply_adds_gives_the_same(tmp_path):
    outputs = [
        subprocess.run(
            [sys.executable, "-c", PLAIN],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / name), **extra},
            capture_output=True, text=True, check=True,
        ).stdout
        for name, extra in (("host", {}), ("plain", {"NUMBA_CPU_NAME": "generic"}))
    ]  # fmt: skip
    assert outputs[0] == outputs[1]
    assert outputs[0].strip()
