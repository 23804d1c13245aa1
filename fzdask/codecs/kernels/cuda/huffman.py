"""Chunked Huffman coding on a device; codebooks come from the host."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix
from fzdask.codecs.kernels.cuda.scan import exclusive_sum

__all__ = ["count_runs", "count_symbols", "decode", "encode", "histogram"]

ALPHABET = 749
DECODERS = 128  # threads of a decoding block
MOST_BLOCKS = 8  # for each multiprocessor


def count_symbols(device: Device, residual: Any) -> NDArray[np.int64]:
    """How often each symbol occurs."""
    return device.download(histogram(device, residual)).astype(np.int64)


def histogram(device: Device, residual: Any) -> Any:
    """How often each symbol occurs, as uint64 still on the device."""
    counts = device.zeros(ALPHABET, np.uint64)
    count = min(blocks(residual.size, 4 * BLOCK), MOST_BLOCKS * device.multiprocessors)
    device.launch(
        "huffman_encode", f"histogram_{suffix(residual.dtype)}", count, BLOCK,
        residual, np.uint64(residual.size), counts,
    )  # fmt: skip
    return counts


def count_runs(
    device: Device, residual: Any, group: int, every: int, mode: int
) -> tuple[NDArray[np.int64], int]:
    """Symbol counts of every so many-th group with its runs, and how many values these are."""
    counts = device.zeros(ALPHABET, np.uint64)
    groups = blocks(residual.size, group)
    counted = blocks(groups, every)
    device.launch(
        "huffman_encode", f"run_histogram_{suffix(residual.dtype)}", counted, BLOCK,
        residual, np.uint64(residual.size), np.uint32(group), np.uint32(every), np.uint32(mode),
        counts,
    )  # fmt: skip
    taken = (counted - 1) * group + min(group, residual.size - (counted - 1) * every * group)
    return device.download(counts).astype(np.int64), taken


def encode(
    device: Device, residual: Any, group: int, mode: int, codes: NDArray[np.uint32], room: int
) -> tuple[Any, NDArray[np.uint16]]:
    """Words of the payload, on the device, and how many each group has, on the host.

    ``room`` is at least the number of words; what is behind them is left out.
    """
    groups = blocks(residual.size, group)
    book = device.upload(codes)
    sizes = device.empty(groups, np.uint16)
    args = (residual, np.uint64(residual.size), np.uint32(group), np.int32(mode), book)
    name = suffix(residual.dtype)
    device.launch("huffman_encode", f"group_sizes_{name}", groups, BLOCK, *args, sizes)
    places = exclusive_sum(device, sizes)
    words = device.empty(room, np.uint32)
    device.launch("huffman_encode", f"encode_{name}", groups, BLOCK, *args, places, words)
    host_sizes = device.download(sizes)  # while the device codes, as far as it can
    return words[: int(host_sizes.sum())], host_sizes


def decode(
    device: Device,
    words: Any,
    starts: Any,
    n: int,
    group: int,
    mode: int,
    fast: NDArray[np.uint16],
    slow: NDArray[np.int64],
    dtype: Any,
) -> Any:
    """Residuals, or None where a group is no code or does not end where the next one begins.

    ``starts`` has the word at which each group begins and, last, the number of words; the tables
    are those of :func:`fzdask.codecs.kernels.cpu.codebook.decoding_tables`.
    """
    groups = starts.size - 1
    out = device.empty(n, dtype)
    bad = device.zeros(1, np.uint32)
    device.launch(
        "huffman_decode", f"decode_{suffix(dtype)}", blocks(groups, DECODERS), DECODERS,
        words, starts, np.uint64(groups), np.uint64(n), np.uint32(group), np.int32(mode),
        device.upload(fast), device.upload(slow.astype(np.int32)), np.uint32(slow.size), out, bad,
    )  # fmt: skip
    return None if device.download(bad)[0] else out
