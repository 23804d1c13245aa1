"""Disagreements of library and second reader that were found, each by name.

Either both refuse a stream with their own error of the format, or both give the same array.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from format_cases import field
from reader import MalformedError, read
from stream_parts import Parts

import fzdask
from fzdask.errors import FormatError
from fzdask.format import varint

LORENZO, INTERPOLATE = 2, 6


def refused(stream: bytes) -> None:
    """Both raise the error of the format, and none other."""
    with pytest.raises(FormatError):
        fzdask.decompress(stream)
    with pytest.raises(MalformedError):
        read(stream)


def read_alike(stream: bytes) -> None:
    """Both give the same array, the reader without a warning."""
    got = fzdask.decompress(stream)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        want = read(stream)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    assert got.tobytes() == want.tobytes()


def parts_of(x: np.ndarray, **config: object) -> Parts:
    """A stream of these stages, not the lossless one that small arrays may take."""
    parts = Parts.of(fzdask.compress(x, **config))
    assert parts.header.bound_kind == next(iter(config))
    return parts


@pytest.mark.parametrize("dtype", ["c8", ">c8", "c16"])
@pytest.mark.parametrize("shape", [(65, 1), (400,), (3, 133)])
def test_interpolated_logarithms_of_complex_numbers(dtype, shape):
    x = ((field(shape, "f8") + 1000) * (2 - 1j)).astype(dtype)
    pipeline = "interpolate(predictor=interpolation) | huffman | zstd"
    parts = parts_of(x, pw_rel=0.01, pipeline=pipeline)
    assert [stage.params[:1] for stage in parts.header.stages if stage.code == INTERPOLATE] == [
        b"\1"
    ]
    read_alike(parts.join())


@pytest.mark.parametrize("pipeline", ["quantize | difference", "quantize | lorenzo", "interpolate"])
def test_a_factor_without_logarithms_is_the_bound_of_each_component(pipeline):
    """No writer puts it there; a header that was tampered with says it all the same."""
    parts = parts_of(field((20, 40), "c16"), abs=1 / 16, pipeline=f"{pipeline} | huffman")
    factor = parts.alter(bound_kind="pw_rel")
    read_alike(parts.join())
    read_alike(factor.join())
    assert fzdask.decompress(factor.join()).tobytes() != fzdask.decompress(parts.join()).tobytes()


def test_an_odd_number_of_bytes_of_width_classes():
    pipeline = "quantize | lorenzo | zigzag | fixed_length"
    parts = parts_of(field((40, 50), "f4"), abs=1 / 16, pipeline=pipeline)
    at = parts.index(3, 2)
    for raw in (parts.raw[at][:-1], parts.raw[at] + b"\0"):
        refused(parts.with_raw(at, raw).join())


@pytest.mark.parametrize("last", [2**31 - 1, 2**62, 2**63 - 1])
def test_a_dictionary_of_values_that_the_lattice_does_not_hold(last):
    x = (field((40, 50), "i4") % 7 * 1000).astype("i4")
    parts = parts_of(x, abs=0.5, pipeline="quantize | dictionary | huffman")
    assert parts.header.stages[1].params == b"\1"
    at = parts.index(1, 1)
    refused(parts.with_raw(at, parts.raw[at] + varint(last)).join())


def coded(stage: str, dtype: str, bound: float) -> Parts:
    x = (field((30, 31), dtype) * 50).astype(dtype)
    return parts_of(x, abs=bound, pipeline=f"{stage} | huffman")


TRANSFORMS = ["interpolate(predictor=interpolation)", "wavelet"]


def test_overflowing_interpolation_gives_infinities():
    stream = coded(TRANSFORMS[0], "f2", 1.0).alter(asked=1e6, resolved=1e6).join()
    read_alike(stream)
    assert np.isinf(fzdask.decompress(stream)).any()


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan"), float("inf"), 1e308])
@pytest.mark.parametrize("stage", TRANSFORMS)
def test_bounds_without_cells(stage, bound):
    refused(coded(stage, "f4", 1.0).alter(asked=bound, resolved=bound).join())


@pytest.mark.parametrize("bound", [0.5, -1.0, float("nan"), float("inf"), 2.0**54])
@pytest.mark.parametrize("stage", TRANSFORMS)
def test_bounds_that_integers_do_not_have(stage, bound):
    refused(coded(stage, "i4", 3).alter(asked=bound, resolved=bound).join())


def test_modes_and_lengths_of_tiles_that_there_are_not():
    parts = parts_of(
        field((40, 30), "f4"), abs=1 / 16, pipeline="quantize | lorenzo_tiles | huffman"
    )
    at = parts.index(1, 1)
    for mode in (3, 8, 0x40, 0x80):
        refused(parts.with_raw(at, bytes([mode]) + parts.raw[at][1:]).join())
    for edges in (b"\x00\x40\x03", b"\x05\x05\x05", b"\x00\x00\x0d"):
        refused(parts.with_parameters(1, edges).join())


def zeros(coder: str, count: int = 400) -> Parts:
    """So many zeros of a lattice, coded in groups of 256."""
    parts = parts_of(np.zeros(400, "f8"), abs=1, pipeline=f"quantize | {coder}")
    return parts.alter(shape=(count,))


@pytest.mark.parametrize("length", range(1, 17))
def test_a_single_huffman_code_has_one_bit(length):
    """A codebook of symbol 0 alone, whose code is zeros; all bits of the group are."""
    parts = zeros("huffman(group=256)", 30)
    bits = f"{1:010b}1110{length - 1:04b}".ljust(24, "0")
    sections = {0: bytes(4 * -(-30 * length // 32)), 1: int(bits, 2).to_bytes(3, "big")}
    sections[2] = (len(sections[0]) // 4).to_bytes(2, "little")
    for number, raw in sections.items():
        parts = parts.with_raw(parts.index(1, number), raw)
    parts = parts.with_parameters(1, parts.header.stages[1].params[:1])
    (read_alike if length == 1 else refused)(parts.join())


def rans(count: int, table: str, words: bytes) -> bytes:
    """A stream of so many values of a lattice in one group, and a table for each of them."""
    parts = zeros("rans(contexts=1, group=256)", count).with_parameters(1, b"\x08\x0e")
    packed = int(table.ljust(-(-len(table) // 8) * 8, "0"), 2).to_bytes(-(-len(table) // 8), "big")
    sections = {0: words, 1: packed, 2: (len(words) // 2).to_bytes(4, "little")}
    for number, raw in sections.items():
        parts = parts.with_raw(parts.index(1, number), raw)
    return parts.join()


@pytest.mark.parametrize("rare", [0, 1, 511, 732, 733, 1023])
def test_the_symbol_behind_a_rare_one_is_below_it(rare):
    """Symbol 732 has all slots and leaves the state, whose low ten bits are the symbol then."""
    state = (1 << 15 + 10) | rare
    stream = rans(1, f"{732:010b}" + "0" * 10, state.to_bytes(4, "little"))
    (read_alike if rare < 512 else refused)(stream)


@pytest.mark.parametrize("symbol", [512, 513, 600, 731])
def test_the_last_rans_group_does_not_go_on_with_zeros(symbol):
    """A class has all slots, and the raw bits of its values are in no word."""
    for count in range(1, 40):
        table = f"{symbol:010b}" + "0" * 10 + "1111"
        refused(rans(count, table, (1 << 15).to_bytes(4, "little")))


@pytest.mark.parametrize("most", [0, 5, 731, 732, 733, 1023])
def test_rans_tables_cover_symbols_up_to_the_last_used_one(most):
    """Tables of one used symbol, whose values take no word if it needs no raw bits."""
    words = (1 << 15).to_bytes(4, "little")
    (read_alike if most < 512 else refused)(rans(9, f"{most:010b}" + "0" * 10 + "1111", words))
    refused(rans(9, f"{most:010b}{most + 1 & 1023:010b}" + "1111" * 9, words))
    refused(rans(9, f"{0:010b}{3:010b}" + "1111" + "0001" + "0" + "1111", words))


def golomb(k: int, bits: str) -> bytes:
    """A stream of one code of 32 bits, with so many low bits."""
    parts = zeros("zigzag | golomb_rice(block=256)", 1)
    raw = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    sections = {0: raw, 1: bytes([k]), 2: len(raw).to_bytes(2, "little")}
    for number, section in sections.items():
        parts = parts.with_raw(parts.index(2, number), section)
    return parts.join()


def test_golomb_codes_that_there_are_not():
    read_alike(golomb(3, "10" + "101"))
    read_alike(golomb(31, "0" + "1" * 31))
    read_alike(golomb(31, "110" + "0" * 30 + "1"))  # two times 2**31, which 32 bits do not keep
    read_alike(golomb(3, "10" + "101" + "111"))  # bits left over
    refused(golomb(32, "0" + "1" * 32))
    refused(golomb(255, "0" + "1" * 255))
    refused(golomb(3, "10" + "101" + "0" * 11))
    refused(golomb(31, "10" + "101"))


@pytest.mark.parametrize("bound", ["abs", "pw_rel"])
@pytest.mark.parametrize(
    "stages",
    [
        "lorenzo(axes=all) | lorenzo(axes=all, order=2)",
        "lorenzo(axes=all, order=2) | lorenzo(axes=all)",
        "lorenzo(axes=(1,), order=2) | lorenzo(axes=all)",
    ],
)
def test_several_lorenzo_stages_are_undone_from_the_last_to_the_first(stages, bound):
    """Where orders differ they do not commute."""
    x = field((20, 23), "f8") + 1000
    parts = parts_of(x, **{bound: 1e-2}, pipeline=f"quantize | {stages} | huffman")
    orders = {stage.params for stage in parts.header.stages if stage.code == LORENZO}
    assert len(orders) == 2
    read_alike(parts.join())
    y = fzdask.decompress(parts.join())
    assert (np.abs(x - y) <= (1e-2 if bound == "abs" else 1e-2 * np.abs(x))).all()


@pytest.mark.parametrize("change", [-2, -1, 1, 2])
def test_planes_of_more_or_fewer_elements_than_there_are(change):
    x = field((500,), "f2")
    parts = parts_of(x, lossless=True, pipeline="constant | shuffle | zstd")
    raw = parts.raw[parts.index(1, 0)]
    refused(parts.with_raw(parts.index(1, 0), (raw + bytes(2))[: len(raw) + change]).join())


@pytest.mark.parametrize(
    "pipeline", ["interpolate(predictor=lorenzo) | huffman", "interpolate(predictor=lorenzo)"]
)
def test_levels_of_what_is_not_interpolated(pipeline):
    parts = parts_of(field((40, 50), "f8"), abs=1e-2, pipeline=pipeline)
    refused(parts.with_section(0, 3, b"\1\0").join())


@pytest.mark.parametrize("last", ["", " | huffman"])
def test_interpolation_without_its_levels(last):
    parts = parts_of(
        field((40, 50), "f8"), abs=1e-2, pipeline=f"interpolate(predictor=interpolation){last}"
    )
    refused(parts.without(parts.index(0, 3)).join())


def test_smallest_of_differences_with_levels():
    rough = np.random.default_rng(0).normal(size=(40, 50))
    parts = parts_of(rough, abs=1e-4, pipeline="smallest")
    assert parts.header.stages[0].params[0] == 0  # not interpolated
    refused(parts.with_section(0, 3, b"\1\0").join())
