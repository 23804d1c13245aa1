"""One field of the store: what its array looks like, and how its blocks are made.

Arrays have the step as their first axis, in chunks of one step: a chunk belongs to one step and
is written once.
"""

from __future__ import annotations

import difflib
import json
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import zarr
from numcodecs.abc import Codec as NumcodecsCodec
from numpy.typing import NDArray
from zarr.abc.codec import Codec
from zarr.core.buffer import Buffer
from zarr.storage import MemoryStore

from fzdask.codecs.zarr_codec import FZCodec
from fzdask.errors import ConfigError
from fzdask.insitu.blocks import Region, block_shape, regions
from fzdask.insitu.encoders import Encoder, make_encoder

__all__ = [
    "FieldLayout",
    "check_attrs",
    "check_keys",
    "check_name",
    "field_layout",
    "plain_document",
]

PASSED_ON = ("compressors", "serializer", "filters", "fill_value")
OWN = ("chunks", "shards", "dims", "step_dim", "shape", "start", "attrs")

Document = dict[str, Any]


@dataclass(frozen=True)
class FieldLayout:
    """A field: its array's metadata, this process's blocks and their encoder.

    Attributes
    ----------
    name : str
        Of the array.
    dtype : dtype
        Of the values.
    shape : tuple of int
        Of what this process writes in one step.
    block : tuple of int
        Shape of a block: a chunk, or a shard, without the step.
    regions : tuple of Region
        Every block of this process.
    step_dim : str
        Dimension along which steps are appended.
    document : dict
        Content of its ``zarr.json``, with no steps.
    encoder : Encoder
        Encodes the values of one block, of shape (1, *block).
    gaps : bool
        Whether a step may leave the field out: it then reads as the fill value.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    block: tuple[int, ...]
    regions: tuple[Region, ...]
    step_dim: str
    document: Document
    encoder: Encoder
    gaps: bool

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes, without the step's."""
        return tuple(self.document["dimension_names"][1:])

    @cached_property
    def block_nbytes(self) -> int:
        """Raw bytes of a whole block."""
        return math.prod(self.block) * self.dtype.itemsize

    @cached_property
    def block_names(self) -> tuple[str, ...]:
        """What the blocks are called, in the order of the regions; the same in every step."""
        return tuple(f"{self.name}/{'.'.join(map(str, r.chunk))}" for r in self.regions)

    @cached_property
    def _places(self) -> tuple[str, ...]:
        return tuple("/".join(["", *map(str, r.chunk)]) for r in self.regions)

    def keys(self, index: int) -> list[str]:
        """Where the blocks of a step go, in the order of the regions."""
        step = f"{self.name}/c/{index}"
        return [step + place for place in self._places]

    def check(self, array: NDArray[Any] | Any) -> None:
        """Refuse an array that differs from the first one of this field."""
        if tuple(array.shape) != self.shape or array.dtype != self.dtype:
            raise ConfigError(
                f"InSituWriter: {self.name!r} has shape {tuple(array.shape)} and dtype "
                f"{array.dtype}, but it was first written with {self.shape} and {self.dtype}; a "
                "field keeps both throughout a run: give the other one another name"
            )


def field_layout(
    name: str,
    array: NDArray[Any] | Any,
    encoding: Mapping[str, Any],
    dims: Sequence[str],
    share: bool,
) -> FieldLayout:
    """The layout for a field, from its first array and its encoding.

    Raises
    ------
    ConfigError
        An unknown key, chunks that span steps, a part of a global array that cuts through
        chunks, or what Zarr refuses.
    """
    check_name(name)
    check_keys(name, encoding)
    dtype = np.dtype(array.dtype)
    part = tuple(array.shape)
    whole = tuple(encoding.get("shape") or part)
    start = tuple(encoding.get("start") or (0,) * len(part))
    _check_part(name, part, whole, start)
    chunks = _without_step(name, "chunks", encoding.get("chunks"), len(part))
    shards = _without_step(name, "shards", encoding.get("shards"), len(part))
    if chunks is None:
        chunks = block_shape(shards or part, dtype.itemsize)
    block = shards or chunks
    _check_aligned(name, part, whole, start, block)
    settings = {key: encoding[key] for key in PASSED_ON if key in encoding}
    # Whoever says nothing about loss gets none.
    settings.setdefault("compressors", FZCodec(lossless=True))
    if "serializer" in settings and "compressors" not in encoding:
        settings["compressors"] = None
    fill = encoding.get("fill_value")
    if fill is None:
        settings["fill_value"] = np.nan if dtype.kind in "fc" else None
    step_dim = str(encoding.get("step_dim", "step"))
    common = {
        "name": name,
        "dtype": dtype,
        "chunks": (1, *chunks),
        "shards": None if shards is None else (1, *shards),
        **settings,
    }
    document = _create(
        name,
        {
            **common,
            "shape": (0, *whole),
            "dimension_names": (step_dim, *dims),
            "attributes": dict(encoding.get("attrs", {})),
        },
    )[0]
    # Every block is written, also where it is all fill value: nothing of a step is missing.
    scratch = {**common, "shape": (1, *block), "config": {"write_empty_chunks": True}}
    _, one_block, memory = _create(name, scratch)
    return FieldLayout(
        name,
        dtype,
        part,
        block,
        tuple(regions(part, block, start)),
        step_dim,
        document,
        make_encoder(one_block, memory, share),
        dtype.kind in "fc" or fill is not None,
    )


