"""How large blocks should be: told from a short profile of a field's own encoder.

A larger block spreads what every block costs besides over more bytes, and takes longer slices, for
each of which the simulation may have to wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.zarr_array_codec import FZArrayCodec
from fzdask.codecs.zarr_codec import FZCodec
from fzdask.insitu.block import Slices
from fzdask.insitu.blocks import padded_block
from fzdask.insitu.layout import FieldLayout

__all__ = ["CANDIDATES", "BlockTiming", "choose", "measure", "profiled_layout", "unmeasured"]

CANDIDATES = (1 << 20, 2 << 20, 4 << 20)
"""Raw bytes of a block, about. Smaller ones lose throughput, and larger ones are long in the way
of others (benchmarks/bench_insitu.py, BlockSize)."""

OVERHEAD = 100e-6
"""Seconds of processor time that a block costs besides: 72 to 107 microseconds were measured
(benchmarks/bench_insitu.py, WriterMachinery)."""

LONGEST_SLICE = 1e-3
"""Seconds. Slices should take half a millisecond; what is twice that is felt."""

LEAST_BLOCKS = 4
"""Of a field: one is encoded while another is stored, and there is an order to choose."""

WORTH = 0.05
"""Share of the time that larger blocks must save to be preferred: smaller ones fit into shorter
windows, and readers of a region decode less."""

REPETITIONS = 3  # the least of them counts: whatever else disturbs only adds


def unmeasured(encoding: Mapping[str, Any], nbytes: int) -> int:
    """Raw bytes of a block, about, where nobody can measure; the same in all processes.

    Whoever writes parts of one array cuts it alike, before any of them has encoded a block, and
    without a word to the others. What is known to all of them is the encoding: with the default
    pipeline and a bound on the values, 2 MiB take 5 to 35 % less time per byte than 1 MiB, in
    slices of half a millisecond (float32, the profile below on several bounds). Lossless coding
    gains nothing, and its only slice takes a millisecond per mebibyte.

    Parameters
    ----------
    encoding : mapping
        Of the field.
    nbytes : int
        Of the field, for each process.
    """
    codec = encoding.get("serializer") or encoding.get("compressors")
    if isinstance(codec, list | tuple) and len(codec) == 1:
        codec = codec[0]
    if not isinstance(codec, FZCodec | FZArrayCodec) or nbytes < LEAST_BLOCKS * CANDIDATES[1]:
        return CANDIDATES[0]
    config = codec._encoding_config()
    bounded = any(bound is not None for bound in (config.abs, config.rel, config.psnr))
    return CANDIDATES[1] if bounded and config.pipeline == "default" else CANDIDATES[0]


class BlockTiming(NamedTuple):
    """What blocks of one size take.

    Attributes
    ----------
    nbytes : int
        Raw size.
    seconds : float
        To encode one.
    longest : float
        Its longest slice, in seconds.
    blocks : int
        How many the field has.
    """

    nbytes: int
    seconds: float
    longest: float
    blocks: int

    @property
    def per_byte(self) -> float:
        """Seconds, with what a block costs besides."""
        return (self.seconds + OVERHEAD) / self.nbytes


def measure(
    encode: Callable[[], Slices],
    clock: Callable[[], float] = time.thread_time,
    repetitions: int = REPETITIONS,
) -> tuple[float, float]:
    """Seconds to encode a block and of its longest slice; the first run, which compiles, is left.

    Parameters
    ----------
    encode : callable
        Returns the slices of a block, anew with each call.
    clock : callable
        Seconds; processor time of this thread, unless a test says otherwise.
    """
    best = longest = float("inf")
    for run in range(1 + repetitions):
        lengths = []
        slices, going = encode(), True
        while going:
            start = clock()
            going = _next(slices)
            lengths.append(clock() - start)
        if run:
            best, longest = min(best, sum(lengths)), min(longest, max(lengths))
    return best, longest


def _next(slices: Slices) -> bool:
    try:
        next(slices)
    except StopIteration:
        return False
    return True


def choose(timings: Sequence[BlockTiming]) -> int:
    """The position of the size to take.

    The smallest that costs hardly more per byte than the cheapest of those whose slices are short
    and of which the field has several blocks; the smallest of all if there are none.
    """
    fit = [
        i
        for i, timing in enumerate(timings)
        if timing.longest <= LONGEST_SLICE and timing.blocks >= LEAST_BLOCKS
    ]
    if not fit:
        return min(range(len(timings)), key=lambda i: timings[i].nbytes)
    cheapest = min(timings[i].per_byte for i in fit)
    good = [i for i in fit if timings[i].per_byte * (1.0 - WORTH) <= cheapest]
    return min(good, key=lambda i: timings[i].nbytes)


def profiled_layout(
    make: Callable[[int], FieldLayout],
    array: NDArray[Any],
    clock: Callable[[], float] = time.thread_time,
) -> FieldLayout:
    """The layout of a field in blocks of the size that suits its encoder and this machine.

    Takes some tens of milliseconds, once per field; none for a field that is too small to choose.

    Parameters
    ----------
    make : callable
        The layout in blocks of about so many bytes.
    array : ndarray
        The field's first values; a block of its middle is encoded.
    clock : callable
        As of `measure`.
    """
    layouts = [make(CANDIDATES[0])]
    for target in CANDIDATES[1:]:
        if array.nbytes < LEAST_BLOCKS * target:
            break
        layout = make(target)
        if layout.block != layouts[-1].block:
            layouts.append(layout)
    if len(layouts) == 1:
        return layouts[0]
    timings = []
    for layout in layouts:
        region = layout.regions[len(layout.regions) // 2]
        values = padded_block(array, region.slices, np.empty(layout.block, layout.dtype))[None]
        seconds, longest = measure(lambda e=layout.encoder, v=values: e(v), clock)  # type: ignore[misc]
        timings.append(BlockTiming(layout.block_nbytes, seconds, longest, len(layout.regions)))
    return layouts[choose(timings)]
