"""What a stream says of itself, as objects."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["BOUND_KINDS", "MOST_EXPANSION", "Header", "SectionEntry", "StageEntry"]

BOUND_KINDS = ("lossless", "abs", "rel", "pw_rel", "psnr")
# Most bytes that one stored byte can stand for, whatever the back ends: what zstd alone reaches
# (a block is at most 128 KiB and takes at least 4 bytes), so that no chain of them is a bomb.
MOST_EXPANSION = 1 << 15


class StageEntry(NamedTuple):
    """A stage as a stream names it: its code and the parameters that decoding needs.

    A stage of another package has the code 0 and a name.
    """

    code: int
    params: bytes
    name: str = ""


class SectionEntry(NamedTuple):
    """One run of payload bytes.

    Attributes
    ----------
    stage : int
        Index in the chain of the stage that wrote it.
    number : int
        0 for the stage's main output, else the number of a side section.
    applied : int
        Bit k: the k-th lossless back end of the chain was applied.
    sizes : tuple of int
        Bytes before each applied back end, then the bytes stored.
    """

    stage: int
    number: int
    applied: int
    sizes: tuple[int, ...]

    @property
    def stored(self) -> int:
        return self.sizes[-1]

    @property
    def nbytes(self) -> int:
        """Size before any lossless back end."""
        return self.sizes[0]


class Header(NamedTuple):
    """What a stream says of itself; decoding needs nothing else."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: str
    bound_kind: str
    asked: float
    resolved: float
    stages: tuple[StageEntry, ...]
    sections: tuple[SectionEntry, ...]
    header_nbytes: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def nbytes(self) -> int:
        """Bytes of the decoded array."""
        return self.size * self.dtype.itemsize

    @property
    def addressable(self) -> bool:
        """Whether NumPy has an array like this, which also limits the shape of an empty one."""
        size = max(self.dtype.itemsize, 1)
        for n in self.shape:
            size *= max(n, 1)
        return size < 2**63
