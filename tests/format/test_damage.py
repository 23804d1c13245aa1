"""Damage by accident: every truncation and every flipped bit of small streams is an error."""

from __future__ import annotations

import numpy as np
import pytest
from format_cases import field, raw_bits, whole_field, with_outliers
from hypothesis import given
from hypothesis import strategies as st
from reader import MalformedError, read

import fzdask
from fzdask.errors import FormatError
from fzdask.format import VERSION


def small_streams() -> dict[str, bytes]:
    """Streams of at most about 300 bytes, one for each way of storing."""
    rough = (whole_field((6, 11), 2, step=60) / 64).astype("f4")
    spots = np.zeros((40, 50), "f4")
    spots.reshape(-1)[::571] = 3
    default = {"abs": 1 / 16}
    arrays = {
        "stored": (raw_bits(6, 1), {"lossless": True}),
        "stored-empty": (np.zeros((0, 4), "f4"), default),
        "shuffle": (field((40, 50), "?"), default),
        "described-dtype": (field((9,), "<i2,S3"), default),
        "quantize": (rough.astype("f8")[:2], {**default, "pipeline": "quantize"}),
        "default": (rough, default),
        "default-rel-fortran": (np.asfortranarray(rough), {"rel": 1e-2}),
        "default-runs": (spots, default),
        "default-outliers": (with_outliers(150, 0.2), default),
        "default-complex": (field((5, 8), "c16"), default),
        "default-integers": (field((30,), ">i8"), {"abs": 2}),
    }
    return {name: fzdask.compress(x, **config) for name, (x, config) in arrays.items()}


STREAMS = small_streams()


def refused(stream: bytes) -> None:
    """The library and the reader raise their error of the format, and none other."""
    with pytest.raises(FormatError):
        fzdask.decompress(stream)
    with pytest.raises(MalformedError):
        read(stream)


@pytest.fixture(params=STREAMS)
def stream(request):
    return STREAMS[request.param]


def test_streams_are_small_and_sound(stream):
    assert len(stream) < 512
    assert fzdask.decompress(stream).tobytes() == read(stream).tobytes()


def test_every_truncation_is_refused(stream):
    for length in range(len(stream)):
        refused(stream[:length])
        with pytest.raises(FormatError):
            fzdask.inspect(stream[:length])
    with pytest.raises(FormatError, match="truncated"):
        fzdask.inspect(stream[:10])
    with pytest.raises(FormatError, match="not an fzdask stream: 0 bytes"):
        fzdask.inspect(b"")


def test_every_flipped_bit_is_refused(stream):
    damaged = bytearray(stream)
    for at in range(len(stream)):
        for bit in range(8):
            damaged[at] ^= 1 << bit
            refused(bytes(damaged))
            damaged[at] ^= 1 << bit
    assert bytes(damaged) == stream


def test_every_byte_left_out_or_doubled_is_refused(stream):
    for at in range(len(stream)):
        refused(stream[:at] + stream[at + 1 :])
        refused(stream[:at] + stream[at : at + 1] + stream[at:])


@pytest.mark.parametrize("tail", [b"\x00", b"FZD", bytes(100), STREAMS["default"]])
def test_anything_behind_a_stream_is_refused(stream, tail):
    refused(stream + tail)
    with pytest.raises(FormatError, match="followed by other data"):
        fzdask.decompress(stream + tail)


@pytest.mark.parametrize(
    "other",
    [b"", b"F", b"FZ", b"FZD", b"FZD\x00", bytes(6), bytes(64), b"\x89HDF\r\n\x1a\n" * 9],
    ids=repr,
)
def test_what_is_no_stream_is_refused(other):
    refused(other)


def test_another_magic_is_refused(stream):
    for magic in (b"fzd", b"FZZ", b"\0\0\0", stream[3:6]):
        refused(magic + stream[3:])


def test_another_version_says_what_to_do(stream):
    for version in (VERSION + 1, 127, 255):
        other = stream[:3] + bytes([version]) + stream[4:]
        refused(other)
        with pytest.raises(FormatError, match=f"version {version}.*newer"):
            fzdask.decompress(other)


def test_any_header_length_but_the_true_one_is_refused(stream):
    true = int.from_bytes(stream[4:6], "little")
    for length in {*range(len(stream) + 9), 2**15, 2**16 - 1} - {true}:
        refused(stream[:4] + length.to_bytes(2, "little") + stream[6:])


@pytest.mark.parametrize(
    "wrong", [None, 3, "FZD", pytest.param(object(), id="object"), [1, 2]], ids=repr
)
def test_what_is_no_buffer_is_refused(wrong):
    with pytest.raises(FormatError, match="contiguous buffer"):
        fzdask.decompress(wrong)


@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data):
    refused(data)


@given(st.binary(min_size=8, max_size=300))
def test_random_bytes_behind_a_magic_are_refused(data):
    refused(b"FZD\x00" + (len(data) + 6).to_bytes(2, "little") + data)


@pytest.mark.slow
def test_every_pair_of_flipped_bits_in_a_header_is_refused():
    stream = STREAMS["default"]
    length = int.from_bytes(stream[4:6], "little")
    damaged = bytearray(stream)
    for first in range(8 * length):
        damaged[first // 8] ^= 1 << first % 8
        for second in range(first + 1, 8 * length):
            damaged[second // 8] ^= 1 << second % 8
            with pytest.raises(FormatError):
                fzdask.decompress(bytes(damaged))
            damaged[second // 8] ^= 1 << second % 8
        damaged[first // 8] ^= 1 << first % 8
