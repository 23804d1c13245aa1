"""`context_mixing` gives what its specification says, byte for byte, and undoes it."""

from __future__ import annotations

import math

import context_mixing_spec
import numpy as np
import pytest

import fzdask
from fzdask.codecs.kernels.cpu import context_mixing
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.context_mixing import ContextMixing
from fzdask.errors import FormatError

NONE = np.zeros(0, np.uint8)


def encoded(q):
    form = Form(q.shape, q.dtype)
    return form, ContextMixing().encode(q.ravel(), form, Job(NONE, NONE, 0.0))


def assert_round_trip(q):
    form, got = encoded(q)
    data = np.frombuffer(bytes(got.data), np.uint8)  # read-only, as from a stream
    back = ContextMixing().decode(data, form, got.params, {}, Known())
    assert back.dtype == q.dtype
    np.testing.assert_array_equal(back, q.ravel())
    return got


def assert_as_specified(q):
    got = assert_round_trip(q)
    coded = context_mixing_spec.encode(q.ravel(), q.shape, got.params[0])
    assert bytes(got.data) == coded
    assert context_mixing_spec.decode(coded, q.shape, got.params[0]) == q.ravel().tolist()
    return got


def waves(shape, scale, noise=0.0, seed=0):
    """A smooth lattice, with normal noise of so many steps."""
    rng = np.random.default_rng(seed)
    q = np.zeros(shape)
    for k, n in enumerate(shape):
        axis = np.sin(np.arange(n) * (0.1 + 0.05 * k))
        q += axis.reshape([-1 if j == k else 1 for j in range(len(shape))])
    return np.rint(scale * q + noise * rng.normal(size=shape)).astype("i4")


SHAPES = [(1,), (2,), (300,), (1, 1), (20, 30), (90, 2), (3, 80), (5, 6, 8), (2, 2, 2),
          (20, 2, 3), (2, 3, 5, 9), (2, 2, 2, 2), (2, 1, 3, 2, 5, 6)]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("scale", "noise"), [(1.5, 0.0), (30, 0.7)])
def test_shapes_smooth_and_noisy(shape, scale, noise):
    assert_as_specified(waves(shape, scale, noise))


@pytest.mark.parametrize("noise", [0, 0.3, 3, 40, 1e4, 1e8])
def test_magnitudes_of_every_kind(noise):
    assert_as_specified(waves((12, 25), 3, noise))


@pytest.mark.parametrize("value", [0, 1, -7, 2**31 - 1, -(2**31)])
def test_constants(value):
    q = np.full((30, 40), value, "i4")
    assert assert_as_specified(q).data.size < 24


def test_steps_masks_and_sparse_spots():
    rng = np.random.default_rng(1)
    steps = np.repeat(np.repeat(rng.integers(-3, 4, (6, 7)), 5, 0), 6, 1).astype("i4")
    assert_as_specified(steps)
    assert_as_specified(np.where(rng.random((20, 20)) < 0.02, 500, 0).astype("i4"))
    masked = waves((7, 9, 12), 20)
    masked[3:5, 2:7, :] = -4096
    assert_as_specified(masked)


def test_all_64_bits():
    info = np.iinfo("i8")
    rng = np.random.default_rng(2)
    q = rng.integers(info.min, info.max, (30, 40), "i8", endpoint=True)
    q[0, :6] = [info.min, info.max, info.min, info.max, 0, -1]
    assert_round_trip(q)
    assert_round_trip(np.where(rng.random((30, 40)) < 0.5, info.min, info.max))
    assert_as_specified(q[:6, :25] >> 13)  # where nothing wraps


def test_a_large_field_is_smaller_than_by_any_other_stage():
    x = waves((60, 70, 40), 40, 0.6).astype("f4")
    sizes = {
        name: len(fzdask.compress(x, abs=0.5, pipeline=f"quantize | {name}"))
        for name in ("context_mixing", "lorenzo | rans(contexts=16)", "lorenzo | huffman | zstd")
    }
    assert sizes["context_mixing"] < 0.8 * min(v for k, v in sizes.items() if "mixing" not in k)


def test_damage_gives_an_error_or_as_many_values():
    q = waves((20, 30), 30, 1.0)
    form, got = encoded(q)
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(60):
        data = got.data.copy()
        data[rng.integers(data.size)] ^= np.uint8(rng.integers(1, 256))
        try:
            assert ContextMixing().decode(data, form, got.params, {}, Known()).size == q.size
        except FormatError:
            refused += 1
    assert refused > 0
    for length in range(0, got.data.size, 5):
        with pytest.raises(FormatError):
            ContextMixing().decode(got.data[:length], form, got.params, {}, Known())
    with pytest.raises(FormatError):
        ContextMixing().decode(np.r_[got.data, got.data], form, got.params, {}, Known())


def test_more_values_than_bytes_can_hold_are_refused_at_once():
    form = Form((2**40, 2**10), np.dtype("i4"))
    with pytest.raises(FormatError, match="cannot hold"):
        ContextMixing().decode(np.zeros(1000, np.uint8), form, b"\0", {}, Known())
    long = np.zeros(300_000, "i4")
    _, got = encoded(long)
    assert long.size <= 7569 * got.data.size


@pytest.mark.parametrize("params", [b"", b"\0\0", b"\x04", b"\xff"])
def test_parameters_out_of_range_are_refused(params):
    with pytest.raises(FormatError):
        ContextMixing().form_after(Form((20, 30), np.dtype("i4")), params)


def test_the_tables_do_not_depend_on_the_last_bit_of_exp_and_log():
    squash = [65536 / (1 + math.exp(-(i - 2047.5) / 256)) for i in range(4096)]
    stretch = [256 * math.log((i + 0.5) / (4095.5 - i)) for i in range(4096)]
    assert min(abs(v % 1 - 0.5) for v in [*squash, *stretch]) > 1e-6
    assert context_mixing.SQUASH.tolist() == [round(v) for v in squash]
    assert context_mixing.STRETCH.tolist() == [max(-2047, min(2047, round(v))) for v in stretch]
