"""One stretch of a row: differences along several axes at once, and their sums on to values.

Along an axis of long stride, the row before is in a ring, at the place where the present one is
then written. At the first row of an axis zeros are read instead: ``step`` is then 0, else 1.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.lattice_values import STEP, store_values
from fzdask.codecs.kernels.cpu.vectors import (
    F32,
    F64,
    I32,
    I64,
    below,
    in_front,
    load,
    pick,
    running,
    running_sums,
    splat,
    step,
    store,
)

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


def _values(element):
    """Values of a lattice, of which a number is taken off."""
    size = 4 if element is F32 else 8

    def build(b, a, y, count, step, base):
        step = cgutils.unpack_tuple(b, step)

        def body(lane, n, left):
            v = b.sub(load(b, _place(b, a, lane), I32, n), splat(b, base, n))
            store_values(b, [v], [_place(b, y, lane, size)], element, *step)

        _turns(b, count, body)

    words = [types.int64] * 3
    return step(build, types.void, *words, STEP, types.int32)


@intrinsic
def sum_flat(typingctx, a, units):
    """Running sums of so many times 64 values, in place, that go on from the one in front."""

    def build(b, a, units):
        with cgutils.for_range(b, units) as loop:
            place = _place(b, a, b.mul(loop.index, I64(_WHOLE)))
            store(b, place, running_sums(b, load(b, place, I32, _WHOLE), in_front(b, place)))

    return step(build, types.void, types.int64, types.int64)


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
def values_f4(typingctx, a, y, count, step, base):
    """Values of a lattice, of which ``base`` is taken off first; float32."""
    return _values(F32)


@intrinsic
def values_f8(typingctx, a, y, count, step, base):
    """The same, float64."""
    return _values(F64)
