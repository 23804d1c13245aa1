"""fzdask and its peers behind one small interface, so that all are timed by the same lines.

A codec opens a session on one array and one absolute bound. Opening is not timed; ``encode``
and ``decode`` are. What a codec cannot take raises `Unsupported` with the reason.

Each peer runs in the most favourable form found: see docs/benchmarks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["PEERS", "Codec", "Session", "Unsupported", "fzdask_codec", "peer_codec"]

#: Names that --peers takes, in the order of the tables.
PEERS = ("sz3", "sz", "zfp", "sperr", "blosc-lz4", "blosc-zstd", "zstd", "hdf5", "memcpy")

_HDF5_PEERS = ("sz3", "sz", "zfp", "sperr", "hdf5")
_MAX_NDIM = 3  # SPERR takes 2 or 3; SZ3's and ZFP's 4-D paths are slower and mostly no smaller


class Unsupported(Exception):  # noqa: N818 - not an error of the run
    """This codec does not take this array; the message says why."""


class Session(Protocol):
    """One array under one bound; `encode` first."""

    def encode(self) -> int:
        """Compress, keep the result, return its size in bytes."""

    def decode(self) -> NDArray[Any]:
        """Decompress what `encode` kept, into memory that was touched before."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A named way to open sessions; `lossy` says whether the bound means anything to it."""

    name: str
    lossy: bool
    open: Callable[[NDArray[Any], float], Any]  # (array, bound) -> context manager of a Session


def fzdask_codec(preset: str) -> Codec:
    """fzdask under one preset, called as a user calls it, with the array as it is."""
    from fzdask import FZCodec
    from fzdask.codecs import codebooks

    class FZSession:
        def __init__(self, array: NDArray[Any], bound: float) -> None:
            self.codec = FZCodec(abs=bound, pipeline=preset)
            self.array, self.back, self.stream = array, _touched(array), b""

        def encode(self) -> int:
            self.stream = self.codec.encode(self.array)
            return len(self.stream)

        def decode(self) -> NDArray[Any]:
            self.codec.decode(self.stream, out=self.back)
            return self.back

    @contextmanager
    def opened(array: NDArray[Any], bound: float) -> Iterator[Session]:
        codebooks._remembered.cache_clear()  # a stream read once has a book of its own
        yield FZSession(array, bound)

    return Codec(f"fzdask:{preset}", True, opened)


def peer_codec(name: str) -> Codec:
    """A peer by name; `Unsupported` where its library is not installed."""
    if name not in PEERS:
        raise ValueError(f"peers: no peer is called {name!r}; choose from {', '.join(PEERS)}.")
    if name == "memcpy":
        return Codec(name, False, _open_memcpy)
    if name in _HDF5_PEERS:
        _require_hdf5()
        return Codec(name, name != "hdf5", partial(_open_hdf5, name))
    return Codec(name, False, partial(_open_numcodecs, name))


def _require_hdf5() -> None:
    try:
        import h5py  # noqa: F401
        import hdf5plugin  # noqa: F401
    except ImportError as missing:
        raise Unsupported(
            f"{missing.name} is not installed; pip install 'fzdask[peers]' brings it"
        ) from missing


@contextmanager
def _open_hdf5(name: str, array: NDArray[Any], bound: float) -> Iterator[Session]:
    """A filter of hdf5plugin on an HDF5 file in memory: one chunk, no chunk cache.

    With a chunk cache a read would return what was written, never decoded.
    """
    import h5py

    folded, back = _fold(array), _touched(array)
    options = _hdf5_filter(name, folded, bound)

    class HDF5Session:
        def encode(self) -> int:
            dataset[...] = folded
            file.flush()
            return int(dataset.id.get_storage_size())

        def decode(self) -> NDArray[Any]:
            dataset.read_direct(_fold(back))
            return back

    with h5py.File(
        "peer.h5",
        "w",
        driver="core",
        backing_store=False,
        block_size=max(1 << 16, array.nbytes),  # the file in memory grows once, not in 64 KiB steps
        rdcc_nbytes=0,
    ) as file:
        dataset = file.create_dataset(
            "d", shape=folded.shape, dtype=folded.dtype, chunks=folded.shape, **options
        )
        yield HDF5Session()


def _touched(array: NDArray[Any]) -> NDArray[Any]:
    """Room for a decoded array; what the system does for the first touch is no codec's doing."""
    room = np.empty(array.shape, array.dtype)
    room.fill(1)
    return room


def _fold(array: NDArray[Any]) -> NDArray[Any]:
    """Without axes of length 1, and with the leading axes merged until three are left."""
    sides = [n for n in array.shape if n != 1] or [1]
    while len(sides) > _MAX_NDIM:
        sides[:2] = [sides[0] * sides[1]]
    return array.reshape(sides)


def _hdf5_filter(name: str, array: NDArray[Any], bound: float) -> dict[str, Any]:
    import hdf5plugin

    if name == "hdf5":
        return {}
    if array.dtype.kind != "f":
        raise Unsupported(f"{name} is only measured on floating-point arrays, not {array.dtype}")
    if name == "sz3":
        return dict(hdf5plugin.SZ3(absolute=bound))
    if name == "sz":
        return dict(hdf5plugin.SZ(absolute=bound))
    if name == "zfp":
        return dict(hdf5plugin.Zfp(accuracy=bound))
    if array.ndim < 2:
        raise Unsupported("SPERR takes arrays of 2 or 3 dimensions only")
    # swap=True: without it SPERR sees a C-ordered array with its axes reversed.
    return dict(hdf5plugin.Sperr(absolute=bound, swap=True))


@contextmanager
def _open_numcodecs(name: str, array: NDArray[Any], bound: float) -> Iterator[Session]:
    from numcodecs import Blosc, Zstd
    from numcodecs import blosc as blosc_module

    if name == "zstd":
        codec: Any = Zstd(level=3)
    else:
        blosc_module.set_nthreads(1)
        shuffle = Blosc.BITSHUFFLE if name == "blosc-zstd" else Blosc.SHUFFLE
        codec = Blosc(cname=name.removeprefix("blosc-"), clevel=5, shuffle=shuffle)

    back = _touched(array)

    class LosslessSession:
        stream: Any = b""

        def encode(self) -> int:
            self.stream = codec.encode(array)
            return len(self.stream)

        def decode(self) -> NDArray[Any]:
            codec.decode(self.stream, out=back)
            return back

    yield LosslessSession()


@contextmanager
def _open_memcpy(array: NDArray[Any], bound: float) -> Iterator[Session]:
    """A plain copy into memory that was touched before: the ceiling of any codec here."""
    there, back = _touched(array), _touched(array)

    class CopySession:
        def encode(self) -> int:
            np.copyto(there, array)
            return array.nbytes

        def decode(self) -> NDArray[Any]:
            np.copyto(back, there)
            return back

    yield CopySession()
