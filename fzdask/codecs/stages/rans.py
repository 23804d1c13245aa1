"""Range asymmetric numeral systems: static frequencies, one table or one for each context."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import contexts, frequencies, rans
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, Section
from fzdask.codecs.stages.lorenzo import folded_shape
from fzdask.codecs.stages.symbols import Symbols
from fzdask.errors import ConfigError, FormatError

__all__ = ["Rans"]

LEAST_GROUP, MOST_GROUP = 8, 22  # exponents of two
MOST_CLASSES = 16
PLAIN_GROUP = 14
CONTEXT_GROUP, CONTEXT_GROUPS = 16, 8
# Values that a byte may stand for: what groups of 2**16 reach, each with its state and size.
MOST_VALUES_PER_BYTE = 1 << 13
BITS, CONTEXT_BITS = 14, 12
# One entry of a table takes about 7 bits (of the fields measured), and a rarer use of it is not
# worth a table of its own.
ENTRY = 7 << 8
ENTRY_BYTES = 2  # at most
NO_LEVELS = np.zeros(0, np.uint8)


@dataclass(frozen=True)
class Rans(ArrayStage):
    """Entropy coding of small integers, below one bit a value where most are alike.

    Any residual of 64 bits can be coded, and comes back exactly. A value costs what its frequency
    in the chunk asks for, to within 1 % where it is 0.1 bit or more; with ``contexts`` what that
    among the values with like neighbours asks for, which is a fifth less on ordinary fields.
    Groups of values decode independently of each other.

    Parameters
    ----------
    contexts : int
        Most frequency tables, 1 to 16. With several, the one for a value is told by the
        magnitudes of its neighbours decoded before it; fewer are kept where more do not pay.
    group : int
        Values per group, a power of two from 256 to 2**22; 0: 16384, and with several contexts
        one such that there are about eight groups, of at least 65536. Where a byte would stand
        for more than 8192 values, it is 65536.

    Stream
    ------
    Parameters: the exponent of the group's length, 8 to 22 and above 8 no greater than one group
    of all values needs; the bits ``b`` of a table, 12 to 14; with contexts 3 more bytes,
    little-endian, in which bit ``l`` tells that level ``l`` begins a class of its own (bit 0 is
    clear: level 0 does).

    Section ``tables``: the frequencies of each class in turn, of together ``2**b``, most
    significant bit first. 10 bits: the symbol ``m`` that gets what the others leave. 10 bits: how
    many symbols, ``n``, the following covers: those up to the last used one below 732 but ``m``.
    For each symbol below ``n`` but ``m``, with ``g`` its frequency minus one: ``0`` if ``g`` has
    as many bits as that of the last coded symbol (at first ``b - 2``), ``10`` for one less,
    ``110`` for one more, ``1110`` and that number in 4 bits; then those of the next 3 bits of
    ``g`` below its leading one that it has, the rest of ``g`` being 0. Or ``1111``, 4 bits ``e``
    and ``e`` bits: a run of ``2**e`` plus those many unused symbols. Last, in the same way, symbol
    732 unless it is ``m``; ``1111`` if it is unused.

    Symbols are those of ``huffman`` below 732 (zigzagged values below 512, then classes of a
    leading one and two bits with raw bits); 732 stands for a symbol without a frequency, which
    follows in 10 raw bits (it is below 732), and after it that symbol's own raw bits.

    Main section: the 16-bit words of the groups, one group after the other; section
    ``group_sizes``: how many words each takes, in 4 bytes. A byte of these two stands for at most
    8192 values. A group begins with its state ``x`` in two words, the lower first. To decode a
    symbol: ``slot = x mod 2**b`` lies in the slots of a symbol of frequency ``f`` whose first
    slot is ``c`` (slots in the order of symbols); ``x`` becomes
    ``f * (x >> b) + slot - c`` and, if that is below 2**15, is shifted up by 16 bits
    filled with the next word. ``k`` raw bits, in parts of 15 of which the shorter comes first and
    is the highest, are ``x mod 2**k``; ``x`` is shifted down by them and filled up alike. At the
    end of a group all words are used and ``x`` is 2**15.

    The context of value ``i`` of a group: with ``|r|`` magnitudes, at most 255 and 0 before the
    group, ``a = 2 |r[i-1]| + |r[i-2]| + 2 |r[i-R]| + |r[i-R-1]| + |r[i-R+1]| + 2 |r[i-P]|``,
    where ``R`` is the length of the last axis and ``P`` that times the one before (axes of length
    1 left out, of more than four the first folded); terms with ``R`` count if there are two axes
    and ``R + 1`` is less than a group, those with ``P`` if there are three and ``P`` is. The level
    is ``a`` below 4, else ``2 e`` plus the bit below the leading one of ``a``, of which ``e`` is
    the exponent. Its class is that of the nearest level at or below it that begins one. If the
    same sum of residuals instead of magnitudes is negative (one of more than 255 in magnitude
    counts as 255 there, whatever its sign), a zigzagged value from 1 to 510 is coded as that of the
    other sign.

    Sources
    -------
    Duda 2013, "Asymmetric numeral systems"; Giesen 2014, "Interleaved entropy coders"; Weinberger
    et al. 2000, LOCO-I, and Wu and Memon 1997, CALIC (contexts of neighbouring magnitudes).
    """

    name: ClassVar[str] = "rans"
    code: ClassVar[int] = 16
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "bytes"
    section_names: ClassVar[tuple[str, ...]] = ("tables", "group_sizes")

    contexts: int = 1
    group: int = 0

    def __post_init__(self) -> None:
        if type(self.contexts) is not int or not 1 <= self.contexts <= MOST_CLASSES:
            raise ConfigError(
                f"rans: contexts={self.contexts!r} must be a whole number from 1 to {MOST_CLASSES}."
            )
        valid = [0, *(1 << k for k in range(LEAST_GROUP, MOST_GROUP + 1))]
        if type(self.group) is not int or self.group not in valid:
            raise ConfigError(
                f"rans: group={self.group!r} must be 0 or a power of two from "
                f"{1 << LEAST_GROUP} to {1 << MOST_GROUP}."
            )

    def encode(self, data: NDArray[Any] | Symbols, form: Form, job: Job) -> Encoded:
        coded = data if isinstance(data, Symbols) else Symbols.of(data)
        size = coded.z.size
        exponent = self._exponent(size)
        coded, firsts, levels, counts = self._classes(coded, form, exponent)
        params = bytes([exponent, BITS if firsts.size == 1 else CONTEXT_BITS])
        if firsts.size > 1:
            mask = sum(1 << int(first) for first in firsts[1:])
            params += mask.to_bytes(3, "little")
        else:
            levels = NO_LEVELS
        freqs, packed = _pack_tables(counts, params[1])
        groups = -(-size >> exponent)
        sizes = np.empty(groups, np.uint32)
        words = _encode_words(coded, exponent, params[1], firsts, levels, freqs, counts, sizes)
        if size > MOST_VALUES_PER_BYTE * (words.nbytes + sizes.nbytes):
            return replace(self, group=1 << CONTEXT_GROUP).encode(coded, form, job)
        sections: dict[str, Section] = {
            "tables": packed,
            "group_sizes": sizes.astype("<u4").view(np.uint8),
        }
        return Encoded(words.astype("<u2", copy=False).view(np.uint8), params, sections)

    def _exponent(self, size: int) -> int:
        """Exponent of the group's length, no greater than needed for one group."""
        if self.group:
            exponent = self.group.bit_length() - 1
        elif self.contexts == 1:
            exponent = PLAIN_GROUP
        else:
            exponent = CONTEXT_GROUP
            while size >> exponent > CONTEXT_GROUPS:
                exponent += 1
        return max(LEAST_GROUP, min(exponent, MOST_GROUP, max(size - 1, 0).bit_length()))

    def _classes(
        self, coded: Symbols, form: Form, exponent: int
    ) -> tuple[Symbols, NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
        """What to code, first level of each class, level of each value, counts of each class."""
        plain = coded, np.zeros(1, np.int64), NO_LEVELS, coded.counts[None, : frequencies.RARE]
        if self.contexts == 1:
            return plain
        group = 1 << exponent
        row, plane = _neighbours(form, group)
        near = np.zeros(max(plane, row + 1, 2) + group, np.int32)
        levels = np.empty(coded.z.size, np.uint8)
        leaning = np.empty(coded.z.size, np.uint16)
        counts = np.zeros((contexts.LEVELS, frequencies.RARE), np.int64)
        contexts.classify(coded.z, coded.wide, group, row, plane, near, levels, leaning, counts)
        firsts = contexts.merge(counts, self.contexts, ENTRY)
        if firsts.size == 1:
            return plain
        return replace(coded, z=leaning), firsts, levels, counts[: firsts.size]

    def form_after(self, form: Form, params: bytes) -> Form:
        _read_params(params, form)
        return Form((-1,), np.dtype(np.uint8))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        return self.decode_symbols(data, form, params, sections, known)

    def decode_symbols(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        """Residuals of the form's dtype, as a fusion with stages before this one takes them."""
        exponent, bits, firsts = _read_params(params, form)
        group = 1 << exponent
        starts = _group_starts(data, sections.get("group_sizes"), -(-form.size >> exponent))
        if form.size > MOST_VALUES_PER_BYTE * (data.size + 4 * (starts.size - 1)):
            raise FormatError(
                f"fzdask stream: {data.size} bytes of rans cannot hold {form.size} values; the "
                "stream is damaged."
            )
        freqs = _unpack_tables(sections.get("tables"), firsts.size, bits)
        slots = np.empty(firsts.size << bits, np.uint16)
        places = np.empty(firsts.size << rans.PLACE_BITS, np.uint32)
        rans.decoding_tables(freqs, bits, slots, places)
        words = np.zeros(data.size // 2 + 2, np.uint16)  # two more, as decoding asks for
        words[:-2] = data.view("<u2")
        out = np.empty(form.size, form.dtype)
        if firsts.size == 1:
            sound = rans.decode(words, starts, group, bits, slots, places, out)
        else:
            row, plane = _neighbours(form, group)
            width = max(plane, row + 1, 2) + group
            near = np.zeros(contexts.LANES * width, np.int32)
            table = contexts.class_table(firsts)
            sound = contexts.decode(
                words, starts, group, row, plane, near, table, bits, slots, places, out
            )
        if not sound:
            raise FormatError("fzdask stream: rans payload does not decode; it is damaged.")
        return out


def _neighbours(form: Form, group: int) -> tuple[int, int]:
    """Distances of the neighbour above and of that in the plane before; 0: none in a group."""
    folded = folded_shape(form.shape)
    row = folded[-1] if len(folded) > 1 else 0
    plane = row * folded[-2] if len(folded) > 2 else 0
    return row if row + 1 < group else 0, plane if plane < group else 0


def _read_params(params: bytes, form: Form) -> tuple[int, int, NDArray[np.int64]]:
    """Exponent of the group's length, bits of a table, first level of each class."""
    fits = len(params) in (2, 5) and form.dtype.kind == "i"
    if fits:
        exponent, bits = params[0], params[1]
        mask = int.from_bytes(params[2:], "little")
        alone = max(LEAST_GROUP, max(form.size - 1, 0).bit_length())  # one group holds all
        fits = LEAST_GROUP <= exponent <= min(MOST_GROUP, alone)
        fits &= frequencies.LEAST_BITS <= bits <= frequencies.MOST_BITS
        fits &= (mask > 0) == (len(params) == 5) and not mask & 1
        fits &= mask.bit_count() < MOST_CLASSES and not mask >> contexts.LEVELS
    if not fits:
        raise FormatError(
            f"fzdask stream: rans with parameters {params[:8]!r} for {form.size} values of "
            f"{form.dtype}; it is damaged."
        )
    firsts = [level for level in range(contexts.LEVELS) if (mask | 1) >> level & 1]
    return exponent, bits, np.array(firsts, np.int64)


def _pack_tables(
    counts: NDArray[np.int64], bits: int
) -> tuple[NDArray[np.uint32], NDArray[np.uint8]]:
    """Frequencies of every class, and their compact form."""
    classes = counts.shape[0]
    freqs = np.zeros((classes, frequencies.SYMBOLS), np.uint32)
    packed = np.zeros(classes * (frequencies.SYMBOLS + 8) * ENTRY_BYTES, np.uint8)
    bit = 0
    for c in range(classes):
        mode = frequencies.normalise(counts[c], bits, freqs[c])
        bit = frequencies.pack(freqs[c], mode, bits, packed, bit)
    return freqs, packed[: (bit + 7) // 8].copy()


def _unpack_tables(packed: NDArray[np.uint8] | None, classes: int, bits: int) -> NDArray[np.uint32]:
    freqs = np.empty((classes, frequencies.SYMBOLS), np.uint32)
    bit = 0
    for c in range(classes):
        if packed is not None and bit >= 0:
            bit = frequencies.unpack(packed, bit, bits, freqs[c])
    if packed is None or bit < 0 or (bit + 7) // 8 != packed.size:
        raise FormatError("fzdask stream: no frequency tables of rans, or wrong ones; damaged.")
    return freqs


def _encode_words(
    coded: Symbols,
    exponent: int,
    bits: int,
    firsts: NDArray[np.int64],
    levels: NDArray[np.uint8],
    freqs: NDArray[np.uint32],
    counts: NDArray[np.int64],
    sizes: NDArray[np.uint32],
) -> NDArray[np.uint16]:
    """The words of all groups; fills ``sizes``."""
    starts = np.empty(freqs.shape, np.uint32)
    reciprocals = np.empty(freqs.shape, np.uint64)
    shifts = np.empty(freqs.shape, np.uint64)
    rans.encoding_tables(freqs, bits, starts, reciprocals, shifts)
    classes = np.zeros(contexts.LEVELS, np.uint8)
    for first in firsts[1:]:
        classes[first:] += 1
    group = 1 << exponent
    scratch = np.empty(group * rans.WORST_WORDS + 3, np.uint16)
    room = rans.words_needed(counts, freqs, bits) + coded.z.size // 64 + 4 * sizes.size + 64
    while True:
        words = np.empty(room, np.uint16)  # of which it takes the last
        used = rans.encode(
            coded.z, coded.wide, group, levels, classes, bits, freqs, starts, reciprocals, shifts,
            scratch, words, sizes,
        )  # fmt: skip
        if used >= 0:
            return words[room - used :]
        room *= 2


def _group_starts(
    data: NDArray[np.uint8], sizes: NDArray[np.uint8] | None, groups: int
) -> NDArray[np.int64]:
    """First word of every group, then the number of words."""
    if sizes is None or sizes.size != 4 * groups or data.size % 2:
        raise FormatError("fzdask stream: rans groups do not match the array; it is damaged.")
    starts = np.zeros(groups + 1, np.int64)
    np.cumsum(sizes.view("<u4"), out=starts[1:])
    if starts[-1] * 2 != data.size or (groups and sizes.view("<u4").min() < 2):
        raise FormatError("fzdask stream: rans groups do not fill the payload; it is damaged.")
    return starts
