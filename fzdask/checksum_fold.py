"""The kernel of :mod:`fzdask.checksum`: bytes folded by carry-less multiplication, on x86-64."""

# mypy: ignore-errors

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from fzdask.checksum import BY_16, BY_64, LANE

_I8, _I32, _I64 = (ir.IntType(n) for n in (8, 32, 64))
_PAIR = ir.VectorType(_I64, 2)


def _load(b, address, offset):
    place = b.inttoptr(b.add(address, _I64(offset)), _PAIR.as_pointer())
    return b.load(place, align=1)


def _multiply(b, x, by, halves):
    name = "llvm.x86.pclmulqdq"
    function = b.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(_PAIR, [_PAIR, _PAIR, _I8])
        function = ir.Function(b.module, kind, name)
    return b.call(function, (x, by, _I8(halves)))


def _folded(b, x, constants, onto):
    """``x`` moved up by the distance of the constants, and added to what is there."""
    by = ir.Constant(_PAIR, [_I64(c) for c in constants])
    return b.xor(b.xor(_multiply(b, x, by, 0x00), _multiply(b, x, by, 0x11)), onto)


@intrinsic
def _fold(typingctx, address, nbytes, register, out):
    def codegen(context, b, signature, args):
        address, nbytes, register, out = args
        first = b.insert_element(ir.Constant(_PAIR, None), register, _I32(0))
        lanes = [_load(b, address, 16 * k) for k in range(4)]
        lanes[0] = b.xor(lanes[0], first)
        slots = [cgutils.alloca_once_value(b, lane) for lane in lanes]
        turns = b.sub(b.udiv(nbytes, _I64(LANE)), _I64(1))
        with cgutils.for_range(b, turns) as loop:
            place = b.add(address, b.mul(b.add(loop.index, _I64(1)), _I64(LANE)))
            for k, slot in enumerate(slots):
                b.store(_folded(b, b.load(slot), BY_64, _load(b, place, 16 * k)), slot)
        x = b.load(slots[0])
        for slot in slots[1:]:
            x = _folded(b, x, BY_16, b.load(slot))
        b.store(x, b.inttoptr(out, _PAIR.as_pointer()), align=1)
        return context.get_dummy_value()

    word = types.int64
    return types.void(word, word, word, word), codegen


@njit(nogil=True, cache=True)
def fold(address, nbytes, register, out):
    """16 bytes with the CRC of ``nbytes`` (a multiple of 64, at least 64) from a register."""
    _fold(address, nbytes, register, out)
