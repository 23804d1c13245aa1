"""`rans` gives what its specification says, byte for byte, and undoes it."""

from __future__ import annotations

import numpy as np
import pytest
import rans_spec

from fzdask.codecs.kernels.cpu import frequencies
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.rans import Rans
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)


def encoded(r, shape=None, **options):
    form = Form(shape or r.shape, r.dtype)
    return form, Rans(**options).encode(r, form, Job(NONE, NONE, 0.0))


def assert_as_specified(r, shape=None, **options):
    """Encode a residual, compare with the specification, decode; returns the encoding."""
    form, got = encoded(r, shape, **options)
    mask = int.from_bytes(got.params[2:], "little")
    params, words, sections = rans_spec.encode(r, form.shape, *got.params[:2], mask)
    assert got.params == params
    assert {k: bytes(v) for k, v in got.sections.items()} == sections
    assert bytes(got.data) == words
    raw = {k: np.frombuffer(v, np.uint8) for k, v in sections.items()}
    back = Rans().decode(np.frombuffer(words, np.uint8), form, params, raw, Known())
    assert back.dtype == r.dtype
    np.testing.assert_array_equal(back, r)
    return got


def laplace(size, scale, dtype="i4", seed=0):
    return np.random.default_rng(seed).laplace(scale=scale, size=size).astype(dtype)


def patchy(size, seed=0):
    """Residuals whose magnitudes come in stretches, for which contexts pay."""
    rng = np.random.default_rng(seed)
    scale = np.repeat(rng.choice([0.05, 1, 30], size // 50 + 1), 50)[:size]
    return (rng.laplace(size=size) * scale).astype("i4")


def nbytes(got):
    return got.data.size + sum(len(bytes(v)) for v in got.sections.values())


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 1023, 1024, 1025, 2049])
def test_sizes_around_groups_and_around_four_of_them(size):
    assert_as_specified(laplace(size, 3.0), group=256)


@pytest.mark.parametrize("scale", [0.05, 0.3, 3, 300, 1e5, 1e8])
@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_alphabets_from_one_symbol_to_mostly_classes(scale, dtype):
    assert_as_specified(laplace(3001, scale, dtype), group=512)


def test_all_64_bits_and_every_class_and_its_edges():
    info = np.iinfo("i8")
    r = np.random.default_rng(1).integers(info.min, info.max, 1300, "i8", endpoint=True)
    r[:6] = [info.min, info.min + 1, info.max, 0, -1, 1]
    assert_as_specified(r, group=256)
    z = [z for e in range(9, 64) for b in (1 << e, 5 << (e - 2)) for z in (b - 1, b, b + 1)]
    edges = np.array([v >> 1 ^ -(v & 1) for v in z if v < 1 << 64], "i8")
    assert_as_specified(np.repeat(edges, 7), group=256)
    assert_as_specified(np.r_[np.zeros(5000, "i8"), edges], (1, edges.size + 5000), contexts=4)


