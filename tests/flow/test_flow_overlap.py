"""What need not wait does not: shown by tasks that end only if others run meanwhile."""

from __future__ import annotations

import threading

import numpy as np

from fzdask.codecs.flow import Flow

PATIENCE = 20  # seconds; only a failure waits that long


def meet(barrier):
    def function(*_):
        barrier.wait(PATIENCE)
        return barrier.n_waiting

    return function


def test_two_branches_run_at_once():
    barrier = threading.Barrier(2)
    with Flow(workers=2) as flow:
        field = flow.data(np.arange(4))
        for name in ("histogram", "outliers"):
            out = flow.data(name=name)
            flow.submit(meet(barrier), reads=field, writes=out, name=name)
        flow.wait(PATIENCE)
    assert not barrier.broken


def test_codebook_on_the_host_while_outliers_compact_on_the_device(device):
    """The branch of the codebook needs the device to go on, that of the outliers the host."""
    book_made, outliers_begun = threading.Event(), threading.Event()

    def predict(field):
        residual = device.empty(field.shape, field.dtype)
        histogram = device.empty(4, np.int64)
        device.launch(np.copyto, residual, field)
        device.launch(lambda h, r: np.copyto(h, np.bincount(r, minlength=4)), histogram, residual)
        return residual, histogram

    def make_book(histogram):
        assert outliers_begun.wait(PATIENCE)
        book_made.set()
        return np.argsort(-histogram)

    def compact(residual):
        out = device.empty(residual.shape, residual.dtype)

        def kernel(target, source):
            outliers_begun.set()
            assert book_made.wait(PATIENCE)
            np.copyto(target, source)

        device.launch(kernel, out, residual)
        return out

    def code(residual, book):
        out = device.empty(residual.shape, residual.dtype)
        device.launch(lambda o, r, b: np.copyto(o, np.argsort(b)[r]), out, residual, book)
        return out

    field = np.array([3, 1, 3, 3, 0, 1, 3])
    with Flow(device, workers=1) as flow:
        data, residual, histogram = flow.data(field), flow.data(), flow.data()
        book, outliers, codes = flow.data(), flow.data(), flow.data()
        flow.submit(predict, reads=data, writes=[residual, histogram], place="device")
        flow.submit(make_book, reads=histogram, writes=book)
        flow.submit(compact, reads=residual, writes=outliers, place="device")
        flow.submit(code, reads=[residual, book], writes=codes, place="device")
        assert np.array_equal(flow.result(codes, PATIENCE), [0, 1, 0, 0, 2, 1, 0])
        assert np.array_equal(flow.result(outliers, PATIENCE), field)
    assert (device.uploads, device.downloads) == (2, 3)  # field, book; histogram, two results


def test_packing_of_one_chunk_while_the_next_is_predicted(device):
    """Each of three chunks is packed on the host only while the next is on the device."""
    chunks = 3
    begun = [threading.Event() for _ in range(chunks + 1)]
    begun[chunks].set()  # behind the last there is nothing

    def predict(index):
        def function(array):
            out = device.empty(array.shape, array.dtype)

            def kernel(target, source):
                begun[index].set()
                np.negative(source, out=target)

            device.launch(kernel, out, array)
            return out

        return function

    def pack(index):
        def function(residual):
            assert begun[index + 1].wait(PATIENCE)
            return residual.tobytes()

        return function

    arrays = [np.arange(k, k + 5) for k in range(chunks)]
    with Flow(device, workers=1) as flow:
        streams = []
        for index, array in enumerate(arrays):
            chunk, residual, stream = flow.data(array), flow.data(), flow.data()
            flow.submit(predict(index), reads=chunk, writes=residual, place="device", tag=index)
            flow.submit(pack(index), reads=residual, writes=stream, tag=index)
            streams.append(stream)
        found = [flow.result(stream, PATIENCE) for stream in streams]
    assert found == [(-array).tobytes() for array in arrays]


def test_device_tasks_are_put_behind_each_other_without_the_host(device):
    """A follower on another stream is launched while the one before still runs."""
    launched, gate = threading.Event(), threading.Event()

    def first(array):
        out = device.empty(array.shape, array.dtype)

        def kernel(target, source):
            assert gate.wait(PATIENCE)
            np.copyto(target, source)

        device.launch(kernel, out, array)
        return out

    def second(array):
        launched.set()
        out = device.empty(array.shape, array.dtype)
        device.launch(lambda target, source: np.add(source, 1, out=target), out, array)
        return out

    with Flow(device, workers=1) as flow:
        data, one, two = flow.data(np.zeros(3)), flow.data(), flow.data()
        flow.submit(first, reads=data, writes=one, place="device")
        flow.submit(second, reads=one, writes=two, place="device")
        assert launched.wait(PATIENCE)
        gate.set()
        assert np.array_equal(flow.result(two), np.ones(3))


def test_a_worker_does_not_stand_still_for_the_device(device):
    """The one worker runs a later task while an earlier one waits for a kernel."""
    ran, out_of_order = threading.Event(), []

    def slow(array):
        out = device.empty(array.shape, array.dtype)

        def kernel(target, source):
            assert ran.wait(PATIENCE)
            np.copyto(target, source)

        device.launch(kernel, out, array)
        return out

    def after(array):
        out_of_order.append("after the kernel")
        return array

    def unrelated():
        out_of_order.append("unrelated")
        ran.set()

    with Flow(device, workers=1) as flow:
        data, moved, end = flow.data(np.zeros(3)), flow.data(), flow.data()
        flow.submit(slow, reads=data, writes=moved, place="device")
        flow.submit(after, reads=moved, writes=end)
        flow.submit(unrelated)
        flow.wait(PATIENCE)
    assert out_of_order == ["unrelated", "after the kernel"]


def test_of_ready_tasks_the_first_in_program_order_runs_first():
    order = []
    gate = threading.Event()
    with Flow(workers=1) as flow:
        flow.submit(lambda: gate.wait(PATIENCE) and None)
        held = flow.data(name="held")
        flow.submit(lambda: order.append("a"), name="a", writes=held)
        flow.submit(lambda: order.append("b"), name="b")
        flow.submit(lambda _: order.append("c"), name="c", reads=held)
        flow.submit(lambda: order.append("d"), name="d")
        gate.set()
        flow.wait(PATIENCE)
    assert order == ["a", "b", "c", "d"]
