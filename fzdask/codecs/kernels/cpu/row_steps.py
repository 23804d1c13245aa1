"""One stretch of a row: differences along several axes at once, and their sums on to values.

Along an axis of long stride, the row before is in a ring, at the place where the present one is
then written. At the first row of an axis zeros are read instead: ``step`` is then 0, else 1.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.vectors import (
    F32,
    F64,
    I32,
    I64,
    LINE,
    below,
    fetch,
    join,
    load,
    pick,
    running,
    splat,
    step,
    store,
    zero,
)

# Bytes ahead at which room for values is fetched into the second cache: a line is read before it
# is written, and comes from memory where it was not used of late. A quarter of the time of arrays
# of 8 MB; half or twice as far is alike, into the first cache it is lost.
AHEAD = 8192
_WHOLE, _PART = 64, 32  # lanes of a turn, and of a turn at the end of the stretch


def _turns(b, count, body):
    """Call ``body(first lane, lanes, how many of them)`` until all are done."""
    whole = b.udiv(count, I64(_WHOLE))
    with cgutils.for_range(b, whole) as loop:
        body(b.mul(loop.index, I64(_WHOLE)), _WHOLE, None)
    done = b.mul(whole, I64(_WHOLE))
    rest = b.sub(count, done)
    parts = b.udiv(b.add(rest, I64(_PART - 1)), I64(_PART))
    with cgutils.for_range(b, parts) as loop:
        first = b.mul(loop.index, I64(_PART))
        body(b.add(done, first), _PART, b.sub(rest, first))


def _place(b, address, lane, size=4):
    return b.add(address, b.mul(lane, I64(size)))


def _keep(b, address, value, count):
    """Store the lanes before ``count``; what lies behind them is still needed."""
    if count is not None:
        value = b.select(below(b, count, value.type.count), value, load(b, address, I32, _PART))
    store(b, address, value)


def _forward(along, rows):
    """Differences along ``rows`` axes of long stride and, with ``along``, along the row.

    Returns what comes before the next stretch of the row.
    """

    def build(b, a, d, count, before, *history):
        last = cgutils.alloca_once_value(b, before)

        def body(lane, n, left):
            v = load(b, _place(b, a, lane), I32, n)
            for k in range(rows):
                read, write, moves = history[3 * k : 3 * k + 3]
                old = load(b, _place(b, read, b.mul(lane, moves)), I32, n)
                _keep(b, _place(b, write, lane), v, left)
                v = b.sub(v, old)
            if along:
                front = splat(b, b.load(last), n)
                end = I64(n - 1)
                if left is not None:
                    final = b.icmp_signed("<", left, I64(n))
                    end = b.select(final, b.sub(left, I64(1)), end)
                b.store(b.extract_element(v, end), last)
                v = b.sub(v, pick(b, front, v, range(n - 1, 2 * n - 1)))
            store(b, _place(b, d, lane), v)

        _turns(b, count, body)
        return b.load(last)

    words = [types.int64] * (3 + 3 * rows)
    return step(build, types.int32, *words[:3], types.int32, *words[3:])


def _inverse(rows, element):
    """Sums along ``rows`` axes of long stride, and the values of that lattice."""
    size = 4 if element is F32 else 8

    def build(b, a, y, count, cell, *history):
        def body(lane, n, left):
            for place in range(AHEAD, AHEAD + n * size, LINE):
                fetch(b, b.add(_place(b, y, lane, size), I64(place)), 2)
            v = load(b, _place(b, a, lane), I32, n)
            for k in reversed(range(rows)):
                read, write, moves = history[3 * k : 3 * k + 3]
                v = b.add(v, load(b, _place(b, read, b.mul(lane, moves)), I32, n))
                _keep(b, _place(b, write, lane), v, left)
            x = b.fmul(b.sitofp(v, ir.VectorType(F64, n)), splat(b, cell, n))
            if element is F32:
                x = b.fptrunc(x, ir.VectorType(F32, n))
            store(b, _place(b, y, lane, size), x)

        _turns(b, count, body)

    words = [types.int64] * (3 + 3 * rows)
    return step(build, types.void, *words[:3], types.float64, *words[3:])


@intrinsic
def sum_row(typingctx, a, count, before):
    """Running sums along a row, in place, that go on from ``before``; returns the last.

    By itself, since together with what follows the chains of operations are too long for a
    processor to keep several in flight.
    """

    def build(b, a, count, before):
        total = cgutils.alloca_once_value(b, before)

        def body(lane, n, left):
            place = _place(b, a, lane)
            _keep(b, place, _sums(b, load(b, place, I32, n), total, left), left)

        _turns(b, count, body)
        return b.load(total)

    return step(build, types.int32, types.int64, types.int64, types.int32)


def _sums(b, v, total, left):
    """Running sums that go on from ``total``, which becomes the last."""
    n = v.type.count
    before = b.load(total)
    if left is not None:
        v = b.select(below(b, left, n), v, zero(v))
    parts = [running(b, pick(b, v, v, range(k, k + 16))) for k in range(0, n, 16)]
    ends = [pick(b, p, p, [15] * 16) for p in parts]
    sums = ends[0]
    for k in range(1, len(parts)):  # apart from the total, so that no turn waits for another's
        parts[k] = b.add(parts[k], sums)
        sums = b.add(sums, ends[k])
    b.store(b.add(before, b.extract_element(sums, I32(0))), total)
    front = splat(b, before, 16)
    parts = [b.add(p, front) for p in parts]
    return join(b, parts)


def _sum_lag(lag):
    """Running sums of every so many-th value: a turn adds the last sums of the one before."""
    n = 16
    latest = [n - lag + j % lag for j in range(n)]

    def build(b, a, count):
        sums = cgutils.alloca_once_value(b, load(b, b.sub(a, I64(4 * n)), I32, n))
        turns = b.udiv(b.add(count, I64(n - 1)), I64(n))
        with cgutils.for_range(b, turns) as loop:
            first = b.mul(loop.index, I64(n))
            place = _place(b, a, first)
            given = load(b, place, I32, n)
            v = running(b, given, lag)
            front = b.load(sums)
            v = b.add(v, pick(b, front, front, latest))
            b.store(v, sums)
            store(b, place, b.select(below(b, b.sub(count, first), n), v, given))

    return step(build, types.void, types.int64, types.int64)


@intrinsic
def sum_lag_2(typingctx, a, count):
    """Running sums, in place, of every second value; 16 lanes before are read, 2 of them used."""
    return _sum_lag(2)


@intrinsic
def sum_lag_3(typingctx, a, count):
    """The same of every third value."""
    return _sum_lag(3)


@intrinsic
def sum_lag_4(typingctx, a, count):
    """The same of every fourth value."""
    return _sum_lag(4)


@intrinsic
def forward_0(typingctx, a, d, count, before):
    """Copy; no axis but perhaps others of short stride."""
    return _forward(False, 0)


@intrinsic
def forward_1(typingctx, a, d, count, before, read1, write1, step1):
    """Differences along one axis of long stride."""
    return _forward(False, 1)


@intrinsic
def forward_2(typingctx, a, d, count, before, read1, write1, step1, read2, write2, step2):
    """Differences along two axes of long stride."""
    return _forward(False, 2)


@intrinsic
def forward_row_0(typingctx, a, d, count, before):
    """Differences along the row; ``before`` is what is in front of it."""
    return _forward(True, 0)


@intrinsic
def forward_row_1(typingctx, a, d, count, before, read1, write1, step1):
    """Differences along the row and one axis of long stride."""
    return _forward(True, 1)


@intrinsic
def forward_row_2(typingctx, a, d, count, before, read1, write1, step1, read2, write2, step2):
    """Differences along the row and two axes of long stride."""
    return _forward(True, 2)


@intrinsic
def inverse_0_f4(typingctx, a, y, count, cell):
    """Values of a lattice, float32."""
    return _inverse(0, F32)


@intrinsic
def inverse_1_f4(typingctx, a, y, count, cell, read1, write1, step1):
    """Undo :func:`forward_1`, on to values, float32."""
    return _inverse(1, F32)


@intrinsic
def inverse_2_f4(typingctx, a, y, count, cell, read1, write1, step1, read2, write2, step2):
    """Undo :func:`forward_2`, on to values, float32."""
    return _inverse(2, F32)


@intrinsic
def inverse_0_f8(typingctx, a, y, count, cell):
    """Values of a lattice, float64."""
    return _inverse(0, F64)


@intrinsic
def inverse_1_f8(typingctx, a, y, count, cell, read1, write1, step1):
    """Undo :func:`forward_1`, on to values, float64."""
    return _inverse(1, F64)


@intrinsic
def inverse_2_f8(typingctx, a, y, count, cell, read1, write1, step1, read2, write2, step2):
    """Undo :func:`forward_2`, on to values, float64."""
    return _inverse(2, F64)
