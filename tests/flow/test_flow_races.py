"""Orders that hardly ever go wrong by themselves, held still at the moment that matters."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from fzdask.codecs.flow import Flow, SimulatedDevice, Timeline
from fzdask.codecs.flow.task import State

PATIENCE = 100


class HeldDevice(SimulatedDevice):
    """Uploads stay on their stream, and waiting for the first event takes, until told."""

    def __init__(self):
        super().__init__()
        self.upload_gate, self.wait_gate = threading.Event(), threading.Event()
        self.wait_gate.set()
        self.held = None

    def upload(self, staged, stream):
        stream.put(lambda: self.upload_gate.wait(PATIENCE))
        return super().upload(staged, stream)

    def synchronize(self, event):
        if self.held is None:
            self.held = event
        if self.held is event:
            assert self.wait_gate.wait(PATIENCE)
        super().synchronize(event)


@pytest.fixture
def held():
    device = HeldDevice()
    yield device
    device.close()


def copied(device):
    def function(array):
        out = device.empty(array.shape, array.dtype)
        device.launch(np.copyto, out, array)
        return out

    return function


def test_an_update_on_the_host_waits_for_an_upload_that_is_on_its_stream(held):
    """The source is pinned, so that the copy reads the very array that is updated in place."""
    stream = held.take_stream()
    pinned = held.stage(np.zeros(8))
    with Flow(held, workers=1) as flow:
        data, old = flow.data(pinned), flow.data()
        flow.submit(copied(held), reads=data, writes=old, place="device")
        while not data.instances["device"].writer.launched:
            time.sleep(0.001)
        ran = threading.Event()

        def update(array):
            ran.set()
            array += 1

        flow.submit(update, reads=data, writes=data)
        other = flow.data()
        flow.submit(lambda: 5, writes=other)
        assert flow.result(other, PATIENCE) == 5  # the worker was free, and there is only one
        assert not ran.is_set()
        held.upload_gate.set()
        assert np.array_equal(flow.result(old, PATIENCE), np.zeros(8))
        assert np.array_equal(flow.result(data, PATIENCE), np.ones(8))
    held.return_stream(stream)


def test_a_task_is_complete_only_when_those_before_it_are(held):
    """The later event has fired long ago; nobody knows yet whether the earlier went well."""
    held.upload_gate.set()
    held.wait_gate.clear()
    stream = held.take_stream()
    with held.on(stream):
        array = held.empty(4, np.float64)
        held.launch(lambda target: target.fill(1.0), array)
    SimulatedDevice.synchronize(held, held.record(stream))
    with Flow(held, streams=3) as flow:
        data, one, two, end = (flow.data(array), *(flow.data() for _ in range(3)))
        first = flow.submit(copied(held), reads=data, writes=one, place="device")
        flow.submit(copied(held), reads=one, writes=two, place="device")
        beside = flow.submit(copied(held), reads=one, writes=end, place="device")
        while not beside.fired:
            time.sleep(0.001)
        assert not first.done
        assert not beside.done
        held.wait_gate.set()
        assert np.array_equal(flow.result(end, PATIENCE), np.ones(4))


def test_what_a_failed_kernel_gave_is_no_result_on_any_stream(held):
    """The follower on another stream runs, on garbage, before the error is known."""
    held.upload_gate.set()
    held.wait_gate.clear()

    def broken():
        out = held.empty(4, np.float64)
        held.launch(lambda _: 1 / 0, out)
        return out

    flow = Flow(held, streams=3)
    one, two, end = (flow.data() for _ in range(3))
    flow.submit(broken, writes=one, place="device")
    flow.submit(copied(held), reads=one, writes=two, place="device")
    beside = flow.submit(copied(held), reads=one, writes=end, place="device")
    while not beside.fired:
        time.sleep(0.001)
    held.wait_gate.set()
    with pytest.raises(ZeroDivisionError):
        flow.wait(PATIENCE)
    assert beside.state is State.DROPPED
    with pytest.raises(ZeroDivisionError):
        flow.result(end)
    flow.close()


def test_an_array_that_is_still_being_made_outside_is_waited_for(device):
    stream = device.take_stream()
    gate = threading.Event()
    with device.on(stream), Flow(device) as flow:
        array = device.empty(6, np.float64)
        device.launch(lambda target: gate.wait(PATIENCE) and target.fill(2.0), array)
        data, out = flow.data(array), flow.data()
        del array
        flow.submit(copied(device), reads=data, writes=out, place="device")
        gate.set()
        assert np.array_equal(flow.result(out, PATIENCE), np.full(6, 2.0))
        assert np.array_equal(flow.result(data, PATIENCE), np.full(6, 2.0))
    device.return_stream(stream)


def test_no_more_tasks_are_on_a_stream_than_its_depth(device):
    gate, launched = threading.Event(), []

    def task(number):
        def function():
            launched.append(number)
            device.launch(lambda: gate.wait(PATIENCE))

        return function

    timeline = Timeline()
    with Flow(device, streams=2, depth=2, timeline=timeline) as flow:
        tasks = [flow.submit(task(k), place="device", name=str(k)) for k in range(9)]
        while len(launched) < 4:
            time.sleep(0.001)
        assert launched == [0, 1, 2, 3]
        gate.set()
        flow.wait(PATIENCE)
    assert launched == list(range(9))
    assert all(task.done for task in tasks)
    assert timeline.places == ["stream 0", "stream 1"]


def test_what_is_ready_on_the_device_is_launched_in_program_order(device):
    gate, launched = threading.Event(), []

    def note(name):
        def function(*_):
            launched.append(name)
            return device.empty(1, np.uint8)

        return function

    def first():
        device.launch(lambda: gate.wait(PATIENCE))
        return device.empty(1, np.uint8)

    with Flow(device, workers=1, streams=1, depth=1) as flow:
        hold, book = flow.data(), flow.data()
        flow.submit(first, writes=hold, place="device")
        flow.submit(lambda: b"book", writes=book)
        chunks = [flow.data() for _ in range(3)]
        for k, chunk in enumerate(chunks):
            flow.submit(note(f"predict {k}"), writes=chunk, place="device")
            flow.submit(note(f"encode {k}"), reads=chunk, writes=flow.data(), place="device")
        gate.set()
        flow.wait(PATIENCE)
    assert launched == [f"{name} {k}" for k in range(3) for name in ("predict", "encode")]
