"""Noise in what a simulation and its dumps take: the difference between forecast and truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from fzdask.errors import ConfigError

__all__ = ["Noise", "NoiseSource"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Standard deviations of the logarithm of factors whose mean is 1 (lognormal).

    Parameters
    ----------
    compute : float
        On every stretch of compute work, every wait between and every core task.
    compress : float
        On the compression time of every block.
    ratio : float
        On the compressed size of every block, and with it the write time.
    bandwidth : float
        On the bandwidth that each write gets on its own.
    storage : float
        On the shared storage bandwidth, one factor for a whole iteration.
    persistence : float
        Correlation from one iteration to the next of `compress`, `ratio` and `storage` factors,
        in [0, 1): data change slowly, so does the load of a file system.
    hiccup : float
        Probability that a stretch of compute work or a write takes `hiccup_factor` times longer.
    hiccup_factor : float
        At least 1.
    """

    compute: float = 0.0
    compress: float = 0.0
    ratio: float = 0.0
    bandwidth: float = 0.0
    storage: float = 0.0
    persistence: float = 0.0
    hiccup: float = 0.0
    hiccup_factor: float = 5.0

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            low = 1.0 if f.name == "hiccup_factor" else 0.0
            if not low <= value < math.inf:
                raise ConfigError(f"Noise: {f.name}={value!r} must be finite and at least {low:g}")
        if self.persistence >= 1.0 or self.hiccup > 1.0:
            raise ConfigError(
                f"Noise: persistence={self.persistence!r} must be below 1 and "
                f"hiccup={self.hiccup!r} a probability"
            )

    @classmethod
    def typical(cls, level: float = 1.0) -> Noise:
        """A mix that grows with `level`; 1 stands for a busy production machine.

        At 1: compute work and waits vary by 3 %, compression times by 5 %, compressed sizes by
        10 %, bandwidth by 20 % per write and 10 % per iteration; data and storage load keep
        half of their deviation from one iteration to the next. These are assumptions, meant for
        sweeps over `level`, not measurements of one machine.
        """
        return cls(
            compute=0.03 * level,
            compress=0.05 * level,
            ratio=0.10 * level,
            bandwidth=0.20 * level,
            storage=0.10 * level,
            persistence=0.5,
        )


class NoiseSource:
    """Factors for one iteration after another; the same for every policy with the same seed.

    Every kind of factor has its own stream per iteration, so that what a policy does cannot
    shift the draws, and switching one kind on leaves the others as they were.
    """

    def __init__(self, noise: Noise, seed: int) -> None:
        self.noise = noise
        self._seed = seed
        self._iteration = 0
        self._memory: dict[str, Floats] = {}

    def next_iteration(self) -> None:
        """Go on to the next iteration: factors asked for afterwards are its."""
        self._iteration += 1

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, self._iteration, stream])

    def _factor(self, stream: int, sigma: float, shape: tuple[int, ...]) -> Floats | None:
        if sigma == 0.0:
            return None
        return _lognormal(self._rng(stream).standard_normal(shape), sigma)

    def _persistent(
        self, name: str, stream: int, sigma: float, shape: tuple[int, ...]
    ) -> Floats | None:
        """A first-order autoregressive process in the logarithm, stationary from the start."""
        if sigma == 0.0:
            return None
        fresh = self._rng(stream).standard_normal(shape)
        old = self._memory.get(name)
        rho = self.noise.persistence
        state = fresh if old is None else rho * old + math.sqrt(1.0 - rho * rho) * fresh
        self._memory[name] = state
        return _lognormal(state, sigma)

    def _hiccups(self, stream: int, shape: tuple[int, ...]) -> Floats | None:
        if self.noise.hiccup == 0.0:
            return None
        hit = self._rng(stream).random(shape) < self.noise.hiccup
        return np.where(hit, self.noise.hiccup_factor, 1.0)

    def compute(self, shape: tuple[int, ...]) -> Floats | None:
        """Factors of RUN and WAIT durations; None stands for all ones, here and below."""
        return _times(self._factor(1, self.noise.compute, shape), self._hiccups(2, shape))

    def core(self, shape: tuple[int, ...]) -> Floats | None:
        """Factors of core task durations."""
        return self._factor(3, self.noise.compute, shape)

    def compress(self, shape: tuple[int, ...]) -> Floats | None:
        """Factors of compression times."""
        return self._persistent("compress", 4, self.noise.compress, shape)

    def size(self, shape: tuple[int, ...]) -> Floats | None:
        """Factors of compressed sizes."""
        return self._persistent("size", 5, self.noise.ratio, shape)

    def slowness(self, shape: tuple[int, ...]) -> Floats | None:
        """Factors of the time per byte of each write."""
        return _times(self._factor(6, self.noise.bandwidth, shape), self._hiccups(7, shape))

    def storage(self) -> float:
        """Factor of the shared bandwidth in this iteration."""
        factor = self._persistent("storage", 8, self.noise.storage, (1,))
        return 1.0 if factor is None else float(factor[0])


def _lognormal(normal: Floats, sigma: float) -> Floats:
    return np.asarray(np.exp(sigma * normal - 0.5 * sigma * sigma), np.float64)


def _times(a: Floats | None, b: Floats | None) -> Floats | None:
    if a is None or b is None:
        return b if a is None else a
    return a * b
