"""Many arrays encoded at once: the bytes of one after the other."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import fzdask
from fzdask.codecs import batch, shared_codebooks
from fzdask.codecs.api import encode
from fzdask.codecs.batch import encode_as_completed, encode_many, submit_encoding
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.flow import Flow, Timeline
from fzdask.errors import ConfigError, UnsupportedDtypeError

RNG = np.random.default_rng(3)
SMOOTH = [np.cumsum(RNG.standard_normal((20, 30 + k)), axis=0).astype("f4") for k in range(6)]
ODD = [
    np.zeros((0, 3), "f4"),
    np.float64(3.5),
    np.full(100, np.nan, "f4"),
    RNG.standard_normal(500) * 1e300,
    np.arange(1000).reshape(10, 100).T,
    np.array(["a", "bc"]),
    RNG.standard_normal((6, 7)).astype(">f4"),
    RNG.integers(0, 2**60, 100),
]
CONFIGS = {
    "abs": {"abs": 1e-2},
    "rel": {"rel": 1e-3},
    "pw_rel": {"pw_rel": 1e-2},
    "psnr": {"psnr": 60.0},
    "lossless": {"lossless": True},
    "preserve": {"abs": 0.5, "preserve": (3.5, 7.0)},
    "no entropy coder": {"abs": 1e-2, "pipeline": "quantize | lorenzo | zstd"},
    "own back ends": {
        "abs": 1e-2,
        "pipeline": "quantize | lorenzo | huffman | zstd; outliers = zstd(level=9)",
    },
    "no back end": {"abs": 1e-2, "pipeline": "quantize | lorenzo | huffman"},
    "too narrow": {"abs": 5e-324},
    "grows": {"abs": 1e-12},
}


@pytest.fixture(autouse=True)
def in_steps(monkeypatch):
    """Small arrays in steps too."""
    monkeypatch.setattr(batch, "SMALL_NBYTES", 0)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("small", [0, 1000, 1 << 30])
def test_the_bytes_are_those_of_encode(name, small, monkeypatch):
    monkeypatch.setattr(batch, "SMALL_NBYTES", small)
    config = CodecConfig.from_mapping(CONFIGS[name])
    arrays = SMOOTH + ODD
    expected = [encode(a, config) for a in arrays]
    assert encode_many(arrays, config, workers=1) == expected
    assert encode_many(arrays, config, workers=3) == expected


def test_the_configuration_may_be_a_codec():
    arrays = [np.linspace(0, k, 1000) for k in (1, 2)]
    codec = fzdask.FZCodec(abs=1e-3)
    assert encode_many(arrays, codec) == [codec.encode(a) for a in arrays]
    with pytest.raises(ConfigError, match=r"0.001 is no configuration; give an FZCodec"):
        encode_many(arrays, 1e-3)


def test_streams_decode_within_the_bound():
    for array, stream in zip(SMOOTH, encode_many(SMOOTH, {"abs": 1e-2}), strict=True):
        error = np.abs(fzdask.decompress(stream).astype("f8") - array.astype("f8"))
        assert error.max() <= 1e-2


def test_shared_codebooks_do_not_depend_on_the_threads(monkeypatch):
    config = CodecConfig(abs=0.5, codebook="shared")
    arrays = [20 * RNG.standard_normal(6000) for _ in range(8)]

    def fresh(encode_all):
        """The streams of a process that has met no such chunk yet."""
        shared_codebooks._registry.pop((config, np.dtype("f8")), None)
        return encode_all()

    expected = fresh(lambda: [encode(a, config) for a in arrays])
    for workers, small in ((1, 0), (2, 0), (4, 0), (2, 1 << 30)):
        monkeypatch.setattr(batch, "SMALL_NBYTES", small)
        assert fresh(lambda n=workers: encode_many(arrays, config, workers=n)) == expected
    own = CodecConfig(abs=0.5)
    assert expected != [encode(a, own) for a in arrays]  # they were shared indeed


def test_what_back_ends_saved_is_history_too(monkeypatch):
    """The tenth chunk could be packed well, but nine before could not be packed at all."""
    config = CodecConfig(abs=0.5, codebook="shared")
    arrays = [(20 * RNG.standard_normal(100_000)).astype("f4") for _ in range(12)]
    for array in arrays[9:]:
        array[:] = np.resize(array[:4096], array.size)
    books = []

    def fresh(encode_all):
        shared_codebooks._registry.pop((config, np.dtype("f4")), None)
        streams = encode_all()
        books.append(shared_codebooks._registry[config, np.dtype("f4")])
        return streams

    expected = fresh(lambda: [encode(a, config) for a in arrays])
    assert any(len(stream) > 50_000 for stream in expected[9:])  # one was not tried
    for workers in (1, 3):
        assert fresh(lambda n=workers: encode_many(arrays, config, workers=n)) == expected
        assert books[-1].dump() == books[0].dump()


def test_streams_come_as_they_are_complete_with_their_numbers():
    config = CodecConfig(rel=1e-3)
    found = list(encode_as_completed(SMOOTH, config, workers=2))
    assert sorted(index for index, _ in found) == list(range(len(SMOOTH)))
    assert all(stream == encode(SMOOTH[index], config) for index, stream in found)


def test_arrays_are_read_as_there_is_room():
    read = []

    def arrays():
        for k in range(10):
            read.append(k)
            yield np.full(100, float(k))

    streams = encode_as_completed(arrays(), {"abs": 1e-3}, workers=1, in_flight=2)
    assert read == []
    next(streams)
    assert len(read) == 3
    streams.close()
    assert len(read) == 3


def test_steps_and_back_ends_are_tasks_of_their_own():
    timeline = Timeline()
    encode_many(SMOOTH[:2], {"rel": 1e-3}, workers=2, timeline=timeline)
    names = timeline.by_name()
    assert names["quantize | lorenzo | huffman"][0] == 2
    assert names["zstd"][0] == 4  # side sections, main section
    assert {span.tag for span in timeline.spans} == {0, 1}


def test_packing_of_one_array_while_the_next_is_predicted(monkeypatch):
    """Each waits for the other, so that they end only if they run at once."""
    together = threading.Barrier(2)
    tasks = batch._ChunkTasks
    step, wrap = tasks.step, tasks.wrap

    def wait_in_step(self, coding, *more):
        if coding is not None and coding.data.size == 640 and not coding.params:
            together.wait(100)
        return step(self, coding, *more)

    def wait_in_wrap(self, raw):
        if raw and raw[-1][1] == 0 and not together.broken and first_main.acquire(blocking=False):
            together.wait(100)
        return wrap(self, raw)

    first_main = threading.Semaphore(1)
    monkeypatch.setattr(tasks, "step", wait_in_step)
    monkeypatch.setattr(tasks, "wrap", wait_in_wrap)
    config = CodecConfig(rel=1e-3)
    arrays = [SMOOTH[0], SMOOTH[2]]  # 600 and 640 values
    streams = encode_many(arrays, config, workers=2, in_flight=2)
    monkeypatch.undo()
    assert streams == [encode(a, config) for a in arrays]


def test_an_array_that_cannot_be_encoded_ends_it_all():
    arrays = [*SMOOTH, np.array([object()]), *SMOOTH]
    with pytest.raises(UnsupportedDtypeError, match="Python objects") as caught:
        encode_many(arrays, {"abs": 1e-3})
    assert "array 6" in caught.value.__notes__[0]


def test_an_error_in_a_stage_names_the_array(monkeypatch):
    def broken(self, coding, *_):
        raise MemoryError("no room")

    monkeypatch.setattr(batch._ChunkTasks, "step", broken)
    with pytest.raises(MemoryError, match="no room") as caught:
        encode_many(SMOOTH[:1], {"abs": 1e-3})
    assert "of 0" in caught.value.__notes__[0]


def test_an_error_while_reading_the_arrays_comes_through():
    def arrays():
        yield SMOOTH[0]
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        encode_many(arrays(), {"abs": 1e-3})


def test_parameters_are_checked_at_once():
    with pytest.raises(ConfigError, match="in_flight=0"):
        encode_as_completed([], {"abs": 1}, in_flight=0)
    for workers in ("2", 0, True, 2.0):
        with pytest.raises(ConfigError, match=f"encode_many: workers={workers!r} must be a whole"):
            encode_as_completed([], {"abs": 1}, workers=workers)
    with pytest.raises(ConfigError, match="exactly one bound"):
        encode_as_completed([], {})
    assert encode_many([], {"abs": 1.0}) == []


def test_an_encoding_may_be_part_of_a_larger_flow():
    config = CodecConfig(abs=1e-2)
    with Flow(workers=2) as flow:
        _, stream = submit_encoding(flow, SMOOTH[0], config)
        size = flow.data()
        flow.submit(len, reads=stream, writes=size)
        assert flow.result(size) == len(encode(SMOOTH[0], config))
