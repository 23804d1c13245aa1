"""Compressing what was decoded, again with the same bound, changes nothing: no generation loss.

With ``q < 2**51``, ``q * step`` and ``1 / step`` rounded to binary64 still give back ``q``: the
errors of both sum up to at most 3/8 of a cell. In float32 and float16 a value that was rounded by
more than half a cell is farther than the bound from its cell, hence an outlier, hence itself. For
integers all is exact, the cut at the ends of the dtype included.

A relative bound is another matter: it is taken from the range of what it is given.
"""

from __future__ import annotations

import numpy as np
import pytest
from chunk_strategies import CALM, COMPLEX, FLOATS, INTEGERS, absolute_bounds, chunks
from exact import assert_guarantee, relative
from hypothesis import given, settings
from hypothesis import strategies as st
from lattice_trip import LATTICE, over_the_lattice

import fzdask


def assert_settled(y, bound):
    """Assert that another round trip keeps every bit, over the lattice and as the codec picks."""
    assert fzdask.decompress(fzdask.compress(y, abs=bound)).tobytes() == y.tobytes()
    again, _ = over_the_lattice(y, LATTICE, abs=bound)
    assert again.tobytes() == y.tobytes()


@pytest.mark.parametrize("dtypes", [FLOATS, COMPLEX, INTEGERS], ids=["f", "c", "iu"])
@settings(max_examples=100, **CALM)
@given(st.data())
def test_any_chunk_with_an_absolute_bound(dtypes, data):
    x = data.draw(chunks(dtypes))
    bound = data.draw(absolute_bounds(x))
    y = fzdask.decompress(fzdask.compress(x, abs=bound))
    assert fzdask.decompress(fzdask.compress(y, abs=bound)).tobytes() == y.tobytes()


@pytest.mark.parametrize("bound", [2.0**-24, 1e-6, 1e-3, 0.01, 1 / 3, 1.0, 7.7, 100.0, 3e4])
def test_every_half(bound):
    x = np.arange(1 << 16, dtype="u2").view("f2")
    y, _ = over_the_lattice(x, LATTICE, abs=bound)
    assert_settled(y, bound)


@pytest.mark.parametrize(("dtype", "power"), [("f4", 24), ("f4", 30), ("f8", 51), ("c16", 50)])
def test_where_rounding_comes_near_the_cell(dtype, power):
    rng = np.random.default_rng(power)
    for bound in [*np.exp2(rng.uniform(-20, 20, 150)), 0.5, 1.0]:
        x = np.exp2(rng.uniform(power - 2, power + 1, 400)) * bound * rng.choice([-1, 1], 400)
        x = x.astype(dtype) if dtype[0] == "f" else x.view(dtype)
        y, _ = over_the_lattice(x, LATTICE, abs=float(bound))
        assert_settled(y, float(bound))


def test_integers_cut_at_the_ends_of_their_range():
    for dtype in ("i1", "u1", "i2", "u2"):
        info = np.iinfo(dtype)
        x = np.arange(info.min, info.max + 1).astype(dtype)
        for bound in (1, 2, 50, 127, 128, 200, 1000, 40000):
            y, _ = over_the_lattice(x, LATTICE, abs=bound)
            assert_settled(y, bound)


def test_a_relative_bound_is_resolved_anew_each_time():
    """Decoded values have another range: they move again, each time within the new bound."""
    x = np.random.default_rng(0).normal(size=20000).cumsum()
    first = fzdask.decompress(fzdask.compress(x, rel=0.003))
    second = fzdask.decompress(fzdask.compress(first, rel=0.003))
    assert relative(first, 0.003) != relative(x, 0.003)
    assert (second != first).any()
    assert_guarantee(first, second, relative(first, 0.003))


def test_two_bounds_add_up():
    x = np.random.default_rng(1).normal(size=20000).cumsum()
    first = fzdask.decompress(fzdask.compress(x, abs=0.25))
    second = fzdask.decompress(fzdask.compress(first, abs=0.5))
    assert_guarantee(x, second, 0.75)
