"""Every kernel equals its Numba counterpart, bit for bit, on ragged sizes and odd values."""

import numpy as np
import pytest

from fzdask.codecs.codebooks import Codebook
from fzdask.codecs.kernels.cpu import (
    difference,
    sampling,
    sampling_twice,
    symbols,
    width_sampling,
)
from fzdask.codecs.kernels.cpu import huffman as cpu_huffman
from fzdask.codecs.kernels.cpu import outliers as cpu_outliers
from fzdask.codecs.kernels.cpu import ranges as cpu_ranges
from fzdask.codecs.kernels.cuda import huffman, lorenzo, outliers, quantize, ranges, scan
from fzdask.codecs.kernels.cuda.sampling import Sample
from fzdask.codecs.prepare import preserved_ranges
from fzdask.codecs.stages.base import Form, Job
from fzdask.codecs.stages.lorenzo import axes_geometry, folded_shape
from fzdask.codecs.stages.quantize import LIMITS, Quantize
from fzdask.codecs.stages.symbols import Symbols

SIZES = (1, 31, 33, 255, 257, 2047, 2048, 2049, 8193)
NONE = np.zeros(0, np.uint8)
NO_WIDE = np.zeros(0, np.uint64)


def awkward(size, dtype, seed=0, share=0.05):
    """Values of all kinds: a walk, zeros of both signs, denormals, NaN payloads, infinities."""
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "iu":
        info = np.iinfo(dtype)
        return random.integers(info.min, info.max, size, dtype, endpoint=True)
    x = np.cumsum(random.standard_normal(size)).astype(dtype)
    tiny = np.finfo(dtype).smallest_subnormal
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, tiny, np.finfo(dtype).max], dtype)
    where = random.random(size) < share
    x[where] = random.choice(odd, where.sum())
    return x


@pytest.mark.parametrize("size", [1, 4, 1023, 1024, 1025, 70_001])
@pytest.mark.parametrize("dtype", ["u2", "u4", "u8"])
def test_prefix_sums_and_running_maxima_equal_numpy(device, size, dtype):
    values = np.random.default_rng(size).integers(0, 60_000, size).astype(dtype)
    sums = device.download(scan.exclusive_sum(device, device.upload(values)))
    assert np.array_equal(sums, np.cumsum(np.append(0, values.astype("u8")), dtype="u8"))
    if dtype != "u2":
        maxima = device.download(scan.exclusive_max(device, device.upload(values)))
        assert np.array_equal(maxima, np.maximum.accumulate(np.append(0, values.astype("u8"))))


def test_prefix_sums_stop_at_the_greatest_instead_of_wrapping_around(device):
    values = np.full(5000, 2**63, np.uint64)
    sums = device.download(scan.exclusive_sum(device, device.upload(values)))
    assert sums[0] == 0
    assert (sums[1:] == 2**62).all()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i4", "i8", "u8"])
@pytest.mark.parametrize("size", [1, 257, 5000])
@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_range_is_that_of_what_is_finite_and_not_forced(device, dtype, size, share):
    x = awkward(size, dtype, size)
    forced = (np.random.default_rng(1).random(size) < share).astype(np.uint8)
    flags = forced if share else NONE
    low, high = ranges.finite_range(device, device.upload(x), device.upload(flags))
    kept = x[forced == 0] if share else x
    kept = kept[np.isfinite(kept)]
    assert (low, high) == ((kept.min(), kept.max()) if kept.size else (0, 0))
    if dtype in ("f4", "f8") and not share and kept.size:
        cpu = cpu_ranges.finite_range(x, np.finfo(dtype).max)
        assert (low, high) == cpu


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i4", "u8"])
def test_preserved_values_are_flagged_and_no_others(device, dtype):
    x = np.arange(600).astype(dtype) % 7
    if np.dtype(dtype).kind == "f":
        x[::7] *= -1  # -0.0 is preserved with 0.0
        x[5::50] = np.nan
    for reach in (0, 1.5):
        for value in (0, 3):
            (ends,) = preserved_ranges(x.dtype, (value,), reach, pointwise=False)
            flags = device.zeros(x.size, np.uint8)
            ranges.preserve(device, device.upload(x), 1, ends, flags)
            wide = x.astype("f8")
            far = int(reach) if x.dtype.kind in "iu" else reach
            assert np.array_equal(device.download(flags), np.abs(wide - value) <= far)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_complex_values_are_flagged_in_pairs(device, dtype):
    x = np.arange(600).astype(dtype) % 5
    x[1::4] = 0
    x[7::90] = np.inf
    z = x.view(f"c{2 * x.itemsize}")
    for reach in (0, 1.5):
        (ends,) = preserved_ranges(z.dtype, (3,), reach, pointwise=False)
        flags = device.zeros(x.size, np.uint8)
        ranges.preserve(device, device.upload(x), 2, ends, flags)
        ranges.flag_pairs(device, device.upload(x), flags)
        inside = (np.abs(z.real - 3) <= reach) & (np.abs(z.imag) <= reach)
        assert np.array_equal(device.download(flags), np.repeat(inside | ~np.isfinite(z), 2))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("share", [0, 0.05, 0.6, 1])
