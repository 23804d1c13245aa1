"""Lossless back ends on a device: zero blocks, zero bytes and runs, with the bytes of the CPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from fzdask.codecs.kernels.cpu.run_length import list_pieces
from fzdask.codecs.kernels.cuda import run_length, zero_blocks, zero_bytes
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.stages.base import ByteStage
from fzdask.codecs.stages.run_length import WORTH, RunLength
from fzdask.codecs.stages.zero_blocks import SIZES, ZeroBlocks
from fzdask.codecs.stages.zero_bytes import LEAST, ZeroBytes
from fzdask.errors import FormatError

__all__ = ["BACK_ENDS", "DeviceBackEnd"]


class DeviceBackEnd(ABC):
    """One lossless back end on a device; flat uint8 device arrays, which are not empty."""

    of: ClassVar[type[ByteStage]]
    """The stage whose bytes these are."""

    @abstractmethod
    def compress(self, device: Device, stage: Any, data: Any) -> Any | None:
        """The stored bytes; None where they save nothing."""

    @abstractmethod
    def decompress(self, device: Device, data: Any, nbytes: int) -> Any:
        """The bytes; FormatError where the stored ones are not of just so many."""

    def misfit(self, data: Any, nbytes: int) -> FormatError:
        """The error for stored bytes that are damaged."""
        return FormatError(
            f"fzdask stream: {data.size} bytes of {self.of.name} do not hold {nbytes}; the stream "
            "is damaged."
        )


class ZeroBlocksOnDevice(DeviceBackEnd):
    """``zero_blocks``."""

    of = ZeroBlocks

    def compress(self, device: Device, stage: Any, data: Any) -> Any | None:
        found = zero_blocks.forward(device, data, stage.block)
        used = int(device.download(found.places[-1:])[0])
        start = 1 + found.bits.size
        if start + used >= data.size:
            return None
        out = device.empty(start + used, np.uint8)
        out[0] = stage.block.bit_length() - 1
        out[1:start] = found.bits
        if used:
            zero_blocks.keep(device, found, out[start:])
        return out

    def decompress(self, device: Device, data: Any, nbytes: int) -> Any:
        log2 = int(device.download(data[:1])[0])
        block = 1 << log2 if log2 < 16 else 0
        split = 1 + -(-nbytes // (8 * block)) if block in SIZES else 0
        if not 0 < split <= data.size:
            raise self.misfit(data, nbytes)
        out = zero_blocks.inverse(device, data[1:split], data[split:], block, nbytes)
        if out is None:
            raise self.misfit(data, nbytes)
        return out


class ZeroBytesOnDevice(DeviceBackEnd):
    """``zero_bytes``."""

    of = ZeroBytes

    def compress(self, device: Device, stage: Any, data: Any) -> Any | None:
        levels = [zero_bytes.forward(device, data, False)]
        while levels[-1].bits.size > LEAST:
            levels.append(zero_bytes.forward(device, levels[-1].bits, True))
        last = device.xp.concatenate([level.places[-1:] for level in levels])
        used = [int(v) for v in device.download(last)]
        bits = levels[-1].bits
        total = bits.size + sum(used)
        if total >= data.size:
            return None
        out = device.empty(total, np.uint8)
        out[: bits.size] = bits
        end = total
        for level, kept in zip(levels, used, strict=True):
            if kept:
                zero_bytes.keep(device, level, out[end - kept : end])
            end -= kept
        return out

    def decompress(self, device: Device, data: Any, nbytes: int) -> Any:
        sizes = [nbytes]
        while -(-sizes[-1] // 8) > LEAST:
            sizes.append(-(-sizes[-1] // 8))
        at = -(-sizes[-1] // 8)
        bits = data[:at]
        for k in range(len(sizes) - 1, -1, -1):
            if at > data.size:
                raise self.misfit(data, nbytes)
            used, places = zero_bytes.count(device, bits, sizes[k])
            kept = data[at : at + used] if used >= 0 else data[:0]
            if used < 0 or kept.size != used:
                raise self.misfit(data, nbytes)
            at += used
            bits = zero_bytes.inverse(device, bits, kept, places, k > 0, sizes[k])
        if at != data.size:
            raise self.misfit(data, nbytes)
        return bits


class RunLengthOnDevice(DeviceBackEnd):
    """``run_length``; where the pieces of a stream begin is found on the host."""

    of = RunLength

    def compress(self, device: Device, stage: Any, data: Any) -> Any | None:
        return run_length.encode(device, data, int(WORTH * data.size))

    def decompress(self, device: Device, data: Any, nbytes: int) -> Any:
        there = device.download(data)
        begins, sources = (np.empty(data.size // 2 + 1, np.uint64) for _ in range(2))
        pieces = int(list_pieces(there, nbytes, begins, sources))
        if pieces < 0:
            raise self.misfit(data, nbytes)
        # Of many short pieces the bytes are less than a list of them.
        if 16 * pieces > nbytes:
            return device.upload(RunLength().decompress(there, nbytes))
        return run_length.expand(device, data, begins[:pieces], sources[:pieces], nbytes)


_KINDS: tuple[type[DeviceBackEnd], ...] = (
    ZeroBlocksOnDevice,
    ZeroBytesOnDevice,
    RunLengthOnDevice,
)
BACK_ENDS: dict[type[ByteStage], DeviceBackEnd] = {kind.of: kind() for kind in _KINDS}
