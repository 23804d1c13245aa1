"""The small parts: blocks, gates, recorded iterations, the host's processor time, byte sizes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fzdask import ConfigError, FZCodec, UnsupportedDtypeError
from fzdask.codecs.api import encode
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.slices import encode_slices
from fzdask.insitu.block import Slices
from fzdask.insitu.blocks import BLOCK_NBYTES, block_shape, padded_block, regions
from fzdask.insitu.gate import Gate
from fzdask.insitu.host_watch import LOOK, HostWatch
from fzdask.insitu.iteration import Expectation, IterationRecorder
from fzdask.insitu.rules import Rules, parse_bytes
from fzdask.scheduling.model import Busy
from fzdask.scheduling.predict import Predictor

# -- sliced encoding ----------------------------------------------------------------------------


def field(dtype: str, shape: tuple[int, ...] = (9, 16, 17)) -> Any:
    x = np.cumsum(np.random.default_rng(5).normal(size=shape), axis=-1)
    return (10 * x).astype(dtype)


def run(slices: Slices) -> tuple[Any, int]:
    """What a sliced encoding returns, and how often it paused."""
    pauses = 0
    while True:
        try:
            next(slices)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "bool"])
@pytest.mark.parametrize(
    "config",
    [{"abs": 0.1}, {"rel": 1e-3}, {"lossless": True}, {"abs": 0.1, "preserve": (0.0,)}],
    ids=str,
)
def test_slices_give_the_bytes_of_encode(dtype: str, config: dict[str, Any]) -> None:
    made = CodecConfig.from_mapping(config)
    stream, pauses = run(encode_slices(field(dtype), made))
    assert stream == encode(field(dtype), made)
    if dtype in ("f4", "f8") and config == {"abs": 0.1}:
        assert pauses >= 4  # range, quantization with prediction, entropy coding, back end


def test_slices_of_an_odd_array() -> None:
    made = CodecConfig.from_mapping({"abs": 1.0})
    for array in (np.zeros(0), np.float64(3.0), np.full(5, np.nan), np.array(["a", "bc"])):
        assert run(encode_slices(array, made))[0] == encode(array, made)


def test_the_codec_offers_slices_too() -> None:
    codec = FZCodec(abs=0.1)
    stream, pauses = run(codec.encode_slices(field("f4")))
    assert stream == codec.encode(field("f4"))
    assert pauses >= 4
    assert run(codec.encode_slices(b"text"))[0] == codec.encode(b"text")
    with pytest.raises(UnsupportedDtypeError):
        run(codec.encode_slices(np.array([None])))


# -- blocks -------------------------------------------------------------------------------------

shapes = st.lists(st.integers(1, 33), min_size=0, max_size=3).map(tuple)


@settings(deadline=None, max_examples=60)
@given(shapes, st.sampled_from([1, 4, 8]), st.integers(64, 1 << 14))
def test_blocks_cover_a_field_once_and_are_about_as_large_as_asked(
    shape: tuple[int, ...], itemsize: int, target: int
) -> None:
    block = block_shape(shape, itemsize, target)
    assert len(block) == len(shape)
    assert all(1 <= b <= n for b, n in zip(block, shape, strict=True))
    assert math.prod(block) * itemsize <= max(2 * target, 8 * itemsize)
    seen = np.zeros(shape, np.int8)
    for region in regions(shape, block):
        seen[(*region.slices, ...)] += 1
    assert (seen == 1).all()


def test_blocks_of_usual_fields() -> None:
    assert block_shape((256, 256, 256), 4) == (8, 128, 256)
    assert block_shape((64, 64, 64), 4) == (64, 64, 64)  # one of a mebibyte
    assert block_shape((192, 192, 192), 8) == (8, 96, 192) or (
        math.prod(block_shape((192, 192, 192), 8)) * 8 <= 2 * BLOCK_NBYTES
    )


@settings(deadline=None, max_examples=40)
@given(shapes.filter(len), st.data())
def test_padding_repeats_the_edge(shape: tuple[int, ...], data: st.DataObject) -> None:
    more = tuple(data.draw(st.integers(0, 5)) for _ in shape)
    source = np.arange(math.prod(shape), dtype="i4").reshape(shape)
    out = np.full([n + m for n, m in zip(shape, more, strict=True)], -1, "i4")
    padded_block(source, tuple(slice(0, n) for n in shape), out)
    expected = np.pad(source, [(0, m) for m in more], mode="edge")
    np.testing.assert_array_equal(out, expected)


# -- gates --------------------------------------------------------------------------------------


class Watch(HostWatch):
    """A host whose processor time the test decides on."""

    used = 0.0
    moment = 0.0

    def _read(self) -> float:
        return self.used


def gate(windows: Any, **kwargs: Any) -> Gate:
    return Gate(windows, Watch(**kwargs))


def test_a_marked_gate_is_open_within_windows() -> None:
    g = gate("marked")
    assert not g.allows(0.0)
    assert g.patience(0.0) is None
    assert g.open(1.0, None)
    assert g.allows(1.0, 99.0)  # nothing is known of this window
    assert g.close()
    assert not g.allows(2.0)


def test_what_does_not_fit_a_window_waits() -> None:
    g = gate("marked")
    g.open(0.0, 0.010)
    assert g.allows(0.0, 0.009)
    assert not g.allows(0.005, 0.006)
    assert g.allows(0.0099, 0.0002)  # too short to matter
    assert not g.allows(0.0105, 0.005)  # overdue: it may close at any moment
    assert g.allows(0.0126, 0.005)  # by now it is another window than expected
    assert g.patience(0.005) == pytest.approx(0.0075)


def test_an_automatic_gate_watches_until_the_first_mark() -> None:
    g = gate("auto")
    watch = g.watch
    assert isinstance(watch, Watch)
    watch._seen -= 2 * LOOK
    assert g.allows(0.0)  # no processor time was used
    watch.used += 1.0
    watch._seen -= 2 * LOOK
    assert not g.allows(0.0)
    g.open(0.0, None)
    g.close()
    assert not g.allows(0.0)
    watch._seen -= 2 * LOOK
    assert not g.allows(0.0)  # idle, but marks are what counts now


def test_gates_that_never_close() -> None:
    for windows in ("always", "priority"):
        assert gate(windows).allows(0.0, 99.0)
    assert gate("priority").lowers_priority
    assert not gate("always").lowers_priority


def test_without_the_clock_of_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    from fzdask.insitu import host_watch

    monkeypatch.delattr(host_watch.time, "pthread_getcpuclockid", raising=False)
    watch = HostWatch()
    assert not watch.available
    assert Gate("auto", watch).allows(0.0)
    assert Gate("auto", watch).lowers_priority
    with pytest.raises(ConfigError, match="does not tell"):
        Gate("watched", watch)


# -- iterations ---------------------------------------------------------------------------------


def record(recorder: IterationRecorder, start: float, lost: float = 0.0) -> Any:
    recorder.begin(start)
    recorder.open_window("solve", start + 1.0)
    recorder.core("halo", start + 1.0, start + 1.5)
    recorder.close_window(start + 3.0)
    recorder.exclude(lost)
    recorder.open_window("solve", start + 4.0 + lost)
    recorder.close_window(start + 5.0 + lost)
    return recorder.end(start + 6.0 + lost)


def test_an_iteration_is_what_lies_between_its_windows() -> None:
    recorded = record(IterationRecorder(), 100.0)
    assert recorded.compute == (
        ("before solve", 0.0, 1.0),
        ("before solve", 3.0, 4.0),
        ("rest of the iteration", 5.0, 6.0),
    )
    assert recorded.background == (("halo", 1.0, 1.5),)
    assert recorded.busy == Busy([(0.0, 1.0), (3.0, 4.0), (5.0, 6.0)], [(1.0, 1.5)], 6.0)


def test_time_that_the_dump_took_is_left_out() -> None:
    recorder = IterationRecorder()
    assert record(recorder, 100.0, lost=7.0) == record(recorder, 200.0)


def test_windows_and_core_tasks_are_expected_as_they_were() -> None:
    recorder, predictor = IterationRecorder(), Predictor()
    for k in range(3):
        predictor.record_iteration(record(recorder, 10.0 * k))
    recorder.expected = Expectation.of(predictor.forecast())
    assert recorder.expected.length == 6.0
    recorder.begin(50.0)
    assert recorder.next_core() == 51.0
    assert recorder.open_window("solve", 51.2) == pytest.approx(53.2)
    recorder.core("halo", 51.2, 51.7)
    assert recorder.next_core() is None
    recorder.close_window(53.3)
    assert recorder.open_window("solve", 54.0) == pytest.approx(55.0)
    recorder.close_window(55.0)
    assert recorder.open_window("unknown", 56.0) is None


def test_no_iteration_teaches_nothing() -> None:
    recorder = IterationRecorder()
    recorder.open_window("x", 1.0)
    recorder.close_window(2.0)
    assert recorder.end(3.0) is None


# -- settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [("256MiB", 256 << 20), ("1.5 GB", 1_500_000_000), ("10kb", 10_000), (7, 7), ("8", 8)],
)
def test_byte_sizes(text: int | str, number: int) -> None:
    assert parse_bytes(text, "x") == number


@pytest.mark.parametrize("bad", ["", "MiB", "-1MiB", "3 parsecs", 0, -5, 2.5, None])
def test_bad_byte_sizes(bad: Any) -> None:
    with pytest.raises(ConfigError, match="x="):
        parse_bytes(bad, "x")


@pytest.mark.parametrize("bad", [{"order": "random"}, {"deadline": 0.0}, {"budget": -1.0}])
def test_bad_rules(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Rules"):
        dataclasses.replace(Rules(), **bad)
