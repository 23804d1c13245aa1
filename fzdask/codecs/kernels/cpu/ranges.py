"""Range of an array, over what is finite."""

import numpy as np
from numba import njit

_LANES = 64  # independent minima: a select per lane vectorises where a single minimum cannot


@njit(nogil=True, cache=True)
def finite_range(x, largest):
    """Least and greatest value with ``|value| <= largest``; the least is +inf if there is none."""
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
