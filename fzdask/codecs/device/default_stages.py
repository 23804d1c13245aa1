"""The stages of the default pipeline on a device.

What a stage chooses (lattice width, axes, codebook) is chosen by the stage's own functions on the
host, from sums that the device made; the device moves and codes values.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.codebooks import Coding
from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.kernels.cpu import codebook
from fzdask.codecs.kernels.cuda import huffman, lorenzo, outliers, quantize
from fzdask.codecs.kernels.cuda.device import Device
from fzdask.codecs.kernels.cuda.sampling import Sample
from fzdask.codecs.stages.base import Encoded, Form, Job, Known
from fzdask.codecs.stages.huffman import Huffman, choose_coding, find_book, read_params
from fzdask.codecs.stages.lorenzo import Lorenzo, axes_geometry
from fzdask.codecs.stages.quantize import LIMITS, Quantize, lattice_width, steps
from fzdask.errors import FormatError

__all__ = [
    "HuffmanOnDevice",
    "LorenzoOnDevice",
    "QuantizeOnDevice",
    "decode_fused",
    "fuses",
    "geometry",
    "put_back",
]

assert codebook.MAX_LENGTH == 16  # a constant of the kernels


class QuantizeOnDevice(DeviceStage):
    """``quantize``."""

    of = Quantize

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        marked, mask = self.mark(device, data, form, job)
        return Encoded(marked.data, marked.params, self.compact(device, data, mask))

    def mark(self, device: Device, data: Any, form: Form, job: Job) -> tuple[Encoded, Any]:
        """All but the sections, and the mask of outliers (None: there are none) for `compact`."""
        width = lattice_width(data, form.bound, job)
        lattice, mask = quantize.quantize_marked(
            device, data, job.forced, width, form.bound, LIMITS[width]
        )
        sample: Any = Sample(device, lattice, None, LIMITS[8])
        factor = 1.0
        if form.dtype.kind == "f":
            sample = Sample(device, data, form.bound, LIMITS[8])
            factor = steps(form.bound)[1]
        job.sample = (sample, factor)
        return Encoded(lattice, bytes([width])), mask

    def compact(self, device: Device, data: Any, mask: Any) -> dict[str, Any]:
        """Sections of the outliers, which may be made while others go on with the lattice."""
        if mask is None:
            return {}
        bits = data.view(f"u{data.dtype.itemsize}")
        runs, values = outliers.take_outliers(device, bits, mask)
        return {"outlier_runs": runs, "outliers": values.view(np.uint8)}

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
        check_lattice(form)
        if form.dtype.kind == "f":
            out = quantize.dequantize_floats(device, data, form.bound, form.dtype)
        else:
            out = quantize.dequantize_integers(device, data, int(form.bound), form.dtype)
        return put_back(device, out, sections)


def check_lattice(form: Form) -> None:
    """Refuse a bound that has no lattice."""
    bound = form.bound
    if form.dtype.kind == "f":
        if not (bound > 0 and np.isfinite(steps(bound)).all()):
            raise FormatError(f"fzdask stream: bound {bound!r} has no lattice; it is damaged.")
    elif not (0 <= bound < 2**62 and bound == int(bound)):
        raise FormatError(f"fzdask stream: integer bound {bound!r}; it is damaged.")


def fuses(first: Any, second: Any, form: Form, params: bytes) -> bool:
    """Whether :func:`decode_fused` decodes two adjacent stages, of which ``form`` is the input."""
    pair = isinstance(first, Quantize) and isinstance(second, Lorenzo)
    return pair and form.dtype.kind == "f" and bool(axes_geometry(form.shape, params[0])[0].size)


def decode_fused(
    device: Device, data: Any, form: Form, params: bytes, sections: dict[str, NDArray[np.uint8]]
) -> Any:
    """``quantize | lorenzo`` at once; ``params`` are those of ``lorenzo``."""
    check_lattice(form)
    out = lorenzo.undo_difference_to_values(
        device, data, *geometry(form, params[0]), form.bound, form.dtype
    )
    return put_back(device, out, sections)


def put_back(
    device: Device, out: Any, sections: dict[str, NDArray[np.uint8]], *, alike: bool = False
) -> Any:
    """A flat array with its outliers in their places; FormatError where they do not fit.

    With ``alike`` a single outlier may stand for all.
    """
    runs, values = sections.get("outlier_runs"), sections.get("outliers")
    if runs is None and values is None:
        return out
    if runs is None or values is None or values.size % out.dtype.itemsize:
        raise FormatError("fzdask stream: outliers and their places do not match.")
    bits = np.dtype(f"u{out.dtype.itemsize}")
    kept = device.upload(np.frombuffer(values.tobytes(), bits))
    if not outliers.put_outliers(device, device.upload(runs), kept, out.view(bits), alike=alike):
        raise FormatError("fzdask stream: outliers do not fit the array.")
    return out


class LorenzoOnDevice(DeviceStage):
    """``lorenzo``."""

    of = Lorenzo

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        subset = stage.subset(data, form, job)
        return Encoded(lorenzo.difference(device, data, *geometry(form, subset)), bytes([subset]))

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
        lorenzo.undo_difference(device, data, *geometry(form, params[0]))
        return data


def geometry(form: Form, subset: int) -> tuple[list[int], list[int]]:
    """Strides and spans of the differenced axes."""
    strides, spans = axes_geometry(form.shape, subset)
    return strides.tolist(), spans.tolist()


@dataclass(frozen=True, slots=True)
class _Symbols:
    """Residuals on a device, as what chooses a codebook asks for them."""

    device: Device
    z: Any
    counts: NDArray[np.int64]

    def count_runs(self, group: int, every: int, mode: int) -> tuple[NDArray[np.int64], int]:
        return huffman.count_runs(self.device, self.z, group, every, mode)


class HuffmanOnDevice(DeviceStage):
    """``huffman``."""

    of = Huffman

    def encode(self, device: Device, stage: Any, data: Any, form: Form, job: Job) -> Encoded:
        coding = self.choose(device, stage, data, huffman.count_symbols(device, data), job)
        return self.code(device, stage, data, job, coding)

    def choose(
        self, device: Device, stage: Any, data: Any, counts: NDArray[np.int64], job: Job
    ) -> Coding:
        """The codebook, given how often each symbol occurs; runs are counted on the device."""
        coded: Any = _Symbols(device, data, counts)
        return choose_coding(coded, stage.group, job.books)

    def code(self, device: Device, stage: Any, data: Any, job: Job, coding: Coding) -> Encoded:
        """The payload, in codes of a codebook that has been chosen."""
        book = coding.book
        if coding.bits < 0:
            raise AssertionError("huffman: the chosen codebook cannot code this chunk")
        room = coding.bits // 32 + -(-data.size // stage.group) + 2
        words, sizes = huffman.encode(device, data, stage.group, book.mode, book.codes, room)
        params = bytes([stage.group.bit_length() - 1])
        if book.mode >= 0:
            params += struct.pack("<H", book.mode)
        sections: dict[str, Any] = {"group_sizes": sizes.astype("<u2").tobytes()}
        if coding.book is job.books:
            sections["codebook_name"] = coding.book.name
        else:
            sections["codebook"] = book.packed
        return Encoded(words.view(np.uint8), params, sections)

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
        group, mode = read_params(params)
        book = find_book(sections, mode, known.book)
        sizes = sections.get("group_sizes")
        groups = -(-form.size // group)
        if sizes is None or sizes.size != 2 * groups or data.size % 4:
            raise FormatError("fzdask stream: huffman groups do not match the array; damaged.")
        words = np.frombuffer(sizes.tobytes(), "<u2")
        starts = np.zeros(groups + 1, np.uint64)
        np.cumsum(words, out=starts[1:])
        if int(starts[-1]) * 4 != data.size or not words.all():
            raise FormatError("fzdask stream: huffman groups do not fill the payload; damaged.")
        fast, slow = book.decoding_tables
        out = huffman.decode(
            device, data.view(np.uint32), device.upload(starts), form.size, group, mode,
            fast, slow, form.dtype,
        )  # fmt: skip
        if out is None:
            raise FormatError("fzdask stream: huffman payload does not decode; it is damaged.")
        return out
