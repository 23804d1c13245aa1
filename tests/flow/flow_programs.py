"""Random programs over a few cells: run in order by NumPy, or as a flow."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from fzdask.codecs.flow import Flow

CELLS = 5
LENGTH = 7


@dataclass(frozen=True)
class Step:
    """Read some cells, write others; a cell in both is updated in place if ``in_place``."""

    reads: tuple[int, ...]
    writes: tuple[int, ...]
    place: str
    in_place: bool


cells = st.integers(0, CELLS - 1)
steps = st.builds(
    Step,
    reads=st.lists(cells, min_size=0, max_size=3).map(tuple),
    writes=st.lists(cells, min_size=1, max_size=2, unique=True).map(tuple),
    place=st.sampled_from(["host", "device"]),
    in_place=st.booleans(),
)
programs = st.lists(steps, min_size=1, max_size=25)


def beginnings():
    return [np.arange(LENGTH, dtype=np.uint64) + np.uint64(k) for k in range(CELLS)]


def fill(outputs, inputs, number):
    """What a step computes: any change of order, input or version shows in the result."""
    total = np.full(LENGTH, number, np.uint64)
    for k, values in enumerate(inputs):
        total = total * np.uint64(31) + np.asarray(values) * np.uint64(k + 1)
    for k, out in enumerate(outputs):
        out[...] = total + np.uint64(k)


def run_in_order(program):
    """The final values of all cells."""
    values = beginnings()
    for number, step in enumerate(program):
        outputs = [np.empty(LENGTH, np.uint64) for _ in step.writes]
        fill(outputs, [values[c] for c in step.reads], number)
        for cell, out in zip(step.writes, outputs, strict=True):
            values[cell] = out
    return values


def submit(flow, device, program, jitter=0.0, seed=0):
    """The program as tasks of a flow; its cells."""
    delays = random.Random(seed)
    data = [flow.data(values, name=f"cell {k}") for k, values in enumerate(beginnings())]
    for number, step in enumerate(program):
        delay = delays.random() * jitter
        on_device = step.place == "device" and device is not None

        def function(*inputs, step=step, number=number, delay=delay, on_device=on_device):
            time.sleep(delay)
            return _call(device if on_device else None, step, number, inputs)

        flow.submit(
            function,
            reads=[data[c] for c in step.reads],
            writes=[data[c] for c in step.writes],
            place=step.place,
            name=f"step {number}",
        )
    return data


def _call(device, step, number, inputs):
    def new():
        if device is None:
            return np.empty(LENGTH, np.uint64)
        return device.empty(LENGTH, np.uint64)

    updated = [step.in_place and cell in step.reads for cell in step.writes]
    outputs = [
        inputs[step.reads.index(cell)] if kept else new()
        for cell, kept in zip(step.writes, updated, strict=True)
    ]

    def kernel(*arrays):
        results, sources = arrays[: len(outputs)], arrays[len(outputs) :]
        sources = [source.copy() for source in sources]  # outputs may be among them
        fill(results, sources, number)

    if device is None:
        kernel(*outputs, *inputs)
    else:
        device.launch(kernel, *outputs, *inputs)
    returned = tuple(None if kept else out for out, kept in zip(outputs, updated, strict=True))
    return returned if len(returned) > 1 else returned[0]


def run_as_flow(program, device=None, workers=2, jitter=0.0, seed=0, timeline=None):
    """The final values of all cells, by a flow."""
    with Flow(device, workers=workers, timeline=timeline) as flow:
        data = submit(flow, device, program, jitter, seed)
        return [np.array(flow.result(cell)) for cell in data]
