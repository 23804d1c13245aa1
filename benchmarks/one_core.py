"""One core for everything that is timed, so that no codec wins by threads."""

from __future__ import annotations

import os

__all__ = ["pin_to_one_core"]

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "BLOSC_NTHREADS",
)


def pin_to_one_core() -> int | None:
    """Limit thread pools to one thread and, where the OS allows, this process to one CPU.

    Call it before the libraries that read these variables are imported.

    Returns
    -------
    int or None
        The CPU, the last one that this process may use (interrupts mostly land on the first);
        None where the OS cannot pin (macOS, Windows).
    """
    for name in _THREAD_VARIABLES:
        os.environ[name] = "1"
    if not hasattr(os, "sched_setaffinity"):
        return None
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return cpu
