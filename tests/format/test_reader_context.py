"""The second reader undoes `context_mixing` and `smallest`, and refuses what the library does."""

from __future__ import annotations

import numpy as np
import pytest
from format_cases import field, with_outliers
from reader import MalformedError, read
from stream_parts import Parts

import fzdask
from fzdask.codecs.stages.context_mixing import ContextMixing
from fzdask.codecs.stages.smallest import Smallest

SHAPES = ((1,), (400,), (70, 2), (2, 80), (19, 25), (6, 8, 11), (40, 2, 3), (2, 2, 2), (3, 4, 5, 8),
          (2, 2, 2, 2), (2, 3, 1, 4, 3, 6))  # fmt: skip


def scattered(count):
    """Mostly 0, and numbers of every size."""
    rng = np.random.default_rng(3)
    sizes = 1 << rng.integers(0, 34, count)
    some = rng.random(count) < 0.3
    return np.where(some, rng.integers(-sizes, sizes, endpoint=True), 0)


def waves(shape, scale, noise, seed=0):
    """Whole numbers, smooth but for normal noise."""
    rng = np.random.default_rng(seed)
    q = scale * np.sin(np.indices(shape).sum(0) / 7) + noise * rng.normal(size=shape)
    return np.rint(q).astype("i8")


def lattices():
    rng = np.random.default_rng(1)
    for shape in SHAPES:
        yield f"quiet {shape}", waves(shape, 2, 0.1)
        yield f"lively {shape}", waves(shape, 300, 2.0)
    masked = waves((7, 9, 12), 20, 0.5)
    masked[3:5, 2:7] = -(2**40)
    yield "masked", masked
    yield "zeros", np.zeros((90, 70), "i8")
    yield "scattered", scattered(600)
    yield "loud", waves((20, 30), 1, 1e9)
    wide = rng.integers(-(2**63), 2**63 - 1, (20, 25), endpoint=True)
    yield "all 64 bits", np.where(rng.random((20, 25)) < 0.2, wide, 7)
    yield "both ends", np.where(rng.random((20, 25)) < 0.5, -(2**63), 2**63 - 1)


LATTICES = dict(lattices())


def mixed(lattice):
    """A stream with this lattice."""
    stream = fzdask.compress(lattice, lossless=True, pipeline="quantize | context_mixing")
    stages = Parts.of(stream).header.stages
    assert lattice.size == 1 or [stage.code for stage in stages] == [1, ContextMixing.code]
    return stream


@pytest.mark.parametrize("name", LATTICES)
def test_lattices_of_every_kind(name):
    again = read(mixed(LATTICES[name]))
    assert again.dtype == np.dtype("i8")
    np.testing.assert_array_equal(again, LATTICES[name])


def test_every_decision_and_both_ways_to_a_first_one_occur():
    """Quiet and calm places, and differences cut off by a shift, with and without an exponent."""
    import reader_context

    seen = set()

    class Watched(reader_context.Mixer):
        def decide(self, decision, models, loudness):
            seen.add(decision)
            return super().decide(decision, models, loudness)

        def decide_calm(self, context):
            seen.add("calm")
            return super().decide_calm(context)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader_context, "Mixer", Watched)
        for name in ("lively (19, 25)", "scattered", "zeros"):
            read(mixed(LATTICES[name]))
    assert seen == {*range(64), "calm"} - {8, 15, 30, 31, 33, 40, 47}, "all numbers in use"


def outcome(decode, error, stream):
    """The bits of the array, or that the stream was refused."""
    try:
        return decode(stream).tobytes()
    except error:
        return None


