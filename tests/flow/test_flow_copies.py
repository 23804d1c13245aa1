"""Copies are made where they are needed, once, and buffers live as long as they are used."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from fzdask.codecs.flow import Flow, SimulatedDevice, Timeline


def doubled(device):
    """A device function: twice its input."""

    def function(array):
        out = device.empty(array.shape, array.dtype)
        device.launch(lambda target, source: np.multiply(source, 2, out=target), out, array)
        return out

    return function


def test_a_chain_on_the_device_crosses_the_bus_twice(device):
    with Flow(device) as flow:
        start = flow.data(np.arange(100.0))
        data = start
        for _ in range(10):
            after = flow.data()
            flow.submit(doubled(device), reads=data, writes=after, place="device")
            data = after
        assert np.array_equal(flow.result(data), np.arange(100.0) * 1024)
    assert (device.uploads, device.downloads) == (1, 1)
    assert (device.uploaded, device.downloaded) == (800, 800)
    assert device.pageable == 0


def test_one_copy_serves_all_readers(device):
    with Flow(device, workers=3) as flow:
        field = flow.data(np.arange(50.0))
        products = [flow.data() for _ in range(4)]
        for product in products:
            flow.submit(doubled(device), reads=field, writes=product, place="device")
        seen = [flow.data() for _ in range(3)]
        for data in seen:
            flow.submit(np.sum, reads=products[0], writes=data)
        assert {float(flow.result(data)) for data in seen} == {2450.0}
        assert np.array_equal(flow.result(field), np.arange(50.0))
    assert (device.uploads, device.downloads) == (1, 1)


def test_a_write_makes_the_other_instance_stale(device):
    with Flow(device) as flow:
        data = flow.data(np.ones(8))
        flow.submit(doubled(device), reads=data, writes=data, place="device")
        flow.submit(lambda array: array + 1, reads=data, writes=data)
        flow.submit(doubled(device), reads=data, writes=data, place="device")
        assert np.array_equal(flow.result(data), np.full(8, 6.0))
    assert (device.uploads, device.downloads) == (2, 2)


def test_a_datum_that_begins_on_the_device_stays_there(device):
    stream = device.take_stream()
    with device.on(stream):
        array = device.empty(4, np.float64)
        device.launch(lambda target: target.fill(3.0), array)
    device.synchronize(device.record(stream))
    with Flow(device) as flow:
        data, out = flow.data(array), flow.data()
        flow.submit(doubled(device), reads=data, writes=out, place="device")
        assert np.array_equal(flow.result(out), np.full(4, 6.0))
    assert (device.uploads, device.downloads) == (0, 1)


@dataclass(frozen=True)
class Coded:
    """A value with arrays and more in it."""

    words: Any
    name: str


def test_arrays_move_out_of_tuples_dicts_and_dataclasses(device):
    value = {"coded": Coded(np.arange(6), "book"), "rest": (np.ones(3), [np.zeros(2)], None, 5)}

    def on_device(given):
        assert device.owns(given["coded"].words)
        assert device.owns(given["rest"][0])
        assert device.owns(given["rest"][1][0])
        assert given["coded"].name == "book"
        return given

    with Flow(device) as flow:
        data, back = flow.data(value), flow.data()
        flow.submit(on_device, reads=data, writes=back, place="device")
        found = flow.result(back)
    assert np.array_equal(found["coded"].words, np.arange(6))
    assert found["coded"].name == "book"
    assert np.array_equal(found["rest"][1][0], np.zeros(2))
    assert found["rest"][2:] == (None, 5)
    assert device.uploads == 3


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.arange(20)[::3],
        np.zeros((0, 5)),
        np.float32(4).reshape(()),
        np.arange(4, dtype=">i4"),
    ],
    ids=["fortran", "strided", "empty", "0-d", "big-endian"],
)
def test_layouts_come_back_with_their_values(device, array):
    with Flow(device) as flow:
        data, out = flow.data(array), flow.data()
        flow.submit(lambda a: a, reads=data, writes=out, place="device")
        found = flow.result(out)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert np.array_equal(found, array)


def test_without_a_device_nothing_is_copied():
    array = np.arange(5)
    with Flow() as flow:
        data, out = flow.data(array), flow.data()
        flow.submit(lambda a: a, reads=data, writes=out, place="device")
        assert flow.result(out) is array


def test_the_host_cannot_look_into_device_memory(device):
    with Flow(device) as flow:
        data, out = flow.data(np.arange(3)), flow.data()

        def wrong(array):
            return np.asarray(array).sum()

        flow.submit(wrong, reads=data, writes=out, place="device")
        with pytest.raises(TypeError, match="on the device"):
            flow.wait()
        with pytest.raises(TypeError, match="on the device"):
            flow.result(out)
        flow.close()


def test_values_are_dropped_when_the_last_task_that_uses_them_is_complete():
    class Buffer:
        pass

    alive = []

    def make():
        buffer = Buffer()
        alive.append(weakref.ref(buffer))
        return buffer

    with Flow(workers=1) as flow:
        for _ in range(5):
            data, used = flow.data(), flow.data()
            flow.submit(make, writes=data)
            flow.submit(lambda buffer: type(buffer).__name__, reads=data, writes=used)
        del data
        flow.wait()
        gc.collect()
        assert [ref() for ref in alive] == [None] * 5
        assert flow.result(used) == "Buffer"


def test_a_device_buffer_outlives_the_work_on_it():
    """The datum is gone for the program, but a kernel and a copy on other streams still use it."""
    device = SimulatedDevice()
    gate = threading.Event()

    def slowly(array):
        out = device.empty(array.shape, array.dtype)

        def kernel(target, source):
            assert gate.wait(100)
            np.copyto(target, source)

        device.launch(kernel, out, array)
        return out

    with Flow(device, streams=3) as flow:
        data = flow.data(np.arange(64))
        outs = [flow.data() for _ in range(3)]
        for out in outs:
            flow.submit(slowly, reads=data, writes=out, place="device")
        flow.submit(lambda: np.zeros(64), writes=data)  # supersedes it
        del data
        gc.collect()
        gate.set()
        for out in outs:
            assert np.array_equal(flow.result(out), np.arange(64))
    device.close()


def test_bytes_moved_are_on_the_timeline(device):
    timeline = Timeline()
    with Flow(device, timeline=timeline) as flow:
        data, out = flow.data(np.zeros(1000, np.float32), name="field"), flow.data(name="half")
        flow.submit(lambda a: device.empty(500, np.float32), reads=data, writes=out, place="device")
        flow.result(out)
    assert (timeline.uploaded, timeline.downloaded) == (4000, 2000)
    moved = {span.name: span.nbytes for span in timeline.spans if span.kind != "task"}
    assert moved == {"field": 4000, "half": 2000}