def test_quantizing_equals_the_cpu_with_its_outliers(device, size, dtype, share):
    x = awkward(size, dtype, size, share)
    forced = (np.arange(size) % 5 == 0).astype(np.uint8) if share == 0.05 else NONE
    finite = x[np.isfinite(x)]
    finite_max = float(np.abs(finite).max()) if finite.size else 0.0
    stage, form = Quantize(), Form((size,), x.dtype, 1e-3)
    cpu = stage.encode(x, form, Job(forced, x.view(f"u{x.itemsize}"), finite_max))
    width = cpu.params[0]
    done = quantize.quantize(
        device, device.upload(x), device.upload(forced), width, form.bound, LIMITS[width]
    )
    assert np.array_equal(device.download(done.lattice), cpu.data)
    assert (done.runs is not None) == ("outliers" in cpu.sections)
    if done.runs is not None:
        assert device.download(done.runs).tobytes() == bytes(cpu.sections["outlier_runs"])
        assert device.download(done.values).tobytes() == bytes(cpu.sections["outliers"])


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
@pytest.mark.parametrize("bound", [0, 1, 7])
def test_integers_quantize_and_come_back_as_on_the_cpu(device, dtype, bound):
    x = awkward(4100, dtype) // 2 if bound and dtype[1] == "8" else awkward(4100, dtype)
    stage, form = Quantize(), Form(x.shape, x.dtype, float(bound))
    job = Job(NONE, x.view(f"u{x.itemsize}"), float(max(abs(int(x.min())), int(x.max()))))
    cpu = stage.encode(x, form, job)
    width = cpu.params[0]
    done = quantize.quantize(device, device.upload(x), device.upload(NONE), width, bound, 0)
    assert np.array_equal(device.download(done.lattice), cpu.data)
    back = quantize.dequantize_integers(device, done.lattice, bound, x.dtype)
    assert np.array_equal(device.download(back), stage.decode(cpu.data, form, cpu.params, {}, None))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("width", [4, 8])
def test_values_of_a_lattice_are_the_decoders_own(device, dtype, width):
    random = np.random.default_rng(3)
    lattice = random.integers(-(2 ** (8 * width - 1)), 2 ** (8 * width - 1) - 1, 3001, f"i{width}")
    lattice[:2000] >>= 8 * width - 14
    form = Form(lattice.shape, np.dtype(dtype), 0.37)
    cpu = Quantize().decode(lattice, form, bytes([width]), {}, None)
    got = quantize.dequantize_floats(device, device.upload(lattice), form.bound, dtype)
    assert device.download(got).tobytes() == cpu.tobytes()


