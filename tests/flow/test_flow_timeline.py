"""Timelines: what is recorded, what is computed of it, and the picture."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from fzdask.codecs.flow import Flow, Span, Timeline
from fzdask.codecs.flow.picture import plot_timeline, summary
from fzdask.errors import ConfigError


def span(place, start, end, name="task", kind="task", nbytes=0, failed=False, tag=None):
    return Span(name, kind, place, tag, start, end, nbytes, failed)


SPANS = [
    span("host 0", 1.0, 3.0, "zstd"),
    span("host 10", 1.0, 2.0, "zstd"),
    span("host 2", 5.0, 6.0, "join", tag=1),
    span("stream 0", 2.0, 4.0, "predict", tag=0),
    span("upload", 0.0, 1.0, "field", "upload", 1 << 20),
    span("download", 4.0, 4.5, "words", "download", 1 << 18),
]


def test_the_figures_of_a_timeline():
    timeline = Timeline(SPANS)
    assert timeline.places == ["host 0", "host 2", "host 10", "stream 0", "upload", "download"]
    assert timeline.elapsed == 6.0
    assert timeline.busy() == 5.5
    assert timeline.busy("host 0") == 2.0
    assert timeline.overlapped() == 2.0  # from 1 to 3
    assert timeline.overlapped(3) == 0.0
    assert (timeline.uploaded, timeline.downloaded) == (1 << 20, 1 << 18)
    assert timeline.by_name()["zstd"] == (2, 3.0, 0)
    assert timeline.by_name()["upload of field"] == (1, 1.0, 1 << 20)
    assert [s.start for s in timeline.spans] == sorted(s.start for s in SPANS)


def test_an_empty_timeline_has_zeros():
    timeline = Timeline()
    assert (timeline.elapsed, timeline.busy(), timeline.overlapped(), timeline.places) == (
        0.0, 0.0, 0.0, [],
    )  # fmt: skip
    assert timeline.to_trace()["traceEvents"] == []


def test_spans_that_touch_do_not_overlap():
    assert Timeline([span("a 0", 0, 1), span("b 1", 1, 2)]).overlapped() == 0.0


def test_tasks_are_recorded_with_place_tag_and_order():
    timeline = Timeline()
    with Flow(workers=1, timeline=timeline) as flow:
        a, b = flow.data(), flow.data()
        flow.submit(lambda: 1, writes=a, name="first", tag="x")
        flow.submit(lambda v: v, reads=a, writes=b, name="second", tag="y")
    first, second = timeline.spans
    assert (first.name, first.tag, first.place, first.kind) == ("first", "x", "host 0", "task")
    assert (second.name, second.tag) == ("second", "y")
    assert first.start <= first.end <= second.start <= second.end
    assert not first.failed


def test_a_task_that_fails_is_marked():
    timeline = Timeline()
    flow = Flow(workers=1, timeline=timeline)
    flow.submit(lambda: 1 / 0, name="divide")
    with pytest.raises(ZeroDivisionError):
        flow.wait()
    flow.close()
    assert [(s.name, s.failed) for s in timeline.spans] == [("divide", True)]


def test_device_tasks_have_the_times_of_their_events(device):
    """Not of their launch: the second starts when the first is done, on one stream."""
    timeline = Timeline()

    def work(*_):
        out = device.empty(3, np.float64)
        device.launch(lambda target: target.fill(1.0), out)
        return out

    with Flow(device, streams=1, timeline=timeline) as flow:
        a, b = flow.data(), flow.data()
        flow.submit(work, writes=a, place="device", name="one")
        flow.submit(work, reads=a, writes=b, place="device", name="two")
    one, two = timeline.spans
    assert (one.place, two.place) == ("stream 0", "stream 0")
    assert one.start <= one.end <= two.start <= two.end


def test_the_trace_is_json_that_a_viewer_reads():
    events = json.loads(json.dumps(Timeline(SPANS).to_trace()))["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    bars = [e for e in events if e["ph"] == "X"]
    assert len(bars) == len(SPANS)
    assert {names[bar["tid"]] for bar in bars} == {s.place for s in SPANS}
    upload = next(bar for bar in bars if bar["cat"] == "upload")
    assert (upload["ts"], upload["dur"], upload["args"]["nbytes"]) == (0.0, 1e6, 1 << 20)


class TestPicture:
    @pytest.fixture(autouse=True)
    def matplotlib(self):
        matplotlib = pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")
        matplotlib.use("Agg")
        yield
        import matplotlib.pyplot as plt

        plt.close("all")

    def bars(self, ax):
        """Of each bar its lane, start and length, without the background of the lanes."""
        found = []
        for collection in ax.collections:
            if collection.get_zorder() == 2:
                box = collection.get_paths()[0].get_extents()
                found.append((round((box.y0 + box.y1) / 2), box.x0, round(box.width, 6)))
        return found

    def test_a_bar_for_each_span_in_the_lane_of_its_place(self):
        ax = plot_timeline(Timeline(SPANS))
        labels = [tick.get_text() for tick in ax.get_yticklabels()]
        assert labels == Timeline(SPANS).places
        expected = [
            (labels.index(s.place), s.start, s.end - s.start) for s in Timeline(SPANS).spans
        ]
        assert self.bars(ax) == expected
        assert ax.get_xlabel() == "s"
        assert ax.get_title(loc="left") == (
            "6 s, two or more at once for 33 %, 1 MiB up, 0.25 MiB down"
        )
        ax.figure.canvas.draw()

    def test_labels_are_written_where_there_is_room(self):
        wide = [span("host 0", 0.0, 1.0, tag=7), span("host 0", 1.0, 1.001, tag=8)]
        texts = [text.get_text() for text in plot_timeline(Timeline(wide)).texts]
        assert texts == ["7"]
        by_tag = plot_timeline(Timeline(wide), colour="tag")
        assert [text.get_text() for text in by_tag.texts] == ["task"]

    def test_colours_follow_names_or_tags_and_may_be_given(self):
        spans = [span("host 0", 0, 1, "a", tag=1), span("host 0", 1, 2, "a", tag=2)]
        assert len(self.colours(plot_timeline(Timeline(spans)))) == 1
        assert len(self.colours(plot_timeline(Timeline(spans), colour="tag"))) == 2
        given = plot_timeline(Timeline(spans), colours={"a": "#123456"})
        assert self.colours(given) == {(0x12, 0x34, 0x56)}

    def colours(self, ax):
        bars = [c for c in ax.collections if c.get_zorder() == 2]
        return {tuple(round(255 * v) for v in bar.get_facecolor()[0][:3]) for bar in bars}

    def test_what_is_too_short_to_see_is_seen(self):
        spans = [span("host 0", 0.0, 1.0), span("upload", 0.5, 0.5, "x", "upload", 8)]
        lengths = [length for _, _, length in self.bars(plot_timeline(Timeline(spans)))]
        assert lengths[1] > 0.001

    def test_an_empty_timeline_is_an_error(self):
        with pytest.raises(ConfigError, match="the timeline is empty"):
            plot_timeline(Timeline())

    def test_units_follow_the_length(self):
        assert summary(Timeline([span("host 0", 0, 2e-3)])).startswith("2 ms")
        assert summary(Timeline([span("host 0", 0, 2e-6)])).startswith("2 µs")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ConfigError, match=r"fzdask\[plot\]"):
        plot_timeline(Timeline(SPANS))


def test_the_executor_imports_neither_matplotlib_nor_cupy():
    import subprocess

    code = (
        "import sys, fzdask.codecs.flow, fzdask.codecs.flow.picture, fzdask.codecs.batch; "
        "assert not {'matplotlib', 'cupy', 'zarr', 'dask'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
