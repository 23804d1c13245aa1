"""Kernels of the default pipeline where their quick ways begin and end."""

from __future__ import annotations

import threading

import lattice_spec
import lorenzo_spec
import numpy as np
import pytest
from test_stage_huffman import assert_as_specified as huffman_as_specified

from fzdask.codecs.kernels.cpu import difference, outliers, sampling, scratch, symbols
from fzdask.codecs.stages.base import Form, Job
from fzdask.codecs.stages.huffman import Huffman
from fzdask.codecs.stages.lorenzo import Lorenzo, axes_geometry
from fzdask.codecs.stages.quantize import Quantize
from fzdask.codecs.stages.symbols import Symbols

NONE = np.zeros(0, np.uint8)


def quantized(x, bound):
    job = Job(NONE, x.view("u4"), float(np.abs(x).max()))
    return Quantize().encode(x, Form(x.shape, x.dtype, bound), job)


@pytest.mark.parametrize("exponent", [-104, -100, -99, -20, 0, 20, 98, 100, 101])
def test_binary32_decides_as_binary64_around_the_middle_of_cells(exponent):
    rng = np.random.default_rng(exponent + 200)
    bound = float(rng.uniform(0.5, 1)) * 2.0**exponent
    q = rng.integers(-(2**9), 2**9, 700).astype("f8") * rng.choice([1, 2**6, 2**12, 2**14], 700)
    x = ((q + 0.5) * (2 * bound)).astype("f4")
    ulps = rng.integers(-3, 4, x.size)
    x = (x.view("i4") + ulps.astype("i4")).view("f4")
    x[::7] = (q[::7] * (2 * bound)).astype("f4")  # the middle of a cell needs no second look
    got = quantized(x, bound)
    _, lattice, sections = lattice_spec.quantize_floats(
        x, x.view("u4"), bound, np.zeros(x.size, bool)
    )
    np.testing.assert_array_equal(got.data, lattice)
    assert {k: bytes(v) for k, v in got.sections.items()} == sections


@pytest.mark.parametrize("lengths", [[1], [63, 64, 65], [1, 2, 3, 130], [2048], [7, 0, 200]])
def test_stretches_of_outliers_are_taken_and_put_back(lengths):
    flags = np.concatenate(
        [np.r_[np.zeros(5 + 31 * k, np.uint8), np.ones(n, np.uint8)] for k, n in enumerate(lengths)]
    )
    flags = np.r_[flags, np.zeros(3, np.uint8), flags[::-1]]
    bits = np.arange(1, flags.size + 1, dtype=np.uint32)
    q = bits.astype(np.int32)
    state = np.zeros(outliers.STATE, np.int64)
    runs = np.empty(flags.size + 32, np.uint8)
    values = np.empty(flags.size, np.uint32)
    for start in range(0, flags.size, 100):
        part = slice(start, start + 100)
        count = int(flags[part].sum())
        outliers.collect(count, flags[part], bits[part], q[part], state, runs, values)
    outliers.finish(state, runs)
    taken = flags.astype(bool)
    np.testing.assert_array_equal(values[: state[outliers.VALUES]], bits[taken])
    last = np.maximum.accumulate(np.where(taken, 0, bits))  # the inlier before
    np.testing.assert_array_equal(q, np.where(taken, last, bits))
    back = np.where(taken, 0, bits).astype(np.uint32)
    used = values[: state[outliers.VALUES]]
    assert outliers.restore(runs[: state[outliers.BYTES]], used, back)
    np.testing.assert_array_equal(back, bits)


@pytest.mark.parametrize("size", [8191, 8192, 8193, 8194, 8195])
def test_pairs_with_large_values_between(size):
    rng = np.random.default_rng(size)
    r = rng.laplace(scale=2.0, size=size).astype("i4")
    r[rng.integers(0, size, 9)] = rng.choice([32, -32, 31, 300, 70000, -(2**30)], 9)
    huffman_as_specified(r, 1024)


def test_pairs_of_long_codes():
    r = np.repeat(np.arange(24), np.minimum(1 << np.arange(24), 5000)).astype("i4")
    huffman_as_specified(np.random.default_rng(0).permutation(r), 4096)


