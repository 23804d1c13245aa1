"""``|x - x'| <= pw_rel * |x|`` for every value, whatever the dtype, layout and pipeline."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from chunk_strategies import CALM, COMPLEX, FLOATS, INTEGERS, chunks, preserved_values
from exact import bits_of, exact_positions, parts
from hypothesis import given, settings
from hypothesis import strategies as st

import fzdask

OVERHEAD = 64
# An error over a value in binary64 (or wider) is off by a few units in the last place (2**-53).
MARGIN = 2.0**-48


def violations(x, y, rel):
    """Flags of the real numbers that are farther apart than ``rel * |x|``; only finite ones."""
    judged = np.isfinite(x)
    a, b = (np.where(judged, v, 0).astype("f8") for v in (x, y))
    with np.errstate(over="ignore", invalid="ignore"):
        error, allowed = np.abs(a - b), rel * np.abs(a)
        wrong = judged & ~(error <= allowed)
        # Denormals (and overflows) are never left to binary64, and exact equality is no question.
        tiny = (error > 0) & ((allowed < 1e-290) | ~np.isfinite(error))
        unsure = judged & (tiny | (np.abs(error - allowed) <= MARGIN * allowed))
    for k in np.flatnonzero(unsure & (a != b)):
        p, q = Fraction(float(a[k])), Fraction(float(b[k]))
        wrong[k] = abs(p - q) > Fraction(rel) * abs(p)
    return wrong


def check(x, y, rel, preserve=()):
    """All that decoding promises of ``y`` against ``x``."""
    assert (y.shape, y.dtype.str) == (x.shape, x.dtype.str)
    if x.flags.f_contiguous and not x.flags.c_contiguous:
        assert y.flags.f_contiguous
    if x.dtype.kind in "iu":
        assert y.tobytes() == x.tobytes()  # integers have no room below 1 / rel
        return
    exact = exact_positions(x, preserve)
    real, back = parts(x), parts(y)
    exact |= real == 0
    np.testing.assert_array_equal(bits_of(y)[exact], bits_of(x)[exact])
    number = ~np.isnan(real)
    np.testing.assert_array_equal(np.signbit(back)[number], np.signbit(real)[number])
    assert ((back == 0) == (real == 0)).all()
    wrong = violations(real.reshape(-1), back.reshape(-1), rel)
    if wrong.any():
        k = np.argmax(wrong)
        a, b = real.reshape(-1)[k], back.reshape(-1)[k]
        raise AssertionError(f"{wrong.sum()} values miss pw_rel={rel!r}; the first: {a!r} -> {b!r}")


def round_trip(x, **config):
    stream = fzdask.compress(x, **config)
    assert len(stream) <= x.nbytes + OVERHEAD
    return fzdask.decompress(stream)


def bounds():
    return st.one_of(
        st.sampled_from([1e-17, 2.0**-53, 1e-9, 2.0**-20, 2.0**-18, 2.0**-13, 2.0**-5]),
        st.sampled_from([1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.999, 1 - 2.0**-53]),
        st.floats(1e-6, 0.9),
    )


@pytest.mark.parametrize("dtypes", [FLOATS, COMPLEX, INTEGERS], ids=["f", "c", "iu"])
@settings(max_examples=120, **CALM)
@given(st.data())
def test_every_value_is_within_its_own_bound(dtypes, data):
    x = data.draw(chunks(dtypes))
    rel = data.draw(bounds())
    check(x, round_trip(x, pw_rel=rel), rel)


@settings(max_examples=60, **CALM)
@given(st.data())
def test_preserved_values(data):
    x = data.draw(chunks([*FLOATS, *COMPLEX]))
    preserve = data.draw(preserved_values(x))
    rel = data.draw(bounds())
    check(x, round_trip(x, pw_rel=rel, preserve=preserve), rel, preserve)


PIPELINES = [
    "quantize",
    "quantize | lorenzo(axes='all') | zstd",
    "quantize | huffman",
    "logarithm | quantize | lorenzo",
    "speed",
    "quality",
]


@pytest.mark.parametrize("pipeline", PIPELINES)
@settings(max_examples=25, **CALM)
@given(st.data())
def test_every_pipeline(pipeline, data):
    x = data.draw(chunks([*FLOATS, *COMPLEX]))
    rel = data.draw(bounds())
    check(x, round_trip(x, pw_rel=rel, pipeline=pipeline), rel)


@pytest.mark.parametrize("rel", [0.5, 2.0**-5, 0.01, 1e-3])
def test_every_half_precision_number(rel):
    x = np.arange(1 << 16, dtype="u2").view("f2")
    check(x, round_trip(x, pw_rel=rel), rel)


@pytest.mark.parametrize("rel", [0.9, 0.1, 1e-2, 1e-3, 1e-4, 1e-5, 2.0**-18, 1e-6])
def test_edges_of_cells_and_octaves(rel):
    """Values beside powers of two, beside entries of the tables, and beside denormals."""
    for dtype in ("f4", "f8"):
        bits = np.dtype(f"u{np.dtype(dtype).itemsize}")
        octaves = np.array([-130.0, -127, -126, -125, -1, 0, 1, 100, 126])
        places = 2.0 ** (octaves[:, None] + np.arange(257) / 256)
        at = np.concatenate([places.ravel(), (2.0 ** octaves[:, None] * (1 + np.arange(257) / 256))
                             .ravel()]).astype(dtype)  # fmt: skip
        near = (at.view(bits)[:, None] + np.arange(-3, 4).astype(bits)).view(dtype).reshape(-1)
        tiny = np.arange(1, 5000).astype(bits).view(dtype)
        top = (np.finfo(dtype).max.view(bits) - np.arange(100).astype(bits)).view(dtype)
        x = np.concatenate([near, -near, tiny, top])
        check(x, round_trip(x, pw_rel=rel), rel)


def test_zeros_cost_next_to_nothing():
    rng = np.random.default_rng(0)
    wet = np.exp(rng.normal(size=(64, 64)).cumsum(0)).astype("f4")
    rain = np.zeros((64, 512), "f4")
    rain[:, :64] = wet
    alone = len(fzdask.compress(wet, pw_rel=1e-2))
    assert len(fzdask.compress(rain, pw_rel=1e-2)) <= 1.15 * alone


def test_decoded_values_are_kept_when_encoded_again():
    rng = np.random.default_rng(1)
    for dtype in ("f4", "f8"):
        for rel in (0.3, 1e-2, 1e-3, 1e-4, 1e-6):
            x = (rng.normal(size=5000) * 10.0 ** rng.integers(-9, 9, 5000)).astype(dtype)
            once = round_trip(x, pw_rel=rel)
            twice = round_trip(once, pw_rel=rel)
            np.testing.assert_array_equal(twice, once)


def test_the_check_itself():
    x = np.array([1.0, -2.0, 5e-324, np.nan, 0.0])
    assert not violations(x, x, 1e-3).any()
    assert violations(x, x * np.array([1 + 1e-3 + 2e-16, 1, 1, 1, 1]), 1e-3)[0]
    assert violations(x, np.array([1, -2, 1e-323, np.nan, 0]), 0.999)[2]
