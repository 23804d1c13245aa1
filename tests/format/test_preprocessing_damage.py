"""Harm on purpose to streams of preprocessing and prediction stages, their checksums made right.

Whatever is altered in parameters and sections, the library raises its error of the format or
gives an array of the shape and dtype in the header.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from stream_parts import Parts

import fzdask
from fzdask.errors import FormatError

MODULES = ["logarithm", "difference", "lorenzo_order", "transpose", "constant", "tiles", "binning"]
ROUNDS = 60  # for each stream


def streams():
    for module in MODULES:
        for name, (x, config) in importlib.import_module(f"cases.{module}").fixtures().items():
            yield pytest.param(x, config, id=name)


def altered(parts, rng):
    """The stream with one thing wrong."""
    kind = rng.integers(5)
    stages = [k for k, stage in enumerate(parts.header.stages) if stage.params]
    if kind == 0 and stages:
        at = int(rng.choice(stages))
        params = bytearray(parts.header.stages[at].params)
        params[rng.integers(len(params))] ^= 1 << rng.integers(8)
        return parts.with_parameters(at, bytes(params))
    at = int(rng.integers(len(parts.raw)))
    raw = bytearray(parts.raw[at])
    if kind == 1 and len(parts.raw) > 1:
        return parts.without(at)
    if kind == 2:
        return parts.with_raw(at, bytes(raw[: rng.integers(len(raw) + 1)]))
    if kind == 3:
        return parts.with_raw(at, bytes(raw) + rng.bytes(int(rng.integers(1, 20))))
    for _ in range(rng.integers(1, 6)):
        raw[rng.integers(len(raw))] = rng.integers(256)
    return parts.with_raw(at, bytes(raw))


@pytest.mark.parametrize(("x", "config"), list(streams()))
def test_altered_streams_are_refused_or_give_some_array(x, config):
    parts = Parts.of(fzdask.compress(x, **config))
    refused = 0
    rng = np.random.default_rng(x.size)
    for _ in range(ROUNDS):
        try:
            y = fzdask.decompress(altered(parts, rng).join())
        except FormatError:
            refused += 1
        else:
            assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert 0 < refused < ROUNDS
