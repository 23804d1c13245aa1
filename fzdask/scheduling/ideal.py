"""A lower bound on the time of any replay, preemptive or not: no policy can be faster.

For the last k of n iterations of one worker, let C be the compute work and B the core tasks of
its program, A the compressions and W the writes of the k snapshots released in them, and S(k)
the time at which an undisturbed run starts the first of them. Nothing of these can start before
S(k), one thread does at most one second of work per second, no write can start before the
shortest compression is over, and after the last compression its write remains. So the run takes
at least

    S(k) + max(C + A, B + W, min a + W, A + min w)

for every k and every worker; S(0), the length of the undisturbed run; and, where bytes D share a
bandwidth that never exceeds R, S(k) + D / R. Neither preemption nor time sharing nor delaying
the simulation escapes any of the terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["IdealBound", "Released"]

Ints = npt.NDArray[np.int64]
_FAR = 1 << 60


@dataclass(frozen=True)
class Released:
    """What one iteration really took, and the snapshot released at its start (all in ns).

    Attributes
    ----------
    base : int
        Length of the iteration without a dump, of the slowest worker.
    compute, core : ndarray, shape (workers,)
        Work of the simulation on the two threads.
    compress, write : ndarray, shape (workers,)
        Sums over the jobs of the snapshot.
    least_compress, least_write : ndarray, shape (workers,)
        Of its shortest tasks; 0 without jobs.
    nbytes : ndarray of float64, shape (storage groups,)
        Bytes of the snapshot that share a bandwidth.
    bandwidth : float
        Of each group in this iteration, bytes per ns; infinite without shared storage.
    """

    base: int
    compute: Ints
    core: Ints
    compress: Ints
    write: Ints
    least_compress: Ints
    least_write: Ints
    nbytes: npt.NDArray[np.float64]
    bandwidth: float


class IdealBound:
    """Collects what the iterations of a replay took, then bounds the length of all of them."""

    def __init__(self) -> None:
        self._released: list[Released] = []

    def add(self, released: Released) -> None:
        """One more iteration."""
        self._released.append(released)

    def total(self) -> int:
        """Least time of all iterations together, in ns."""
        start = best = sum(r.base for r in self._released)
        bandwidth = max((r.bandwidth for r in self._released), default=1.0)
        if not self._released:
            return 0
        workers = self._released[0].compute.size
        compute, core, compress, write = (np.zeros(workers, np.int64) for _ in range(4))
        lead, tail = np.full(workers, _FAR), np.full(workers, _FAR)
        nbytes = np.zeros(self._released[0].nbytes.size)
        for r in reversed(self._released):
            start -= r.base
            compute += r.compute
            core += r.core
            compress += r.compress
            write += r.write
            lead = np.minimum(lead, r.least_compress)
            tail = np.minimum(tail, r.least_write)
            nbytes += r.nbytes
            least = np.maximum.reduce(
                [compute + compress, core + write, lead + write, compress + tail]
            )
            # Shortened by more than the rounding of the sums: a bound must not rest on that.
            storage = int(nbytes.max() / bandwidth * (1.0 - 1e-12))
            best = max(best, start + int(least.max()), start + storage)
        return best
