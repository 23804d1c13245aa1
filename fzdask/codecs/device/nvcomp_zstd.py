"""Optional: ``zstd`` frames made on the device by nvCOMP, which any decoder of zstd reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from fzdask.codecs.device.back_ends import BACK_ENDS, DeviceBackEnd
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.stages.zstd import Zstd
from fzdask.errors import DeviceError, FormatError

__all__ = ["NvcompZstd", "nvcomp_zstd"]


@contextlib.contextmanager
def nvcomp_zstd() -> Iterator[None]:
    """Within it, large sections of device arrays get their zstd frames from nvCOMP, on the device.

    What is decompressed is the same, and any reader of the format reads it, without nvCOMP too.
    The bytes are not those of the CPU: nvCOMP finds other matches, and knows no ``level``. It holds
    for the whole process.

    Raises
    ------
    DeviceError
        nvCOMP is not installed; it says what to install.

    Examples
    --------
    >>> with nvcomp_zstd():  # doctest: +SKIP
    ...     stream = fzdask.compress(cupy_array, abs=1e-3)
    """
    kernels = NvcompZstd()
    before = BACK_ENDS.get(Zstd)
    BACK_ENDS[Zstd] = kernels
    try:
        yield
    finally:
        if before is None:
            BACK_ENDS.pop(Zstd, None)
        else:
            BACK_ENDS[Zstd] = before


class NvcompZstd(DeviceBackEnd):
    """``zstd``, by nvCOMP in RAW mode: one frame for a section, with no header of nvCOMP's own.

    Source: nvCOMP 6.0, Python interface.
    """

    of = Zstd

    def __init__(self) -> None:
        try:
            from nvidia import nvcomp
        except ImportError as error:
            raise DeviceError(
                f"fzdask: zstd on a device needs nvCOMP: {error}. Install it (pip install "
                "'fzdask[nvcomp]', or the nvidia-nvcomp package of your CUDA), or leave "
                "nvcomp_zstd() out: zstd then runs on the host."
            ) from error
        self._nvcomp: Any = nvcomp

    def compress(self, device: Device, stage: Any, data: Any) -> Any | None:
        """A frame; where nvCOMP's is none of the format's, that of the CPU."""
        frame = self._frame(device, data)
        try:
            stage.check(device.download(frame), data.size)
        except FormatError:  # no content size in its header, or several frames
            packed = stage.compress(device.download(data))
            return None if packed is None else device.upload(np.frombuffer(packed, np.uint8))
        return frame if frame.size < (1 - stage.least) * data.size else None

    def decompress(self, device: Device, data: Any, nbytes: int) -> Any:
        """On the host: its decoder is made for damaged frames, and only frames cross for it."""
        return device.upload(Zstd().decompress(device.download(data), nbytes))

    def _frame(self, device: Device, data: Any) -> Any:
        cuda: Any = device.xp.cuda
        stream = cuda.get_current_stream().ptr
        codec = self._nvcomp.Codec(
            algorithm="Zstd",
            bitstream_kind=self._nvcomp.BitstreamKind.RAW,
            device_id=cuda.Device().id,
            cuda_stream=stream,
        )
        packed = codec.encode(self._nvcomp.as_array(data, cuda_stream=stream))
        # A view, copied into memory of the current stream: nvCOMP's goes with its array.
        return device.xp.asarray(packed).view(np.uint8).ravel().copy()
