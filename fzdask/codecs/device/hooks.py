"""What ``fzdask.compress`` and ``fzdask.decompress`` do with arrays of a device."""

from __future__ import annotations

from typing import Any

from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import arrays
from fzdask.codecs.device.streams import decode_device, encode_device

__all__ = ["compress", "decompress"]


def compress(array: Any, config: CodecConfig) -> bytes:
    """The stream of a device array, made on its device."""
    return encode_device(array, config, arrays.device_of(array))


def decompress(stream: Any, codebook: str) -> Any:
    """The device array of a stream that is on a device itself."""
    return decode_device(stream, arrays.device_of(stream), codebook)
