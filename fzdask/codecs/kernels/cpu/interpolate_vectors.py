"""Values of an interpolation, vector by vector: predicted, quantized or decoded in registers.

A prediction is a list of pairs of places in memory with a weight for each: the same for all
values of a run, which lie side by side as their neighbours do. What is computed is what
:mod:`~fzdask.codecs.kernels.cpu.interpolate_classes` says, in the same order. A run that does
not fill its last vector is read from its end once more: no value depends on another of its run.
"""

from llvmlite import ir
from numba import njit, types
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

__all__ = ["MOST_PAIRS", "decode_column", "decode_row", "encode_column", "encode_row"]

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


def _decoded(b, element, narrow, p, codes, at, cell):
    """Values from their predictions and from the codes at an index."""
    lanes = p.type.count
    if narrow:
        z = load(b, b.add(codes, b.mul(at, I64(2))), ir.IntType(16), lanes)
        z = b.zext(z, ir.VectorType(I32, lanes))
        one = ir.Constant(z.type, [1] * lanes)
        code = b.xor(b.lshr(z, one), b.sub(ir.Constant(z.type, [0] * lanes), b.and_(z, one)))
    else:
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
    error = _math(b, "fabs", b.fsub(v, _widened(b, y)))
    return b.fcmp_unordered(">", error, splat(b, bound, lanes))


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


def _decode_row(lanes):
    def build(
        b, element, narrow, codes, to, begin, end, taps, weights, pairs, cell, largest, whole
    ):
        size = _size(element)
        vectors, first = _for_vectors(b, begin, end, lanes)
        with cgutils.for_range(b, vectors) as loop:
            at = first(loop.index)
            offset = b.mul(at, size)
            p = _prediction(b, element, lanes, taps, weights, pairs, lambda _: offset)
            p = _usable(b, p, largest, whole)
            store(b, b.add(to, offset), _decoded(b, element, narrow, p, codes, at, cell))

    return build


def _encode_row(lanes, step):
    def build(
        b, element, x, codes, to, begin, end, taps, weights, pairs, cell, inv, bound, largest, whole
    ):  # fmt: skip
        size = _size(element)
        vectors, first = _for_vectors(b, begin, end, lanes)
        flags = ir.VectorType(I1, lanes)
        missed = cgutils.alloca_once(b, flags)
        b.store(ir.Constant(flags, [0] * lanes), missed)
        with cgutils.for_range(b, vectors) as loop:
            at = first(loop.index)
            offset = b.mul(at, size)
            p = _prediction(b, element, lanes, taps, weights, pairs, lambda _: offset)
            p = _usable(b, p, largest, whole)
            source = b.add(x, b.mul(offset, I64(step)))
            v = _widened(b, _stepped(b, source, element, lanes, step))
            far = _quantized(b, element, p, v, codes, to, at, size, cell, inv, bound)
            b.store(b.or_(b.load(missed), far), missed)
        some = b.bitcast(b.load(missed), ir.IntType(lanes))
        return b.zext(b.icmp_unsigned("!=", some, some.type(0)), I64)

    return build


def _down(b, pitches, row):
    """Offsets of the neighbours of a value in a column, each of which has a pitch of its own."""
    return lambda place: b.mul(row, _scalar(b, _at(b, pitches, place), I64))


def _decode_column(
    b, element, narrow, codes, to, rows, length, taps, pitches, weights, pairs, cell, largest, whole
):  # fmt: skip
    with cgutils.for_range(b, rows) as loop:
        p = _prediction(b, element, 1, taps, weights, pairs, _down(b, pitches, loop.index))
        p = _usable(b, p, largest, whole)
        at = b.mul(loop.index, length)
        y = _decoded(b, element, narrow, p, codes, at, cell)
        store(b, b.add(to, b.mul(at, _size(element))), y)


def _encode_column(
    b, element, x, x_pitch, codes, to, rows, length, marks, taps, pitches, weights, pairs, cell,
    inv, bound, largest, whole,
):  # fmt: skip
    with cgutils.for_range(b, rows) as loop:
        p = _prediction(b, element, 1, taps, weights, pairs, _down(b, pitches, loop.index))
        p = _usable(b, p, largest, whole)
        v = _widened(b, load(b, b.add(x, b.mul(loop.index, x_pitch)), element, 1))
        at = b.mul(loop.index, length)
        far = _quantized(b, element, p, v, codes, to, at, _size(element), cell, inv, bound)
        mark = b.inttoptr(b.add(marks, loop.index), I8.as_pointer())
        b.store(b.or_(b.load(mark), b.zext(b.bitcast(far, I1), I8)), mark)


i, f = types.int64, types.float64


def _row_decoder(lanes):
    @intrinsic
    def decode(
        typingctx, work, z, codes, to, begin, end, taps, weights, pairs, cell, largest, whole
    ):  # fmt: skip
        def codegen(context, builder, signature, args):
            _decode_row(lanes)(builder, _element(work), z.dtype.bitwidth == 16, *args[2:])
            return context.get_dummy_value()

        return types.void(work, z, i, i, i, i, i, i, i, f, f, types.boolean), codegen

    return decode


