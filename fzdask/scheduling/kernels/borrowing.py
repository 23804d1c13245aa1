"""`njit` for functions that allocate nothing and only use arrays that their caller keeps alive.

Numba counts references to every array it passes on, atomically. In event handlers of a few dozen
instructions that is most of the time: without it a replay runs three times as fast. The switch
is not part of Numba's documented interface, so where it is missing the functions are compiled
with reference counting: same results, slower.
"""

from __future__ import annotations

from numba.core.options import DefaultOptions

from fzdask.jit import njit

__all__ = ["borrowing_njit"]

_options = {"nogil": True, "cache": True}
if hasattr(DefaultOptions, "_nrt"):
    _options["_nrt"] = False

borrowing_njit = njit(**_options)
