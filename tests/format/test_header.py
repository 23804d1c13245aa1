"""What a header takes: at most 64 bytes for an ordinary chunk; no stream loses more than that."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from format_cases import FLOATS, INTEGERS, OTHERS, SHAPES, field, raw_bits, whole_field
from hypothesis import given, settings
from hypothesis import strategies as st

import fzdask
from fzdask.format import Header, SectionEntry, StageEntry, pack

ROOM = 64


def header_nbytes(shape, kind, *, runs, sizes):
    """Length of the header of the default pipeline, float32, from sizes alone."""
    stages = (
        StageEntry(1, b"\x04"),
        StageEntry(2, b"\x07"),
        StageEntry(3, b"\x0c\x00\x00" if runs else b"\x0c"),
        StageEntry(4, b""),
    )
    sections = tuple(
        SectionEntry(stage, number, len(told) - 1, told) for (stage, number), told in sizes.items()
    )
    header = Header(np.dtype("f4"), shape, "C", kind, 1e-3, 1e-2, stages, sections)
    return len(pack(header, []))


def default_sizes(values, *, book, zstd):
    """Sizes of the sections of the default pipeline at two bits a value; `zstd` names sections."""
    whole = {(2, 1): book, (2, 2): 2 * -(-values // 4096), (2, 0): values // 4}
    return {key: (n, n * 9 // 10) if key[1] in zstd else (n,) for key, n in whole.items()}


EVERY_ZSTD = [z for n in range(4) for z in itertools.combinations(range(3), n)]


@pytest.mark.parametrize("kind", ["abs", "rel"])
@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("book", [4, 40, 400])
def test_a_header_of_a_chunk_of_half_a_megabyte_is_at_most_64_bytes(kind, runs, book):
    shape = (1, 2, 192, 384)
    for zstd in EVERY_ZSTD:
        sizes = default_sizes(2 * 192 * 384, book=book, zstd=zstd)
        assert header_nbytes(shape, kind, runs=runs, sizes=sizes) <= ROOM


@pytest.mark.parametrize("shape", [(256, 256, 256), (1, 256, 256, 256), (4096, 4096), (2**24,)])
def test_a_header_of_a_chunk_of_64_megabytes_is_at_most_64_bytes(shape):
    """Whatever is coded how within an absolute bound; a relative one takes 8 bytes more."""
    for zstd, runs in itertools.product(EVERY_ZSTD, (False, True)):
        sizes = default_sizes(2**24, book=400, zstd=zstd)
        assert header_nbytes(shape, "abs", runs=runs, sizes=sizes) <= ROOM
    for zstd in ((), (0,), (2,), (0, 2)):  # a codebook of so few bytes does not shrink
        sizes = default_sizes(2**24, book=60, zstd=zstd)
        assert header_nbytes(shape, "rel", runs=False, sizes=sizes) <= ROOM


@pytest.mark.parametrize("bound", [{"rel": 1e-2}, {"rel": 1e-3}, {"abs": 0.5}, {"abs": 4.0}])
@pytest.mark.parametrize("step", [1, 9, 100])
def test_headers_as_written_are_at_most_64_bytes(bound, step):
    x = (whole_field((1, 2, 192, 384), 1, step) / 16).astype("f4")
    info = fzdask.inspect(fzdask.compress(x, **bound))
    assert info.outliers == 0
    assert info.pipeline == "quantize | lorenzo | huffman | zstd"
    assert info.header_nbytes <= ROOM
    assert info.header_nbytes + sum(info.sections.values()) == info.stored_nbytes


def test_a_nearly_constant_chunk_is_little_more_than_its_header():
    x = np.full((64, 64, 64), 273.15, "f4")
    stream = fzdask.compress(x, rel=1e-3)
    assert len(stream) < 250
    assert fzdask.inspect(stream).header_nbytes <= ROOM


def room(array):
    """The bytes that a stream may be longer than its array (docs/format.md, section 3)."""
    described = ascii(np.lib.format.dtype_to_descr(array.dtype))
    return ROOM + (len(described) + 2 if array.dtype.str[1:] not in NUMBERED else 0)


NUMBERED = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"]


def noise(shape, dtype, seed=0):
    """Random bits of any dtype that has a meaning for each: the worst case for any coder."""
    dtype = np.dtype(dtype)
    count = int(np.prod(shape))
    if dtype.kind in "bSU":
        return field(shape, dtype, seed)
    bits = raw_bits(-(-count * dtype.itemsize // 8), seed).tobytes()
    return np.frombuffer(bits, dtype, count).reshape(shape)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS, *OTHERS])
def test_no_stream_is_more_than_64_bytes_longer_than_its_array(dtype):
    for shape in SHAPES:
        for array in (noise(shape, dtype), field(shape, dtype)):
            for order in "CF":
                for bound in ({"abs": 1e-9}, {"rel": 1e-12}, {"lossless": True}):
                    x = np.array(array, order=order)
                    assert len(fzdask.compress(x, **bound)) <= x.nbytes + room(x)


@pytest.mark.parametrize(
    "shape", [(1,) * 32, (0,) * 32, (1,) * 64, (2,) * 16, (2, 1) * 16, (0, *(2,) * 31), (2**20,)]
)
def test_many_axes_fit_in_the_64_bytes(shape):
    x = np.zeros(shape, "u1")
    x.reshape(-1)[:] = raw_bits(x.size, 7) & np.uint64(255)
    stream = fzdask.compress(x, lossless=True)
    assert len(stream) <= x.nbytes + ROOM
    assert fzdask.decompress(stream).shape == shape


@given(
    st.sampled_from([*FLOATS, *INTEGERS]),
    st.lists(st.integers(0, 9), max_size=5),
    st.sampled_from(["abs", "rel"]),
    st.floats(1e-300, 1e300),
    st.integers(0, 2**32),
)
@settings(deadline=None)
def test_random_bits_never_grow_by_more_than_64_bytes(dtype, shape, kind, bound, seed):
    x = noise(tuple(shape), dtype, seed)
    assert len(fzdask.compress(x, **{kind: bound})) <= x.nbytes + ROOM