@pytest.mark.parametrize("ends", [0, 1, 5])
def test_runs_around_the_width_of_the_flags(ends):
    lengths = [61, 62, 63, 64, 65, 66, 127, 128, 129, 1, 0, 0, 2, 700, 256]
    parts = [np.r_[np.zeros(n, "i4"), np.array([v], "i4")] for v, n in enumerate(lengths, 1)]
    r = np.concatenate([*parts * 3, np.zeros(ends, "i4")])
    r[r == 7] = 100000
    assert len(huffman_as_specified(r, 256).params) == 3, "runs are coded"


def test_counts_of_pairs_do_not_overflow():
    size = symbols.TILES_OF_PAIRS * difference.TILE * 3 // 2 + 3
    counts = Symbols.of(np.full(size, -1, "i4")).counts
    assert counts[1] == size
    assert counts.sum() == size


def test_small_logarithms_are_those_of_repeated_squaring():
    def by_squaring(value):
        whole = value.bit_length() - 1
        mantissa, result = (value << 31) >> whole, whole
        for _ in range(8):
            mantissa = (mantissa * mantissa) >> 31
            result <<= 1
            if mantissa >> 32:
                mantissa >>= 1
                result |= 1
        return result

    values = [*range(1, 2200), 10**6, 2**40 + 1]
    assert [int(sampling.log2_fixed(v)) for v in values] == [by_squaring(v) for v in values]


@pytest.mark.parametrize(
    "shape", [(1500, 3), (900, 2), (40, 31), (40, 33), (9, 15), (9, 16, 17), (5, 511), (5, 513, 3)]
)
@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_short_rows_and_strides_around_those_that_need_a_ring(shape, dtype):
    q = np.random.default_rng(0).integers(-(2**31), 2**31, shape).astype(dtype)
    for subset in range(1, 1 << len(shape)):
        axes = tuple(k for k in range(len(shape)) if subset >> k & 1)
        form = Form(shape, q.dtype)
        got = Lorenzo(axes=axes).encode(q.reshape(-1), form, Job(NONE, NONE, 0.0))
        np.testing.assert_array_equal(got.data, lorenzo_spec.residual(q, shape, subset).reshape(-1))
        strides, spans = axes_geometry(shape, subset)
        back = np.empty(q.size, dtype)
        difference.inverse(got.data, strides, spans, *difference.new_state(dtype, strides), back)
        np.testing.assert_array_equal(back, q.reshape(-1))


def test_scratch_is_never_handed_out_while_held():
    size = scratch.SMALLEST
    first = scratch.scratch(size, np.uint8)
    second = scratch.scratch(size, np.uint8)
    assert not np.shares_memory(first, second)
    view = first[10:20].view(np.uint16)
    del first
    third = scratch.scratch(size, np.uint8)
    assert not np.shares_memory(view, third)
    address = second.ctypes.data
    del second, view
    again = [scratch.scratch(size, np.uint8) for _ in range(2)]
    assert address in {a.ctypes.data for a in again}, "memory is used again"
    assert all(a.ctypes.data % scratch.ALIGNED == 0 for a in again)


def test_scratch_held_by_another_thread_is_not_taken():
    held = []
    thread = threading.Thread(target=lambda: held.append(scratch.scratch(1 << 20, np.uint8)))
    thread.start()
    thread.join()
    mine = [scratch.scratch(1 << 20, np.uint8) for _ in range(3)]
    assert not any(np.shares_memory(held[0], a) for a in mine)


def test_scratch_keeps_no_more_than_it_says():
    blocks = [scratch.scratch(scratch.KEPT // 3, np.uint8) for _ in range(6)]
    kept = scratch._local.kept.blocks
    assert sum(b.size for b in kept) <= scratch.KEPT
    assert len({b.ctypes.data for b in blocks}) == len(blocks)


def test_huffman_output_outlives_the_next_encoding():
    rng = np.random.default_rng(0)
    form, job = Form((1 << 20,), np.dtype("i4")), Job(NONE, NONE, 0.0)
    residuals = [rng.laplace(scale=s, size=1 << 20).astype("i4") for s in (3, 5)]
    first = Huffman().encode(residuals[0], form, job)
    before = bytes(first.data)
    Huffman().encode(residuals[1], form, job)
    assert bytes(first.data) == before
