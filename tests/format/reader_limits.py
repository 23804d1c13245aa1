"""Which parameters stages have, for the second reader, from their pages."""

from __future__ import annotations

from collections.abc import Callable

from reader_header import (
    BINNING,
    BITSHUFFLE,
    BLOCK_MEAN,
    CONSTANT,
    CONTEXT_MIXING,
    DICTIONARY,
    GOLOMB_RICE,
    LORENZO_TILES,
    RANS,
    WAVELET,
)

__all__ = ["fits"]

MOST_IN_TILE = 12  # log2


def fits(number: int, parameters: bytes, size: int, axes: int) -> bool:
    """Whether a stage of so many elements, and of so many folded axes, has these parameters."""
    return FITS[number](parameters, size, axes) if number in FITS else True


def of_rans(parameters: bytes, size: int, _: int) -> bool:
    one_group = max(8, (size - 1).bit_length())
    begins = int.from_bytes(parameters[2:], "little")
    return (
        8 <= parameters[0] <= min(22, one_group)
        and 12 <= parameters[1] <= 14
        and (begins > 0) == (len(parameters) == 5)
        and begins % 2 == 0
        and begins < 1 << 23
        and begins.bit_count() < 16
    )


FITS: dict[int, Callable[[bytes, int, int], bool]] = {
    BITSHUFFLE: lambda p, size, axes: 3 <= p[0] <= 20,
    GOLOMB_RICE: lambda p, size, axes: 5 <= p[0] <= 12,
    DICTIONARY: lambda p, size, axes: p[0] <= 1,
    CONSTANT: lambda p, size, axes: 3 <= p[0] <= 16,
    BINNING: lambda p, size, axes: 1 <= p[0] <= 63 and p[1] >> axes == 0,
    BLOCK_MEAN: lambda p, size, axes: sum(p) <= MOST_IN_TILE,
    LORENZO_TILES: lambda p, size, axes: sum(p) <= MOST_IN_TILE,
    WAVELET: lambda p, size, axes: 8 <= p[1] <= 128 and p[4] < 16,
    CONTEXT_MIXING: lambda p, size, axes: p[0] >> axes == 0,
    RANS: of_rans,
}
