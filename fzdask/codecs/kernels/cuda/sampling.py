"""Samples of an array on a device, by which axes to difference are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix

__all__ = ["Sample"]

MAX_AXES = 4
ALPHABET = 749
NARROW = 16  # residuals of a block of which the bit planes are counted


@dataclass(frozen=True, slots=True)
class Sample:
    """An array to be sampled where it is; the numbers are those of the CPU's kernels.

    Attributes
    ----------
    device : Device
    array : flat device array
    bound : float or None
        That of the lattice of these values; None for an array that is a lattice.
    limit : float
        Points near a lattice value beyond it are left out.
    """

    device: Device
    array: Any
    bound: float | None
    limit: float

    @property
    def size(self) -> int:
        """Elements of the array."""
        return int(self.array.size)

    def difference_costs(
        self, folded: Sequence[int], forced: Any, samples: int
    ) -> NDArray[np.int64]:
        """Estimated size of a sample for every subset of axes."""
        ways = 1 << len(folded)
        return self._costs("count_sample", ways, blocks(samples * ways), folded, forced, samples)

    def order_costs(self, folded: Sequence[int], forced: Any, samples: int) -> NDArray[np.int64]:
        """Estimated size of a sample for none, first or second differences along each axis."""
        return self._costs("count_orders", 3 ** len(folded), samples, folded, forced, samples)

    def narrowest_axes(self, folded: Sequence[int], forced: Any, count: int) -> int:
        """Subset of axes whose differences need the fewest bit planes, in so many blocks."""
        subsets = 1 << len(folded)
        strides = _strides(folded)
        first = -(-sum(strides[: len(folded)]) // NARROW)
        usable = self.size // NARROW - first
        if usable < 1:
            return subsets - 1
        count = min(count, usable)
        planes = self.device.zeros(subsets + 1, np.uint64)
        self.device.launch(
            "sample", f"count_planes_{suffix(self.array.dtype)}", count, BLOCK,
            self.array, *self._flags(forced), np.uint32(len(folded)),
            *(np.uint64(s) for s in strides), *self._cell()[:3],
            *(np.uint64(v) for v in (first, usable, count)), planes,
        )  # fmt: skip
        host = self.device.download(planes)
        return int(host[:-1].argmin()) if host[-1] else subsets - 1

    def _costs(
        self, kernel: str, ways: int, grid: int, folded: Sequence[int], forced: Any, samples: int
    ) -> NDArray[np.int64]:
        device = self.device
        counts = device.zeros(ways * ALPHABET, np.uint32)
        totals = device.zeros(2 + 2 * ways, np.uint64)
        device.launch(
            "sample", f"{kernel}_{suffix(self.array.dtype)}", grid, BLOCK,
            self.array, *self._flags(forced), np.uint64(self.size), np.uint32(len(folded)),
            *(np.uint64(s) for s in _strides(folded)), *self._cell(), np.uint64(samples),
            counts, totals,
        )  # fmt: skip
        costs = device.empty(ways, np.uint64)
        device.launch("sample", "sample_costs", ways, BLOCK, counts, totals, np.uint32(ways), costs)
        return device.download(costs).astype(np.int64)

    def _flags(self, forced: Any) -> tuple[Any, np.uint32]:
        some = forced.size > 0
        return forced if some else self.device.empty(1, np.uint8), np.uint32(some)

    def _cell(self) -> tuple[np.float64, ...]:
        bound = 0.5 if self.bound is None else self.bound
        step = 2.0 * bound
        return tuple(np.float64(v) for v in (1.0 / step, step, bound, self.limit))


def _strides(folded: Sequence[int]) -> list[int]:
    """Strides of the axes, slowest first; 1 for those that there are not."""
    strides = [1] * MAX_AXES
    for axis in range(len(folded) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * int(folded[axis + 1])
    return strides
