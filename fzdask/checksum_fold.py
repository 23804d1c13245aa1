"""The kernel of :mod:`fzdask.checksum`: bytes folded by carry-less multiplication, on x86-64.

Source: Gopal et al. 2009, "Fast CRC computation for generic polynomials using PCLMULQDQ
instruction".
"""

# mypy: ignore-errors

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.checksum import CELL, NARROW, WIDE
from fzdask.jit import njit

_I8, _I32, _I64 = (ir.IntType(n) for n in (8, 32, 64))
_PAIR = ir.VectorType(_I64, 2)
_POLYNOMIAL = 0x104C11DB7
_CHAINS = 4  # vectors in flight, for the latency of a multiplication


def _power(n):
    """``x**n`` modulo the polynomial, as the multiplication of reflected bits takes it."""
    r = 1
    for _ in range(n):
        r <<= 1
        r ^= _POLYNOMIAL * (r >> 32)
    return int(f"{r:032b}"[::-1], 2) << 1


def _by(nbytes):
    """Factors that move the halves of a cell up by this distance."""
    return _power(8 * nbytes + 32), _power(8 * nbytes - 32)


def _load(b, address, vector):
    return b.load(b.inttoptr(address, vector.as_pointer()), align=1)


def _multiply(b, x, by, halves):
    name = "llvm.x86.pclmulqdq" + {2: "", 8: ".512"}[x.type.count]
    function = b.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(x.type, [x.type, x.type, _I8])
        function = ir.Function(b.module, kind, name)
    return b.call(function, (x, by, _I8(halves)))


def _folded(b, x, nbytes, onto):
    """``x`` moved up by a distance, and added to what is there."""
    by = ir.Constant(x.type, [_I64(c) for c in _by(nbytes)] * (x.type.count // 2))
    return b.xor(b.xor(_multiply(b, x, by, 0x00), _multiply(b, x, by, 0x11)), onto)


def _cells(b, x):
    """The cells of a vector, in order."""
    for k in range(0, x.type.count, 2):
        yield b.shuffle_vector(x, x, ir.Constant(ir.VectorType(_I32, 2), [_I32(k), _I32(k + 1)]))


def _folding(lane):
    """Fold ``lane`` bytes at a time into one cell, which the bytes behind them follow."""
    vector = ir.VectorType(_I64, lane // _CHAINS // 8)

    def codegen(context, b, signature, args):
        address, nbytes, register, out = args
        places = [lane // _CHAINS * k for k in range(_CHAINS)]
        first = b.insert_element(ir.Constant(vector, None), register, _I32(0))
        chains = [_load(b, b.add(address, _I64(p)), vector) for p in places]
        chains[0] = b.xor(chains[0], first)
        slots = [cgutils.alloca_once_value(b, chain) for chain in chains]
        turns = b.udiv(nbytes, _I64(lane))
        with cgutils.for_range(b, b.sub(turns, _I64(1))) as loop:
            place = b.add(address, b.mul(b.add(loop.index, _I64(1)), _I64(lane)))
            for p, slot in zip(places, slots, strict=True):
                onto = _load(b, b.add(place, _I64(p)), vector)
                b.store(_folded(b, b.load(slot), lane, onto), slot)
        cells = [cell for slot in slots for cell in _cells(b, b.load(slot))]
        whole = cells[0]
        for cell in cells[1:]:
            whole = _folded(b, whole, CELL, cell)
        b.store(whole, b.inttoptr(out, _PAIR.as_pointer()), align=1)
        done = b.mul(turns, _I64(lane))
        byte = _I8.as_pointer()
        cgutils.raw_memcpy(
            b, b.inttoptr(b.add(out, _I64(CELL)), byte), b.inttoptr(b.add(address, done), byte),
            b.sub(nbytes, done), 1,
        )  # fmt: skip
        return context.get_dummy_value()

    word = types.int64
    return types.void(word, word, word, word), codegen


@intrinsic
def _fold_narrow(typingctx, address, nbytes, register, out):
    return _folding(NARROW)


@intrinsic
def _fold_wide(typingctx, address, nbytes, register, out):
    return _folding(WIDE)


@njit(nogil=True, cache=True)
def fold_narrow(address, nbytes, register, rest):
    """16 bytes with the CRC of whole turns of at least one, from a register, then the rest.

    ``address`` is a number, since an array that may not be written to would be another type,
    compiled again.
    """
    _fold_narrow(address, nbytes, register, rest.ctypes.data)


@njit(nogil=True, cache=True)
def fold_wide(address, nbytes, register, rest):
    """The same where the processor multiplies eight pairs at once."""
    _fold_wide(address, nbytes, register, rest.ctypes.data)
