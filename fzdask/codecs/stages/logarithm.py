"""The logarithm that turns a point-wise relative bound into an absolute one."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import log_tables, logarithm, outliers
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, Section, check_params
from fzdask.errors import ConfigError, FormatError

__all__ = ["Logarithm"]

NO_FLAGS = np.zeros(0, np.uint8)
# Bits of the second byte of the parameters.
SMOOTH, NEGATIVE, SIGNS, ZERO, ZEROS, LONG = (1 << k for k in range(6))
LAYOUT = struct.Struct("<BBI")


@dataclass(frozen=True)
class Logarithm(ArrayStage):
    """Integer logarithms of the magnitudes of floats; a relative bound becomes an absolute one.

    Guarantees ``|x - x'| <= r |x|`` for every finite value, if the stages behind it keep the
    bound on integers that it hands on: proved for all values at once from the tables below, and
    looked at one by one where a value or its image is no normal number. Zeros and signs are
    exact (-0.0 too); NaN with payload, infinities, preserved values, and denormals that are too
    coarse for the bound come back bit for bit. Zeros take no part in prediction: neighbours see
    the value before them.

    It comes first in a pipeline, and a codec with ``pw_rel=`` puts it there by itself. What it
    gives is an array of int32 or int64. Of ideal cells in the logarithm it loses less than
    0.01 bit a value at r = 1e-2 and 1e-3, 0.06 at 1e-5 for float32 and 0.14 at 1e-6 for float64.

    Stream
    ------
    The input is floats of 2, 4 or 8 bytes with M = 10, 23 or 52 mantissa bits and bias
    b = 15, 127 or 1023. Parameters, 6 bytes: S (1 byte), flags (1 byte), bound (uint32).

    Flags, from bit 0: smooth; all values are negative; signs are in a section; all values are
    zero; zeros are in a section; logarithms have 8 bytes instead of 4. The main output has an
    integer t for each value, the logarithm in units of 2**-S octaves, moved by the stages behind
    by at most ``bound``. With e = floor(t / 2**S) + b and f = t mod 2**S, the mantissa is

    * not smooth (S = M): m = f;
    * smooth (10 <= S <= 30): with E[k] = floor(2**52 * 2**(k / 1024)), k = floor(f / 2**(S - 10))
      and g = f mod 2**(S - 10): m = floor((E[k] - 2**52 + floor(g * (E[k + 1] - E[k]) /
      2**(S - 10))) / 2**(52 - M)).

    The magnitude has, for 1 <= e <= 2 b, the bits e * 2**M + m; for e > 2 b, those of the greatest
    finite number; for e < 1, floor((2**M + m) / 2**(1 - e)). It is 0 if all values are, or where
    the bit of ``zeros`` is set; then the sign is put before it.

    Side sections: 1 ``signs`` and 2 ``zeros``, of ceil(n / 8) bytes, bit i mod 8 of byte
    floor(i / 8) for value i, set for negative and for zero; 3 ``exact_runs`` and 4 ``exact``, both
    or neither: bits put in place of the values at the end, as the outliers of ``quantize``.

    Sources: Liang et al. 2018, "An efficient transformation scheme for lossy data compression
    with point-wise relative error bound" (the logarithm); Schraudolph 1999, "A fast, compact
    approximation of the exponential function" (the bit pattern as a logarithm).
    """

    name: ClassVar[str] = "logarithm"
    code: ClassVar[int] = 20
    takes: ClassVar[tuple[str, ...]] = ("array",)
    gives: ClassVar[str] = "array"
    resolves: ClassVar[str] = "pw_rel"
    section_names: ClassVar[tuple[str, ...]] = ("signs", "zeros", "exact_runs", "exact")

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        if not _is_float(form.dtype) or not 0.0 <= form.bound < 1.0:
            raise ConfigError(
                f"logarithm: takes floats of 2, 4 or 8 bytes and a bound 0 <= pw_rel < 1, not "
                f"{form.dtype} and {form.bound!r}; leave the stage out for other data."
            )
        bits = job.bits if job.bits.size == data.size else data.view(f"<u{form.dtype.itemsize}")
        layout = log_tables.layout(form.dtype.itemsize, form.bound)
        room = log_tables.budget(layout, form.bound)
        out = np.empty(data.size, f"<i{layout.width}")
        signs = np.zeros((data.size + 7) // 8, np.uint8)
        zeros = np.zeros_like(signs)
        state = np.zeros(outliers.STATE, np.int64)
        runs = np.empty(data.size + 32, np.uint8)
        values = np.empty(data.size, bits.dtype)
        negative, zero = logarithm.encode(
            bits, job.forced, layout.mantissa, layout.bias, layout.scale, layout.smooth,
            log_tables.log_table(), log_tables.exp_table(), room.bound, room.shift, form.bound,
            log_tables.first_safe_exponent(layout, room), out, signs, zeros, state, runs, values,
        )  # fmt: skip
        flags = SMOOTH * layout.smooth | LONG * (layout.width == 8)
        sections: dict[str, Section] = {}
        if 0 < negative < data.size:
            sections["signs"] = signs
            flags |= SIGNS
        elif negative:
            flags |= NEGATIVE
        if 0 < zero < data.size:
            sections["zeros"] = zeros
            flags |= ZEROS
        elif zero:
            flags |= ZERO
        if state[outliers.VALUES]:
            sections["exact_runs"] = runs[: state[outliers.BYTES]].copy()
            sections["exact"] = values[: state[outliers.VALUES]].view(np.uint8).copy()
        job.bits = out.view(f"<u{layout.width}")
        job.forced = NO_FLAGS
        job.finite_max = float(max(abs(int(out.min())), abs(int(out.max())))) if out.size else 0.0
        job.sample = None
        return Encoded(out, LAYOUT.pack(layout.scale, flags, room.bound), sections)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Logarithm, params, LAYOUT.size)
        scale, flags, bound = LAYOUT.unpack(params)
        smooth = flags & SMOOTH
        fits = _is_float(form.dtype) and flags < 2 * LONG
        if fits and not smooth:
            fits = scale == _mantissa(form.dtype)
        if not fits or (smooth and not 10 <= scale <= 30):
            raise FormatError(
                f"fzdask stream: logarithm of {form.dtype} with 2**{scale} units to the octave and "
                f"flags {flags:#x}; the stream is damaged."
            )
        return Form(form.shape, np.dtype("<i8" if flags & LONG else "<i4"), float(bound))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        scale, flags, _ = LAYOUT.unpack(params)
        signs = self._bitmap("signs", flags & SIGNS, data.size, sections)
        zeros = self._bitmap("zeros", flags & ZEROS, data.size, sections)
        itemsize = form.dtype.itemsize
        bits = np.empty(data.size, f"<u{itemsize}")
        mantissa = _mantissa(form.dtype)
        bias = (1 << (8 * itemsize - 2 - mantissa)) - 1
        negative = bool(flags & NEGATIVE)
        if flags & ZERO:  # one zero for all, or as the signs say
            zeros = np.full((data.size + 7) // 8, 255, np.uint8)
        logarithm.decode(
            data, mantissa, bias, scale, bool(flags & SMOOTH), log_tables.exp_table(), signs,
            negative, zeros, bits,
        )  # fmt: skip
        runs, values = sections.get("exact_runs"), sections.get("exact")
        if runs is not None or values is not None:
            if runs is None or values is None or values.size % itemsize:
                raise FormatError("fzdask stream: exact values and their places do not match.")
            if not outliers.restore(runs, values.view(bits.dtype), bits):
                raise FormatError("fzdask stream: exact values do not fit the array.")
        return bits.view(form.dtype)

    @staticmethod
    def _bitmap(
        name: str, expected: int, size: int, sections: dict[str, NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """A bitmap of one bit a value, or an empty one where the flags say there is none."""
        bitmap = sections.get(name)
        if (bitmap is not None) != bool(expected):
            raise FormatError(f"fzdask stream: {name} of a logarithm against its flags; damaged.")
        if bitmap is None:
            return NO_FLAGS
        if bitmap.size != (size + 7) // 8:
            raise FormatError(
                f"fzdask stream: {name} of {size} values in {bitmap.size} bytes; it is damaged."
            )
        return bitmap


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" and dtype.itemsize in (2, 4, 8) and dtype == dtype.newbyteorder("<")


def _mantissa(dtype: np.dtype[Any]) -> int:
    return {2: 10, 4: 23, 8: 52}[dtype.itemsize]
