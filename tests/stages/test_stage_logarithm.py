"""`logarithm` gives what its specification says, byte for byte, and leads back."""

from __future__ import annotations

import logarithm_spec as spec
import numpy as np
import pytest

import fzdask
from fzdask.codecs.kernels.cpu import log_tables
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.logarithm import Logarithm
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)
# Every layout, and bounds beside the edges between them.
BOUNDS = {
    "f2": [0.99, 0.25, 2.0**-5, 0.03, 1e-3, 1e-5],
    "f4": [0.99, 0.1, 1e-2, 1e-3, 2.0**-18, 3e-6, 1e-8],
    "f8": [0.5, 1e-2, 2.0**-13, 1e-4, 2.0**-20, 9e-7, 1e-15, 1e-17],
}
CASES = [(dtype, rel) for dtype, bounds in BOUNDS.items() for rel in bounds]


def odd_values(dtype, count=600, seed=0):
    """Bits of every kind: normal and denormal numbers, zeros, infinities, NaN, both signs."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    any_bits = np.frombuffer(rng.bytes(count * np.dtype(dtype).itemsize), dtype)
    near_one = (1 + rng.random(count)).astype(dtype)
    tiny = rng.integers(-3000, 3000, count).astype(dtype) * info.smallest_subnormal
    ends = np.array([info.max, -info.max, info.tiny, info.smallest_subnormal, 0, -0.0], dtype)
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0], dtype)
    every = np.concatenate([any_bits, near_one, tiny, ends, special])
    return every[rng.permutation(every.size)]


def run(x, rel, forced=NONE, shape=None, **options):
    job = Job(forced, x.view(f"u{x.itemsize}"), 0.0)
    got = Logarithm(**options).encode(x, Form(shape or x.shape, x.dtype, rel), job)
    return got, job


@pytest.mark.parametrize(("dtype", "rel"), CASES)
def test_equals_the_specification(dtype, rel):
    x = odd_values(dtype)
    forced = (np.arange(x.size) % 7 == 0).astype(np.uint8)
    for flags in (NONE, forced):
        got, job = run(x, rel, flags)
        every = flags if flags.size else np.zeros(x.size, np.uint8)
        params, logs, sections = spec.encode(x.view(f"u{x.itemsize}"), rel, every, x.shape)
        assert got.params == params
        np.testing.assert_array_equal(got.data, logs)
        assert {k: bytes(v) for k, v in got.sections.items()} == sections
        assert job.forced.size == 0
        assert job.finite_max == np.abs(logs.astype("f8")).max()
        np.testing.assert_array_equal(job.bits.view(logs.dtype), logs)


@pytest.mark.parametrize(("dtype", "rel"), CASES)
@pytest.mark.parametrize("share", [-1, 0, 0.37, 1])
def test_whatever_moves_the_logarithms_within_their_bound_keeps_the_relative_one(dtype, rel, share):
    x = odd_values(dtype, 2000, seed=3)
    got, _ = run(x, rel)
    form = Form(x.shape, x.dtype, rel)
    after = Logarithm().form_after(form, got.params)
    assert after.dtype == got.data.dtype
    moved = got.data + np.int64(share * after.bound)
    y = Logarithm().decode(moved.astype(after.dtype), form, got.params, as_read(got), Known())
    bits = f"u{x.itemsize}"
    kept = ~np.isfinite(x) | (x == 0)
    np.testing.assert_array_equal(y.view(bits)[kept], x.view(bits)[kept])
    np.testing.assert_array_equal(np.signbit(y), np.signbit(x))
    a, b = x[~kept].astype(np.longdouble), y[~kept].astype(np.longdouble)
    assert (np.abs(a - b) <= np.longdouble(rel) * np.abs(a)).all()


@pytest.mark.parametrize("bitmaps", ["coded", "raw"])
@pytest.mark.parametrize(
    "shape", [(720,), (20, 36), (8, 5, 18), (2, 3, 4, 3, 10), (360, 2)], ids=str
)
def test_signs_and_zeros_of_fields(shape, bitmaps):
    grid = np.meshgrid(*[np.linspace(0, 5, n) for n in shape], indexing="ij")
    x = np.sin(sum(grid)).astype("f4").reshape(-1)
    x[np.cos(3 * grid[-1].reshape(-1)) < 0] = 0
    got, _ = run(x, 1e-2, shape=shape, bitmaps=bitmaps)
    params, logs, sections = spec.encode(
        x.view("u4"), 1e-2, np.zeros(x.size), shape, bitmaps == "coded"
    )
    assert got.params == params
    np.testing.assert_array_equal(got.data, logs)
    assert {k: bytes(v) for k, v in got.sections.items()} == sections
    assert set(sections) == {"signs", "zeros"}
    form = Form(shape, x.dtype, 1e-2)
    y = Logarithm().decode(got.data, form, got.params, as_read(got), Known())
    assert (np.signbit(y) == np.signbit(x)).all()
    assert ((y == 0) == (x == 0)).all()


def as_read(encoded):
    return {name: np.frombuffer(data, np.uint8) for name, data in encoded.sections.items()}


@pytest.mark.parametrize(("dtype", "rel"), CASES)
def test_values_of_logarithms_are_those_of_the_specification(dtype, rel):
    itemsize = np.dtype(dtype).itemsize
    scale, smooth, width = spec.layout(itemsize, rel)
    info = np.iinfo(f"i{width}")
    rng = np.random.default_rng(1)
    wide = rng.integers(info.min, info.max, 300, f"i{width}", endpoint=True)
    _, bias = spec.FORMATS[itemsize]
    near = rng.integers(-(bias + 70) << scale, (bias + 2) << scale, 300)
    t = np.concatenate([wide, [info.min, -1, 0, 1, info.max], near]).astype(f"i{width}")
    params = bytes([scale, smooth + 32 * (width == 8), 0, 0, 0, 0])
    form = Form(t.shape, np.dtype(dtype), rel)
    y = Logarithm().decode(t, form, params, {}, Known())
    expected = [spec.magnitude_bits(int(v), scale, smooth, itemsize) for v in t]
    assert y.view(f"u{itemsize}").tolist() == expected


def test_tables():
    assert log_tables.exp_table().tolist() == spec.powers()
    assert log_tables.log_table().tolist() == spec.logs()
    assert min(spec.gaps(spec.powers())) > 0
    assert min(spec.gaps(spec.logs())) > 0


def test_plain_logarithms_with_no_bound_are_lossless():
    for dtype in ("f2", "f4", "f8"):
        x = odd_values(dtype)
        got, _ = run(x, 0.0)
        back = Logarithm().decode(
            got.data, Form(x.shape, x.dtype), got.params, as_read(got), Known()
        )
        assert back.tobytes() == x.tobytes()


@pytest.mark.parametrize(
    ("values", "sections"),
    [
        ([1.0, 2.0], set()),
        ([-1.0, -2.0], set()),
        ([0.0, 0.0], set()),
        ([-0.0, -0.0], set()),
        ([0.0, -0.0], {"signs"}),
        ([0.0, 1.0], {"zeros"}),
        ([-1.0, 1.0], {"signs"}),
        ([np.nan, np.inf], {"exact_runs", "exact"}),
        ([-3.0, np.nan], {"exact_runs", "exact"}),  # its sign is that of the value before
    ],
)
def test_what_is_alike_costs_no_section(values, sections):
    for count in (1, 7, 1024, 1500):
        x = np.tile(np.array(values, "f4"), count)
        got, _ = run(x, 1e-2)
        assert set(got.sections) == sections
        back = Logarithm().decode(
            got.data, Form(x.shape, x.dtype, 1e-2), got.params, as_read(got), Known()
        )
        assert np.signbit(back).tolist() == np.signbit(x).tolist()
        assert (back == 0).tolist() == (x == 0).tolist()


def test_exact_values_that_are_alike_are_stored_once():
    x = np.linspace(1, 2, 5000).astype("f4")
    x[1000:3000] = np.nan
    x[4000] = np.nan
    got, _ = run(x, 1e-2)
    assert len(got.sections["exact"]) == 4
    form = Form(x.shape, x.dtype, 1e-2)
    back = Logarithm().decode(got.data, form, got.params, as_read(got), Known())
    assert (np.isnan(back) == np.isnan(x)).all()
    one = np.zeros(4, np.uint8)
    for runs in ([128], [0, 5, 3], [0, 255, 255, 3], [0, *[255] * 9, 1], [200, 39, 1], [0, 0]):
        sections = {"exact_runs": np.array(runs, np.uint8), "exact": one}
        with pytest.raises(FormatError):
            Logarithm().decode(got.data, form, got.params, sections, Known())


def test_zeros_do_not_disturb_their_neighbours():
    x = np.full(4096, 3.7, "f4")
    x[::3] = 0
    got, _ = run(x[1:].copy(), 1e-2)
    assert np.ptp(got.data) == 0


def test_refusals():
    x = np.ones(4, "i4")
    with pytest.raises(ConfigError, match="takes floats"):
        Logarithm().encode(x, Form((4,), x.dtype, 0.1), Job(NONE, x.view("u4"), 1.0))
    with pytest.raises(ConfigError, match="pw_rel"):
        fzdask.compress(np.ones(4, "f4"), abs=1.0, pipeline="logarithm | quantize")
    form = Form((9,), np.dtype("f4"), 1e-2)
    wrong = [b"", bytes(6), *(bytes([22, f, 0, 0, 0, 0]) for f in (65, 129, 0))]
    for params in [*wrong, bytes([9, 1, 0, 0, 0, 0])]:
        with pytest.raises(FormatError):
            Logarithm().form_after(form, params)
    with pytest.raises(FormatError):
        Logarithm().form_after(Form((9,), np.dtype("i4")), bytes([22, 1, 0, 0, 0, 0]))
    t = np.zeros(9, "i4")
    two, one = np.zeros(2, np.uint8), np.zeros(1, np.uint8)
    for flags, sections in (
        (1, {"signs": two}),
        (5, {}),
        (5, {"signs": one}),
        (17, {"zeros": one}),
        (69, {"signs": np.zeros(9, np.uint8)}),
        (1, {"exact": np.zeros(4, np.uint8)}),
        (1, {"exact_runs": np.array([0, 20], np.uint8), "exact": np.zeros(80, np.uint8)}),
    ):
        with pytest.raises(FormatError):
            Logarithm().decode(t, form, bytes([22, flags, 0, 0, 0, 0]), sections, Known())
