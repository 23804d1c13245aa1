"""Sections through their lossless back ends, on the device where those have kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.codebooks import Codebook
from fzdask.codecs.device.back_ends import BACK_ENDS
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.shared_codebooks import SharedBooks
from fzdask.codecs.stages.base import ByteStage
from fzdask.errors import FormatError
from fzdask.format import SectionEntry

__all__ = ["unwrap", "wrap"]

# Bytes; of shorter sections the launches take longer than a copy to the host and its kernels.
LEAST_NBYTES = 1 << 16


class _Section:
    """Bytes that are on the device until a back end without kernels needs them on the host."""

    def __init__(self, device: Device, data: Any, *, there: bool) -> None:
        self._device, self._data, self.there = device, data, there
        self.size = int(data.size)

    def on_device(self) -> Any:
        if not self.there:
            self._data, self.there = self._device.upload(self._data), True
        return self._data

    def on_host(self) -> NDArray[np.uint8]:
        if self.there:
            self._data, self.there = self._device.download(self._data), False
        host: NDArray[np.uint8] = self._data
        return host


def wrap(
    device: Device,
    pipeline: Pipeline,
    stage: int,
    number: int,
    section: Any,
    books: SharedBooks | Codebook | None = None,
) -> tuple[SectionEntry, NDArray[np.uint8]]:
    """What :meth:`Pipeline.wrap` gives of the same section: a device array, or bytes.

    Back ends with kernels run on the device as long as the section is there.
    """
    if isinstance(section, bytes):
        return pipeline.wrap(stage, number, np.frombuffer(section, np.uint8), books)

    def compress(back_end: ByteStage, data: _Section) -> _Section | None:
        kernels = BACK_ENDS.get(type(back_end))
        packed: Any
        if kernels is not None and data.there and data.size >= LEAST_NBYTES:
            packed = kernels.compress(device, back_end, data.on_device())
            return None if packed is None else _Section(device, packed, there=True)
        packed = back_end.compress(data.on_host())
        if packed is None:
            return None
        return _Section(device, np.frombuffer(packed, np.uint8), there=False)

    entry, packed = pipeline.wrap(
        stage, number, _Section(device, section, there=True), books, compress
    )
    return entry, packed.on_host()


def unwrap(device: Device, pipeline: Pipeline, entry: SectionEntry, stored: Any) -> Any:
    """The bytes of a stored section, on the device: its back ends undone.

    Raises
    ------
    FormatError
        As by the back ends on the host.
    """
    if entry.applied >> len(pipeline.byte_stages):
        raise FormatError("fzdask stream: a section names an unknown back end; damaged.")
    sizes = list(entry.sizes[:-1])
    data = _Section(device, stored, there=False)
    applied = [s for k, s in enumerate(pipeline.byte_stages) if entry.applied >> k & 1]
    # Those that were applied first, one after the other, run on the device: nothing comes back.
    first = next((k for k, s in enumerate(applied) if type(s) not in BACK_ENDS), len(applied))
    for at in range(len(applied) - 1, -1, -1):
        nbytes = sizes.pop()
        if at < first and nbytes >= LEAST_NBYTES and data.size:
            kernels = BACK_ENDS[type(applied[at])]
            out = kernels.decompress(device, data.on_device(), nbytes)
            data = _Section(device, out, there=True)
        else:
            out = applied[at].decompress(data.on_host(), nbytes)
            data = _Section(device, out, there=False)
    return data.on_device()