def _row_encoder(lanes, step):
    @intrinsic
    def encode(
        typingctx, work, x, codes, to, begin, end, taps, weights, pairs, cell, inv, bound, largest,
        whole,
    ):  # fmt: skip
        def codegen(context, builder, signature, args):
            return _encode_row(lanes, step)(builder, _element(work), *args[1:])

        return i(work, i, i, i, i, i, i, i, i, f, f, f, f, types.boolean), codegen

    return encode


@intrinsic
def decode_column(
    typingctx, work, z, codes, to, rows, length, taps, pitches, weights, pairs, cell, largest, whole
):  # fmt: skip
    """Decode the values at one place of several rows that are ``length`` values long.

    As :func:`decode_row`, but the neighbours of the next row's value are their ``pitches`` on.
    """

    def codegen(context, builder, signature, args):
        _decode_column(builder, _element(work), z.dtype.bitwidth == 16, *args[2:])
        return context.get_dummy_value()

    return types.void(work, z, i, i, i, i, i, i, i, i, f, f, types.boolean), codegen


@intrinsic
def encode_column(
    typingctx, work, x, x_pitch, codes, to, rows, length, marks, taps, pitches, weights, pairs,
    cell, inv, bound, largest, whole,
):  # fmt: skip
    """Quantize the values at one place of several rows; sets a row's mark if it misses the bound.

    As :func:`encode_row` and :func:`decode_column`; ``marks`` is the address of a byte for each
    row.
    """

    def codegen(context, builder, signature, args):
        _encode_column(builder, _element(work), *args[1:])
        return context.get_dummy_value()

    return types.void(work, *(i,) * 11, f, f, f, f, types.boolean), codegen


_decode_wide, _decode_narrow, _decode_one = (_row_decoder(n) for n in (_WIDE, _NARROW, _ONE))
_encode_wide, _encode_narrow, _encode_one = (_row_encoder(n, 1) for n in (_WIDE, _NARROW, _ONE))
_encode_wide_2, _encode_narrow_2 = (_row_encoder(n, 2) for n in (_WIDE, _NARROW))


@njit(nogil=True, cache=True)
def decode_row(
    work, z, codes, to, begin, end, taps, weights, pairs, cell, largest, whole
):  # fmt: skip
    """Decode the values from ``begin`` to before ``end`` of a run.

    Parameters
    ----------
    work : flat array
        Of the values; only its dtype counts.
    z : flat array
        Of the codes: int32, or uint16 for zigzagged ones; only its dtype counts.
    codes, to : int
        Addresses of the run's code 0 and value 0.
    begin, end : int
    taps, weights : int
        Addresses of ``2 * pairs`` addresses (of the neighbours of value 0) and weights.
    pairs : int
    cell, largest, whole
        See :func:`~fzdask.codecs.kernels.cpu.interpolate_classes.dequantize`.
    """
    n = end - begin
    if n >= 16:
        _decode_wide(
            work, z, codes, to, begin, end, taps, weights, pairs, cell, largest, whole
        )  # fmt: skip
    elif n >= 4:
        _decode_narrow(
            work, z, codes, to, begin, end, taps, weights, pairs, cell, largest, whole
        )  # fmt: skip
    elif n > 0:
        _decode_one(
            work, z, codes, to, begin, end, taps, weights, pairs, cell, largest, whole
        )  # fmt: skip


@njit(nogil=True, cache=True)
def encode_row(
    work, x, step, codes, to, begin, end, taps, weights, pairs, cell, inv, bound, largest, whole
):  # fmt: skip
    """Quantize the values from ``begin`` to before ``end`` of a run; 1 if any misses the bound.

    ``x`` is the address of value 0, ``step`` (1 or 2) how far apart the values are there. Others
    are as of :func:`decode_row`.
    """
    n = end - begin
    missed = 0
    if n >= 16:
        if step == 1:
            missed = _encode_wide(
                work, x, codes, to, begin, end, taps, weights, pairs, cell, inv, bound, largest,
                whole,
            )  # fmt: skip
        else:
            missed = _encode_wide_2(
                work, x, codes, to, begin, end, taps, weights, pairs, cell, inv, bound, largest,
                whole,
            )  # fmt: skip
    elif n >= 4:
        if step == 1:
            missed = _encode_narrow(
                work, x, codes, to, begin, end, taps, weights, pairs, cell, inv, bound, largest,
                whole,
            )  # fmt: skip
        else:
            missed = _encode_narrow_2(
                work, x, codes, to, begin, end, taps, weights, pairs, cell, inv, bound, largest,
                whole,
            )  # fmt: skip
    elif n > 0:
        at = x + (step - 1) * begin * work.itemsize  # one lane: steps are taken here
        for i in range(begin, end):
            missed |= _encode_one(
                work, at, codes, to, i, i + 1, taps, weights, pairs, cell, inv, bound, largest,
                whole,
            )  # fmt: skip
            at += (step - 1) * work.itemsize
    return missed
