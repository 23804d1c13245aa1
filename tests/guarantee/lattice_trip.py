"""A round trip that always goes over the lattice, however large the stream gets.

The codec itself keeps a chunk losslessly where that is smaller, which would hide a fault.
"""

from __future__ import annotations

import numpy as np

import fzdask
from fzdask.codecs import api
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.prepare import memory_order, prepare

FULL = Pipeline.from_text("quantize | lorenzo | huffman")
LATTICE = Pipeline.from_text("quantize")


def lattice_stream(x, chain=FULL, **config):
    """The stream of a chain that quantizes, whatever its size."""
    asked = CodecConfig(**config)
    ready = prepare(x, memory_order(x), asked)
    assert ready.job is not None, "this bound has no lattice"
    bound = (*asked.bound, ready.resolved)
    return api._stream(x, memory_order(x), chain, bound, ready.data, ready.form, ready.job)


def over_the_lattice(x, chain=FULL, **config):
    """What a decoder gets, and the share of the numbers that were outliers."""
    stream = lattice_stream(x, chain, **config)
    numbers = x.size * (2 if x.dtype.kind == "c" else 1)
    return fzdask.decompress(stream), fzdask.inspect(stream).outliers / max(numbers, 1)


def neighbours(x, dtype):
    """Each value rounded to the dtype, and the numbers next to it on both sides."""
    with np.errstate(over="ignore"):
        x = np.asarray(x).astype(dtype)
        inf = np.array(np.inf, dtype)
        return np.concatenate([np.nextafter(x, -inf), x, np.nextafter(x, inf)])
