"""Codes and bit planes on a device: the second half of the ``speed`` pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.kernels.cuda import codes, fixed_length
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.stages.base import Encoded, Form, Job, Known
from fzdask.codecs.stages.bitshuffle import Bitshuffle
from fzdask.codecs.stages.fixed_length import APART, BLOCKS, FixedLength
from fzdask.codecs.stages.negabinary import Negabinary
from fzdask.codecs.stages.sign_magnitude import SignMagnitude
from fzdask.codecs.stages.zigzag import Zigzag
from fzdask.errors import FormatError

__all__ = [
    "BitshuffleOnDevice",
    "FixedLengthOnDevice",
    "NegabinaryOnDevice",
    "SignMagnitudeOnDevice",
    "ZigzagOnDevice",
    "misfit",
    "read_planes",
]


class _Codes(DeviceStage):
    """One code for each integer; the kernels go by the name of the stage."""

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        return Encoded(codes.encode(device, self.of.name, data))

    def decode(
        self,
        device: Device,
        stage: Any,
        data: Any,
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> Any:
        return codes.decode(device, self.of.name, data)


class ZigzagOnDevice(_Codes):
    """``zigzag``."""

    of = Zigzag


class NegabinaryOnDevice(_Codes):
    """``negabinary``."""

    of = Negabinary


class SignMagnitudeOnDevice(_Codes):
    """``sign_magnitude``."""

    of = SignMagnitude


class FixedLengthOnDevice(DeviceStage):
    """``fixed_length``; it zigzags what it reads and writes, so that the stage before need not."""

    of = FixedLength
    absorbs = (Zigzag,)

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        packed = fixed_length.pack(device, data, stage.block, stage.outlier)
        sections = {"units": packed.present, "widths": packed.entries.view(np.uint8)}
        if stage.outlier:
            sections["firsts"] = packed.firsts
        return Encoded(packed.planes.view(np.uint8), stage.params, sections)

    def decode(
        self,
        device: Device,
        stage: Any,
        data: Any,
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> Any:
        block, apart = BLOCKS[params[0] & 3], bool(params[0] & APART)
        packed = read_planes(device, data, form, params, sections)
        out = fixed_length.unpack(device, packed, form.size, block, apart, form.dtype)
        if out is None:
            raise misfit()
        return out


def read_planes(
    device: Device, data: Any, form: Form, params: bytes, sections: dict[str, NDArray[np.uint8]]
) -> fixed_length.Planes:
    """The sections of ``fixed_length`` on the device, of the sizes that follow from each other."""
    block, apart = BLOCKS[params[0] & 3], bool(params[0] & APART)
    present, widths, firsts = (sections.get(n) for n in ("units", "widths", "firsts"))
    units = -(-form.size // (4 * block))
    if present is None or widths is None or (firsts is not None) != apart:
        raise FormatError("fzdask stream: fixed_length without its sections; it is damaged.")
    if present.size != -(-units // 8) or (units % 8 and present[-1] >> units % 8):
        raise FormatError(f"fzdask stream: fixed_length with other than {units} units; damaged.")
    stored = int(np.bitwise_count(present).sum())
    plane = block // 8
    if widths.size != 2 * (1 + apart) * stored or data.size % plane:
        raise FormatError(f"fzdask stream: fixed_length: not {stored} units; damaged.")
    return fixed_length.Planes(
        data.view(f"u{plane}"),
        device.upload(np.frombuffer(widths.tobytes(), "<u2")),
        device.upload(np.zeros(0, np.uint8) if firsts is None else firsts),
        device.upload(present),
    )


def misfit() -> FormatError:
    """The error for planes that are not as many as their widths say."""
    return FormatError(
        "fzdask stream: fixed_length: planes or first codes are not as many as said; it is damaged."
    )


class BitshuffleOnDevice(DeviceStage):
    """``bitshuffle``."""

    of = Bitshuffle

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        params = bytes([stage.block.bit_length() - 1])
        nbytes = stage.form_after(form, params).size
        return Encoded(codes.bitshuffle(device, data, stage.block, nbytes), params)

    def decode(
        self,
        device: Device,
        stage: Any,
        data: Any,
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> Any:
        return codes.bitunshuffle(device, data, form.size, 1 << params[0], form.dtype)
