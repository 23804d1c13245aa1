"""Steps on explicit LLVM vectors, for loops that Numba's own vectoriser does not get right.

LLVM splits a vector over whatever registers the machine has, so these are no more tied to one
than a plain loop is. Addresses are integers (``array.ctypes.data``): the caller sees to it that
whole vectors may be read and written there. Nothing here is contracted or reassociated.
"""

from llvmlite import binding, ir
from numba import types
from numba.core import config
from numba.extending import intrinsic

I1, I8, I16, I32, I64 = (ir.IntType(n) for n in (1, 8, 16, 32, 64))
F32, F64 = ir.FloatType(), ir.DoubleType()
LINE = 64  # bytes of a cache line


def able(*features):
    """Whether the processor that kernels are compiled for has all of these, as LLVM names them."""
    if config.CPU_NAME or config.CPU_FEATURES:  # another one
        given = (config.CPU_FEATURES or "").split(",")
        return all(f"+{feature}" in given for feature in features)
    return all(binding.get_host_cpu_features().get(feature) for feature in features)


def load(b, address, element, n):
    return b.load(b.inttoptr(address, ir.VectorType(element, n).as_pointer()), align=1)


def store(b, address, value):
    b.store(value, b.inttoptr(address, value.type.as_pointer()), align=1)


def constant(element, values):
    return ir.Constant(ir.VectorType(element, len(values)), [element(v) for v in values])


def same(element, value, n):
    return constant(element, [value] * n)


def zero(vector):
    return ir.Constant(vector.type, None)


def pick(b, a, c, lanes):
    return b.shuffle_vector(a, c, constant(I32, lanes))


def splat(b, value, n):
    """A scalar in every lane."""
    empty = ir.Constant(ir.VectorType(value.type, n), ir.Undefined)
    return pick(b, b.insert_element(empty, value, I32(0)), empty, [0] * n)


def call(b, name, result, *args):
    """A function of LLVM's own."""
    function = b.module.globals.get(name)
    if function is None:
        function = ir.Function(b.module, ir.FunctionType(result, [a.type for a in args]), name)
    return b.call(function, args)


def fetch(b, address, level):
    """Ask for a cache line that will be read, into the cache of this level; never fails."""
    place = b.inttoptr(address, I8.as_pointer())
    call(b, "llvm.prefetch.p0", ir.VoidType(), place, I32(0), I32(4 - level), I32(1))


def join(b, parts):
    """One vector of several of the same length."""
    while len(parts) > 1:
        n = 2 * parts[0].type.count
        parts = [pick(b, parts[k], parts[k + 1], range(n)) for k in range(0, len(parts), 2)]
    return parts[0]


def fold(b, op, v, n):
    """Combine lanes until n are left."""
    while v.type.count > n:
        half = v.type.count // 2
        v = op(pick(b, v, v, range(half)), pick(b, v, v, range(half, 2 * half)))
    return v


def running(b, v, shift=1):
    """Running sums of the lanes, or of every so many-th lane."""
    n = v.type.count
    while shift < n:
        moved = [n - shift + j if j < shift else n + j - shift for j in range(n)]
        v = b.add(v, pick(b, zero(v), v, moved))
        shift *= 2
    return v


def in_front(b, address):
    """The integer of 32 bits in front of an address, in 16 lanes."""
    return splat(b, b.extract_element(load(b, b.sub(address, I64(4)), I32, 1), I32(0)), 16)


def running_sums(b, v, before):
    """Running sums of lanes of 32 bits that go on from ``before``, which is in 16 lanes."""
    n = v.type.count
    parts = [running(b, pick(b, v, v, range(k, k + 16))) for k in range(0, n, 16)]
    ends = [pick(b, p, p, [15] * 16) for p in parts]
    sums = ends[0]
    for k in range(1, len(parts)):  # apart from ``before``, so that no turn waits for another's
        parts[k] = b.add(parts[k], sums)
        sums = b.add(sums, ends[k])
    return join(b, [b.add(p, before) for p in parts])


def unzigzag(b, v):
    """Signed integers of zigzagged ones."""
    one = same(v.type.element, 1, v.type.count)
    return b.xor(b.lshr(v, one), b.sub(zero(v), b.and_(v, one)))


def below(b, k, n):
    """Flags of the lanes before the k-th."""
    return b.icmp_signed("<", constant(I32, range(n)), splat(b, b.trunc(k, I32), n))


def flags(b, v):
    """Lanes of booleans as the bits of an int64, at most 64 of them."""
    n = v.type.count
    whole = b.bitcast(v, ir.IntType(n))
    return whole if n == 64 else b.zext(whole, I64)


def step(build, result, *arguments):
    """An intrinsic of Numba from a function that emits it."""

    def codegen(context, builder, signature, args):
        value = build(builder, *args)
        return context.get_dummy_value() if value is None else value

    return result(*arguments), codegen


@intrinsic
def copy_bytes(typingctx, source, target, count):
    """memcpy."""

    def build(b, source, target, count):
        byte = I8.as_pointer()
        args = b.inttoptr(target, byte), b.inttoptr(source, byte), count, I1(0)
        call(b, "llvm.memcpy.p0.p0.i64", ir.VoidType(), *args)

    return step(build, types.void, types.int64, types.int64, types.int64)


def _reading(kind):
    def build(b, address):
        value = b.load(b.inttoptr(address, kind.as_pointer()), align=1)
        return value if kind is I64 else b.zext(value, I64)

    return step(build, types.uint64, types.int64)


@intrinsic
def read_1(typingctx, address):
    """A byte at an address."""
    return _reading(I8)


@intrinsic
def read_2(typingctx, address):
    """Two bytes at an address."""
    return _reading(I16)


@intrinsic
def read_8(typingctx, address):
    """Eight bytes at an address."""
    return _reading(I64)


# Differences and sums -------------------------------------------------------------------------

_LANES = 16
_THREE = (types.void, types.int64, types.int64, types.int64)


def _with_history(op):
    """``a = a op h``, and into h what the next row needs: the value that is not differenced."""

    def build(b, a, h, count):
        v, old = load(b, a, I32, _LANES), load(b, h, I32, _LANES)
        r = getattr(b, op)(v, old)
        mine = below(b, count, _LANES)
        store(b, a, b.select(mine, r, v))
        store(b, h, b.select(mine, v if op == "sub" else r, old))

    return build


@intrinsic
def subtract_history(typingctx, a, h, count):
    """``count`` of 16 lanes of a less those of the row before, which a's own then replace."""
    return step(_with_history("sub"), *_THREE)


@intrinsic
def add_history(typingctx, a, h, count):
    """``count`` of 16 lanes of a plus those of the row before, which the sums then replace."""
    return step(_with_history("add"), *_THREE)


@intrinsic
def set_history(typingctx, a, h, count):
    """``count`` of 16 lanes of a become the row before."""

    def build(b, a, h, count):
        mine = below(b, count, _LANES)
        store(b, h, b.select(mine, load(b, a, I32, _LANES), load(b, h, I32, _LANES)))

    return step(build, *_THREE)


@intrinsic
def subtract_lag(typingctx, a, old, out):
    """32 lanes of ``out = a - old``."""

    def build(b, a, old, out):
        store(b, out, b.sub(load(b, a, I32, 32), load(b, old, I32, 32)))

    return step(build, *_THREE)