@pytest.mark.parametrize("value", [0, 1, -1, 255, -256, 256, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("options", [{}, {"contexts": 16}])
def test_a_constant_costs_a_state_a_group(value, options):
    got = assert_as_specified(np.full(5000, value, "i4"), **options)
    if -257 < value < 256:
        assert got.data.size == 4 * got.sections["group_sizes"].size // 4


def test_a_byte_stands_for_at_most_8192_values():
    zeros = np.zeros(1 << 18, "i4")
    form, got = encoded(zeros, group=1 << 20)
    assert got.params[0] == 16
    sections = {k: np.frombuffer(bytes(v), np.uint8) for k, v in got.sections.items()}
    back = Rans().decode(got.data, form, got.params, sections, Known())
    np.testing.assert_array_equal(back, zeros)
    one_group = {**sections, "group_sizes": sections["group_sizes"][:4]}
    with pytest.raises(FormatError, match="cannot hold"):
        Rans().decode(got.data[:4], form, b"\x12\x0e", one_group, Known())


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
def test_below_one_bit_a_value_it_stays_near_the_entropy(share):
    rng = np.random.default_rng(4)
    r = np.where(rng.random(200_000) < share, 0, rng.choice([-1, 1], 200_000)).astype("i4")
    _, got = encoded(r, group=1 << 18)
    p = np.unique(r, return_counts=True)[1] / r.size
    entropy = -(p * np.log2(p)).sum() * r.size / 8
    assert nbytes(got) <= 1.01 * entropy + 40


@pytest.mark.parametrize("far", [255, 256, 3000, 2**31 - 1])
def test_contexts_around_residuals_of_more_than_255(far):
    """Which count as positive where neighbours lean, be they negative."""
    r = patchy(3000)
    r[::11] = -far
    r[5::37] = far
    got = assert_as_specified(r, (50, 60), contexts=16)
    assert len(got.params) == 5


@pytest.mark.parametrize(
    "shape", [(6000,), (60, 100), (12, 20, 25), (3, 4, 20, 25), (2, 1, 3, 2, 20, 25), (2000, 3)]
)
def test_contexts_of_neighbours_along_up_to_three_axes(shape):
    r = patchy(6000)
    got = assert_as_specified(r, shape, contexts=16)
    assert len(got.params) == 5
    assert nbytes(got) < nbytes(encoded(r)[1])


@pytest.mark.parametrize("size", [255, 256, 257, 1023, 1024, 1025, 1279, 1281, 2500])
def test_contexts_do_not_reach_across_groups(size):
    assert_as_specified(patchy(size), (size // 5, 5) if size % 5 == 0 else None,
                        contexts=8, group=256)  # fmt: skip


def test_a_plane_beyond_the_group_is_no_neighbour():
    r = patchy(4096)
    for shape in ((16, 16, 16), (8, 2, 256), (8, 512), (16, 256), (4, 4, 4, 64)):
        assert_as_specified(r, shape, contexts=4, group=256)


def test_contexts_never_cost_more_than_a_few_bytes():
    for seed in range(4):
        r = laplace(3000, 2.0, seed=seed)  # nothing to learn from neighbours
        assert nbytes(encoded(r, (30, 100), contexts=16)[1]) <= nbytes(encoded(r)[1]) + 40


def test_residuals_of_more_than_16_bits_travel_apart():
    z = np.arange(2**16 - 5, 2**16 + 5)
    r = (z >> 1 ^ -(z & 1)).astype("i4")
    mixed = np.r_[laplace(1001, 3.0), r, laplace(1001, 3.0), r]
    assert_as_specified(mixed, group=256)
    assert_as_specified(mixed, contexts=16)


def test_rare_symbols_share_one_frequency():
    r = np.zeros(40_000, "i4")
    r[::2000] = np.arange(20) * 37 - 300
    got = assert_as_specified(r)
    assert len(bytes(got.sections["tables"])) < 12


def test_a_full_alphabet_fits_the_smallest_table():
    """Rounding to nearest may exceed the sum; then all are rounded down."""
    counts = np.full(frequencies.RARE, 1000, np.int64)
    freqs = np.zeros(frequencies.SYMBOLS, np.uint32)
    for bits in (12, 13, 14):
        for most in (1000, 1500, 10**6):
            counts[3] = most
            mode = frequencies.normalise(counts, bits, freqs)
            told, spec_mode = rans_spec.frequencies(counts.tolist(), bits)
            assert freqs.tolist() == told
            assert mode == spec_mode == (3 if most > 1000 else 0)
            assert freqs.sum() == 1 << bits


@pytest.mark.parametrize("bits", [12, 13, 14])
def test_tables_survive_their_compact_form(bits):
    rng = np.random.default_rng(6)
    for _ in range(60):
        counts = np.zeros(frequencies.RARE, np.int64)
        used = rng.integers(0, frequencies.RARE, rng.integers(1, 200))
        counts[used] = rng.integers(1, 10 ** rng.integers(1, 9), used.size)
        freqs = np.zeros(frequencies.SYMBOLS, np.uint32)
        mode = frequencies.normalise(counts, bits, freqs)
        packed = np.zeros(3000, np.uint8)
        end = frequencies.pack(freqs, mode, bits, packed, 3)
        back = np.empty_like(freqs)
        assert frequencies.unpack(packed[: (end + 7) // 8], 3, bits, back) == end
        np.testing.assert_array_equal(back, freqs)
        for cut in range((end + 7) // 8):
            assert frequencies.unpack(packed[:cut], 3, bits, back) == -1


@pytest.mark.parametrize("options", [{}, {"contexts": 8}])
def test_damaged_sections_are_refused_or_give_some_array(options):
    r = patchy(3000)
    form, got = encoded(r, (30, 100), group=256, **options)
    sections = {k: np.frombuffer(bytes(v), np.uint8) for k, v in got.sections.items()}
    main = np.frombuffer(bytes(got.data), np.uint8)
    rng = np.random.default_rng(7)
    refused = 0
    for _ in range(400):
        data, sides = main.copy(), {k: v.copy() for k, v in sections.items()}
        target = [data, *sides.values()][rng.integers(3)]
        target[rng.integers(target.size)] ^= np.uint8(1 << rng.integers(8))
        try:
            out = Rans().decode(data, form, got.params, sides, Known())
            assert out.shape == r.shape
        except FormatError:
            refused += 1
    assert refused > 300  # the state at the end of a group tells
    for name in sections:
        sides = {k: v for k, v in sections.items() if k != name}
        with pytest.raises(FormatError):
            Rans().decode(main, form, got.params, sides, Known())
        with pytest.raises(FormatError):
            Rans().decode(main, form, got.params, sections | {name: sections[name][:-1]}, Known())
    with pytest.raises(FormatError):
        Rans().decode(main[:-2], form, got.params, sections, Known())


@pytest.mark.parametrize(
    "params",
    [b"", b"\x08", b"\x07\x0e", b"\x0d\x0e", b"\x08\x0b", b"\x08\x0f", b"\x08\x0e\0\0\0",
     b"\x08\x0e\x01\0\0", b"\x08\x0e\0\0\x80", b"\x08\x0e\xfe\xff\xff", b"\x08\x0e\x02\0"],
)  # fmt: skip
def test_parameters_out_of_range_are_refused(params):
    with pytest.raises(FormatError):
        Rans().form_after(Form((3000,), np.dtype("i4")), params)


@pytest.mark.parametrize(
    "options",
    [{"contexts": 0}, {"contexts": 17}, {"contexts": True}, {"contexts": 2.0}, {"group": 128},
     {"group": 1000}, {"group": 2**23}, {"group": "all"}],
)  # fmt: skip
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError, match="rans"):
        Rans(**options)
