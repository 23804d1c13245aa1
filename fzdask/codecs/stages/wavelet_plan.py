"""Which axes a wavelet transform halves, how often, and together with which others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import wavelet
from fzdask.codecs.stages.lorenzo import folded_shape

__all__ = ["Plan", "choose_plan", "grid_of"]

SHORTEST, MOST_LEVELS = 8, 6  # an axis is halved while it is so long, so often (SPERR's rule)
SAMPLE = 1 << 18  # values; a box of fewer tells little about what is far apart
SAMPLE_SHARE = 16  # of a large array one value in so many
# Shares of the cost below which a plan is better on the whole array, too. To leave out an axis is
# the riskier one: in a part that is nearly constant it looks like nothing.
CLEARLY, FAR_BETTER = 0.99, 0.95
Grid = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a grid of four axes is transformed.

    Attributes
    ----------
    levels : tuple of int
        How often each axis is halved.
    apart : int
        Bit mask of the axes that are halved by themselves, over the whole of the others.
    """

    levels: tuple[int, ...]
    apart: int = 0

    def turns(self, grid: Grid) -> Iterator[tuple[int, ...]]:
        """Box (at the origin) and axis of each turn of the forward transform."""
        for axis in range(wavelet.AXES):
            box = list(grid)
            for _ in range(self.levels[axis] if self.apart >> axis & 1 else 0):
                yield (*box, axis)
                box[axis] = (box[axis] + 1) // 2
        box = list(grid)
        joint = [0 if self.apart >> d & 1 else n for d, n in enumerate(self.levels)]
        for level in range(max(joint)):
            active = [axis for axis in range(wavelet.AXES) if joint[axis] > level]
            for axis in active:
                yield (*box, axis)
            for axis in active:
                box[axis] = (box[axis] + 1) // 2

    def transform(self, values: NDArray[np.float64], grid: Grid, *, forward: bool) -> None:
        """Transform a flat array in place, or back again."""
        turns = np.array([*self.turns(grid)], np.int64).reshape(-1, wavelet.AXES + 1)
        wavelet.transform(values, np.array(grid), turns, forward)

    @property
    def packed(self) -> bytes:
        """Three bytes for the parameters of a stage."""
        a, b, c, d = self.levels
        return bytes([a | b << 4, c | d << 4, self.apart])

    @classmethod
    def unpack(cls, packed: bytes, grid: Grid) -> Plan | None:
        """What :attr:`packed` gave; None where that does not fit the grid."""
        low, high, apart = packed
        plan = cls((low & 15, low >> 4, high & 15, high >> 4), apart)
        fits = not apart >> wavelet.AXES
        fits = fits and all(turn[turn[-1]] >= 2 for turn in plan.turns(grid))
        return plan if fits else None


@lru_cache(maxsize=1024)
def grid_of(shape: tuple[int, ...]) -> Grid:
    """Four axes: those of length 1 left out, leading ones folded, ones of length 1 in front."""
    folded = folded_shape(shape)
    return (1,) * (wavelet.AXES - len(folded)) + folded


def full_plan(grid: Grid) -> Plan:
    """All axes together, each as often as it is long enough."""
    levels = []
    for n in grid:
        level = 0
        while n >= SHORTEST and level < MOST_LEVELS:
            n = (n + 1) // 2
            level += 1
        levels.append(level)
    return Plan(tuple(levels))


def choose_plan(values: NDArray[np.float64], grid: Grid) -> Plan:
    """The plan with the smallest coefficients in a sample, axis by axis the best of three.

    An axis is halved together with the others (good for isotropic fields), by itself (good where
    values change along it at a pace of their own, as in time) or not at all (where neighbours
    have little to do with each other, as members of an ensemble).
    """
    best = full_plan(grid)
    several = sum(level > 0 for level in best.levels) > 1
    part = _sample(values.reshape(grid))
    least = _cost(part, best)
    for axis, level in enumerate(best.levels):
        if not level:
            continue
        levels = tuple(0 if d == axis else n for d, n in enumerate(best.levels))
        others = [(replace(best, levels=levels), FAR_BETTER)]
        if several:
            others.append((replace(best, apart=best.apart | 1 << axis), CLEARLY))
        for plan, share in others:
            cost = _cost(part, plan)
            if cost < share * least:
                best, least = plan, cost
    return best


def _sample(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """A box in the middle, of the longest sides that make it small."""
    sides = list(values.shape)
    most = max(SAMPLE, values.size // SAMPLE_SHARE)
    while np.prod(sides) > most:
        longest = sides.index(max(sides))
        sides[longest] = (sides[longest] + 1) // 2
    starts = [(n - side) // 2 for n, side in zip(values.shape, sides, strict=True)]
    return values[tuple(slice(at, at + side) for at, side in zip(starts, sides, strict=True))]


def _cost(part: NDArray[np.float64], plan: Plan) -> int:
    """Bits of the coefficients in units of 2**-8, but for signs and coding.

    The logarithm is linear between powers of two: alike on every machine, as the choice must be.
    """
    full = full_plan(part.shape).levels
    levels = tuple(min(a, b) for a, b in zip(plan.levels, full, strict=True))
    work = part.copy().reshape(-1)
    Plan(levels, plan.apart).transform(work, part.shape, forward=True)
    mantissas, exponents = np.frexp(1.0 + np.abs(work))
    return int(np.rint(256.0 * (exponents + 2.0 * mantissas - 2.0)).astype(np.int64).sum())