def test_every_half_widens_and_every_float_narrows_as_in_numpy(device):
    """Through the lattice: all halves by their bits, and float32 values around every half."""
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    usable = halves[np.isfinite(halves) & (halves.view(np.uint16) != 0x8000)]
    form = Form(usable.shape, usable.dtype, 2.0**-25)  # a lattice that holds every half
    done = quantize.quantize(
        device, device.upload(usable), device.upload(NONE), 8, form.bound, LIMITS[8]
    )
    assert done.runs is None
    assert np.array_equal(device.download(done.lattice), (usable.astype("f8") * 2.0**24))
    middle = (usable.astype("f8") * 2.0**26).astype("i8")
    near = np.concatenate([middle + k for k in (-2, -1, 1, 2)] + [middle // 3])
    got = quantize.dequantize_floats(device, device.upload(near), 2.0**-27, "f2")
    with np.errstate(over="ignore"):
        want = (near * 2.0**-26).astype("f4").astype("f2")
    assert device.download(got).tobytes() == want.tobytes()


@pytest.mark.parametrize("share", [0.001, 0.2, 1])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8"])
def test_outliers_go_back_where_they_were(device, share, dtype):
    random = np.random.default_rng(8)
    bits = random.integers(0, 250, 20_001).astype(dtype)
    flags = random.random(bits.size) < share
    flags[0] = flags[-1] = flags[5000:9000] = True
    padded = np.append(flags, np.zeros(-bits.size % 32, bool))
    mask = np.packbits(padded, bitorder="little").view("<u4")
    runs, values = outliers.take_outliers(device, device.upload(bits), device.upload(mask))
    assert np.array_equal(device.download(values), bits[flags])
    out = np.zeros_like(bits)
    assert cpu_outliers.restore(device.download(runs), bits[flags], out)
    assert np.array_equal(out, np.where(flags, bits, 0))
    on_device = device.zeros(bits.size, dtype)
    assert outliers.put_outliers(device, runs, values, on_device)
    assert np.array_equal(device.download(on_device), out)


def test_hostile_outlier_runs_are_refused_as_on_the_cpu(device):
    random = np.random.default_rng(4)
    accepted = 0
    for trial in range(300):
        size = int(random.integers(1, 12))
        runs = random.choice([0, 1, 2, 3, 5, 60, 128, 129, 255], size).astype(np.uint8)
        if trial % 3 == 0:
            runs = np.array([3, 2], np.uint8)  # sound ones among them
        count = int(random.integers(0, 9)) if trial % 3 else 2
        values = np.arange(1, count + 1, dtype=np.uint32)
        cpu = np.zeros(64, np.uint32)
        fits = cpu_outliers.restore(runs, values, cpu)
        got = device.zeros(64, np.uint32)
        assert (
            outliers.put_outliers(device, device.upload(runs), device.upload(values), got) == fits
        )
        if fits:
            accepted += 1
            assert np.array_equal(device.download(got), cpu)
    assert accepted > 50


SHAPES = ((1,), (7,), (20_000,), (130, 2), (2, 5000), (9, 40, 31), (3, 1, 50, 70), (2, 3, 4, 5, 40))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_lorenzo_along_all_subsets_of_axes_equals_the_cpu(device, shape, dtype):
    random = np.random.default_rng(5)
    info = np.iinfo(dtype)
    lattice = random.integers(info.min, info.max, int(np.prod(shape)), dtype)  # all sums wrap
    nd = len(folded_shape(shape))
    twice = [1 << 4 | 1, ((1 << nd) - 1) * 17] if nd else []
    for subset in [*range(1 << nd), *twice]:
        strides, spans = axes_geometry(shape, subset)
        cpu = np.empty_like(lattice)
        difference.forward(lattice, strides, spans, *difference.new_state(dtype, strides), cpu)
        there = lorenzo.difference(device, device.upload(lattice), strides.tolist(), spans.tolist())
        assert np.array_equal(device.download(there), cpu), subset
        residual = device.upload(cpu)
        lorenzo.undo_difference(device, residual, strides.tolist(), spans.tolist())
        assert np.array_equal(device.download(residual), lattice), subset
        if not strides.size:
            continue
        for kind in ("f2", "f4", "f8"):
            there = lorenzo.undo_difference_to_values(
                device, device.upload(cpu), strides.tolist(), spans.tolist(), 0.37, kind
            )
            values = quantize.dequantize_floats(device, residual, 0.37, kind)
            assert device.download(there).tobytes() == device.download(values).tobytes()


@pytest.mark.parametrize("shape", [(9000,), (40, 50), (2, 30, 41), (5, 6, 7, 8), (3, 2)], ids=str)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8"])
def test_axes_are_chosen_by_the_same_numbers(device, shape, dtype):
    size = int(np.prod(shape))
    x = awkward(size, dtype, 2)
    folded = folded_shape(shape)
    forced = (np.arange(size) % 11 == 0).astype(np.uint8)
    bound = 0.01 if dtype[0] == "f" else None
    factor = 1 / (2 * bound) if bound else 1.0
    sample = Sample(device, device.upload(x), bound, LIMITS[8])
    lengths = np.array(folded, np.int64)
    for flags in (NONE, forced):
        there = device.upload(flags)
        for samples in (min(32, size), min(256, size)):
            cpu = np.zeros(1 << len(folded), np.int64)
            sampling.difference_costs(x, flags, lengths, factor, LIMITS[8], samples, cpu)
            assert np.array_equal(sample.difference_costs(folded, there, samples), cpu)
            if min(folded) >= 3:
                cpu = np.zeros(3 ** len(folded), np.int64)
                sampling_twice.order_costs(x, flags, lengths, factor, LIMITS[8], samples, cpu)
                assert np.array_equal(sample.order_costs(folded, there, samples), cpu)
        for count in (5, 64):
            cpu = width_sampling.narrowest_axes(x, flags, lengths, factor, count)
            assert sample.narrowest_axes(folded, there, count) == cpu


def residuals(kind, size, dtype):
    random = np.random.default_rng(size)
    if kind == "noise":
        return np.rint(random.standard_normal(size) * 40).astype(dtype)
    if kind == "wide":
        info = np.iinfo(dtype)
        r = random.integers(info.min, info.max, size, dtype, endpoint=True)
        return r >> random.integers(0, 8 * r.itemsize - 2, size).astype(dtype)
    quiet = np.zeros(size, dtype)
    quiet[random.random(size) < 0.002] = 77
    return quiet


@pytest.mark.parametrize("group", [256, 4096, 16384])
@pytest.mark.parametrize("kind", ["noise", "wide", "quiet"])
@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_huffman_words_equal_the_cpu_and_decode(device, group, kind, dtype):
    for size in (1, group - 1, group + 1, 2 * group + 300):
        r = residuals(kind, size, dtype)
        coded = Symbols.of(r)
        on_device = device.upload(r)
        assert np.array_equal(huffman.count_symbols(device, on_device), coded.counts)
        mode = int(coded.counts.argmax()) if kind == "quiet" else -1
        counts = coded.counts
        if mode >= 0:
            for every in (1, 2):
                counts = np.zeros(symbols.ALPHABET, np.int64)
                taken = cpu_huffman.count_runs(coded.z, coded.wide, group, every, mode, counts)
                got, many = huffman.count_runs(device, on_device, group, every, mode)
                assert (many, got.tolist()) == (taken, counts.tolist())
            counts = huffman.count_runs(device, on_device, group, 1, mode)[0]
        book = Codebook.build(counts, mode)
        check_coding(device, r, coded, group, book)


def check_coding(device, r, coded, group, book):
    groups = -(-r.size // group)
    bits = 100 * r.size
    words, sizes = np.empty(bits // 32 + groups + 2, np.uint32), np.empty(groups, np.uint16)
    used = cpu_huffman.encode(coded.z, coded.wide, group, book.mode, book.codes, words, sizes)
    got, got_sizes = huffman.encode(
        device, device.upload(r), group, book.mode, book.codes, words.size
    )
    assert np.array_equal(got_sizes, sizes)
    assert np.array_equal(device.download(got), words[:used])
    starts = np.append(0, np.cumsum(sizes)).astype(np.uint64)
    back = huffman.decode(
        device, device.upload(words[:used]), device.upload(starts), r.size, group, book.mode,
        *book.decoding_tables, r.dtype,
    )  # fmt: skip
    assert np.array_equal(device.download(back), r)


@pytest.mark.parametrize("dtype", ["i4", "i8"])
def test_symbols_that_a_shared_book_lacks_are_escaped(device, dtype):
    counts = np.zeros(symbols.ALPHABET, np.int64)
    counts[:3] = 10, 5, 3
    book = Codebook.build_shared(counts, -1, escape=True)
    r = residuals("wide", 3000, dtype)
    check_coding(device, r, Symbols.of(r), 1024, book)


def test_damaged_words_are_refused_or_give_something_as_on_the_cpu(device):
    r = residuals("noise", 3000, "i4")
    coded = Symbols.of(r)
    book = Codebook.build(coded.counts, -1)
    words, sizes = np.empty(9000, np.uint32), np.empty(12, np.uint16)
    used = cpu_huffman.encode(coded.z, coded.wide, 256, -1, book.codes, words, sizes)
    starts = np.append(0, np.cumsum(sizes)).astype(np.int64)
    random = np.random.default_rng(0)
    refused = 0
    for trial in range(40):
        damaged = words[:used].copy()
        places = random.integers(used, size=1 + trial % 2 * 40)
        damaged[places] ^= random.integers(1, 2**32, places.size).astype(np.uint32)
        z, out = np.empty(r.size, np.uint16), np.empty(r.size, np.int32)
        at, wide = np.empty(r.size, np.int64), np.empty(r.size, np.uint64)
        used_wide = cpu_huffman.decode(
            damaged.ctypes.data, np.zeros(used + 1000, np.uint32), starts, 256, -1,
            *book.decoding_tables, np.zeros(0, np.uint64), z, at, wide,
        )  # fmt: skip
        fine = used_wide >= 0
        got = huffman.decode(
            device, device.upload(damaged), device.upload(starts.astype("u8")), r.size,
            256, -1, *book.decoding_tables, np.int32,
        )  # fmt: skip
        assert (got is not None) == fine
        if fine:
            symbols.residual_of(z, at[:used_wide], wide[:used_wide], out)
            assert np.array_equal(device.download(got), out)
        refused += not fine
    assert 3 < refused < 40
