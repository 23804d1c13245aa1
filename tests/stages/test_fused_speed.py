"""The kernel behind the preset `speed` writes and reads what its stages do, in every corner."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from exact import assert_guarantee

import fzdask
from fzdask.codecs.api import decode
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.kernels.cpu.tile_differences import TILE
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.prepare import memory_order, prepare
from fzdask.codecs.stages.base import Known
from fzdask.errors import FormatError

STRAIGHT = ["speed", "default", "quality", "quantize | lorenzo | zstd"]
CHAIN = "quantize | lorenzo(axes={}, order={}) | zigzag | fixed_length"


def assert_alike(x, bound, axes="narrow", order=1, preserve=()):
    """Fused and unfused runs give the same bytes and values, within the bound."""
    text = CHAIN.format(axes, order)
    encoded = []
    for fused in (True, False):
        ready = prepare(x, memory_order(x), CodecConfig(abs=bound, preserve=preserve))
        if ready.job is None:  # no lattice is as fine as that
            return
        run = Pipeline(Pipeline.from_text(text).stages, fused=fused)
        encoded.append(run.encode(ready.data, ready.form, ready.job))
    (stages, entries, blobs), (stages_2, entries_2, blobs_2) = encoded
    assert stages == stages_2
    assert entries == entries_2
    assert [b.tobytes() for b in blobs] == [b.tobytes() for b in blobs_2]
    values = [
        Pipeline(Pipeline.from_entries(stages).stages, fused=fused)
        .decode(ready.form, stages, entries, blobs, Known())
        .tobytes()
        for fused in (True, False)
    ]
    assert values[0] == values[1]
    y = np.frombuffer(values[0], x.dtype.newbyteorder("<")).astype(x.dtype).reshape(x.shape)
    assert_guarantee(x, y, bound, preserve)


def field(shape, dtype, seed=0):
    x = np.random.default_rng(seed).normal(size=shape)
    for axis in range(len(shape)):
        x = x.cumsum(axis)
    return x.astype(dtype)


SHAPES = [
    (1,), (15,), (63,), (64,), (65,), (2047,), (2048,), (2063,), (2064,), (2079,), (2080,), (2081,),
    (4200,), (90, 63), (90, 64), (65, 65), (700, 3), (40, 60, 2), (30, 80, 4), (900, 5),
    (5, 1, 40, 21), (9, 70, 33), (3, 3, 65, 9), (2, 3, 4, 5, 6, 7), (2, 2000), (6, 2049),
    (TILE - 1,), (TILE,), (TILE + 15,), (2 * TILE + 31,), (3, TILE), (2731, 3), (103, 40, 2),
    (90, 183), (5, 41, 64), (9, 70, 53), (4, 3, 65, 22),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes(shape, dtype):
    x = field(shape, dtype)
    for axes in ("narrow", "all", "()", "(0,)"):
        assert_alike(x, 0.01, axes)
    assert_alike(x, 0.01, "all", 2)


@pytest.mark.parametrize("subset", range(16))
@pytest.mark.parametrize("order", [1, 2])
def test_axes(subset, order):
    axes = tuple(k for k in range(4) if subset >> k & 1)
    for dtype in ("f4", "f8"):
        assert_alike(field((4, 5, 13, 70), dtype), 0.1, axes, order)
    assert_alike(field((7, 9, 40, 2), "f8"), 0.1, axes, order)


@pytest.mark.parametrize("bits", [2, 8, 9, 12, 16, 17, 20, 21, 22, 23, 24, 28, 29, 30, 31, 40])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_lattices_of_every_width(bits, dtype):
    """Around 2**21 lattice values the cheap rule ends, at 2**30 the lattice of 32 bits."""
    x = np.random.default_rng(bits).uniform(-1, 1, 3000).astype(dtype)
    x[7] = 1
    assert_alike(x, 2.0 ** -(bits + 1))
    assert_alike(x * np.array(0.9999, dtype), 2.0 ** -(bits + 1))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("step", [1.0, 0.3, 1e-3, 2.0**-100, 1e-37, 1e30])
def test_values_between_two_lattice_points(dtype, step):
    """Halves of a cell, and a few units in the last place to either side."""
    k = np.arange(-700, 700)
    x = ((k + 0.5) * step).astype(dtype)
    for _ in range(3):
        x = np.concatenate([x, np.nextafter(x, x.dtype.type(np.inf))])
    assert_alike(x, step / 2)
    assert_alike(x * x.dtype.type(1000.5), step / 2)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_ends_of_the_numbers(dtype):
    info = np.finfo(dtype)
    rng = np.random.default_rng(4)
    for scale in (info.max, info.max / 4, info.tiny, info.smallest_subnormal * 999):
        x = (rng.uniform(-1, 1, 2500) * float(scale)).astype(dtype)
        x[3] = scale
        for rel in (1e-2, 1e-4):
            assert_alike(x, float(rel * scale))
    assert_alike(field((40, 50), dtype), 1e-300)
    assert_alike(field((40, 50), dtype), 1e300)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.9, 1])
def test_outliers(dtype, share):
    rng = np.random.default_rng(5)
    x = field((67, 95), dtype)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).max], dtype)
    some = rng.random(x.shape) < share
    x[some] = rng.choice(odd, some.sum())
    x[20:40] = np.nan
    assert_alike(x, 0.02)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_preserved_values_are_outliers(dtype):
    x = field((50, 61), dtype)
    x[10:20, 5:9] = -999
    x[::7, 50] = 1e20
    assert_alike(x, 0.01, preserve=(-999.0, 1e20))


def encode_job(x, bound, preserve=()):
    """The parameters of `quantize` and the job, after a fused run."""
    ready = prepare(x, "C", CodecConfig(abs=bound, preserve=preserve))
    assert not ready.job.measured
    chain = Pipeline(Pipeline.from_text(CHAIN.format("narrow", 1)).stages)
    stages, _, _ = chain.encode(ready.data, ready.form, ready.job)
    return stages[0].params, ready.job


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_an_absolute_bound_takes_no_pass_for_the_range(dtype):
    """Nor do values that are in no lattice at all."""
    x = field((90, 63), dtype)
    x[-1, -5:] = np.nan, np.inf, -np.inf, -0.0, 1e20
    params, job = encode_job(x, 0.01, preserve=(1e20,))
    assert params == bytes([4])
    assert not job.measured


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("place", [0, TILE - 1, TILE, 2 * TILE + 4, -1])
def test_one_value_beyond_a_narrow_lattice(dtype, place):
    """Wherever the first of them is, all go to the wide lattice, as without fusion."""
    bound = 2.0**-11
    x = np.random.default_rng(6).uniform(-1, 1, TILE * 3 + 77).astype(dtype)
    for edge in (2.0**20, -(2.0**20), np.finfo(dtype).max):
        far = x.copy()
        far[place] = edge  # 2**30 cells
        params, job = encode_job(far, bound)
        assert params == bytes([8])
        assert job.finite_max == abs(edge)
        assert_alike(far, bound)
        far[place - 3] = np.nan
        far[place - 4] = -0.0
        assert_alike(far, bound)
        far[place] = np.nextafter(x.dtype.type(np.copysign(2.0**20, edge)), x.dtype.type(0))
        assert encode_job(far, bound)[0] == bytes([4])
        assert_alike(far, bound)
        far[place] = edge
        assert encode_job(far, bound, preserve=(float(edge),))[0] == bytes([4])
        assert_alike(far, bound, preserve=(float(edge),))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, -0.0, "subnormal"])
def test_the_first_odd_value_in_the_last_tile(dtype, odd):
    x = field((3, 2055), dtype)
    x[-1, -1] = np.finfo(dtype).smallest_subnormal if odd == "subnormal" else odd
    assert_alike(x, 0.01)
    assert_alike(x, float(np.finfo(dtype).smallest_subnormal) if dtype == "f8" else 1e-44)


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8"])
@pytest.mark.parametrize("pipeline", STRAIGHT)
def test_values_go_straight_into_what_the_caller_has(dtype, order, pipeline):
    x = np.asarray(field((61, 70), dtype), order=order)
    x[3, 5:9] = np.nan
    stream = fzdask.compress(x, abs=0.01, pipeline=pipeline)
    want = fzdask.decompress(stream)
    for out in (np.empty_like(x), np.empty(x.size, dtype), np.empty(x.nbytes, "u1")):
        got = decode(stream, out=out)
        assert np.shares_memory(got, out)
        assert got.tobytes("A") == want.tobytes("A")
    other = np.empty(x.shape, dtype, order="CF"[order == "C"])
    odd = np.empty(x.nbytes + 1, "u1")[1:]
    for out in (other, odd, np.empty(x.shape, x.dtype.newbyteorder()), want[:, ::-1], x[1:]):
        before = out.tobytes()
        got = decode(stream, out=out)  # elsewhere
        assert not np.shares_memory(got, out)
        assert out.tobytes() == before
    itself = np.frombuffer(bytearray(stream + bytes(x.nbytes)), "u1")
    overlapping = itself[: len(stream)], itself[len(stream) - 8 :][: x.nbytes]
    assert decode(overlapping[0], out=overlapping[1]).tobytes("A") == want.tobytes("A")


@pytest.mark.parametrize("shape", [(5,), (300,), (90, 63), (9, 70, 33)])
def test_widths_that_do_not_fit_the_planes_are_refused(shape):
    """Also far more of them than there are bytes, of which none is read behind the end."""
    x = field(shape, "f4")
    ready = prepare(x, "C", CodecConfig(abs=0.01))
    chain = Pipeline(Pipeline.from_text(CHAIN.format("all", 1)).stages)
    stages, entries, blobs = chain.encode(ready.data, ready.form, ready.job)
    widths, planes = (k for k, e in enumerate(entries) if (e.stage, e.number) in ((3, 2), (3, 0)))

    def refused(which, data):
        changed = [*blobs]
        changed[which] = data
        sizes = [e._replace(sizes=(b.size,)) for e, b in zip(entries, changed, strict=True)]
        with pytest.raises(FormatError, match="bytes of planes instead of"):
            chain.decode(ready.form, stages, sizes, changed, Known())

    for value in (0xFF, 0xDD, 0x88):
        refused(widths, np.full_like(blobs[widths], value))
    refused(widths, np.zeros_like(blobs[widths]))
    refused(planes, blobs[planes][:-1])
    refused(planes, blobs[planes][:0])
    refused(planes, np.append(blobs[planes], np.uint8(0)))


def test_a_stage_before_the_lattice_gets_what_is_decoded_from_it():
    """What is in the caller's memory is the array, and no lattice on the way."""
    x = np.exp(field((50, 61), "f8"))
    stream = fzdask.compress(x, pw_rel=0.01, pipeline="speed")
    out = np.zeros_like(x)
    assert decode(stream, out=out).tobytes() == fzdask.decompress(stream).tobytes()


