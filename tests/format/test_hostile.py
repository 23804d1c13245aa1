"""Harm on purpose: streams whose checksums are right and whose contents are not.

Each is refused, or gives an array of the shape it declares; the library and the second reader
agree on which, and on every bit of the array. None crashes, hangs, raises anything else or takes
memory that its size does not justify.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from format_cases import field
from hostile_cases import BASES, GROUPS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reader import MalformedError, read
from stream_parts import Parts, seal, split

import fzdask
from fzdask.errors import FormatError
from fzdask.format import unpack

MIB = 1 << 20
READABLE = 20_000  # elements; the reader takes about 3 µs for each


def decoded(stream):
    """What the library makes of a stream: an array, or None where it refuses."""
    try:
        return fzdask.decompress(stream)
    except FormatError as error:
        reason = str(error)
    assert "checksum" not in reason, "a mistake of the test: the checksums should be right"
    return None


def inspected(stream):
    """The library's description, or None where it refuses."""
    try:
        return str(fzdask.inspect(stream))
    except FormatError:
        return None


def agree(stream) -> None:
    """Library and reader agree on a stream, and `inspect` describes what they accept."""
    got = decoded(stream)
    if inspected(stream) is None:
        assert got is None
    else:
        header, _ = unpack(stream)
        assert got is None or (got.shape, got.dtype) == (header.shape, header.dtype)
        if header.size > READABLE:
            return
    try:
        want = read(stream)
    except MalformedError:
        want = None
    assert (got is None) == (want is None)
    if got is not None:
        assert (got.shape, got.dtype) == (want.shape, want.dtype)
        assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_impossible_streams_are_refused(group):
    for name, stream in group():
        assert decoded(stream) is None, f"{name} gave an array"
        with pytest.raises(MalformedError):
            read(stream)
        inspected(stream)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_refusing_takes_no_memory_to_speak_of(group):
    for name, stream in group():
        tracemalloc.start()
        assert decoded(stream) is None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # For each byte of a description, Python's parser takes 260, that of 3.13 twice as many.
        assert peak < MIB + 600 * len(stream), f"{name}: {peak} bytes for {len(stream)}"


