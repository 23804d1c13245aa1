"""Residuals as an entropy coder takes them: symbols in 16 bits, and their counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import choice, symbols
from fzdask.codecs.kernels.cpu.difference import TILE
from fzdask.codecs.kernels.cpu.fused_symbols import ROOM
from fzdask.codecs.kernels.cpu.scratch import reserve, scratch

__all__ = ["ROOM", "Symbols"]


@dataclass(frozen=True, slots=True)
class Symbols:
    """Zigzagged residuals.

    Attributes
    ----------
    z : uint16 array
        The values, with ``ROOM`` behind them, or ``WIDE`` for one that needs more bits.
    wide : uint64 array
        Those, in order.
    tables : int64 array of four rows
        Symbol counts, to be added up.
    """

    z: NDArray[np.uint16]
    wide: NDArray[np.uint64]
    tables: NDArray[np.int64]

    @classmethod
    def empty(cls, size: int) -> Symbols:
        """Room for that many; pages of the wide list are touched only as it fills."""
        return cls(
            scratch(size + ROOM, np.uint16)[:size],
            reserve(size, np.uint64),
            np.zeros((4, symbols.ALPHABET), np.int64),
        )

    @classmethod
    def of(cls, residual: NDArray[Any]) -> Symbols:
        """The symbols of a flat residual."""
        out = cls.empty(residual.size)
        used = symbols.symbolize_all(residual, TILE, out.z, out.wide, out.tables)
        return cls(out.z, out.wide[:used], out.tables)

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each symbol of the alphabet occurs, runs not counted as such."""
        counts: NDArray[np.int64] = choice.added(self.tables)
        return counts
