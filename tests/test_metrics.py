"""Metrics against exact rational arithmetic, and the shapes and dtypes that trip naive ones."""

from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fzdask import metrics
from fzdask.errors import UnsupportedDtypeError
from fzdask.metrics.blocks import BLOCK_VALUES, walk_blocks
from fzdask.metrics.distortion import measure

RNG = np.random.default_rng(7)


def exact_violations(a, b, bound):
    """Violations in rational arithmetic: no rounding at all."""
    limit = Fraction(bound)
    count = 0
    for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True):
        if isinstance(x, float) and not math.isfinite(x):
            continue
        if isinstance(y, float) and not math.isfinite(y):
            count += 1
        else:
            count += abs(Fraction(x) - Fraction(y)) > limit
    return count


@given(
    data=st.data(),
    dtype=st.sampled_from(["f2", "f4", "f8", "i1", "u2", "i8", "u8"]),
    bound=st.one_of(
        st.floats(0, 1e300), st.sampled_from([0.0, 1.0, 0.5, 3.0, 2.0**64, 5e-324, math.inf])
    ),
)
def test_violations_are_those_of_rational_arithmetic(data, dtype, bound):
    pairs = hnp.arrays(dtype, st.integers(0, 20))
    a = data.draw(pairs)
    b = data.draw(hnp.arrays(dtype, a.shape))
    if bound == math.inf:
        assert measure(a, b, bound).violations == sum(
            not math.isfinite(y)
            for x, y in zip(a.tolist(), b.tolist(), strict=True)
            if math.isfinite(x)
        )
        return
    found = measure(a, b, bound)
    assert found.violations == exact_violations(a, b, bound)
    assert (found.max_error_over_bound > 1) == (found.violations > 0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_an_error_hidden_by_rounding_is_a_violation(sign):
    x, y = np.array([sign]), np.array([-sign * 2.0**-60])
    assert abs(x[0] - y[0]) == 1.0  # what plain float64 says
    found = metrics.compare(x, y, bound=1.0)
    assert found.violations == 1
    assert found.max_error_over_bound > 1
    assert not found.ok
    assert "BOUND BROKEN" in repr(found)
    # And the other side: a real error below the bound that rounds to it is none.
    assert metrics.compare(x, -y, bound=1.0).violations == 0


def test_integer_errors_are_exact_beyond_float64():
    a = np.array([2**63 - 1, 0, 10], dtype=np.int64)
    b = np.array([-(2**63), 0, 7], dtype=np.int64)
    assert metrics.max_error(a, b) == 2**64 - 1
    big = np.array([2**60 + 1], dtype=np.uint64)
    zero = np.zeros(1, dtype=np.uint64)
    assert measure(big, zero, 2**60).violations == 1
    assert measure(big, zero, 2**60 + 1).violations == 0
    assert measure(np.array([3]), np.array([0]), 2.999).violations == 1


def test_complex_is_judged_component_by_component():
    a = np.array([1 + 1j, 2 + 2j, complex(np.nan, 0.0)], dtype=np.complex64)
    b = np.array([1.5 + 1.5j, 2 + 3j, complex(np.nan, 0.0)], dtype=np.complex64)
    found = metrics.compare(a, b, bound=0.5)
    assert found.components == 6
    assert found.violations == 1
    assert found.max_error == 1.0
    assert found.worst == (1,)
    assert (found.exact, found.exact_changed) == (1, 0)


def test_exact_values_are_compared_bit_for_bit():
    a = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, -999.0, 1.0], dtype=np.float32)
    assert metrics.compare(a, a.copy(), bound=0.0, preserve=(-999.0,)).ok
    b = a.copy()
    b.view(np.uint32)[0] ^= 1  # another NaN payload
    b[1] = -np.inf
    b[3] = 0.0
    b[5] = -998.9999
    found = metrics.compare(a, b, bound=0.1, preserve=(-999.0,))
    assert (found.exact, found.exact_changed, found.violations) == (5, 4, 0)
    assert not found.ok
    assert found.value_range == 1.0
    b[6] = np.nan
    assert metrics.compare(a, b, bound=0.1, preserve=(-999.0,)).violations == 1
    assert metrics.compare(a, b).max_error == math.inf


def test_times_bools_and_long_doubles():
    times = np.array(["2020-01-01", "NaT"], dtype="M8[s]")
    later = times + np.timedelta64(3, "s")
    assert metrics.compare(times, later, bound=3).ok
    assert metrics.compare(times, later, bound=2).violations == 1
    assert metrics.compare(times, times[::-1], bound=2).exact_changed == 1
    assert metrics.max_error(np.array([True, False]), np.array([True, True])) == 1
    x = np.array([1, np.nan, -0.0], dtype=np.longdouble)
    assert metrics.compare(x, x.copy(), bound=0).ok
    y = x + np.array([np.finfo(np.longdouble).eps, 0, 0], dtype=np.longdouble)
    assert metrics.compare(x, y, bound=0).violations == 1


