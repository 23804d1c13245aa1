"""`shuffle` gives what its specification says for every size of an element."""

from __future__ import annotations

import numpy as np
import pytest
import shuffle_spec

from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.shuffle import Shuffle

NONE = np.zeros(0, np.uint8)


@pytest.mark.parametrize("dtype", ["u1", "f2", ">f4", "f8", "c16", "U3", "V5", "M8[s]", "g"])
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 4097])
def test_shuffle_and_back(dtype, size):
    dtype = np.dtype(dtype)
    raw = np.random.default_rng(0).bytes(size * dtype.itemsize)
    x = np.frombuffer(raw, dtype)
    form = Form((size,), dtype)
    got = Shuffle().encode(x, form, Job(NONE, NONE, 0.0))
    assert got.params == b""
    assert got.sections == {}
    assert bytes(got.data) == shuffle_spec.shuffle(raw, dtype.itemsize)
    assert Shuffle().form_after(form, b"") == Form((size * dtype.itemsize,), np.dtype("u1"))
    back = Shuffle().decode(got.data, form, b"", {}, Known())
    assert back.dtype == dtype
    assert back.tobytes() == raw
