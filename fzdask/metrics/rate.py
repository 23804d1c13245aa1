"""How small: compression ratio and bit rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bit_rate", "compression_ratio"]


def compression_ratio(array: NDArray[Any], nbytes: int) -> float:
    """Bytes of the array over bytes stored; 1 where both are 0.

    Parameters
    ----------
    array : ndarray
        The original.
    nbytes : int
        Size of the compressed form, in bytes.
    """
    return _quotient(np.asarray(array).nbytes, _size(nbytes))


def bit_rate(array: NDArray[Any], nbytes: int) -> float:
    """Stored bits per value of the array (a complex number is one value)."""
    return _quotient(8 * _size(nbytes), np.asarray(array).size)


def _size(nbytes: int) -> int:
    if isinstance(nbytes, bool) or not isinstance(nbytes, int | np.integer) or nbytes < 0:
        raise ValueError(
            f"fzdask.metrics: nbytes={nbytes!r} must be a size in bytes, an integer of 0 or more; "
            "pass len(stream)."
        )
    return int(nbytes)


def _quotient(above: int, below: int) -> float:
    if below == 0:
        return 1.0 if above == 0 else math.inf
    return above / below