def test_figures_against_plain_float64():
    a = RNG.standard_normal((40, 50, 60)).astype(np.float32)
    b = a + RNG.uniform(-1e-2, 1e-2, a.shape).astype(np.float32)
    difference = a.astype(np.float64) - b.astype(np.float64)
    error = math.sqrt(np.mean(difference**2))
    span = float(a.max()) - float(a.min())
    found = metrics.compare(a, b, bound=1e-2, nbytes=a.nbytes // 8)
    assert found.max_error == np.abs(difference).max() == metrics.max_error(a, b)
    assert found.violations == np.count_nonzero(np.abs(difference) > 1e-2)
    assert found.worst == np.unravel_index(np.abs(difference).argmax(), a.shape)
    assert found.rmse == pytest.approx(error, rel=1e-12)
    assert metrics.rmse(a, b) == found.rmse
    assert found.psnr == pytest.approx(20 * math.log10(span / error), rel=1e-12)
    assert metrics.psnr(a, b) == found.psnr
    assert found.value_range == span == metrics.value_range(a)
    assert found.ratio == 8.0
    assert found.bit_rate == 4.0
    assert metrics.max_error_over_bound(a, b, 1e-2) == found.max_error_over_bound


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_rmse_neither_vanishes_nor_overflows(scale):
    a = np.zeros(1000)
    b = np.full(1000, scale)
    assert metrics.rmse(a, b) == pytest.approx(scale, rel=1e-12)
    assert metrics.psnr(a, a) == math.inf
    assert metrics.psnr(a, b) == -math.inf


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        np.asfortranarray,
        lambda a: a[::-1, ::2, ::-3],
        lambda a: a.transpose(1, 2, 0),
        lambda a: a.astype(">f4"),
        lambda a: a[3, 4, 5],
        lambda a: a[:0],
        lambda a: a[3:4, :, 5:6],
    ],
    ids=["C", "F", "strided", "transposed", "big-endian", "0-d", "empty", "thin"],
)
def test_layout_does_not_matter(view):
    a = RNG.standard_normal((37, 41, 43)).astype(np.float32)
    b = a + RNG.uniform(-1, 1, a.shape).astype(np.float32)
    a, b = view(a), view(b)
    found = metrics.compare(a, b.copy(order="C"), bound=1.0)
    error = np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64))
    assert found.components == a.size
    assert found.violations == np.count_nonzero(error > 1.0)
    assert found.max_error == (error.max() if a.size else 0)
    if a.size:
        assert found.worst == tuple(int(i) for i in np.unravel_index(error.argmax(), a.shape))
    else:
        assert found.worst is None
        assert found.psnr == math.inf


@pytest.mark.parametrize("size", [BLOCK_VALUES + d for d in (-1, 0, 1)])
def test_blocks_cover_every_value_once(size):
    a = np.arange(size, dtype=np.int32)
    starts, parts = zip(*[(s, x.copy()) for s, (x,) in walk_blocks(a)], strict=True)
    assert np.array_equal(np.concatenate(parts), a)
    assert list(starts) == list(range(0, size, BLOCK_VALUES))


def test_no_wide_copy_of_the_whole_array_is_made():
    a = np.zeros((200, 100, 100), dtype=np.float32)
    b = np.asfortranarray(a)
    tracemalloc.start()
    try:
        metrics.compare(a, b, bound=1.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < a.nbytes // 4


def test_preserved_values_count_for_no_range():
    a = np.array([1e20, 1.0, 3.0, np.nan, -999.0], dtype=np.float32)
    assert metrics.value_range(a, preserve=(1e20, -999.0)) == 2.0
    assert metrics.value_range(np.array([-999, 4, 9], np.int16), preserve=(-999.0, 0.5, 1e9)) == 5.0
    assert metrics.value_range(np.full(3, np.nan)) == 0.0


def test_bad_input_is_refused_with_a_remedy():
    a = np.zeros(3)
    with pytest.raises(ValueError, match="same shape"):
        metrics.compare(a, np.zeros(4))
    with pytest.raises(ValueError, match="same dtype"):
        metrics.compare(a, a.astype(np.float32))
    for bound in (-1.0, math.nan):
        with pytest.raises(ValueError, match="0 or more"):
            metrics.compare(a, a, bound=bound)
    with pytest.raises(UnsupportedDtypeError, match="array_equal"):
        metrics.compare(np.array(["x"]), np.array(["x"]))
    with pytest.raises(ValueError, match="len\\(stream\\)"):
        metrics.compression_ratio(a, -1)


def test_rates_at_the_edges():
    empty = np.zeros(0)
    assert metrics.compression_ratio(empty, 0) == 1.0
    assert metrics.compression_ratio(np.zeros(2), 0) == math.inf
    assert metrics.bit_rate(np.zeros(4, np.complex64), 4) == 8.0


def test_comparison_reads_well_and_goes_into_json():
    import json

    a = np.array([0.0, 1.0, np.nan], dtype=np.float32)
    b = np.array([0.25, 1.0, np.nan], dtype=np.float32)
    found = metrics.compare(a, b, bound=0.5, nbytes=3)
    text = repr(found)
    assert text.startswith("<Comparison of float32 (3,): within the bound")
    for piece in ("0.25 = 0.5 of the bound 0.5 at (0,)", "0 of 3", "1 of 1", "dB", "4.00"):
        assert piece in text
    assert "no bound given" in repr(metrics.compare(a, b))
    assert json.loads(json.dumps(found.to_dict()))["ok"] is True
    barely = metrics.compare(np.array([1.0 + 2.0**-40]), np.array([0.0]), bound=1.0)
    assert "= 1 of" not in repr(barely)
