"""Range of an array, over what is finite."""

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.addresses import address
from fzdask.codecs.kernels.cpu.vectors import (
    F32,
    F64,
    I64,
    copy_bytes,
    load,
    step,
    store,
)
from fzdask.jit import njit

_LANES = 64  # independent minima: a select per lane vectorises where a single minimum cannot
_STEP = 128  # values of one turn of the quick loop: enough chains for the latency of a minimum


def finite_range(x: Any, largest: Any) -> tuple[Any, Any]:
    """Least and greatest value with ``|value| <= largest``; the least is +inf if there is none.

    ``x`` is a flat, contiguous array of float32 or float64.
    """
    ends = np.array([np.inf, -np.inf], x.dtype)
    _quick_range(address(x.view(np.uint8)), x.size, ends)
    low, high = ends.tolist()
    if -largest <= low and high <= largest:
        return low, high
    return _careful_range(x, x.dtype.type(largest))


def _fold_range(element):
    nbytes = _STEP * (8 if element is F64 else 4)

    def build(b, address, turns, lows, highs):
        low = cgutils.alloca_once_value(b, load(b, lows, element, _STEP))
        high = cgutils.alloca_once_value(b, load(b, highs, element, _STEP))
        with cgutils.for_range(b, turns) as loop:
            v = load(b, b.add(address, b.mul(loop.index, I64(nbytes))), element, _STEP)
            least, most = b.load(low), b.load(high)
            b.store(b.select(b.fcmp_ordered("<", v, least), v, least), low)
            b.store(b.select(b.fcmp_ordered(">", v, most), v, most), high)
        store(b, lows, b.load(low))
        store(b, highs, b.load(high))

    word = types.int64
    return step(build, types.void, word, word, word, word)


@intrinsic
def _fold_range_f4(typingctx, address, turns, lows, highs):
    """Least and greatest of each lane; NaN is neither, infinities are like any number."""
    return _fold_range(F32)


@intrinsic
def _fold_range_f8(typingctx, address, turns, lows, highs):
    """The same of float64."""
    return _fold_range(F64)


@njit(nogil=True, cache=True)
def _quick_range(place, n, ends):
    """Ends of n values at a place, infinities included; ``ends`` are to be +inf, -inf."""
    lows = np.full(_STEP, np.inf, ends.dtype)
    highs = np.full(_STEP, -np.inf, ends.dtype)
    rest = np.full(_STEP, np.nan, ends.dtype)
    low, high, last = lows.ctypes.data, highs.ctypes.data, rest.ctypes.data
    whole = np.int64(n // _STEP)
    done = whole * _STEP * ends.itemsize
    copy_bytes(place + done, last, n * ends.itemsize - done)
    if ends.itemsize == 8:
        _fold_range_f8(place, whole, low, high)
        _fold_range_f8(last, 1, low, high)
    else:
        _fold_range_f4(place, whole, low, high)
        _fold_range_f4(last, 1, low, high)
    for j in range(_STEP):
        ends[0] = min(ends[0], lows[j])
        ends[1] = max(ends[1], highs[j])


@njit(nogil=True, cache=True)
def _careful_range(x, largest):
    """Ends of what is finite."""
    low = np.full(_LANES, np.inf, x.dtype)
    high = np.full(_LANES, -np.inf, x.dtype)
    n = x.size
    main = n - n % _LANES
    for start in range(0, main, _LANES):
        part = x[start : start + _LANES]
        for j in range(_LANES):
            v = part[j]
            finite = np.abs(v) <= largest  # False for NaN
            low[j] = v if finite & (v < low[j]) else low[j]
            high[j] = v if finite & (v > high[j]) else high[j]
    for i in range(main, n):
        v = x[i]
        if np.abs(v) <= largest:
            low[0] = min(low[0], v)
            high[0] = max(high[0], v)
    return low.min(), high.max()
