"""Values of an interpolation, vector by vector: predicted, quantized or decoded in registers.

A prediction is a list of pairs of places in memory with a weight for each: the same for all
values that lie side by side as their neighbours do, and for those of the rows below. What is
computed is what :mod:`~fzdask.codecs.kernels.cpu.interpolate_classes` says, in the same order.
Values that do not fill their last vector are read from their end once more: none depends on
another of its class.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.codecs.kernels.cpu.interpolate_classes import LIMIT
from fzdask.codecs.kernels.cpu.vectors import (
    F32,
    F64,
    I1,
    I8,
    I32,
    I64,
    call,
    load,
    pick,
    splat,
    store,
)
from fzdask.jit import njit

__all__ = ["MOST_PAIRS", "decode_rows", "encode_rows"]

MOST_PAIRS = 12  # four axes of six neighbours each
_WIDE, _NARROW, _ONE = 16, 4, 1  # lanes


def _element(array):
    return F32 if array.dtype.bitwidth == 32 else F64


def _at(b, address, index):
    """Address of the index-th of numbers of 8 bytes."""
    return b.add(address, b.shl(index, I64(3)))


def _scalar(b, address, element):
    return b.load(b.inttoptr(address, element.as_pointer()), align=8)


def _widened(b, v):
    return v if v.type.element == F64 else b.fpext(v, ir.VectorType(F64, v.type.count))


def _prediction(b, element, lanes, taps, weights, pairs, offset_of):
    """The sum of all pairs, from 0.0 on, in turn; offsets are those of each place."""
    vector = ir.VectorType(F64, lanes)
    total = cgutils.alloca_once(b, vector)
    b.store(ir.Constant(vector, [0.0] * lanes), total)
    with cgutils.for_range(b, pairs) as loop:
        k = b.shl(loop.index, I64(1))
        terms = []
        for one in range(2):
            place = b.add(k, I64(one))
            at = b.add(_scalar(b, _at(b, taps, place), I64), offset_of(place))
            weight = splat(b, _scalar(b, _at(b, weights, place), F64), lanes)
            terms.append(b.fmul(weight, _widened(b, load(b, at, element, lanes))))
        b.store(b.fadd(b.load(total), b.fadd(*terms)), total)
    return b.load(total)


def _math(b, name, v):
    return call(b, f"llvm.{name}.v{v.type.count}f64", v.type, v)


def _usable(b, p, largest, whole):
    """The prediction that counts: rounded if so asked, 0 where it is beyond the dtype."""
    n = p.type.count
    p = b.select(splat(b, whole, n), _math(b, "rint", p), p)
    near = b.fcmp_ordered("<=", _math(b, "fabs", p), splat(b, largest, n))
    return b.select(near, p, ir.Constant(p.type, [0.0] * n))


def _narrowed(b, v, element):
    return v if element == F64 else b.fptrunc(v, ir.VectorType(element, v.type.count))


def _for_vectors(b, begin, end, lanes):
    """The first values of vectors that cover a run of at least one of them."""
    count = b.sub(end, begin)
    vectors = b.sdiv(b.add(count, I64(lanes - 1)), I64(lanes))
    last = b.sub(end, I64(lanes))

    def first(index):
        at = b.add(begin, b.mul(index, I64(lanes)))
        return b.select(b.icmp_signed("<", at, last), at, last)

    return vectors, first


def _decoded(b, element, p, codes, at, cell):
    """Values from their predictions and from the codes at an index."""
    lanes = p.type.count
    code = load(b, b.add(codes, b.mul(at, I64(4))), I32, lanes)
    step = b.fmul(b.sitofp(code, p.type), splat(b, cell, lanes))
    return _narrowed(b, b.fadd(p, step), element)


def _quantized(b, element, p, v, codes, to, at, size, cell, inv, bound):
    """Store codes and decoded values at an index; flags of those that miss the bound."""
    lanes = p.type.count
    r = _math(b, "rint", b.fmul(b.fsub(v, p), splat(b, inv, lanes)))
    near = b.fcmp_ordered("<=", _math(b, "fabs", r), ir.Constant(r.type, [LIMIT] * lanes))
    r = b.select(near, r, ir.Constant(r.type, [0.0] * lanes))  # NaN is not near either
    y = _narrowed(b, b.fadd(p, b.fmul(r, splat(b, cell, lanes))), element)
    store(b, b.add(to, b.mul(at, size)), y)
    store(b, b.add(codes, b.mul(at, I64(4))), b.fptosi(r, ir.VectorType(I32, lanes)))
    return _beyond(b, v, _widened(b, y), splat(b, bound, lanes))


def _beyond(b, v, y, bound):
    """Flags of the lanes in which two numbers are farther apart than the bound, or one is NaN."""
    difference = b.fsub(v, y)
    distance = _math(b, "fabs", difference)
    far = cgutils.alloca_once(b, ir.VectorType(I1, v.type.count))
    b.store(b.fcmp_unordered(">", distance, bound), far)
    near = b.fcmp_ordered("==", distance, bound)
    some = ir.IntType(v.type.count)
    with b.if_then(b.icmp_unsigned("!=", b.bitcast(near, some), some(0)), likely=False):
        # As in `interpolate_classes.beyond`.
        moved = b.fsub(difference, v)
        rest = b.fsub(b.fsub(v, b.fsub(difference, moved)), b.fadd(y, moved))
        zeros = ir.Constant(v.type, [0.0] * v.type.count)
        above = b.and_(b.fcmp_ordered(">", difference, zeros), b.fcmp_ordered(">", rest, zeros))
        below = b.and_(b.fcmp_ordered("<", difference, zeros), b.fcmp_ordered("<", rest, zeros))
        b.store(b.or_(b.load(far), b.and_(near, b.or_(above, below))), far)
    return b.load(far)


def _stepped(b, address, element, lanes, step):
    """Every ``step``-th number from an address on, none behind the last one being touched."""
    if step == 1:
        return load(b, address, element, lanes)
    size = 4 if element == F32 else 8
    low = load(b, address, element, lanes)
    high = load(b, b.add(address, I64(size * (lanes - 1))), element, lanes)
    half = lanes // 2
    return pick(b, low, high, [*range(0, lanes, 2), *(lanes + 2 * k + 1 for k in range(half))])


def _size(element):
    return I64(4 if element == F32 else 8)


def _neighbours(b, pitches, row, offset):
    """Offsets of the neighbours of a value in a row: those of the next row are a pitch on."""
    return lambda place: b.add(offset, b.mul(row, _scalar(b, _at(b, pitches, place), I64)))


def _decode(b, element, lanes, args):
    codes, to, rows, length, begin, end, taps, pitches, weights, pairs, cell, largest, whole = args
    vectors, first = _for_vectors(b, begin, end, lanes)
    with cgutils.for_range(b, rows) as outer:
        start = b.mul(outer.index, length)
        with cgutils.for_range(b, vectors) as inner:
            offset = b.mul(first(inner.index), _size(element))
            near = _neighbours(b, pitches, outer.index, offset)
            p = _usable(
                b, _prediction(b, element, lanes, taps, weights, pairs, near), largest, whole
            )
            at = b.add(start, first(inner.index))
            y = _decoded(b, element, p, codes, at, cell)
            store(b, b.add(to, b.mul(at, _size(element))), y)


def _encode(b, element, lanes, step, args):
    x, x_pitch, codes, to, rows, length, begin, end, marks, *prediction = args
    taps, pitches, weights, pairs, cell, inv, bound, largest, whole = prediction
    size = _size(element)
    vectors, first = _for_vectors(b, begin, end, lanes)
    flags = ir.VectorType(I1, lanes)
    missed = cgutils.alloca_once(b, flags)
    with cgutils.for_range(b, rows) as outer:
        start = b.mul(outer.index, length)
        row = b.add(x, b.mul(outer.index, x_pitch))
        b.store(ir.Constant(flags, [0] * lanes), missed)
        with cgutils.for_range(b, vectors) as inner:
            offset = b.mul(first(inner.index), size)
            near = _neighbours(b, pitches, outer.index, offset)
            p = _usable(
                b, _prediction(b, element, lanes, taps, weights, pairs, near), largest, whole
            )
            source = b.add(row, b.mul(offset, I64(step)))
            v = _widened(b, _stepped(b, source, element, lanes, step))
            at = b.add(start, first(inner.index))
            far = _quantized(b, element, p, v, codes, to, at, size, cell, inv, bound)
            b.store(b.or_(b.load(missed), far), missed)
        some = b.bitcast(b.load(missed), ir.IntType(lanes))
        mark = b.inttoptr(b.add(marks, outer.index), I8.as_pointer())
        any_far = b.zext(b.icmp_unsigned("!=", some, some.type(0)), I8)
        b.store(b.or_(b.load(mark), any_far), mark)


i, f = types.int64, types.float64


def _decoder(lanes):
    @intrinsic
    def decode(
        typingctx, work, codes, to, rows, length, begin, end, taps, pitches, weights, pairs, cell,
        largest, whole,
    ):  # fmt: skip
        def codegen(context, builder, signature, args):
            _decode(builder, _element(work), lanes, args[1:])
            return context.get_dummy_value()

        return types.void(work, *(i,) * 10, f, f, types.boolean), codegen

    return decode


def _encoder(lanes, step):
    @intrinsic
    def encode(
        typingctx, work, x, x_pitch, codes, to, rows, length, begin, end, marks, taps, pitches,
        weights, pairs, cell, inv, bound, largest, whole,
    ):  # fmt: skip
        def codegen(context, builder, signature, args):
            _encode(builder, _element(work), lanes, step, args[1:])
            return context.get_dummy_value()

        return types.void(work, *(i,) * 13, f, f, f, f, types.boolean), codegen

    return encode


_decode_wide, _decode_narrow, _decode_one = (_decoder(n) for n in (_WIDE, _NARROW, _ONE))
_encode_wide, _encode_narrow, _encode_one = (_encoder(n, 1) for n in (_WIDE, _NARROW, _ONE))
_encode_wide_2, _encode_narrow_2 = (_encoder(n, 2) for n in (_WIDE, _NARROW))


@njit(nogil=True, cache=True)
def decode_rows(
    work, codes, to, rows, length, begin, end, taps, pitches, weights, pairs, cell, largest, whole
):  # fmt: skip
    """Decode what lies from ``begin`` to before ``end`` in each of some rows.

    Parameters
    ----------
    work : flat array
        Of the values; only its dtype counts.
    codes, to : int
        Addresses of the first row's code 0, an int32, and value 0.
    rows, length : int
        How many rows, and of how many values.
    begin, end : int
    taps, pitches, weights : int
        Addresses of ``2 * pairs`` numbers each: addresses of the neighbours of the first row's
        value 0, how far from there those of the next row's are, and weights.
    pairs : int
    cell, largest, whole
        See :func:`~fzdask.codecs.kernels.cpu.interpolate_classes.dequantize`.
    """
    n = end - begin
    if n >= 16:
        _decode_wide(
            work, codes, to, rows, length, begin, end, taps, pitches, weights, pairs, cell, largest,
            whole,
        )  # fmt: skip
    elif n >= 4:
        _decode_narrow(
            work, codes, to, rows, length, begin, end, taps, pitches, weights, pairs, cell, largest,
            whole,
        )  # fmt: skip
    elif n > 0:
        _decode_one(
            work, codes, to, rows, length, begin, end, taps, pitches, weights, pairs, cell, largest,
            whole,
        )  # fmt: skip


@njit(nogil=True, cache=True)
def encode_rows(
    work, x, x_pitch, step, codes, to, rows, length, begin, end, marks, taps, pitches, weights,
    pairs, cell, inv, bound, largest, whole,
):  # fmt: skip
    """Quantize what lies from ``begin`` to before ``end`` in each of some rows.

    ``x`` is the address of value 0, where values are ``step`` (1 or 2) apart, and rows
    ``x_pitch`` bytes. ``marks`` is the address of a byte for each row, set where one of its
    values misses the bound. Others are as of :func:`decode_rows`.
    """
    n = end - begin
    if n < 4:  # one lane: steps are taken here
        for k in range(begin, end):
            _encode_one(
                work, x + (step - 1) * k * work.itemsize, x_pitch, codes, to, rows, length, k,
                k + 1, marks, taps, pitches, weights, pairs, cell, inv, bound, largest, whole,
            )  # fmt: skip
    elif n < 16:
        if step == 1:
            _encode_narrow(
                work, x, x_pitch, codes, to, rows, length, begin, end, marks, taps, pitches,
                weights, pairs, cell, inv, bound, largest, whole,
            )  # fmt: skip
        else:
            _encode_narrow_2(
                work, x, x_pitch, codes, to, rows, length, begin, end, marks, taps, pitches,
                weights, pairs, cell, inv, bound, largest, whole,
            )  # fmt: skip
    elif step == 1:
        _encode_wide(
            work, x, x_pitch, codes, to, rows, length, begin, end, marks, taps, pitches, weights,
            pairs, cell, inv, bound, largest, whole,
        )  # fmt: skip
    else:
        _encode_wide_2(
            work, x, x_pitch, codes, to, rows, length, begin, end, marks, taps, pitches, weights,
            pairs, cell, inv, bound, largest, whole,
        )  # fmt: skip
