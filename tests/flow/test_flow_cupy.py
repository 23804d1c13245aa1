"""The CuPy device, on a stand-in for CuPy; the same with CuPy itself is marked gpu."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from cupy_standin import StandIn
from flow_programs import programs, run_as_flow, run_in_order
from hypothesis import given, settings
from hypothesis import strategies as st

from fzdask.codecs.flow import Flow, Timeline, cupy_streams
from fzdask.errors import DeviceError


class Standing:
    """The device under test with what the programs use to launch."""

    def __init__(self, monkeypatch, jitter=0.0, seed=0):
        self.cupy = StandIn(jitter, seed)
        found = SimpleNamespace(xp=self.cupy, number=0)
        monkeypatch.setattr(cupy_streams, "cupy_device", lambda number: found)
        self.streams = cupy_streams.CupyStreams()

    def __getattr__(self, name):
        return getattr(self.streams, name)

    empty = property(lambda self: self.cupy.empty)
    launch = property(lambda self: self.cupy.launch)

    def end(self):
        self.streams.close()
        self.cupy.simulator.close()


@settings(max_examples=25, deadline=None)
@given(programs, st.integers(0, 2**31))
def test_random_programs(program, seed):
    with pytest.MonkeyPatch.context() as patch:
        device = Standing(patch, 2e-4, seed)
        found = run_as_flow(program, device, 2, 1e-4, seed)
        expected = run_in_order(program)
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        device.end()


@pytest.mark.parametrize("order", ["C", "F"])
def test_copies_are_pinned_and_counted(monkeypatch, order):
    device = Standing(monkeypatch)
    timeline = Timeline()
    field = np.asarray(np.arange(12.0).reshape(3, 4), order=order)

    def copy(array):
        out = device.empty(array.shape, array.dtype, order)
        device.launch(np.copyto, out, array)
        return out

    with Flow(device.streams, timeline=timeline) as flow:
        data, out, again = flow.data(field, name="field"), flow.data(), flow.data()
        flow.submit(copy, reads=data, writes=out, place="device")
        found = flow.result(out)
        assert np.array_equal(found, field)
        assert found.flags.f_contiguous == (order == "F")
        pinned = flow.data(found)  # goes up without another copy on the host
        before = len(device.cupy.blocks)
        flow.submit(copy, reads=pinned, writes=again, place="device")
        flow.wait()
        assert len(device.cupy.blocks) == before
    simulator = device.cupy.simulator
    assert (simulator.uploads, simulator.downloads) == (2, 1)
    spans = {span.name: span for span in timeline.spans}
    assert spans["field"].end <= spans["copy"].end
    assert all(span.start <= span.end for span in timeline.spans)
    device.end()


def test_an_array_of_another_stream_is_waited_for(monkeypatch):
    device = Standing(monkeypatch, jitter=5e-3)
    mine = device.cupy.cuda.Stream(non_blocking=True)
    with mine, Flow(device.streams) as flow:
        array = device.empty(5, np.float64)
        device.launch(lambda target: target.fill(4.0), array)
        assert np.array_equal(flow.result(flow.data(array)), np.full(5, 4.0))
    device.end()


def test_streams_are_used_again(monkeypatch):
    device = Standing(monkeypatch)
    for _ in range(3):
        with Flow(device.streams, streams=2) as flow:
            data = flow.data(np.zeros(3))
            flow.submit(lambda a: a, reads=data, writes=data, place="device")
    assert len(device.streams._streams) == 4  # two for tasks, one for copies of each direction
    device.end()


def test_without_cupy_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match="pip install"):
        cupy_streams.CupyStreams()


@pytest.mark.gpu
def test_random_programs_on_a_gpu():
    import cupy

    streams = cupy_streams.CupyStreams()

    class Device:
        def __getattr__(self, name):
            return getattr(streams, name)

        def empty(self, shape, dtype):
            return cupy.empty(shape, dtype)

        def launch(self, kernel, *args):
            kernel(*args)

    @settings(max_examples=200, deadline=None)
    @given(programs, st.integers(0, 2**31))
    def check(program, seed):
        found = run_as_flow(program, Device(), 2, 1e-4, seed)
        expected = run_in_order(program)
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))

    check()
