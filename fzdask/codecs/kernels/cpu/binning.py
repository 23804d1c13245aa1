"""The reversible S-transform along one axis: means of pairs and their exact detail.

``high = a - b`` and ``low = b + floor(high / 2)``, which is ``floor((a + b) / 2)``; all in the
lattice's own width, where differences wrap and come back exactly. Of an odd number the last
element is its own mean.
"""

import numpy as np

from fzdask.jit import njit

_LINES = 16  # neighbouring lines at a time: a cache line of int32


@njit(nogil=True, cache=True)
def forward_axis(x, lengths, strides, axis):
    """Along an axis of the region with these lengths: all means first, then all details."""
    _each_group(x, lengths, strides, axis, True)


@njit(nogil=True, cache=True)
def inverse_axis(x, lengths, strides, axis):
    """Undo :func:`forward_axis`."""
    _each_group(x, lengths, strides, axis, False)


@njit(nogil=True, cache=True)
def _each_group(x, lengths, strides, axis, forward):
    """Groups of lines that lie side by side, in place; four axes, the last one contiguous."""
    n = lengths[axis]
    step = strides[axis]
    beside = 1 if axis == 3 else lengths[3]
    others = lengths[0] * lengths[1] * lengths[2] * (lengths[3] if axis == 3 else 1) // n
    buf = np.empty((n, min(beside, _LINES)), x.dtype)
    for which in range(others):
        rest = which
        start = 0
        for k in range(2, -1, -1):
            if k != axis:
                start += rest % lengths[k] * strides[k]
                rest //= lengths[k]
        for first in range(0, beside, _LINES):
            lines = min(_LINES, beside - first)
            for i in range(n):
                for j in range(lines):
                    buf[i, j] = x[start + first + i * step + j]
            if forward:
                _split(buf, n, lines, x, start + first, step)
            else:
                _join(buf, n, lines, x, start + first, step)


@njit(nogil=True, cache=True)
def _split(buf, n, lines, x, start, step):
    half = (n + 1) // 2
    for i in range(n // 2):
        for j in range(lines):
            b = buf[2 * i + 1, j]
            x[start + (half + i) * step + j] = buf[2 * i, j] - b
            x[start + i * step + j] = b + (x[start + (half + i) * step + j] >> 1)
    if n % 2:
        for j in range(lines):
            x[start + (half - 1) * step + j] = buf[n - 1, j]


@njit(nogil=True, cache=True)
def _join(buf, n, lines, x, start, step):
    half = (n + 1) // 2
    for i in range(n // 2):
        for j in range(lines):
            high = buf[half + i, j]
            x[start + (2 * i + 1) * step + j] = buf[i, j] - (high >> 1)
            x[start + 2 * i * step + j] = x[start + (2 * i + 1) * step + j] + high
    if n % 2:
        for j in range(lines):
            x[start + (n - 1) * step + j] = buf[half - 1, j]
