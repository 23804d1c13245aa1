"""What a stream says of itself, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fzdask.codecs.pipeline import Pipeline
from fzdask.format import BOUND_KINDS, Header, unpack

__all__ = ["StreamInfo", "stream_info"]


@dataclass(frozen=True)
class StreamInfo:
    """A stream's own description; ``print`` it.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    order : str
        Memory order of the array, 'C' or 'F'.
    pipeline : str
        Stages that wrote it; ``stored`` where the values are kept as they are.
    bound : str
        Kind of bound asked: ``abs``, ``rel``, ``pw_rel``, ``psnr`` or ``lossless``.
    asked, resolved : float
        The bound as asked, and (but for ``pw_rel``) as an absolute one in the unit of the data.
    nbytes, stored_nbytes, header_nbytes : int
        Bytes of the array, of the stream, and of its header with both checksums.
    sections : dict
        Stored bytes by name.
    outliers : int
        Values kept bit for bit because the lattice could not.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: str
    pipeline: str
    bound: str
    asked: float
    resolved: float
    nbytes: int
    stored_nbytes: int
    header_nbytes: int
    sections: dict[str, int]
    outliers: int

    @property
    def ratio(self) -> float:
        """Bytes of the array over bytes of the stream."""
        return self.nbytes / self.stored_nbytes

    def __str__(self) -> str:
        bound = self.bound
        if bound != BOUND_KINDS[0]:
            bound = f"{self.bound} {self.asked:g}"
            if self.asked != self.resolved:
                bound += f", resolved to {self.resolved:g}"
        lines = [
            f"fzdask stream: {self.dtype} {self.shape}, {self.order} order",
            f"  pipeline  {self.pipeline}",
            f"  bound     {bound}",
            f"  size      {self.stored_nbytes:,} of {self.nbytes:,} bytes, ratio {self.ratio:.2f}",
            f"  outliers  {self.outliers:,}",
        ]
        named = {"header": self.header_nbytes, **self.sections}
        lines += [f"    {name:<24}{size:>14,}" for name, size in named.items()]
        return "\n".join(lines)

    __repr__ = __str__


def stream_info(stream: Any) -> StreamInfo:
    """Describe a stream from its header."""
    header, blobs = unpack(stream, verify_payload=False)
    chain = Pipeline.from_entries(header.stages) if header.stages else None
    sections = {}
    outliers = 0
    for entry in header.sections:
        name = _section_name(chain, entry.stage, entry.number)
        sections[name] = entry.stored
        if name.endswith(".outliers"):
            outliers += entry.nbytes // max(_real_itemsize(header), 1)
    return StreamInfo(
        shape=header.shape,
        dtype=header.dtype,
        order=header.order,
        pipeline=str(chain) if chain else "stored",
        bound=header.bound_kind,
        asked=header.asked,
        resolved=header.resolved,
        nbytes=header.nbytes,
        stored_nbytes=header.header_nbytes + sum(b.size for b in blobs),
        header_nbytes=header.header_nbytes,
        sections=sections,
        outliers=outliers,
    )


def _section_name(chain: Pipeline | None, stage: int, number: int) -> str:
    if chain is None:
        return "values"
    of = chain.array_stages[stage] if stage < len(chain.array_stages) else None
    if of is None or number > len(of.section_names):
        return f"unknown {stage}.{number}"
    return f"{of.name}.{of.section_names[number - 1]}" if number else of.name


def _real_itemsize(header: Header) -> int:
    return header.dtype.itemsize // (2 if header.dtype.kind == "c" else 1)
