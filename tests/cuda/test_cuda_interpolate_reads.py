"""Kernels of the host on arrays of a device: what they read is what is there, however they go."""

import pickle

import numpy as np
import pytest
from numba import njit, typeof

from fzdask.codecs.device.interpolate_attempt import flat_source
from fzdask.codecs.kernels.cuda import interpolate_reads
from fzdask.codecs.kernels.cuda.interpolate_reads import Reader


@njit
def chase(x, steps):
    """Each value says where the next one is; then a part of the array from there."""
    at = np.int64(0)
    for _ in range(steps):
        at = np.int64(x[at])
    part = x[at : at + 3]
    return at, part[0] + part[2] + x.size


@njit
def total(x, y):
    both = 0.0
    for i in range(x.size):
        part = y[i // 2 : i // 2 + 5]
        both += x[i] * y[x.size - 1 - i] + part[0] * part[4]
    return both


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_reads_that_depend_on_reads(device, dtype):
    order = np.random.default_rng(5).permutation(200)
    x = np.empty(203, dtype)
    x[order], x[200:] = np.roll(order, 1), 7
    source = flat_source(device, device.upload(x))
    reader = Reader(device)
    for steps in (0, 1, 6):
        seen = []
        found = reader.run(lambda a, n=steps, s=seen: s.append(a) or chase(a, n), source)
        assert found == chase.py_func(x, steps)
        assert len(seen) == steps + 2  # nothing is known of a place before the value is


@pytest.mark.parametrize("room", [1, 100, 2500, 3000])
def test_more_reads_than_there_is_room_for(device, monkeypatch, room):
    monkeypatch.setattr(interpolate_reads, "ROOM", room)
    random = np.random.default_rng(6)
    x, y = random.standard_normal((2, 3000))
    sources = [flat_source(device, device.upload(a)) for a in (x, y)]
    assert Reader(device).run(total, *sources) == total.py_func(x, y)


def test_caches_of_the_hosts_kernels_do_not_need_this_package(device):
    """Numba unpickles the types of all signatures that a kernel was compiled for."""
    seen = []
    source = flat_source(device, device.zeros(9, np.float32))
    Reader(device).run(lambda a: seen.append(a) or chase(a, 1), source)
    assert b"fzdask" not in pickle.dumps(typeof(seen[0]))
