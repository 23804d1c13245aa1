"""Fixed-length coding: blocks of codes as bit planes, as many as the block's largest code needs.

Sixteen to a block go through :mod:`~fzdask.codecs.kernels.cpu.bit_planes`, four blocks at a
time; other blocks, and codes of 64 bits, through plain loops.
"""

import numpy as np

from fzdask.codecs.kernels.cpu import bit_planes
from fzdask.codecs.kernels.cpu.bit_planes import UNIT
from fzdask.codecs.kernels.cpu.vectors import copy_bytes, read_1, read_2
from fzdask.jit import njit

SLACK = 256  # bytes past the planes that packing may overwrite and unpacking may read


@njit(nogil=True, cache=True)
def pack_units(a, count, zigzagged, out, at, heads, used, present, first):
    """Pack ``count`` units of 64 at address ``a``; returns bytes and width entries used so far.

    ``present`` is a bit field of the units that are not all zero, ``first`` the number of the
    first of these.
    """
    for k in range(count):
        unit = a + np.int64(4 * UNIT * k)
        if zigzagged:
            if bit_planes.wide_codes(unit) == 0:
                got = bit_planes.pack_codes_8(unit, out + at)
            elif bit_planes.very_wide_codes(unit) == 0:
                got = bit_planes.pack_codes_16(unit, out + at)
            else:
                got = bit_planes.pack_codes_32(unit, out + at)
        else:
            if bit_planes.wide_residuals(unit) == 0:
                got = bit_planes.pack_residuals_8(unit, out + at)
            elif bit_planes.very_wide_residuals(unit) == 0:
                got = bit_planes.pack_residuals_16(unit, out + at)
            else:
                got = bit_planes.pack_residuals_32(unit, out + at)
        head = got & 0xFFFF
        heads[used] = head
        some = np.int64(head != 0)
        used += some
        place = first + k
        present[place >> 3] |= np.uint8(some << (place & 7))
        at += got >> 16
    return at, used


@njit(nogil=True, cache=True)
def _next_head(heads, used, present, unit):
    """The widths of a unit, and the entries used with it: no branch, one more may be read."""
    place = present.ctypes.data + (unit >> 3)
    some = np.int64(read_1(place) >> np.uint64(unit & 7)) & 1
    return np.int64(read_2(heads.ctypes.data + 2 * used)) & -some, used + some


@njit(nogil=True, cache=True)
def _narrow(head):
    """Whether no width is more than 8."""
    return ((head & 0x7777) + 0x7777) & head & 0x8888 == 0


@njit(nogil=True, cache=True)
def _middling(head):
    """Whether no width is more than 16."""
    return (head << 1) & (head << 2) & head & 0x8888 == 0


@njit(nogil=True, cache=True)
def _fetch_room(place, size):
    """Ask for the room of a unit of values of ``size`` bytes, if any."""
    if size:
        bit_planes.fetch_room(place)
        if size == 8:
            bit_planes.fetch_room(place + bit_planes.ROOM)


@njit(nogil=True, cache=True)
def unpack_units(planes, at, heads, used, present, first, count, zigzagged, a, room=0, size=0):
    """Undo :func:`pack_units`.

    ``planes``: the address of the planes; the place from which on they are read elsewhere,
    since a vector could run over their end; the address that they have there; and their end.
    The bytes are -1 where a unit would begin behind that; they are otherwise those that the widths
    ask for, which may be more than there are. Room of ``size`` bytes a value, at another address,
    is fetched for what is then made of these: spread like this, memory keeps up.
    """
    for k in range(count):
        source = planes[0]
        if at >= planes[1]:
            if at > planes[3]:
                return np.int64(-1), used
            source = planes[2]
        head, used = _next_head(heads, used, present, first + k)
        unit = a + np.int64(4 * UNIT * k)
        _fetch_room(room + UNIT * size * k, size)
        if _narrow(head):
            if zigzagged:
                at += bit_planes.unpack_codes_8(source + at, head, unit)
            else:
                at += bit_planes.unpack_residuals_8(source + at, head, unit)
        elif _middling(head):
            if zigzagged:
                at += bit_planes.unpack_codes_16(source + at, head, unit)
            else:
                at += bit_planes.unpack_residuals_16(source + at, head, unit)
        else:
            if zigzagged:
                at += bit_planes.unpack_codes_32(source + at, head, unit)
            else:
                at += bit_planes.unpack_residuals_32(source + at, head, unit)
    return at, used


