"""Any program gives what it gives in order, whatever threads, streams and delays do."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from flow_programs import LENGTH, Step, programs, run_as_flow, run_in_order
from hypothesis import given, settings
from hypothesis import strategies as st

from fzdask.codecs.flow import Flow, SimulatedDevice


def equal(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


@settings(max_examples=60, deadline=None)
@given(programs, st.integers(1, 4))
def test_random_programs_on_the_host(program, workers):
    assert equal(run_as_flow(program, workers=workers, jitter=1e-4), run_in_order(program))


@settings(max_examples=60, deadline=None)
@given(programs, st.integers(0, 2**31), st.integers(1, 3))
def test_random_programs_on_host_and_device(program, seed, workers):
    device = SimulatedDevice(jitter=3e-4, seed=seed)
    try:
        found = run_as_flow(program, device, workers, jitter=1e-4, seed=seed)
        assert equal(found, run_in_order(program))
        assert device.unfinished <= len(program) * 3 + 20  # only the overwriting of freed arrays
        assert device.pageable == 0
    finally:
        device.close()


@pytest.mark.slow
@settings(max_examples=1500, deadline=None)
@given(programs, st.integers(0, 2**31))
def test_many_random_programs(program, seed):
    device = SimulatedDevice(jitter=5e-4, seed=seed)
    try:
        assert equal(run_as_flow(program, device, 3, 2e-4, seed), run_in_order(program))
    finally:
        device.close()


def test_a_long_program_with_every_seed_of_jitter():
    rng = np.random.default_rng(5)
    program = [
        Step(
            tuple(int(c) for c in rng.integers(0, 5, rng.integers(0, 4))),
            tuple(int(c) for c in rng.permutation(5)[: rng.integers(1, 3)]),
            str(rng.choice(["host", "device"])),
            bool(rng.integers(2)),
        )
        for _ in range(150)
    ]
    expected = run_in_order(program)
    for seed in range(4):
        device = SimulatedDevice(jitter=2e-4, seed=seed)
        assert equal(run_as_flow(program, device, 2, 1e-4, seed), expected)
        device.close()


def test_war_an_update_in_place_waits_for_readers():
    values = np.zeros(LENGTH)
    with Flow(workers=4) as flow:
        read = threading.Event()

        def late_reader(array):
            assert read.wait(100)
            return array.copy()

        def update(array):
            array += 1

        data, seen = flow.data(values), flow.data()
        flow.submit(late_reader, reads=data, writes=seen)
        updated = flow.submit(update, reads=data, writes=data)
        assert not updated.done
        read.set()
        assert np.array_equal(flow.result(seen), np.zeros(LENGTH))
        assert np.array_equal(flow.result(data), np.ones(LENGTH))
    assert values[0] == 1  # in place


def test_waw_writes_happen_in_their_order():
    order = []
    gate = threading.Event()

    def first():
        assert gate.wait(100)
        order.append("first")
        return "first"

    def second():
        order.append("second")
        return "second"

    with Flow(workers=2) as flow:
        data, other = flow.data(name="both write it"), flow.data()
        flow.submit(first, writes=data)
        flow.submit(second, writes=data)
        flow.submit(lambda: gate.set(), writes=other)  # on the second worker, after `second` if
        assert flow.result(data) == "second"  # that did not wait
    assert order == ["first", "second"]


def test_a_simulated_device_shows_a_dropped_buffer():
    """The check of lifetimes is itself checked: a buffer freed too early gives wrong values."""
    device = SimulatedDevice()
    one, two = device.take_stream(), device.take_stream()
    gate = threading.Event()
    two.put(lambda: gate.wait(100))
    array = device.upload(device.stage(np.arange(9)), one)
    device.synchronize(device.record(one))
    copied = device.download(array, two)  # waits on stream two
    del array  # its own stream may hand the bytes on
    device.synchronize(device.record(one))
    gate.set()
    device.synchronize(device.record(two))
    assert not np.array_equal(copied, np.arange(9))
    device.close()


def test_a_simulated_device_shows_a_missing_wait():
    device = SimulatedDevice()
    one, two = device.take_stream(), device.take_stream()
    gate = threading.Event()
    one.put(lambda: gate.wait(100))
    staged = device.stage(np.full(9, 7))
    array = device.upload(staged, one)
    early = device.download(array, two)
    device.synchronize(device.record(two))
    assert not np.array_equal(early, np.full(9, 7))
    device.wait(two, device.record(one))
    late = device.download(array, two)
    gate.set()
    device.synchronize(device.record(two))
    assert np.array_equal(late, np.full(9, 7))
    device.close()
