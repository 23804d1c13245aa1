"""Length-limited canonical Huffman codebooks: construction, compact form, decoding tables."""

import numpy as np

from fzdask.codecs.kernels.cpu.symbols import BEYOND_16_BITS, ESCAPE, RUN
from fzdask.jit import njit

MAX_LENGTH = 16  # longest code in bits
TABLE_BITS = 11  # codes up to this long decode by one look-up; 2048 entries stay in L1
LONG_CODE = 0xFFFF
NO_CODE = 64
SLOW_BASE = MAX_LENGTH + 1
SLOW_ORDER = 2 * MAX_LENGTH + 2
_COUNT_BITS = 10  # bits that hold the number of coded entries of the compact form


@njit(nogil=True, cache=True)
def code_lengths(counts):
    """Huffman code length of every symbol (0: unused), none above ``MAX_LENGTH``.

    Ties are broken by symbol number, so the result depends on the counts alone.
    """
    lengths = np.zeros(counts.size, np.uint8)
    used = 0
    for s in range(counts.size):
        if counts[s] > 0:
            used += 1
    if used == 0:
        return lengths
    keys = np.empty(used, np.int64)
    j = 0
    for s in range(counts.size):
        if counts[s] > 0:
            keys[j] = (np.int64(counts[s]) << 10) | s
            j += 1
    if used == 1:
        lengths[keys[0] & 1023] = 1
        return lengths
    keys.sort()
    # Two queues: leaves by weight, inner nodes by creation; each merge takes the two lightest.
    weight = np.empty(used - 1, np.int64)
    parent = np.empty(2 * used - 1, np.int64)
    leaf = 0
    inner = 0
    for node in range(used - 1):
        total = np.int64(0)
        for _ in range(2):
            if leaf < used and (inner >= node or (keys[leaf] >> 10) <= weight[inner]):
                total += keys[leaf] >> 10
                parent[leaf] = used + node
                leaf += 1
            else:
                total += weight[inner]
                parent[used + inner] = used + node
                inner += 1
        weight[node] = total
    depth = np.zeros(2 * used - 1, np.int64)
    per_length = np.zeros(64, np.int64)
    for node in range(2 * used - 3, -1, -1):
        depth[node] = depth[parent[node]] + 1
        if node < used:
            per_length[min(depth[node], MAX_LENGTH)] += 1
    _limit(per_length)
    length = MAX_LENGTH
    for j in range(used):  # ascending weight takes descending length
        while per_length[length] == 0:
            length -= 1
        per_length[length] -= 1
        lengths[keys[j] & 1023] = length
    return lengths


@njit(nogil=True, cache=True)
def _limit(per_length):
    """Restore Kraft's inequality after lengths were cut, lengthening the rarest short codes."""
    kraft = np.int64(0)
    for length in range(1, MAX_LENGTH + 1):
        kraft += per_length[length] << (MAX_LENGTH - length)
    full = np.int64(1) << MAX_LENGTH
    while kraft > full:
        length = MAX_LENGTH - 1
        while per_length[length] == 0:
            length -= 1
        per_length[length] -= 1
        per_length[length + 1] += 1
        kraft -= np.int64(1) << (MAX_LENGTH - length - 1)
    length = MAX_LENGTH
    while kraft < full and length > 1:  # give back what is left over
        while per_length[length] > 0 and kraft + (np.int64(1) << (MAX_LENGTH - length)) <= full:
            per_length[length] -= 1
            per_length[length - 1] += 1
            kraft += np.int64(1) << (MAX_LENGTH - length)
        length -= 1


@njit(nogil=True, cache=True)
def canonical_codes(lengths):
    """``code << 8 | length`` of every symbol; codes ascend by (length, symbol).

    A symbol without a code gets ``NO_CODE``, whose length is longer than any.
    """
    per_length = np.zeros(MAX_LENGTH + 2, np.int64)
    for s in range(lengths.size):
        per_length[lengths[s]] += 1
    per_length[0] = 0
    following = np.zeros(MAX_LENGTH + 2, np.int64)
    code = np.int64(0)
    for length in range(1, MAX_LENGTH + 1):
        code = (code + per_length[length - 1]) << 1
        following[length] = code
    packed = np.full(lengths.size, NO_CODE, np.uint32)
    for s in range(lengths.size):
        length = np.int64(lengths[s])
        if length:
            packed[s] = np.uint32((following[length] << 8) | length)
            following[length] += 1
    return packed


@njit(nogil=True, cache=True)
def for_encoding(counts):
    """The best code for these counts: its lengths, their compact form, and the codes."""
    lengths = code_lengths(counts)
    return lengths, pack_lengths(lengths), canonical_codes(lengths)


