"""Outliers on a device: compacted into the stream's runs and values, and put back."""

from __future__ import annotations

from typing import Any

import numpy as np

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix
from fzdask.codecs.kernels.cuda.scan import exclusive_sum

__all__ = ["put_outliers", "take_outliers"]


def take_outliers(device: Device, bits: Any, mask: Any) -> tuple[Any, Any]:
    """Runs and values of the flagged elements.

    ``mask`` has a bit for each element, 32 in a word; at least one is set.
    """
    words = np.uint64(mask.size)
    tiles = blocks(mask.size)
    per_tile = device.empty(2 * tiles, np.uint32)
    device.launch(
        "outliers", "outlier_counts", tiles, BLOCK, mask, words, per_tile[:tiles], per_tile[tiles:]
    )
    value_places = exclusive_sum(device, per_tile[:tiles])
    run_places = exclusive_sum(device, per_tile[tiles:])
    count = int(device.download(value_places[-1:])[0])
    runs = int(device.download(run_places[-1:])[0])
    values = device.empty(count, bits.dtype)
    begins, ends = device.empty(runs, np.uint64), device.empty(runs, np.uint64)
    device.launch(
        "outliers", f"take_{suffix(bits.dtype)}", tiles, BLOCK,
        bits, mask, words, value_places, run_places, values, begins, ends,
    )  # fmt: skip
    sizes = device.empty(runs, np.uint32)
    many = np.uint64(runs)
    device.launch("outliers", "run_sizes", blocks(runs), BLOCK, begins, ends, many, sizes)
    places = exclusive_sum(device, sizes)
    out = device.empty(int(device.download(places[-1:])[0]), np.uint8)
    device.launch("outliers", "write_runs", blocks(runs), BLOCK, begins, ends, many, places, out)
    return out, values


def put_outliers(device: Device, runs: Any, values: Any, out: Any, *, alike: bool = False) -> bool:
    """Put values back; False where the runs do not fit the array or the values.

    With ``alike`` a single value stands for as many as the runs say.

    ``out`` is then anything, but nothing outside it was written.
    """
    n = out.size
    if runs.size == 0:
        return bool(values.size == 0)
    size = np.uint64(runs.size)
    flags = device.empty(runs.size, np.uint32)
    device.launch("outliers", "number_ends", blocks(runs.size), BLOCK, runs, size, flags)
    index = exclusive_sum(device, flags)
    before_last, numbers = (int(v) for v in device.download(index[-2:]))
    pairs = numbers // 2
    repeated = alike and values.size == 1
    if numbers % 2 or numbers == before_last or pairs > (n if repeated else values.size):
        return False
    gaps, lengths = device.empty(pairs, np.uint64), device.empty(pairs, np.uint64)
    bad = device.zeros(1, np.uint32)
    device.launch(
        "outliers", "read_runs", blocks(runs.size), BLOCK,
        runs, size, index, np.uint64(n), gaps, lengths, bad,
    )  # fmt: skip
    gap_sums, length_sums = exclusive_sum(device, gaps), exclusive_sum(device, lengths)
    left, used = (int(device.download(sums[-1:])[0]) for sums in (gap_sums, length_sums))
    if device.download(bad)[0] or left + used > n:
        return False
    if repeated:
        values = device.xp.repeat(values, used)
    if used != values.size:
        return False
    device.launch(
        "outliers", f"put_{suffix(out.dtype)}", blocks(values.size), BLOCK,
        values, np.uint64(values.size), gap_sums, length_sums, np.uint64(pairs), np.uint64(n), out,
    )  # fmt: skip
    return True
