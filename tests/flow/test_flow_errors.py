"""Errors, cancellation and misuse: the cause reaches the caller, and nothing is left running."""

from __future__ import annotations

import contextlib
import threading

import numpy as np
import pytest
from flow_programs import programs, run_in_order, submit
from hypothesis import given, settings
from hypothesis import strategies as st

from fzdask.codecs.flow import Flow, FlowCancelled, FlowError, SimulatedDevice
from fzdask.errors import FZError

PATIENCE = 100


class BrokenError(Exception):
    pass


def fail(*_):
    raise BrokenError("on purpose")


def test_the_error_reaches_the_caller_and_names_its_task():
    with pytest.raises(BrokenError, match="on purpose") as caught, Flow() as flow:
        flow.submit(fail, name="quantize", tag=3)
    assert caught.value.__notes__ == ["flow: raised by task 'quantize' of 3 (at host)"]


def test_followers_of_a_failure_do_not_run_and_give_its_cause():
    gate, ran = threading.Event(), []
    flow = Flow(workers=2)
    a, b, c = flow.data(), flow.data(), flow.data()

    def fail_late():
        assert gate.wait(PATIENCE)
        fail()

    flow.submit(fail_late, writes=a)
    flow.submit(ran.append, reads=a, writes=b)
    flow.submit(ran.append, reads=b, writes=c)
    gate.set()
    for data in (a, b, c):
        with pytest.raises(BrokenError):
            flow.result(data)
    with pytest.raises(BrokenError):
        flow.submit(len, reads=flow.data([]))
    flow.close()
    assert ran == []


def test_of_two_failures_the_first_in_program_order_is_raised():
    both = threading.Barrier(2)

    def first():
        both.wait(PATIENCE)
        failed.wait(PATIENCE)
        raise BrokenError("first")

    def second():
        both.wait(PATIENCE)
        raise BrokenError("second")

    failed = threading.Event()
    flow = Flow(workers=2)
    one = flow.submit(first)
    two = flow.submit(second)
    with pytest.raises(BrokenError, match="second"):
        flow.first([two], PATIENCE)
    failed.set()
    with pytest.raises(BrokenError, match="first"):
        flow.wait(PATIENCE)
    assert (str(one.error), str(two.error)) == ("first", "second")
    flow.close()


def test_a_result_that_was_there_before_the_failure_stays():
    flow = Flow(workers=1)
    good = flow.data()
    flow.submit(lambda: "good", writes=good)
    assert flow.result(good) == "good"
    flow.submit(fail)
    with pytest.raises(BrokenError):
        flow.wait()
    assert flow.result(good) == "good"
    flow.close()


def test_an_error_while_launching_waits_for_what_is_on_the_stream(device):
    gate, ended = threading.Event(), []

    def launch_and_fail(array):
        out = device.empty(array.shape, array.dtype)

        def kernel(target, source):
            assert gate.wait(PATIENCE)
            np.copyto(target, source)
            ended.append(float(target.sum()))

        device.launch(kernel, out, array)
        raise BrokenError("while launching")

    flow = Flow(device)
    data, out = flow.data(np.ones(4)), flow.data()
    task = flow.submit(launch_and_fail, reads=data, writes=out, place="device")
    with pytest.raises(TimeoutError):
        flow.wait(0.05)
    assert not task.done
    gate.set()
    with pytest.raises(BrokenError, match="while launching"):
        flow.wait(PATIENCE)
    assert ended == [4.0]
    flow.close()


def test_an_error_in_a_kernel_is_found_when_its_event_is_waited_for(device):
    def launch(array):
        out = device.empty(array.shape, array.dtype)
        device.launch(fail, out, array)
        return out

    ran = []
    flow = Flow(device, streams=2)
    data, one, two, end = flow.data(np.ones(4)), flow.data(), flow.data(), flow.data()
    gate = threading.Event()
    flow.submit(lambda: gate.wait(PATIENCE) and np.ones(4), writes=data)
    flow.submit(launch, reads=data, writes=one, place="device", name="bad kernel")
    flow.submit(lambda a: a, reads=one, writes=two, place="device")
    flow.submit(ran.append, reads=two, writes=end)
    gate.set()
    with pytest.raises(BrokenError) as caught:
        flow.wait(PATIENCE)
    flow.close()
    assert "bad kernel" in caught.value.__notes__[0]
    assert ran == []


def test_cancelling_drops_what_has_not_started():
    begun, gate, ran = threading.Event(), threading.Event(), []

    def running():
        begun.set()
        assert gate.wait(PATIENCE)
        ran.append("running")

    flow = Flow(workers=1)
    flow.submit(running)
    out = flow.data()
    later = [flow.submit(lambda: ran.append("later"), writes=out) for _ in range(5)]
    assert begun.wait(PATIENCE)
    flow.cancel()
    assert all(task.done for task in later)
    gate.set()
    with pytest.raises(FlowCancelled):
        flow.wait(PATIENCE)
    with pytest.raises(FlowCancelled):
        flow.result(out)
    with pytest.raises(FlowCancelled):
        flow.submit(print)
    assert ran == ["running"]
    flow.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_leaving_the_block_by_an_error_leaves_nothing_running(error):
    begun, ran = threading.Event(), []

    def long(flow):
        begun.set()
        while not flow.cancelled:
            pass
        ran.append("ended early")

    def leave():
        with Flow(workers=1) as flow:
            flow.submit(lambda: long(flow))
            flow.submit(lambda: ran.append("never"))
            assert begun.wait(PATIENCE)
            raise error

    with pytest.raises(error):
        leave()
    assert ran == ["ended early"]


