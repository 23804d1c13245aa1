"""The logarithm that turns a point-wise relative bound into an absolute one."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import bitmap, log_tables, logarithm, outliers
from fzdask.codecs.stages.base import (
    ArrayStage,
    Encoded,
    Form,
    Job,
    Known,
    Section,
    check_params,
    one_type,
)
from fzdask.codecs.stages.lorenzo import folded_shape
from fzdask.errors import ConfigError, FormatError

__all__ = ["Logarithm", "bitmap_words", "mantissa_bits", "unpacked_bitmap"]

NO_FLAGS = np.zeros(0, np.uint8)
NO_WORDS = np.zeros(0, np.uint64)
# Bits of the second byte of the parameters.
SMOOTH, NEGATIVE, SIGNS, ZERO, ZEROS, LONG, CODED_SIGNS, CODED_ZEROS = (1 << k for k in range(8))
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
    0.01 bit a value at r = 1e-2 and 1e-3, 0.06 at 1e-5 for float32 and 0.14 at 1e-6 for float64;
    below 2^-18 and 2^-20 (2^-5 for float16) it takes the bit pattern itself and loses half a bit.

    Parameters
    ----------
    bitmaps : str
        ``coded``: signs and zeros are coded with their neighbours as context; ``raw``: they are
        left to the back ends, which is faster and mostly twice as large.

    Stream
    ------
    The input is floats of 2, 4 or 8 bytes with M = 10, 23 or 52 mantissa bits and bias
    b = 15, 127 or 1023. Parameters, 6 bytes: S (1 byte), flags (1 byte), bound (uint32).

    Flags, from bit 0: smooth; all values are negative; signs are in a section; all values are
    zero; zeros are in a section; logarithms have 8 bytes instead of 4; signs are coded; zeros are
    coded. The main output has an integer t for each value, the logarithm in units of 2^-S
    octaves, moved by the stages behind by at most ``bound``, which is the bound of these stages.
    With ``e = floor(t / 2^S) + b`` and ``f = t mod 2^S``, the mantissa m is

    - not smooth (S = M): ``f``;
    - smooth (10 <= S <= 30): with ``E[k] = floor(2^52 2^(k / 1024))``,
      ``k = floor(f / 2^(S - 10))``, ``g = f mod 2^(S - 10)`` and
      ``d = floor(g (E[k + 1] - E[k]) / 2^(S - 10))``: ``floor((E[k] - 2^52 + d) / 2^(52 - M))``.

    The magnitude has, for 1 <= e <= 2 b, the bits ``e 2^M + m``; for e > 2 b, those of the
    greatest finite number; for e < 1, ``floor((2^M + m) / 2^(1 - e))``. It is 0 if all values
    are, or where the bit of ``zeros`` is set; then the sign is put before it.

    Side sections: 1 ``signs`` and 2 ``zeros``: a bit for each value, set for negative and for
    zero; 3 ``exact_runs`` and 4 ``exact``, both or neither: bits put in place of the values at
    the end, as the outliers of ``quantize``; a single element stands for all of them.

    Bits that are not coded take ceil(n / 8) bytes, bit i mod 8 of byte floor(i / 8) for value i.
    Coded ones are decisions of an arithmetic decoder: ``low = 0``, ``high = 2^32 - 1``, ``code`` =
    the first 4 bytes, most significant first (bytes that are not there are 0). A decision with
    probability p: ``middle = low + floor((high - low) p / 2^16)``; it is 1 if ``code <= middle``,
    and then ``high = middle`` and p grows by ``floor((2^16 - p) / 32)``; else
    ``low = middle + 1`` and p shrinks by ``floor(p / 32)``. While low and high have the same top
    byte, all three lose it: low takes a byte 0 behind it, high 255, code the next byte. All p
    begin at 2^15. Let ``row`` be the last length of the folded shape (that of ``lorenzo``) if it
    has two axes or more, ``plane`` the product of its last two lengths if it has three or more,
    and b[k] = 0 for k < 0. Bits come in groups of ``m = min(16, n - i)``, with a row at most
    ``max(row - 1, 1)``. If m > 1 and b[i - 2], b[i - 1], with a row b[i - row - 1] to
    b[i - row + m], with a plane b[i - plane] to b[i - plane + m - 1] are all equal to v, a
    decision with p number 256 + v says whether the m bits are v. If not, or if it was not asked,
    each bit k of them is a decision with p number ``b[k - 2] + 2 b[k - 1] + 4 b[k - row - 1] +
    8 b[k - row] + 16 b[k - row + 1] + 32 b[k - plane] + 64 b[k - plane - row] + 128 z[k]``:
    without a row or plane its terms are 0, and z is the bit of ``zeros`` when signs are decoded
    and that section is there, else 0. The decoder has then used up the section and 3 bytes more.

    Sources: Liang et al. 2018, "An efficient transformation scheme for lossy data compression
    with point-wise relative error bound" (the logarithm); Schraudolph 1999, "A fast, compact
    approximation of the exponential function" (the bit pattern as a logarithm); Rissanen and
    Langdon 1981, "Universal modeling and coding" (bits in the context of their neighbours).
    """

    name: ClassVar[str] = "logarithm"
    code: ClassVar[int] = 20
    takes: ClassVar[tuple[str, ...]] = ("array",)
    gives: ClassVar[str] = "array"
    resolves: ClassVar[str] = "pw_rel"
    section_names: ClassVar[tuple[str, ...]] = ("signs", "zeros", "exact_runs", "exact")

    bitmaps: str = "coded"

    def __post_init__(self) -> None:
        if self.bitmaps not in ("coded", "raw"):
            raise ConfigError(f"logarithm: bitmaps={self.bitmaps!r} must be 'coded' or 'raw'.")

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        if not _is_float(form.dtype) or not 0.0 <= form.bound < 1.0:
            raise ConfigError(
                f"logarithm: takes floats of 2, 4 or 8 bytes and a bound 0 <= pw_rel < 1, not "
                f"{form.dtype} and {form.bound!r}; leave the stage out for other data."
            )
        bits = job.bits if job.bits.size == data.size else data.view(f"<u{form.dtype.itemsize}")
        top = 8 * form.dtype.itemsize - 1
        if form.dtype.itemsize == 2:  # kernels for two sizes are enough
            bits = bits.astype(np.uint32)
        layout = log_tables.layout(form.dtype.itemsize, form.bound)
        room = log_tables.budget(layout, form.bound)
        out = np.empty(data.size, f"<i{layout.width}")
        signs, zeros = bitmap_words(data.size), bitmap_words(data.size)
        state = np.zeros(outliers.STATE, np.int64)
        runs = np.empty(data.size + 32, np.uint8)
        values = np.empty(data.size, bits.dtype)
        negative, zero = logarithm.encode(
            bits, job.forced, top, layout.mantissa, layout.bias, layout.scale, layout.smooth,
            log_tables.log_table(), log_tables.exp_table(), room.bound, room.shift, form.bound,
            log_tables.first_safe_exponent(layout, room), out, signs.view(np.uint8),
            zeros.view(np.uint8), state, runs, values,
        )  # fmt: skip
        flags = SMOOTH * layout.smooth | LONG * (layout.width == 8)
        sections: dict[str, Section] = {}
        some_zeros = 0 < zero < data.size
        if 0 < negative < data.size:
            hint = zeros if some_zeros else NO_WORDS
            sections["signs"], coded = self.packed_bitmap(signs, hint, form)
            flags |= SIGNS | CODED_SIGNS * coded
        elif negative:
            flags |= NEGATIVE
        if some_zeros:
            sections["zeros"], coded = self.packed_bitmap(zeros, NO_WORDS, form)
            flags |= ZEROS | CODED_ZEROS * coded
        elif zero:
            flags |= ZERO
        if state[outliers.VALUES]:
            sections["exact_runs"] = runs[: state[outliers.BYTES]].copy()
            exact = values[: state[outliers.VALUES]].astype(f"<u{form.dtype.itemsize}")
            alike = bool((exact == exact[0]).all())  # a mask of NaN or of one fill value
            sections["exact"] = exact[:1].view(np.uint8) if alike else exact.view(np.uint8)
        job.bits = out.view(f"<u{layout.width}")
        job.forced = NO_FLAGS
        job.finite_max = float(max(abs(int(out.min())), abs(int(out.max())))) if out.size else 0.0
        job.sample = None
        return Encoded(out, LAYOUT.pack(layout.scale, flags, room.bound), sections)

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(Logarithm, params, LAYOUT.size)
        scale, flags, bound = LAYOUT.unpack(params)
        smooth = flags & SMOOTH
        fits = _is_float(form.dtype)
        fits = fits and (bool(flags & SIGNS) or not flags & CODED_SIGNS)
        fits = fits and (bool(flags & ZEROS) or not flags & CODED_ZEROS)
        if fits and not smooth:
            fits = scale == mantissa_bits(form.dtype)
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
        zeros = unpacked_bitmap("zeros", flags & (ZEROS | CODED_ZEROS), NO_WORDS, form, sections)
        signs = unpacked_bitmap("signs", flags & (SIGNS | CODED_SIGNS), zeros, form, sections)
        itemsize = form.dtype.itemsize
        bits = np.empty(data.size, f"<u{max(itemsize, 4)}")
        mantissa = mantissa_bits(form.dtype)
        bias = (1 << (8 * itemsize - 2 - mantissa)) - 1
        negative = bool(flags & NEGATIVE)
        if flags & ZERO:  # one zero for all, or as the signs say
            zeros = ~bitmap_words(data.size)
        logarithm.decode(
            data, 8 * itemsize - 1, mantissa, bias, scale, bool(flags & SMOOTH),
            log_tables.exp_table(), signs.view(np.uint8), negative, zeros.view(np.uint8), bits,
        )  # fmt: skip
        bits = bits.astype(f"<u{itemsize}", copy=False)
        runs, values = sections.get("exact_runs"), sections.get("exact")
        if runs is not None or values is not None:
            if runs is None or values is None or values.size % itemsize:
                raise FormatError("fzdask stream: exact values and their places do not match.")
            runs, exact = one_type(runs, values.view(bits.dtype))
            if exact.size == 1:
                exact = np.repeat(exact, max(logarithm.count_exact(runs, bits.size), 0))
                exact.setflags(write=False)
            if not outliers.restore(runs, exact, bits):
                raise FormatError("fzdask stream: exact values do not fit the array.")
        return bits.view(form.dtype)

    def packed_bitmap(
        self, words: NDArray[np.uint64], hint: NDArray[np.uint64], form: Form
    ) -> tuple[NDArray[np.uint8], bool]:
        """The section of a bitmap, and whether it is coded: only where that is shorter."""
        nbytes = (form.size + 7) // 8
        if self.bitmaps == "coded":
            out = np.empty(nbytes + 64, np.uint8)
            used = bitmap.encode(words, hint, form.size, *_distances(form.shape), out)
            if 0 < used < nbytes:
                return out[:used].copy(), True
        return words.view(np.uint8)[:nbytes].copy(), False