@njit(nogil=True, cache=True)
def unpack_sums(planes, at, heads, used, present, first, count, a, room, size):
    """As :func:`unpack_units` of residuals, but their running sums.

    These go on from the integer in front of ``a``.
    """
    for k in range(count):
        source = planes[0]
        if at >= planes[1]:
            if at > planes[3]:
                return np.int64(-1), used
            source = planes[2]
        head, used = _next_head(heads, used, present, first + k)
        unit = a + np.int64(4 * UNIT * k)
        _fetch_room(room + UNIT * size * k, size)
        if _narrow(head):
            at += bit_planes.unpack_sums_8(source + at, head, unit)
        elif _middling(head):
            at += bit_planes.unpack_sums_16(source + at, head, unit)
        else:
            at += bit_planes.unpack_sums_32(source + at, head, unit)
    return at, used


@njit(nogil=True, cache=True)
def pack_vectors(codes, out, heads, present):
    """Pack uint32 codes in blocks of 16; returns bytes and width entries used."""
    whole = codes.size // UNIT
    address = out.ctypes.data
    at, used = pack_units(
        codes.ctypes.data, whole, True, address, np.int64(0), heads, np.int64(0), present, 0
    )
    rest = codes.size - whole * UNIT
    if rest:
        last = np.zeros(UNIT, np.uint32)
        for i in range(rest):
            last[i] = codes[whole * UNIT + i]
        at, used = pack_units(last.ctypes.data, 1, True, address, at, heads, used, present, whole)
    return at, used


@njit(nogil=True, cache=True)
def with_slack(address, nbytes, ends):
    """What :func:`unpack_units` needs of planes at an address; ``ends`` has twice the slack."""
    some = min(nbytes, np.int64(SLACK))
    start = nbytes - some
    copy_bytes(address + start, ends.ctypes.data, some)
    return address, np.int64(start), np.int64(ends.ctypes.data) - start, np.int64(nbytes)


@njit(nogil=True, cache=True)
def unpack_vectors(address, nbytes, heads, present, codes):
    """Undo :func:`pack_vectors` of planes at an address; the sections were checked."""
    whole = codes.size // UNIT
    ends = np.zeros(2 * SLACK, np.uint8)
    planes = with_slack(address, nbytes, ends)
    zero = np.int64(0)
    at, used = unpack_units(planes, zero, heads, zero, present, 0, whole, True, codes.ctypes.data)
    rest = codes.size - whole * UNIT
    if rest:
        last = np.zeros(UNIT, np.uint32)
        unpack_units(planes, at, heads, used, present, whole, 1, True, last.ctypes.data)
        for i in range(rest):
            codes[whole * UNIT + i] = last[i]


@njit(nogil=True, cache=True)
def class_width(code, bits):
    """The width that four bits stand for."""
    if code <= 12:
        return code
    return (code - 11) * 8 if bits == 32 else 16 << (code - 13)


@njit(nogil=True, cache=True)
def stored_units(present):
    """How many bits are set."""
    total = 0
    for i in range(present.size):
        byte = np.uint64(present[i])
        byte = (byte & np.uint64(0x55)) + ((byte >> np.uint64(1)) & np.uint64(0x55))
        byte = (byte & np.uint64(0x33)) + ((byte >> np.uint64(2)) & np.uint64(0x33))
        total += np.int64((byte & np.uint64(15)) + (byte >> np.uint64(4)))
    return total


