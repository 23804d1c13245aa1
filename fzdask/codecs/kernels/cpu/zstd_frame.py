"""What a Zstandard frame says of itself, without its content (RFC 8878, 3.1.1)."""

import numpy as np
from numba import types
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.vectors import I8, I64, step
from fzdask.jit import njit

__all__ = ["content_size"]

BLOCK = 1 << 17  # bytes; the most that a block of a frame gives
_MAGIC = 0xFD2FB528
_SHORTEST = 6  # bytes of a frame


@intrinsic
def _byte(typingctx, address):
    def build(b, address):
        return b.zext(b.load(b.inttoptr(address, I8.as_pointer())), I64)

    return step(build, types.int64, types.int64)


@njit(nogil=True, cache=True)
def _number(address, width):
    """Bytes from the least significant one on; of 8, those of a number without a sign."""
    value = np.int64(0)
    for k in range(width):
        value |= _byte(address + k) << (8 * k)
    return value


@njit(nogil=True, cache=True)
def content_size(frame, nbytes):
    """Content size that a frame at an address tells, or -1.

    -1 where the bytes are not exactly one frame, or its blocks cannot give so much.
    """
    if nbytes < _SHORTEST or _number(frame, 4) != _MAGIC:
        return np.int64(-1)
    descriptor = _byte(frame + 4)
    single = descriptor >> 5 & 1
    width = np.int64(1) << (descriptor >> 6)
    if width == 1 and not single:
        return np.int64(-1)
    dictionary = np.int64(1) << (descriptor & 3) >> 1
    at = 5 + (1 - single) + dictionary
    if at + width > nbytes:
        return np.int64(-1)
    size = _number(frame + at, width) + (256 if width == 2 else 0)
    at += width
    room = np.int64(0)
    last = np.int64(0)
    while not last and at + 3 <= nbytes:
        block = _number(frame + at, 3)
        last = block & 1
        room += BLOCK
        at += 3 + (1 if block >> 1 & 3 == 1 else block >> 3)  # of type 1: one byte, repeated
    at += 4 * (descriptor >> 2 & 1)  # checksum
    return size if last and at == nbytes and 0 <= size <= room else np.int64(-1)
