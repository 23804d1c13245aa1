"""Sums along axes of long stride, row by row, on to values.

A row is cut into windows of 16 lanes; the last is moved back so that it ends with the row, and
overlaps the one before. Each window has its own place in the rings, which hold the row before of
each axis: so no window waits for what another has written, none is cut, and nothing is written
beyond the row. At the first row of an axis zeros are read instead: ``moves`` is then 0, else 1.
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
    load,
    splat,
    step,
    store,
)

WINDOW = 16
ROWS = 4  # rows of a group; if each is the row before of the next, sums stay in registers
_TURN = 4  # windows of a turn in a single row


def _bytes(b, address, lanes, size=4):
    return b.add(address, b.mul(lanes, I64(size)))


def _least(b, one, other):
    return b.select(b.icmp_signed("<", one, other), one, other)


class _Rows:
    """``rows`` rows that begin at addresses.

    If ``chained``, each is the row before of the next along the first axis.
    """

    def __init__(self, b, element, rows, chained, length, slot, step):
        self.b, self.element, self.rows, self.chained = b, element, rows, chained
        self.length, self.slot, self.step = length, slot, step

    def below(self, base, pitch):
        """What the sums of each row go on from, which is taken off."""
        b = self.b
        places = [b.add(base, b.mul(pitch, I64(r))) for r in range(self.rows)]
        return [b.extract_element(load(b, place, I32, 1), I32(0)) for place in places]

    def window(self, a, y, below, history, column, lane, n):
        """``n`` lanes of each row; ``lane`` is their place in the rings."""
        b = self.b
        axes = [history[k : k + 3] for k in range(0, len(history), 3)]
        total = None
        if self.chained:
            read, write, moves = axes.pop(0)
            total = load(b, _bytes(b, read, b.mul(lane, moves)), I32, n)
        sums, places = [], []
        for r in range(self.rows):
            at = b.add(column, b.mul(self.length, I64(r)))
            v = b.sub(load(b, _bytes(b, a, at), I32, n), splat(b, below[r], n))
            place = b.add(lane, b.mul(self.slot, I64(r)))
            for one, other, same in reversed(axes):
                v = b.add(v, load(b, _bytes(b, one, b.mul(place, same)), I32, n))
                store(b, _bytes(b, other, place), v)
            if self.chained:
                v = total = b.add(total, v)
            sums.append(v)
            places.append(_bytes(b, y, at, 4 if self.element is F32 else 8))
        if self.chained:
            store(b, _bytes(b, write, lane), total)
        store_values(b, sums, places, self.element, *self.step)

    def windows(self, a, y, below, history, first, end):
        """One window after the other."""
        b = self.b
        last = b.sub(self.length, I64(WINDOW))
        with cgutils.for_range(b, b.sub(end, first)) as loop:
            lane = b.mul(b.add(first, loop.index), I64(WINDOW))
            self.window(a, y, below, history, _least(b, lane, last), lane, WINDOW)


def _one_row(element):
    """Windows of one row from ``first`` to ``end``."""

    def build(b, a, y, which, step, base, history):
        (length, first, end), (base, pitch, slot) = which, base
        rows = _Rows(b, element, 1, True, length, slot, step)
        below = rows.below(base, pitch)
        whole = b.sub(_least(b, b.sdiv(length, I64(WINDOW)), end), first)
        turns = b.sdiv(whole, I64(_TURN))
        turns = b.select(b.icmp_signed(">", turns, I64(0)), turns, I64(0))
        with cgutils.for_range(b, turns) as loop:
            lane = b.mul(b.add(first, b.mul(loop.index, I64(_TURN))), I64(WINDOW))
            rows.window(a, y, below, history, lane, lane, _TURN * WINDOW)
        rows.windows(a, y, below, history, b.add(first, b.mul(turns, I64(_TURN))), end)

    return build


def _groups(element, chained):
    """``count`` times ``ROWS`` whole rows of so many windows."""
    size = 4 if element is F32 else 8

    def build(b, a, y, which, step, base, history):
        (length, windows, count), (base, pitch, slot) = which, base
        rows = _Rows(b, element, ROWS, chained, length, slot, step)
        read = cgutils.alloca_once_value(b, history[0])
        moves = cgutils.alloca_once_value(b, history[2])
        with cgutils.for_range(b, count) as loop:
            row = b.mul(loop.index, I64(ROWS))
            at = b.mul(row, length)
            place = b.mul(row, slot)
            here = [b.load(read), history[1], b.load(moves)] if chained else []
            for k in range(len(here), len(history), 3):
                here += [
                    _bytes(b, history[k], b.mul(place, history[k + 2])),
                    _bytes(b, history[k + 1], place),
                    history[k + 2],
                ]
            below = rows.below(b.add(base, b.mul(row, pitch)), pitch)
            places = _bytes(b, a, at), _bytes(b, y, at, size)
            rows.windows(*places, below, here, I64(0), windows)
            if chained:
                b.store(history[1], read)
                b.store(I64(1), moves)

    return build


def _signature(build, history):
    three = types.UniTuple(types.int64, 3)

    def codegen(b, a, y, which, step, base, history):
        parts = [cgutils.unpack_tuple(b, t) for t in (which, step, base, history)]
        build(b, a, y, *parts)

    return step(codegen, types.void, types.int64, types.int64, three, STEP, three, history)


@intrinsic
def row_f4(typingctx, a, y, which, step, base, history):
    """Windows of one row, float32.

    ``a`` and ``y``: where the row begins; ``which``: the length of a row, the first window and
    the end of windows; ``step``: the step and what goes with it; ``base``: the address of what is
    taken off, the bytes from there to that of the next row, and the lanes of a row in the rings;
    ``history``: for each axis where to read and write in the rings, and ``moves``.
    """
    return _signature(_one_row(F32), history)


@intrinsic
def row_f8(typingctx, a, y, which, step, base, history):
    """Windows of one row, float64."""
    return _signature(_one_row(F64), history)


@intrinsic
def groups_f4(typingctx, a, y, which, step, base, history):
    """Whole rows, each the row before of the next; float32.

    ``which``: the length of a row, how many windows it has, and how many ``ROWS`` rows there are.
    """
    return _signature(_groups(F32, True), history)


@intrinsic
def groups_f8(typingctx, a, y, which, step, base, history):
    """The same, float64."""
    return _signature(_groups(F64, True), history)


@intrinsic
def groups_apart_f4(typingctx, a, y, which, step, base, history):
    """Whole rows with places of their own in the rings, one after the other; float32."""
    return _signature(_groups(F32, False), history)


@intrinsic
def groups_apart_f8(typingctx, a, y, which, step, base, history):
    """The same, float64."""
    return _signature(_groups(F64, False), history)