@njit(nogil=True, cache=True)
def planes_nbytes(heads, count, every, block, bits):
    """Bytes of the planes of blocks with these width classes, in every so many-th entry."""
    total = np.int64(0)
    for i in range(0, count, every):
        h = np.int64(heads[i])
        for k in range(4):
            total += class_width((h >> (4 * k)) & 15, bits)
    return total * (block // 8)


@njit(nogil=True, cache=True)
def pack_plain(codes, block, apart, out, heads, present, firsts):
    """Pack codes of any width in blocks of any multiple of 8.

    With ``apart``, the first code of a block is 0 among its planes and goes to ``firsts`` in as
    many bytes as it needs; their numbers follow the width classes.
    """
    bits = codes.itemsize * 8
    n = codes.size
    at = np.int64(0)
    used = np.int64(0)
    kept = np.int64(0)
    unit = 4 * block
    buf = np.zeros(block, np.uint64)
    for u in range((n + unit - 1) // unit):
        head = np.int64(0)
        lengths = np.int64(0)
        for k in range(4):
            start = u * unit + k * block
            top = np.uint64(0)
            for i in range(block):
                buf[i] = np.uint64(codes[start + i]) if start + i < n else np.uint64(0)
            if apart:
                value = buf[0]
                buf[0] = np.uint64(0)
                count = 0
                while value:
                    firsts[kept] = np.uint8(value & np.uint64(255))
                    value >>= np.uint64(8)
                    kept += 1
                    count += 1
                lengths |= np.int64(count) << (4 * k)
            for i in range(block):
                top |= buf[i]
            width = 0
            while top:
                top >>= np.uint64(1)
                width += 1
            code = width
            if width > 12:
                code = 13
                while class_width(code, bits) < width:
                    code += 1
            for p in range(class_width(code, bits)):
                for g in range(0, block, 8):
                    byte = np.uint64(0)
                    for j in range(8):
                        byte |= ((buf[g + j] >> np.uint64(p)) & np.uint64(1)) << np.uint64(j)
                    out[at] = np.uint8(byte)
                    at += 1
            head |= np.int64(code) << (4 * k)
        if head or lengths:
            present[u >> 3] |= np.uint8(1 << (u & 7))
            heads[used] = head
            used += 1
            if apart:
                heads[used] = lengths
                used += 1
    return at, used, kept


@njit(nogil=True, cache=True)
def unpack_plain(planes, block, apart, heads, present, firsts, codes):
    """Undo :func:`pack_plain`; False where the lengths of first codes are not theirs.

    That planes and width entries are as many as they say has been checked.
    """
    bits = codes.itemsize * 8
    n = codes.size
    at = np.int64(0)
    used = np.int64(0)
    kept = np.int64(0)
    unit = 4 * block
    buf = np.zeros(block, np.uint64)
    for u in range((n + unit - 1) // unit):
        head = np.int64(0)
        lengths = np.int64(0)
        if (present[u >> 3] >> (u & 7)) & 1:
            head = np.int64(heads[used])
            used += 1
            if apart:
                lengths = np.int64(heads[used])
                used += 1
        for k in range(4):
            buf[:] = 0
            for p in range(class_width((head >> (4 * k)) & 15, bits)):
                for g in range(0, block, 8):
                    byte = np.uint64(planes[at])
                    at += 1
                    for j in range(8):
                        buf[g + j] |= ((byte >> np.uint64(j)) & np.uint64(1)) << np.uint64(p)
            count = (lengths >> (4 * k)) & 15
            if count > codes.itemsize or kept + count > firsts.size:
                return False
            if count:
                value = np.uint64(0)
                for j in range(count):
                    value |= np.uint64(firsts[kept + j]) << np.uint64(8 * j)
                kept += count
                buf[0] = value
            start = u * unit + k * block
            for i in range(min(block, n - start)):
                codes[start + i] = buf[i]
    return kept == firsts.size
