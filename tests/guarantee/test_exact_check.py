"""The check itself: it finds the least violation, and no other."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from exact import assert_guarantee, exact_positions, preserved, relative, violations


def test_a_violation_that_binary64_rounds_away():
    """1 - 2**-60 is 1 in binary64: only fractions see on which side of the bound it is."""
    x, y = np.array([1.0]), np.array([2.0**-60])
    assert float(x[0] - y[0]) == 1.0
    assert not violations(x, y, 1.0).any()
    assert violations(x, -y, 1.0).all()
    assert violations(x, y, 1.0 - 2.0**-53).all()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_one_unit_in_the_last_place_counts(dtype):
    x = np.array([3.0], dtype)
    y = np.array([3.5], dtype)
    assert not violations(x, y, 0.5).any()
    above = np.nextafter(y.astype(y.dtype.newbyteorder("=")), np.inf).astype(dtype)
    assert violations(x, above, 0.5).all()
    assert violations(x, y, np.nextafter(0.5, 0)).all()


@pytest.mark.parametrize("dtype", ["i1", "u1", "i8", "u8", ">i8"])
def test_integers_are_compared_as_integers(dtype):
    info = np.iinfo(dtype)
    x, y = np.array([info.max], dtype), np.array([info.min], dtype)
    span = info.max - info.min
    for a, b in ((x, y), (y, x)):
        assert not violations(a, b, span).any()
        assert violations(a, b, span - 1).all()
        assert violations(a, b, Fraction(2 * span - 1, 2)).all()


def test_distance_of_complex_numbers():
    x, y = np.array([0j]), np.array([3 + 4j])
    assert not violations(x, y, 5.0).any()
    assert violations(x, y, np.nextafter(5.0, 0)).all()
    assert violations(x, np.nextafter(3.0, 4) + 1j * y.imag, 5.0).all()


def test_nan_for_a_number_and_a_number_for_nan():
    x, y = np.array([1.0, np.nan, np.inf]), np.array([np.nan, 1.0, 1.0])
    assert violations(x, y, 1e300).tolist() == [True, False, False]
    with pytest.raises(AssertionError):
        assert_guarantee(x[1:], y[1:], 1e300)


@pytest.mark.parametrize(
    "y",
    [
        np.array([0.0, 1.0], "f4"),  # the sign of zero
        np.array([-0.0, 1.0], "f8"),
        np.array([-0.0, 1.0], ">f4"),
        np.array([[-0.0, 1.0]], "f4"),
        np.array([-0.0, 1.2], "f4"),
    ],
    ids=["sign", "dtype", "byte order", "shape", "bound"],
)
def test_everything_that_must_come_back_is_compared(y):
    x = np.array([-0.0, 1.0], "f4")
    assert_guarantee(x, x.copy(), 0.1)
    with pytest.raises(AssertionError):
        assert_guarantee(x, y, 0.1)


def test_memory_order_is_compared():
    x = np.asfortranarray(np.ones((3, 4)))
    with pytest.raises(AssertionError):
        assert_guarantee(x, np.ascontiguousarray(x), 0.1)


def test_payloads_of_nan_are_compared():
    bits = np.array([0x7FC00001, 0x7F800001], "u4")
    with pytest.raises(AssertionError):
        assert_guarantee(bits.view("f4"), (bits ^ 2).view("f4"), 1.0)


def test_what_must_be_exact():
    x = np.array([0.0, -0.0, np.nan, np.inf, 1.5, 0.1], "f4")
    assert exact_positions(x).tolist() == [False, True, True, True, False, False]
    assert exact_positions(x, (1.5, 0.1)).tolist() == [False, True, True, True, True, True]
    assert preserved(np.array([255, 1], "u1"), (255.0, 1.5, -1, 256)).tolist() == [True, False]
    z = np.array([complex(-0.0, 2), complex(1, np.nan)])
    assert exact_positions(z).tolist() == [[True, False], [False, True]]


def test_relative_bounds():
    assert relative(np.array([1.0, np.inf, np.nan, 5.0, -999.0]), 0.5, (-999.0,)) == 2.0
    assert relative(np.array([2**60, 2**60 + 200]), 1.0) == 200.0
    assert relative(np.array([1 + 9j, 3 - 1j, complex(99, np.nan)]), 0.1) == 1.0
    assert relative(np.array([np.nan]), 0.1) == 0.0
    assert relative(np.array([-1.7e308, 1.7e308]), 10.0) == np.finfo("f8").max