@pytest.mark.parametrize("name", ["lively (19, 25)", "quiet (6, 8, 11)", "both ends"])
def test_damaged_sections_end_as_in_the_library(name):
    """With checksums right: refused by both, or the same values, however they wrap around."""
    parts = Parts.of(mixed(LATTICES[name]))
    at = parts.index(1, 0)
    rng = np.random.default_rng(2)
    streams = [parts.with_raw(at, parts.raw[at][:-1]), parts.with_raw(at, parts.raw[at] + b"\0")]
    for _ in range(12):
        data = bytearray(parts.raw[at])
        data[rng.integers(len(data))] ^= rng.integers(1, 256)
        streams.append(parts.with_raw(at, bytes(data)))
    streams += [parts.with_parameters(1, bytes([axes])) for axes in (0, 1, 2, 4, 255)]
    refused = 0
    for stream in (damaged.join() for damaged in streams):
        wanted = outcome(fzdask.decompress, fzdask.FormatError, stream)
        assert outcome(read, MalformedError, stream) == wanted
        refused += wanted is None
    assert refused >= 3


BOWL = (np.add.outer(np.arange(30) ** 2, np.arange(40) ** 2) / 8).astype("f4")
ARRAYS = {
    "smooth": BOWL,
    "fortran": np.asfortranarray(BOWL.astype(">f8")),
    "complex": (BOWL * (1 + 2j)).astype("c8"),
    "rough": field((9, 10, 20), "f4"),
    "halves": field((13, 20), "f2"),
    "integers": field((12, 25), "i4"),
    "odd values": with_outliers(700, 0.1).reshape(10, 70),
}


@pytest.mark.parametrize("chain", ["smallest", "transpose | smallest | zstd"])
def test_the_chain_that_smallest_kept(chain):
    ways = set()
    for name, x in ARRAYS.items():
        stream = fzdask.compress(x, abs=1, pipeline=chain)
        decoded, again = fzdask.decompress(stream), read(stream)
        assert (again.dtype, again.shape) == (decoded.dtype, decoded.shape), name
        assert again.flags.f_contiguous == decoded.flags.f_contiguous, name
        assert again.tobytes() == decoded.tobytes(), name
        stages = Parts.of(stream).header.stages
        ways |= {stage.params[0] for stage in stages if stage.code == Smallest.code}
    assert ways == {0, 1}


QUIET = np.where(waves((5, 8), 1, 9.0) % 4 == 0, waves((48, 5, 8), 1, 20.0), 9).astype("f4")
QUIET[7, 2:4] = np.nan


@pytest.mark.parametrize(
    ("first", "own"),
    [("quantize", b"\4"), ("interpolate", b"\1"), ("interpolate(predictor=lorenzo)", b"\0\4\0\0")],
)
def test_a_chain_in_the_place_of_smallest(first, own):
    """Each way, with parameters that it need not have where it is the smaller one."""
    parts = Parts.of(fzdask.compress(QUIET, abs=0.5, pipeline=f"{first} | context_mixing"))
    header = parts.header
    assert header.stages[0].params == own
    told = b"".join(bytes([len(stage.params)]) + stage.params for stage in header.stages)
    way = bytes([first != "quantize"])
    stage = header.stages[0]._replace(code=Smallest.code, params=way + told)
    moved = tuple(entry._replace(stage=0) for entry in header.sections)
    stream = parts.alter(stages=(stage,), sections=moved).join()
    assert read(stream).tobytes() == fzdask.decompress(parts.join()).tobytes()
    assert fzdask.decompress(stream).tobytes() == fzdask.decompress(parts.join()).tobytes()


@pytest.mark.parametrize(
    "params",
    [b"", b"\2\1\x08\1\1", b"\0", b"\0\1", b"\0\1\x08", b"\0\1\x08\1", b"\0\1\x08\1\1\0",
     b"\0\1\2\1\1", b"\0\2\x08\x08\1\1", b"\0\1\x08\1\x08", b"\0\1\x08\2\1\1", b"\1\1\7\1\1"],
)  # fmt: skip
def test_damaged_parameters_of_smallest_are_refused(params):
    parts = Parts.of(fzdask.compress(ARRAYS["odd values"], abs=1, pipeline="smallest"))
    assert parts.header.stages[0].params == b"\0\1\x08\1\1"
    stream = parts.with_parameters(0, params).join()
    with pytest.raises(MalformedError):
        read(stream)
    with pytest.raises(fzdask.FormatError):
        fzdask.decompress(stream)