@pytest.mark.skipif(sys.platform != "linux", reason="limits and reads the address space as Linux")
def test_refusing_works_where_there_is_no_memory():
    """With 64 MiB of address space left, every impossible stream is still a FormatError."""
    script = """
        import resource
        import fzdask
        from hostile_cases import BASES, all_hostile

        streams = [stream for _, stream in all_hostile()]
        for base in BASES.values():  # compiles what decoding needs
            fzdask.decompress(base.join())
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + (64 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        refused = 0
        for stream in streams:
            try:
                fzdask.decompress(stream)
            except fzdask.FormatError:
                refused += 1
        print(len(streams) - refused, "of", len(streams), "were not refused")
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 of "), done.stdout


# Random changes ---------------------------------------------------------------------------------

INTERESTING = st.one_of(
    st.integers(0, 70), st.sampled_from([2**k + d for k in range(7, 64, 7) for d in (-1, 0, 1)])
)
DTYPES = ("<f4", ">f4", "<f8", "<f2", "<c8", "<c16", "<i4", "<u4", ">i8", "u1", "?", "S4", "i2,u2")


@st.composite
def altered_header(draw, parts):
    """Other values in one field of the header."""
    h = parts.header
    match draw(st.sampled_from(["shape", "same size", "dtype", "order", "bound", "parameters"])):
        case "shape":
            shape = draw(st.lists(INTERESTING, max_size=5))
            return parts.alter(shape=tuple(shape))
        case "same size":
            shape = draw(st.permutations([*h.shape, 1]))
            return parts.alter(shape=draw(st.sampled_from([(h.size,), tuple(shape)])))
        case "dtype":
            return parts.alter(dtype=np.dtype(draw(st.sampled_from(DTYPES))))
        case "order":
            return parts.alter(order="F" if h.order == "C" else "C")
        case "bound":
            bound = draw(st.floats() | st.integers(0, 2**62).map(float))
            return parts.alter(bound_kind="abs", asked=bound, resolved=bound)
        case "parameters":
            if not h.stages:
                return parts
            at = draw(st.integers(0, len(h.stages) - 1))
            old = h.stages[at].params
            same = st.binary(min_size=len(old), max_size=len(old))
            return parts.with_parameters(at, draw(same | st.binary(max_size=9)))


@st.composite
def altered_section(draw, parts):
    """Other bytes in one section, or other back ends."""
    at = draw(st.integers(0, len(parts.raw) - 1))
    data = bytearray(parts.raw[at])
    match draw(st.sampled_from(["set", "set", "flip", "flip", "cut", "grow", "swap", "mask"])):
        case "set" if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        case "flip" if data:
            bit = draw(st.integers(0, 8 * len(data) - 1))
            data[bit // 8] ^= 1 << bit % 8
        case "cut":
            del data[draw(st.integers(0, len(data))) :]
        case "grow":
            data += draw(st.binary(max_size=12))
        case "swap":
            return parts.with_raw(at, parts.raw[draw(st.integers(0, len(parts.raw) - 1))])
        case "mask":
            return parts.apply(at, draw(st.integers(0, 3)))
    return parts.with_raw(at, bytes(data))


@st.composite
def hostile_streams(draw):
    """A sound stream with a few changes, and both checksums right."""
    parts = BASES[draw(st.sampled_from(sorted(BASES)))]
    for _ in range(draw(st.integers(0, 3))):
        change = draw(st.sampled_from([altered_header, altered_section, altered_section]))
        parts = draw(change(parts))
    fields, payload = (bytearray(part) for part in split(parts.join()))
    for part in (fields, payload):
        for _ in range(draw(st.integers(0, 2))):
            if part:
                part[draw(st.integers(0, len(part) - 1))] = draw(st.integers(0, 255))
    return seal(bytes(fields), bytes(payload))


@given(hostile_streams())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_changes_are_refused_or_read_alike(stream):
    agree(stream)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(hostile_streams())
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_many_random_changes_are_refused_or_read_alike(stream):
    agree(stream)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_random_contents_are_refused_or_read_alike(data):
    """Every section is random, behind a sound header."""
    parts = BASES[data.draw(st.sampled_from(sorted(BASES)))]
    for at, raw in enumerate(parts.raw):
        if data.draw(st.booleans()):
            parts = parts.with_raw(at, data.draw(st.binary(min_size=len(raw), max_size=len(raw))))
    agree(parts.join())


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kernels_stay_within_their_arrays(tmp_path):
    """All of the above once more, with every index of every kernel checked."""
    environment = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    tests = "refused or alike"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "", "-k", f"({tests}) and not many", __file__],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert done.returncode == 0, done.stdout[-5000:]


# Faults that were found, each by name -----------------------------------------------------------


def test_float_bound_of_zero_is_refused_and_not_divided_by():
    stream = BASES["default"].alter(asked=0.0, resolved=0.0).join()
    with pytest.raises(FormatError, match="no lattice"):
        fzdask.decompress(stream)


def test_quantized_long_doubles_are_refused():
    stream = BASES["default"].alter(dtype=np.dtype("g")).join()
    if np.dtype("g").itemsize > 8:
        with pytest.raises(FormatError, match="quantize"):
            fzdask.decompress(stream)


def test_field_names_beyond_ascii_come_back():
    x = field((7,), [("température", "f4"), ("温度", "i2")])
    assert fzdask.decompress(fzdask.compress(x, abs=1)).dtype == x.dtype


def test_overlapping_fields_are_refused_when_written():
    x = np.zeros(3, {"names": ["a", "b"], "formats": ["i4", "i2"], "offsets": [0, 2]})
    with pytest.raises(fzdask.UnsupportedDtypeError, match="overlap"):
        fzdask.compress(x, abs=1)


def test_descriptions_that_overflow_the_parser_are_refused():
    fields, payload = split(BASES["stored"].join())
    for text in (b"-" * 9000 + b"1", b"+".join([b"1"] * 9000)):
        size = bytes([len(text) & 127 | 128, len(text) >> 7 & 127 | 128, len(text) >> 14])
        with pytest.raises(FormatError, match="describes no dtype") as caught:
            fzdask.decompress(seal(b"\x3f" + size + text + fields[1:], payload))
        assert len(str(caught.value)) < 300


def test_descriptions_of_arrays_are_refused():
    fields, payload = split(BASES["stored"].join())
    text = b"('<u4', (2,))"
    with pytest.raises(FormatError, match="arrays, not elements"):
        fzdask.decompress(seal(b"\x3f" + bytes([len(text)]) + text + fields[1:], payload))


def test_more_elements_than_numpy_counts_are_refused_even_of_no_bytes():
    base = BASES["stored"].with_raw(0, b"")
    for shape, dtype in (((2**62, 4), "S0"), ((0, 2**62, 2**62), "f4")):
        with pytest.raises(FormatError, match="2\\*\\*63"):
            fzdask.decompress(base.alter(dtype=np.dtype(dtype), shape=shape).join())


def test_an_empty_array_cannot_ask_for_the_history_of_a_long_axis():
    """Lorenzo along the first axis of (0, 2**40) would keep a row of 2**40 integers."""
    base = BASES["lattice"].with_raw(0, b"").with_parameters(1, b"\x01")
    stream = base.alter(shape=(0, 2**40)).join()
    with pytest.raises(FormatError, match="no bytes"):
        fzdask.decompress(stream)


def test_inspect_of_outliers_of_no_size_does_not_divide_by_it():
    stream = BASES["default"].alter(dtype=np.dtype("S0")).join()
    assert fzdask.inspect(stream).dtype.itemsize == 0
    with pytest.raises(FormatError):
        fzdask.decompress(stream)


def test_sound_streams_pass_these_tests():
    for base in BASES.values():
        agree(base.join())
        assert decoded(base.join()) is not None
        assert Parts.of(base.join()).raw == base.raw
