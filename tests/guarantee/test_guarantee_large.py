"""Arithmetic over more than 2**31 elements, where it can be tested without having them."""

from __future__ import annotations

import lattice_spec
import numpy as np
from lorenzo_spec import residual

from fzdask.codecs.kernels.cpu import difference, outliers
from fzdask.codecs.stages.base import Form
from fzdask.codecs.stages.lorenzo import axes_geometry, folded_shape
from fzdask.codecs.stages.shuffle import Shuffle

FAR = 2**33


def test_forms_and_geometry():
    shape = (5, 3, 2**20, 2**21, 1, 7)
    assert Form(shape, np.dtype("f4")).size == 15 * 2**41 * 7
    assert folded_shape(shape) == (15, 2**20, 2**21, 7)
    strides, spans = axes_geometry(shape, 0b1111)
    assert strides.tolist() == [1, 7, 7 * 2**21, 7 * 2**41]
    assert spans.tolist() == [7, 7 * 2**21, 7 * 2**41, 15 * 7 * 2**41]
    after = Shuffle().form_after(Form(shape, np.dtype("f4")), b"")
    assert after.shape == (4 * 15 * 2**41 * 7,)


def test_lorenzo_goes_on_beyond_2_to_the_31_elements():
    """A tile far inside an array sees its neighbours as one near the beginning does."""
    rows, length = 6, 700
    shape = (rows, length)
    strides, spans = axes_geometry(shape, 0b11)
    lattice = np.random.default_rng(0).integers(-99, 99, rows * length, "i4")
    far = FAR // (rows * length) * (rows * length)  # whole arrays further on
    for first in (0, far):
        bufs, hist = difference.new_state(np.int32, strides)
        out = np.empty_like(lattice)
        back = np.empty_like(lattice)
        inverse_bufs, inverse_hist = difference.new_state(np.int32, strides)
        for pos in range(0, lattice.size, difference.TILE):
            part = slice(pos, min(pos + difference.TILE, lattice.size))
            m = part.stop - pos
            inner = slice(difference.HALO, difference.HALO + m)
            bufs[0, inner] = lattice[part]
            difference.forward_tile(bufs, hist, strides, spans, first + pos, m, out[part])
            difference.inverse_tile(
                out[part], inverse_bufs, inverse_hist, strides, spans, first + pos
            )
            back[part] = inverse_bufs[2, inner]
        np.testing.assert_array_equal(out, residual(lattice, shape, 0b11))
        np.testing.assert_array_equal(back, lattice)


def test_runs_of_outliers_are_counted_beyond_2_to_the_31():
    state = np.zeros(outliers.STATE, np.int64)
    state[outliers.GAP] = FAR
    state[outliers.RUN] = FAR + 5
    runs = np.zeros(32, np.uint8)
    outliers.finish(state, runs)
    expected = lattice_spec.varint(FAR) + lattice_spec.varint(FAR + 5)
    assert runs[: state[outliers.BYTES]].tobytes() == expected


def test_outliers_are_put_back_beyond_2_to_the_31():
    out = np.zeros(2**31 + 100, np.uint8)  # pages are there once they are written
    runs = lattice_spec.varint(2**31 + 10) + lattice_spec.varint(3)
    values = np.array([7, 8, 9], np.uint8)
    assert outliers.restore(np.frombuffer(runs, np.uint8), values, out)
    assert out[2**31 + 9 : 2**31 + 14].tolist() == [0, 7, 8, 9, 0]
    runs = lattice_spec.varint(2**31 + 98) + lattice_spec.varint(3)  # one too many
    assert not outliers.restore(np.frombuffer(runs, np.uint8), values, out)