def bitmap_words(size: int) -> NDArray[np.uint64]:
    """Zeroed words for a bit each, and one more."""
    return np.zeros((size + 63) // 64 + 1, np.uint64)


def _distances(shape: tuple[int, ...]) -> tuple[int, int]:
    """From a value to the one in the row above and in the plane behind; 0 if there is none."""
    folded = folded_shape(shape)
    row = folded[-1] if len(folded) > 1 else 0
    return row, folded[-2] * row if len(folded) > 2 else 0


def unpacked_bitmap(
    name: str,
    flags: int,
    hint: NDArray[np.uint64],
    form: Form,
    sections: dict[str, NDArray[np.uint8]],
) -> NDArray[np.uint64]:
    """A bitmap of one bit a value, or an empty one where the flags say there is none."""
    section = sections.get(name)
    if (section is not None) != bool(flags):
        raise FormatError(f"fzdask stream: {name} of a logarithm against its flags; damaged.")
    if section is None:
        return NO_WORDS
    words = bitmap_words(form.size)
    if flags & (CODED_SIGNS | CODED_ZEROS):
        row, plane = _distances(form.shape)
        fits = bitmap.decode(*one_type(section), hint, form.size, row, plane, words)
    else:
        fits = section.size == (form.size + 7) // 8
        if fits:
            words.view(np.uint8)[: section.size] = section
    if not fits:
        raise FormatError(
            f"fzdask stream: {name} of {form.size} values in {section.size} bytes; it is damaged."
        )
    return words


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" and dtype.itemsize in (2, 4, 8) and dtype == dtype.newbyteorder("<")


def mantissa_bits(dtype: np.dtype[Any]) -> int:
    return {2: 10, 4: 23, 8: 52}[dtype.itemsize]