@settings(max_examples=40, deadline=None)
@given(programs, st.integers(0, 2**31), st.data())
def test_random_programs_with_an_error_somewhere(program, seed, drawn):
    """The error comes out, streams are empty, and what came before it in order is not lost."""
    at = drawn.draw(st.integers(0, len(program)))
    device = SimulatedDevice(jitter=2e-4, seed=seed)
    flow = Flow(device, workers=2)
    data = submit(flow, device, program[:at], 1e-4, seed)
    values = [flow.result(cell) for cell in data] if drawn.draw(st.booleans()) else None
    flow.submit(fail, reads=data, writes=data)
    with contextlib.suppress(BrokenError):  # it may be over already; then submitting says so
        submit(flow, device, program[at:], 1e-4, seed)
    with pytest.raises(BrokenError):
        flow.wait(PATIENCE)
    flow.close()
    if values is not None:
        expected = run_in_order(program[:at])
        assert all(np.array_equal(a, b) for a, b in zip(values, expected, strict=True))
    device.close()
    assert device.unfinished == 0


@settings(max_examples=30, deadline=None)
@given(programs, st.integers(0, 2**31))
def test_random_programs_cancelled_on_the_way(program, seed):
    device = SimulatedDevice(jitter=5e-4, seed=seed)
    flow = Flow(device, workers=2)
    submit(flow, device, program, 1e-4, seed)
    flow.cancel()
    with pytest.raises(FlowCancelled):
        flow.wait(PATIENCE)
    flow.close()
    device.close()
    assert device.unfinished == 0


def test_a_timeout_leaves_the_flow_going():
    gate = threading.Event()
    with Flow() as flow:
        out = flow.data()
        task = flow.submit(lambda: gate.wait(PATIENCE), writes=out)
        for wait in (flow.wait, lambda t: flow.result(out, t), lambda t: flow.first([task], t)):
            with pytest.raises(TimeoutError, match="not done after"):
                wait(0.01)
        gate.set()
        assert flow.result(out) is True


def test_misuse_is_told_apart():
    with Flow(workers=2) as flow, Flow() as other:
        nothing = flow.data(name="never given")
        with pytest.raises(FlowError, match="'never given', to which nothing"):
            flow.submit(len, reads=nothing)
        with pytest.raises(FlowError, match="no task gives 'never given'"):
            flow.result(nothing)
        with pytest.raises(FlowError, match="of another flow"):
            flow.submit(len, reads=other.data([]))
        with pytest.raises(FlowError, match="wrap values"):
            flow.submit(len, reads=[[1, 2]])
        with pytest.raises(FlowError, match="writes 'never given' twice"):
            flow.submit(len, writes=[nothing, nothing])
        with pytest.raises(FlowError, match=r"place='gpu'.*must be one of"):
            flow.submit(len, place="gpu")
        with pytest.raises(FlowError, match="no tasks to wait for"):
            flow.first([])
        with pytest.raises(FlowError, match="one value or none"):
            flow.data(1, 2)
        assert nothing.instances == {}
        flow.wait()
    with pytest.raises(FlowError, match="it is closed"):
        flow.submit(len)
    assert issubclass(FlowError, FZError)


@pytest.mark.parametrize("given", [0, -1, True, 1.5, "2"])
def test_numbers_of_threads_and_streams_are_checked(given):
    with pytest.raises(FlowError, match="workers="):
        Flow(workers=given)
    with pytest.raises(FlowError, match="streams="):
        Flow(streams=given)


@pytest.mark.parametrize(
    ("returned", "writes", "told"),
    [((1, 2), 3, "returned 2 values but declares 3"), (5, 0, "returned 1 values but declares 0")],
)
def test_a_wrong_number_of_results_is_an_error(returned, writes, told):
    with pytest.raises(FlowError, match=told), Flow() as flow:
        flow.submit(lambda: returned, writes=[flow.data() for _ in range(writes)])


@pytest.mark.parametrize("act", ["submit", "wait", "result", "close"])
def test_a_task_may_not_use_its_own_flow(act):
    flow = Flow()
    data = flow.data()
    acts = {
        "submit": lambda: flow.submit(print),
        "wait": flow.wait,
        "result": lambda: flow.result(data),
        "close": flow.close,
    }
    flow.submit(lambda: None, writes=data)
    flow.submit(lambda _: acts[act](), reads=data)
    with pytest.raises(FlowError, match="the flow that runs it"):
        flow.wait(PATIENCE)
    flow.close()


def test_a_flow_in_a_task_of_another_is_allowed():
    def inner(value):
        with Flow(workers=1) as flow:
            data, out = flow.data(value), flow.data()
            flow.submit(lambda v: v + 1, reads=data, writes=out)
            return flow.result(out)

    with Flow(workers=1) as flow:
        data, out = flow.data(1), flow.data()
        flow.submit(inner, reads=data, writes=out)
        assert flow.result(out) == 2
