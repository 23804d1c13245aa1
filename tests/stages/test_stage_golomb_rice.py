"""`golomb_rice` gives what its specification says, and decodes to what went in."""

from __future__ import annotations

import golomb_rice_spec
import numpy as np
import pytest

from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.golomb_rice import GolombRice
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)


def codes(kind, size, dtype):
    rng = np.random.default_rng(size)
    if kind == "zero":
        return np.zeros(size, dtype)
    if kind == "small":
        return rng.geometric(0.3, size).astype(dtype)
    if kind == "wide":
        return rng.integers(0, 1 << rng.integers(1, 30, size)).astype(dtype)
    top = np.iinfo(dtype).max
    return np.where(
        rng.random(size) < 0.02, top - rng.integers(0, 9, size).astype(dtype), 3
    ).astype(dtype)


@pytest.mark.parametrize("dtype", ["<u4", "<u8"])
@pytest.mark.parametrize("kind", ["zero", "small", "wide", "huge"])
@pytest.mark.parametrize(
    ("size", "block"), [(1, 256), (255, 256), (257, 256), (700, 32), (5000, 4096)]
)
def test_as_specified(kind, dtype, size, block):
    x = codes(kind, size, dtype)
    form = Form((size,), np.dtype(dtype))
    got = GolombRice(block=block).encode(x, form, Job(NONE, NONE, 0.0))
    main, sides = golomb_rice_spec.encode(x, block)
    assert got.data.tobytes() == main
    assert {k: bytes(v) for k, v in got.sections.items()} == sides
    raw = {k: np.frombuffer(v, np.uint8) for k, v in sides.items()}
    assert GolombRice().form_after(form, got.params).shape == (-1,)
    back = GolombRice().decode(np.frombuffer(main, np.uint8), form, got.params, raw, Known())
    np.testing.assert_array_equal(back, x)


def test_a_block_that_runs_out_or_is_too_long_is_refused():
    x = codes("small", 600, "<u4")
    form = Form((600,), x.dtype)
    got = GolombRice().encode(x, form, Job(NONE, NONE, 0.0))
    sides = {k: np.asarray(v).copy() for k, v in got.sections.items()}
    sizes = sides["block_sizes"].view("<u2")
    sizes[0] -= 1
    sizes[1] += 1
    with pytest.raises(FormatError, match="do not decode"):
        GolombRice().decode(got.data, form, got.params, sides, Known())
    sides["parameters"] = sides["parameters"].copy()
    sizes[0] += 1
    sizes[1] -= 1
    sides["parameters"][0] = 32
    with pytest.raises(FormatError, match="do not decode"):
        GolombRice().decode(got.data, form, got.params, sides, Known())


@pytest.mark.parametrize("block", [0, 100, 8192, "a", 256.0])
def test_bad_options(block):
    with pytest.raises(ConfigError, match="power of two from 32 to 4096"):
        GolombRice(block=block)