def plain_document(
    name: str, values: NDArray[Any], dims: Sequence[str], attrs: Mapping[str, Any]
) -> tuple[Document, dict[str, bytes]]:
    """Metadata and keys of a small array that is written once (a coordinate)."""
    document, array, memory = _create(
        name,
        {
            "name": name,
            "dtype": values.dtype,
            "shape": values.shape,
            "chunks": tuple(max(1, n) for n in values.shape),
            "compressors": None,
            "dimension_names": tuple(dims),
            "attributes": dict(attrs),
            "config": {"write_empty_chunks": True},
        },
    )
    array[...] = values
    keys = {k: v.to_bytes() for k, v in memory.items() if not k.endswith("zarr.json")}
    return document, keys


def _create(
    name: str, settings: Mapping[str, Any]
) -> tuple[Document, zarr.Array[Any], dict[str, Buffer]]:
    """An array in memory, so that Zarr checks and completes its metadata."""
    memory: dict[str, Buffer] = {}
    try:
        array = zarr.create_array(MemoryStore(memory), **settings)
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"InSituWriter: Zarr cannot make an array for {name!r}: {error}"
        ) from error
    document = json.loads(memory[f"{name}/zarr.json"].to_bytes())
    return document, array, memory


def check_name(name: str) -> None:
    """Refuse what cannot name an array; `ConfigError`."""
    if not isinstance(name, str) or not name or "/" in name or name.startswith((".", "__")):
        raise ConfigError(
            f"InSituWriter: {name!r} cannot name a field; use text without '/', that does not "
            "begin with '.' or '__'"
        )


def check_keys(name: str, encoding: Mapping[str, Any]) -> None:
    """Refuse what `field_layout` does not know; `ConfigError`."""
    known = (*PASSED_ON, *OWN)
    for key in encoding:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ConfigError(
                f"InSituWriter: encoding of {name!r} has the unknown key {key!r}{hint} Known: "
                f"{', '.join(known)}."
            )
    for key in ("compressors", "filters", "serializer"):
        given = encoding.get(key)
        for codec in given if isinstance(given, list | tuple) else (given,):
            if isinstance(codec, NumcodecsCodec) and not isinstance(codec, Codec):
                raise ConfigError(
                    f"InSituWriter: {key}={codec!r} of {name!r} is a codec of numcodecs, for Zarr "
                    "v2; Zarr v3, which is written here, takes those of zarr.codecs, such as "
                    "ZstdCodec, or codecs of one's own that inherit from zarr.abc.codec"
                )
    for key in ("shape", "start"):
        if encoding.get(key) is not None:
            _whole_numbers(name, key, encoding[key])
    check_attrs(name, encoding.get("attrs", {}))


def check_attrs(name: str, attrs: Any) -> None:
    """Refuse attributes that ``zarr.json`` cannot hold; `ConfigError`."""
    try:
        json.dumps(dict(attrs))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"InSituWriter: attrs={attrs!r} of {name!r} must be a mapping to values of JSON "
            f"({error}); convert those of NumPy by their .tolist()"
        ) from error


def _whole_numbers(name: str, what: str, given: Any) -> tuple[int, ...]:
    try:
        return tuple(operator.index(n) for n in given)
    except TypeError as error:
        raise ConfigError(
            f"InSituWriter: {what}={given!r} of {name!r} must be whole numbers, one per axis, as "
            f"in {what}=(64, 64)"
        ) from error


def _without_step(name: str, what: str, given: Any, ndim: int) -> tuple[int, ...] | None:
    if given is None:
        return None
    sizes = _whole_numbers(name, what, given)
    if len(sizes) == ndim + 1:
        if sizes[0] != 1:
            raise ConfigError(
                f"InSituWriter: {what}={sizes} of {name!r} span {sizes[0]} steps; every step is "
                f"stored on its own, so the first must be 1: {what}={(1, *sizes[1:])}"
            )
        sizes = sizes[1:]
    if len(sizes) != ndim or any(n < 1 for n in sizes):
        raise ConfigError(
            f"InSituWriter: {what}={tuple(given)} of {name!r} must have {ndim} positive sizes, "
            "one per axis of the field (the step may be put first, as 1)"
        )
    return sizes


def _check_part(name: str, part: Sequence[int], whole: Sequence[int], start: Sequence[int]) -> None:
    inside = len(part) == len(whole) == len(start) and all(
        s >= 0 and s + p <= w for s, p, w in zip(start, part, whole, strict=True)
    )
    if not inside:
        raise ConfigError(
            f"InSituWriter: {name!r} of shape {tuple(part)} at start={tuple(start)} does not lie "
            f"in shape={tuple(whole)}"
        )


def _check_aligned(
    name: str,
    part: Sequence[int],
    whole: Sequence[int],
    start: Sequence[int],
    block: Sequence[int],
) -> None:
    for axis, (p, w, s, b) in enumerate(zip(part, whole, start, block, strict=True)):
        if s % b or ((s + p) % b and s + p != w):
            raise ConfigError(
                f"InSituWriter: {name!r} covers {s} to {s + p} of axis {axis}, which cuts through "
                f"blocks of {b}; a block is written by one process: choose chunks= (or shards=) "
                "that divide every process's part"
            )