@njit(nogil=True, cache=True)
def decoding_tables(lengths):
    """Tables for decoding; both empty when the lengths are no complete prefix code.

    Returns
    -------
    fast : uint16[2**TABLE_BITS]
        ``symbol << 4 | length`` by the next ``TABLE_BITS`` bits; ``LONG_CODE`` where the code is
        longer than that or the bits are no code.
    slow : int64[]
        By length: the first ``MAX_LENGTH``-bit prefix that is not a code of it or a shorter one;
        from ``SLOW_BASE`` the index of its first symbol minus its first code; from
        ``SLOW_ORDER`` the symbols by (length, symbol).
    """
    per_length = np.zeros(MAX_LENGTH + 2, np.int64)
    used = 0
    kraft = np.int64(0)
    for s in range(lengths.size):
        length = np.int64(lengths[s])
        if length:
            per_length[length] += 1
            used += 1
            kraft += np.int64(1) << (MAX_LENGTH - length)
    full = np.int64(1) << MAX_LENGTH
    if kraft != (full if used > 1 else full >> 1):  # a single code has one bit
        return np.zeros(0, np.uint16), np.zeros(0, np.int64)
    slow = np.zeros(SLOW_ORDER + used, np.int64)
    following = np.zeros(MAX_LENGTH + 2, np.int64)
    code = np.int64(0)
    index = np.int64(0)
    for length in range(1, MAX_LENGTH + 1):
        code = (code + per_length[length - 1]) << 1
        slow[SLOW_BASE + length] = index - code
        following[length] = index
        index += per_length[length]
        slow[length] = (code + per_length[length]) << (MAX_LENGTH - length)
    fast = np.full(1 << TABLE_BITS, LONG_CODE, np.uint16)
    for s in range(lengths.size):
        length = np.int64(lengths[s])
        if length:
            index = following[length]
            following[length] += 1
            slow[SLOW_ORDER + index] = s
            if length <= TABLE_BITS:
                first = (index - slow[SLOW_BASE + length]) << (TABLE_BITS - length)
                entry = np.uint16((s << 4) | length)
                for i in range(first, first + (np.int64(1) << (TABLE_BITS - length))):
                    fast[i] = entry
    return fast, slow


@njit(nogil=True, cache=True)
def for_decoding(lengths, mode):
    """Tables for decoding, and whether the codes are complete and fit their run symbol.

    Last, whether no symbol with a code needs more than 16 bits.
    """
    fast, slow = decoding_tables(lengths)
    usable = slow.size > 0
    if mode < 0:
        for s in range(RUN, ESCAPE):
            usable = usable and lengths[s] == 0
    else:
        usable = usable and lengths[mode] == 0
    narrow = lengths[ESCAPE] == 0
    for s in range(BEYOND_16_BITS, RUN):
        narrow = narrow and lengths[s] == 0
    return fast, slow, usable, narrow


@njit(nogil=True, cache=True)
def pack_lengths(lengths):
    """Compact form of a codebook, as bytes.

    After 10 bits that hold the number of entries (trailing unused symbols are left out), each
    entry is ``0``: as the length before; ``10``: one more; ``110``: one less; ``1110`` + 4 bits:
    that length (minus one); ``1111`` + 6 bits: a run of that many (minus one) unused symbols.
    The first entry is relative to a length of 8. Most significant bit first.
    """
    n = lengths.size
    while n > 0 and lengths[n - 1] == 0:
        n -= 1
    out = np.zeros(n * 10 // 8 + 8, np.uint8)
    bit = _put(out, 0, n, _COUNT_BITS)
    before = 8
    s = 0
    while s < n:
        length = np.int64(lengths[s])
        if length == 0:
            run = 1
            while run < 64 and lengths[s + run] == 0:
                run += 1
            bit = _put(out, bit, (15 << 6) | (run - 1), 10)
            s += run
            continue
        if length == before:
            bit = _put(out, bit, 0, 1)
        elif length == before + 1:
            bit = _put(out, bit, 2, 2)
        elif length == before - 1:
            bit = _put(out, bit, 6, 3)
        else:
            bit = _put(out, bit, (14 << 4) | (length - 1), 8)
        before = length
        s += 1
    return out[: (bit + 7) // 8]


@njit(nogil=True, cache=True)
def _put(out, bit, value, width):
    for k in range(width - 1, -1, -1):
        if (value >> k) & 1:
            out[bit >> 3] |= np.uint8(128 >> (bit & 7))
        bit += 1
    return bit


@njit(nogil=True, cache=True)
def unpack_lengths(data, lengths):
    """Fill ``lengths`` from the compact form; False where the bytes are no such form."""
    bits = data.size * 8
    lengths[:] = 0
    if bits < _COUNT_BITS:
        return False
    n = _take(data, 0, _COUNT_BITS)
    bit = _COUNT_BITS
    if n > lengths.size:
        return False
    before = 8
    s = 0
    while s < n:
        ones = 0
        while ones < 4 and bit < bits and _take(data, bit, 1) == 1:
            ones += 1
            bit += 1
        if ones < 4:
            bit += 1  # the zero that ends the prefix
        width = 4 if ones == 3 else 6 if ones == 4 else 0
        if bit + width > bits:
            return False
        if ones == 4:
            s += _take(data, bit, width) + 1
            bit += width
            if s >= n:  # unused symbols at the end are never written
                return False
            continue
        if ones == 1:
            before += 1
        elif ones == 2:
            before -= 1
        elif ones == 3:
            before = _take(data, bit, width) + 1
            bit += width
        if before < 1 or before > MAX_LENGTH:
            return False
        lengths[s] = before
        s += 1
    return bits - bit < 8


@njit(nogil=True, cache=True)
def _take(data, bit, width):
    value = 0
    for k in range(bit, bit + width):
        value = (value << 1) | ((data[k >> 3] >> (7 - (k & 7))) & 1)
    return value
