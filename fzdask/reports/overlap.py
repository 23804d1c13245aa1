"""One array in chunks through the task flow executor: what overlaps when there are several."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from fzdask.codecs.batch import encode_as_completed
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import arrays
from fzdask.codecs.device_batch import encode_device_as_completed
from fzdask.codecs.flow import Timeline
from fzdask.errors import ConfigError

__all__ = ["CHUNKS", "chunks_of", "overlapped_run"]

CHUNKS = 6
RUNS = 2  # of which the quicker counts, as everywhere in these reports


def overlapped_run(
    array: Any, config: CodecConfig, *, chunks: int = CHUNKS, workers: int | None = None
) -> Timeline:
    """The timeline of an encoding in chunks, on host threads or on the streams of a device.

    Parameters
    ----------
    array : array
        On the host or on a CUDA device.
    config : CodecConfig
    chunks : int
        Parts, if the array can be cut into as many.
    workers : int, optional
        Host threads. Default: the processors this process may use.

    Raises
    ------
    ConfigError
        ``chunks`` is no number from 1 on.
    """
    if isinstance(chunks, bool) or not isinstance(chunks, int) or chunks < 1:
        raise ConfigError(f"timeline: chunks={chunks!r} must be a whole number from 1 on.")
    runs = []
    for _ in range(RUNS):
        timeline = Timeline()
        for _ in _encode(list(chunks_of(array, chunks)), config, workers, timeline):
            pass
        runs.append(timeline)
    return min(runs, key=lambda timeline: timeline.elapsed)


def _encode(
    parts: list[Any], config: CodecConfig, workers: int | None, timeline: Timeline
) -> Iterator[tuple[int, bytes]]:
    if arrays.is_device_array(parts[0]):
        kernels = arrays.device_of(parts[0])
        return encode_device_as_completed(
            parts, config, kernels=kernels, workers=workers, timeline=timeline
        )
    # In steps, however small the parts are: the steps are what is to be seen.
    return encode_as_completed(parts, config, workers=workers, timeline=timeline, whole_below=0)


def chunks_of(array: Any, count: int) -> Iterator[Any]:
    """About equal parts, along the slowest axis that is long enough or, if none is, the longest."""
    if not array.ndim:
        yield array
        return
    strides = [abs(stride) for stride in array.strides]
    slowest = sorted(range(array.ndim), key=lambda axis: -strides[axis])
    longest = max(slowest, key=lambda axis: array.shape[axis])
    axis = next((axis for axis in slowest if array.shape[axis] >= count), longest)
    length = array.shape[axis]
    step = math.ceil(length / count)
    for start in range(0, length, step):
        yield array[(slice(None),) * axis + (slice(start, start + step),)]