def test_arrays_as_they_come():
    """Fortran order, complex numbers, views, read-only memory, other byte orders, integers."""
    x = field((30, 41, 12), "f4")
    frozen = x.copy()
    frozen.flags.writeable = False
    for y in (np.asfortranarray(x), x[::2, ::-1], x.astype(">f8"), frozen):
        s = fzdask.compress(y, abs=0.05, pipeline="speed")
        assert_guarantee(np.array(y), fzdask.decompress(s), 0.05)
    z = field((30, 41), "f4") + 1j * field((30, 41), "f4", 1)
    for y in (z, z.astype("c16"), x.astype("f2"), (x * 9).astype("i4"), (x * 9).astype("u8")):
        assert_guarantee(y, fzdask.decompress(fzdask.compress(y, abs=2, pipeline="speed")), 2)


def test_threads_do_not_share_room():
    fields = [field((61, 90 + k), "f4", k) for k in range(12)]
    alone = [fzdask.compress(x, abs=0.01, pipeline="speed") for x in fields]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            jobs = [pool.submit(fzdask.compress, x, abs=0.01, pipeline="speed") for x in fields]
            assert [job.result() for job in jobs] == alone
            back = list(pool.map(fzdask.decompress, alone))
            for x, y in zip(fields, back, strict=True):
                assert_guarantee(x, y, 0.01)
