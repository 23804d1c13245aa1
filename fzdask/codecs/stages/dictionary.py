"""Fields of few distinct values: each becomes its place in a sorted table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import dictionary, histogram
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.errors import ConfigError, FormatError

__all__ = ["Dictionary"]

MOST = 1 << 16
# The table pays if on average at least so many lattice values lie between two that occur, and
# every entry stands for at least so many elements (an entry takes one to two bytes).
GAP = 2
SHARE = 16
PASSED, PLACES = 0, 1
VARINT = 10  # bytes at most


@dataclass(frozen=True)
class Dictionary(ArrayStage):
    """Lattice values as places in the sorted table of those that occur; exact.

    For data on a coarse grid of its own (packed integers, class numbers, instruments): the
    places are closer together than the values, so what follows codes smaller differences. Where
    there are too many distinct values for that, the data pass as they are.

    Parameters
    ----------
    most : int
        Most entries of the table, 1 to 65536.

    Stream
    ------
    Parameters: one byte, 0 if the data passed as they are; 1: the main section holds places, from
    0, as a lattice of 4 bytes.

    Section ``values``: the table in ascending order, as varints (seven bits a byte, least
    significant first, the high bit on all but the last byte): the first value zigzagged, then each
    one's difference from the one before, minus one.

    Sources
    -------
    Indexed colour of image formats; Abadi et al. 2006, "Integrating compression and execution in
    column-oriented database systems" (dictionary encoding). The varint is LEB128,
    of up to ten bytes here (64 bits).
    """

    name: ClassVar[str] = "dictionary"
    code: ClassVar[int] = 15
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "lattice"
    section_names: ClassVar[tuple[str, ...]] = ("values",)

    most: int = 4096

    def __post_init__(self) -> None:
        if type(self.most) is not int or not 1 <= self.most <= MOST:
            raise ConfigError(
                f"dictionary: most={self.most!r} must be a whole number from 1 to {MOST}."
            )

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        table = self._table(data)
        if not table.size:
            return Encoded(data, bytes([PASSED]))
        out = np.empty(data.size, np.int32)
        dictionary.indices(data, table, out)
        packed = np.empty(table.size * VARINT, np.uint8)
        used = dictionary.pack(table, packed)
        if job.sample is not None:  # what follows is to look at the places, not at the values
            job.sample = (out, 1.0)
        return Encoded(out, bytes([PLACES]), {"values": packed[:used].copy()})

    def _table(self, data: NDArray[Any]) -> NDArray[np.int64]:
        """Sorted distinct values; empty where a table would not pay."""
        none = np.zeros(0, np.int64)
        if data.size < SHARE:
            return none
        low, high = (int(v) for v in histogram.span(data))
        most = min(self.most, data.size // SHARE, (high - low + 1) // GAP)
        if most < 1:
            return none
        reach = high - low + 1
        if reach <= max(data.size, 1 << 12):  # counting is quicker than hashing
            counts = np.zeros(reach, np.int64)
            histogram.dense(data, low, counts)
            table = np.flatnonzero(counts) + low
        else:
            table = histogram.distinct(data, most)
        return table if table.size <= most else none

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Dictionary, params, 1)
        if params[0] not in (PASSED, PLACES) or form.dtype.kind != "i":
            raise FormatError(
                f"fzdask stream: dictionary with parameter {params[0]} for {form.dtype}; the "
                "stream is damaged."
            )
        return form if params[0] == PASSED else Form(form.shape, np.dtype("<i4"), form.bound)

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        packed = sections.get("values")
        if (packed is None) != (params[0] == PASSED):
            raise FormatError("fzdask stream: a dictionary without values, or two; it is damaged.")
        if packed is None:
            return data
        info = np.iinfo(form.dtype)
        table = np.empty(packed.size, np.int64)
        size = dictionary.unpack(packed, int(info.min), int(info.max), table)
        out = np.empty(form.size, form.dtype)
        if size < 0 or not dictionary.look_up(data, table[:size], out):
            raise FormatError(
                "fzdask stream: a dictionary that is none, or places beyond it; it is damaged."
            )
        return out
