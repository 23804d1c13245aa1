"""Chains of any stages, for the second reader: from the last back to the first.

`reader.py` reads the chains of the main presets by itself; here is what is in other ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import reader
import reader_codes
import reader_context
import reader_interpolate
import reader_limits
import reader_planes
import reader_wavelet
from reader_back_ends import bits_of, need
from reader_header import (
    BINNING,
    BITSHUFFLE,
    BLOCK_MEAN,
    CONSTANT,
    CONTEXT_MIXING,
    DICTIONARY,
    DIFFERENCE,
    FIXED_LENGTH,
    GOLOMB_RICE,
    HUFFMAN,
    INTERPOLATE,
    LOGARITHM,
    LORENZO,
    LORENZO_TILES,
    LOSSY,
    NEGABINARY,
    QUANTIZE,
    RANS,
    SHUFFLE,
    SIGN_MAGNITUDE,
    SMALLEST,
    TRANSPOSE,
    WAVELET,
    ZIGZAG,
    Bytes,
    Header,
    MalformedError,
    Stage,
    check_chain,
    require,
)


@dataclass(frozen=True)
class Form:
    """Shape, in the order of memory, and dtype of what travels; the bound of its values."""

    shape: tuple[int, ...]
    dtype: np.dtype
    bound: float = 0.0

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Place:
    """What undoing one stage needs: parameters, side sections, and the form of its input."""

    parameters: bytes
    sides: dict[int, bytes]
    form: Form
    header: Header
    index: int


def read_chain(header: Header, chain: list, memory_shape: tuple[int, ...]) -> np.ndarray:
    """The elements of a stream with these array stages."""
    if chain[-1].number == SMALLEST:
        header, chain = with_chain_kept(header, chain)
    native = header.dtype.newbyteorder("<")
    lossy = any(stage.number in LOSSY for stage in chain)
    form = Form(memory_shape, header.dtype)
    if lossy:
        require(
            native.kind in "iufc" and native.itemsize <= 8 * (1 + (native.kind == "c")), "dtype"
        )
        form = Form(memory_shape, native, header.element_bound)
        if native.kind == "c":
            form = replace(
                form, shape=(*memory_shape, 2), dtype=np.dtype(f"<f{native.itemsize // 2}")
            )
    count = form.size
    last = len(chain) - 1
    require((last, 0) in header.sections, "the main section is missing")
    header.check(set(header.sections), count)
    require(all(i <= last and (k or i == last) for i, k in header.sections), "a section of none")
    places = []
    try:
        for index, stage in enumerate(chain):
            numbers = [k for i, k in header.sections if i == index and k]
            sides = {k: header.section(index, k) for k in numbers}
            given = stage.parameters
            fits = reader_limits.fits(stage.number, given, form.size, len(folded(form.shape)))
            need(fits, f"parameters {given.hex()}")
            places.append(Place(given, sides, form, header, index))
            form = FORMS.get(stage.number, lambda place: place.form)(places[-1])
        data = header.section(last, 0)
        if form.size >= 0:  # elements, not the bytes of a coder
            need(len(data) == form.size * form.dtype.itemsize, "a main section of another length")
            data = np.frombuffer(data, form.dtype)
        for stage, place in zip(reversed(chain), reversed(places), strict=True):
            data = UNDO[stage.number](data, place)
    except MalformedError:
        raise
    except (ValueError, KeyError, IndexError) as error:  # of the parts, and of NumPy on sections
        raise MalformedError(f"stage {stage.number}: {error!r}") from error
    if lossy:
        return data.view(native).astype(header.dtype)
    return np.frombuffer(data.tobytes(), header.dtype)


WAYS = ((QUANTIZE, CONTEXT_MIXING), (INTERPOLATE, CONTEXT_MIXING))


def with_chain_kept(header: Header, chain: list[Stage]) -> tuple[Header, list[Stage]]:
    """The same with the chain that `smallest`, the last of this one, kept in its place."""
    last = len(chain) - 1
    parameters = Bytes(chain[last].parameters)
    way = parameters.byte()
    require(way < len(WAYS), "an unknown way")
    kept = [Stage(number, parameters.take(parameters.byte())) for number in WAYS[way]]
    require(parameters.finished, "bytes behind the parameters of the chain")
    chain = [*chain[:last], *kept]
    check_chain(chain)

    def moved(key: tuple[int, int]) -> tuple[int, int]:
        return (last + 1, 0) if key == (last, 0) else key

    require(all(index <= last for index, _ in header.sections), "a section of no stage")
    require(way or (last, 3) not in header.sections, "levels without interpolation")
    sections = {moved(key): data for key, data in header.sections.items()}
    undo = {moved(key): steps for key, steps in header.undo.items()}
    return replace(header, stages=chain, sections=sections, undo=undo), chain


# Forms of what a stage gives -------------------------------------------------------------------

BYTES = Form((-1,), np.dtype(np.uint8))


def lattice_form(place: Place) -> Form:
    number, shape = place.parameters[0], place.form.shape
    if place.header.stages[place.index].number == INTERPOLATE:
        need((number, len(place.parameters)) in ((1, 1), (0, 3), (0, 4)), "an unknown prediction")
        if number == 0:
            shape = reader_interpolate.stored_shape(shape, place.parameters[3:])
            need(shape is not None, "another axis innermost that is not there")
        number = place.parameters[1] if number == 0 else 4
    need(number in (4, 8), "a lattice of 4 or 8 bytes")
    return Form(shape, np.dtype(f"<i{number}"))


def logarithm_form(place: Place) -> Form:
    dtype, bound = reader.read_logarithm(place.parameters, place.form.dtype)
    return replace(place.form, dtype=dtype, bound=bound)


def code_form(place: Place) -> Form:
    return replace(place.form, dtype=np.dtype(f"<u{place.form.dtype.itemsize}"))


def transposed_form(place: Place) -> Form:
    axes = list(place.parameters)
    need(sorted(axes) == list(range(len(place.form.shape))), "axes that are no order")
    return replace(place.form, shape=tuple(place.form.shape[axis] for axis in axes))


def constant_form(place: Place) -> Form:
    left_out = int.from_bytes(place.parameters[1:], "little")
    if not left_out:
        return place.form
    stays = place.form.size - (left_out << place.parameters[0])
    need(stays > 0, "more constant blocks than there are")
    return replace(place.form, shape=(stays,))


def dictionary_form(place: Place) -> Form:
    return replace(place.form, dtype=np.dtype("<i4")) if place.parameters[0] else place.form


FORMS: dict[int, Callable[[Place], Form]] = dict.fromkeys(
    (SHUFFLE, HUFFMAN, RANS, GOLOMB_RICE, FIXED_LENGTH, BITSHUFFLE, CONTEXT_MIXING),
    lambda place: BYTES,
)
FORMS |= dict.fromkeys((QUANTIZE, INTERPOLATE, WAVELET), lattice_form)
FORMS |= dict.fromkeys((ZIGZAG, NEGABINARY, SIGN_MAGNITUDE), code_form)
FORMS |= {TRANSPOSE: transposed_form, CONSTANT: constant_form, DICTIONARY: dictionary_form}
FORMS |= {LOGARITHM: logarithm_form}


# Lossy stages ----------------------------------------------------------------------------------


def dequantize(data: np.ndarray, place: Place) -> np.ndarray:
    values = reader.dequantize(data, place.form.dtype, place.form.bound)
    return with_outliers(values, place)


def uninterpolate(data: np.ndarray, place: Place) -> np.ndarray:
    form = place.form
    require((3 in place.sides) == (place.parameters[0] == 1), "levels of what has none, or none")
    if place.parameters[0] == 0:
        innermost = place.parameters[3:]
        stored = reader_interpolate.stored_shape(form.shape, innermost)
        data = reader_interpolate.in_array_order(data, stored, innermost)
        data = reader.unlorenzo(data, form.shape, place.parameters[2])
        return dequantize(data, place)
    levels = place.sides[3]
    values = reader_interpolate.values_of(data, form.shape, form.dtype, form.bound, levels)
    return with_outliers(values, place)


def unwavelet(data: np.ndarray, place: Place) -> np.ndarray:
    corrections = varints(place.sides.get(3, b""))
    form = place.form
    values = reader_wavelet.values_of(
        data, form.shape, form.dtype, form.bound, place.parameters, corrections
    )
    need(values is not None, "coefficients that do not fit")
    return with_outliers(values, place)


def with_outliers(values: np.ndarray, place: Place) -> np.ndarray:
    if 1 in place.sides or 2 in place.sides:
        reader.put_outliers_back(values, place.sides[1], place.sides[2])
    return values


def varints(data: bytes) -> list[int]:
    """Numbers of up to 64 bits."""
    numbers, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            need(number < 1 << 64, "a number of more than 64 bits")
            numbers.append(number)
            number = shift = 0
    need(shift == 0, "a number that does not end")
    return numbers


# Array to array --------------------------------------------------------------------------------


def untranspose(data: np.ndarray, place: Place) -> np.ndarray:
    axes = list(place.parameters)
    turned = data.reshape(transposed_form(place).shape)
    return np.ascontiguousarray(turned.transpose(np.argsort(axes))).reshape(-1)


def unconstant(data: np.ndarray, place: Place) -> np.ndarray:
    left_out = int.from_bytes(place.parameters[1:], "little")
    if not left_out:
        need(not place.sides, "constant blocks where none are")
        return data
    block, size = 1 << place.parameters[0], place.form.size
    flags = bits_of(place.sides[1], (size - 1) // block)
    values = np.frombuffer(place.sides[2], data.dtype)
    need(int(flags.sum()) == left_out == len(values), "another number of constant blocks")
    out, at, seen = np.empty(size, data.dtype), 0, 0
    for b in range(-(-size // block)):
        part = out[b * block : (b + 1) * block]
        if b < flags.size and flags[b]:
            part[:] = values[seen]
            seen += 1
        else:
            part[:] = data[at : at + part.size]
            at += part.size
    return out


# Lattice to lattice ----------------------------------------------------------------------------


def undictionary(data: np.ndarray, place: Place) -> np.ndarray:
    if not place.parameters[0]:
        need(not place.sides, "a dictionary that is not used")
        return data
    numbers = varints(place.sides[1])
    table = [numbers[0] >> 1 if numbers[0] % 2 == 0 else ~(numbers[0] >> 1)]
    for step in numbers[1:]:
        table.append(table[-1] + step + 1)
    need(data.size == 0 or 0 <= data.min() <= data.max() < len(table), "places beyond the table")
    limits = np.iinfo(place.form.dtype)
    need(limits.min <= table[0] and table[-1] <= limits.max, "values that the lattice cannot hold")
    return np.array(table, place.form.dtype)[data]


def summed(array: np.ndarray, axis: int, order: int) -> np.ndarray:
    """From differences of order 0, 1 or 2 along an axis, wrapping around."""
    if order == 2:
        head, tail = np.split(array, [1], axis=axis)
        array = np.concatenate([head, np.cumsum(tail, axis=axis, dtype=array.dtype)], axis=axis)
    return np.cumsum(array, axis=axis, dtype=array.dtype) if order else array


def undifference(data: np.ndarray, place: Place) -> np.ndarray:
    axis, order = place.parameters
    need(order in (1, 2), "an order of differences")
    if axis == 255:
        return data
    return summed(data.reshape(place.form.shape), axis, order).reshape(-1)


def folded(shape: tuple[int, ...]) -> list[int]:
    long = [n for n in shape if n != 1]
    while len(long) > 4:
        long[:2] = [long[0] * long[1]]
    return long


def unbinning(data: np.ndarray, place: Place) -> np.ndarray:
    levels, mask = place.parameters
    out = data.reshape(folded(place.form.shape)).copy()
    axes = [axis for axis in range(out.ndim) if mask >> axis & 1]
    regions = [list(out.shape)]
    for _ in range(levels - 1):
        regions.append([-(-n // 2) if k in axes else n for k, n in enumerate(regions[-1])])
    one = out.dtype.type(1)
    for region in reversed(regions):
        part = out[tuple(slice(n) for n in region)]
        for axis in reversed(axes):
            lines = np.moveaxis(part, axis, 0)
            m = -(-len(lines) // 2)
            low, high = lines[:m].copy(), lines[m:].copy()
            b = low[: len(high)] - (high >> one)
            lines[1::2] = b
            lines[0 : 2 * len(high) : 2] = high + b
            if len(high) < m:
                lines[-1] = low[-1]
    return out.reshape(-1)


def in_tiles(data: np.ndarray, place: Place) -> tuple[np.ndarray, list[np.ndarray]]:
    """A copy in four axes, and its tiles as views."""
    sides = folded(place.form.shape)
    array = data.reshape([1] * (4 - len(sides)) + sides).copy()
    lengths = [1, *(1 << k for k in place.parameters)]
    starts = [range(0, n, e) for n, e in zip(array.shape, lengths, strict=True)]
    corners = itertools.product(*starts)
    slices = [[slice(c, c + e) for c, e in zip(at, lengths, strict=True)] for at in corners]
    return array, [array[tuple(s)] for s in slices]


def unblock_mean(data: np.ndarray, place: Place) -> np.ndarray:
    array, tiles = in_tiles(data, place)
    means = np.cumsum(np.frombuffer(place.sides[1], data.dtype), dtype=data.dtype)
    for tile, mean in zip(tiles, means, strict=True):
        tile += mean
    return array.reshape(-1)


def untiles(data: np.ndarray, place: Place) -> np.ndarray:
    array, tiles = in_tiles(data, place)
    modes = place.sides[1]
    steps = np.frombuffer(place.sides.get(2, b""), data.dtype)
    need(len(modes) == len(tiles) and steps.size == sum(m >> 2 & 1 for m in modes), "tiles")
    need(all(mode < 8 and mode % 4 < 3 for mode in modes), "a mode of tiles that there is not")
    means = iter(np.cumsum(steps, dtype=data.dtype))
    for tile, mode in zip(tiles, modes, strict=True):
        for axis in range(1, 4):
            tile[...] = summed(tile, axis, mode & 3)
        if mode & 4:
            tile += next(means)
    return array.reshape(-1)


# Codes and coders ------------------------------------------------------------------------------


def unhuffman(data: bytes, place: Place) -> np.ndarray:
    form = place.form
    return reader.unhuffman(place.header, place.index, place.parameters, form.size, form.dtype)


def unfixed(data: bytes, place: Place) -> np.ndarray:
    form = place.form
    codes = reader_planes.unpack(
        place.parameters, form.size, form.dtype.itemsize, data, place.sides
    )
    return codes if form.dtype.kind == "u" else reader_planes.unzigzag(codes, form.dtype)


def unbitshuffle(data: bytes, place: Place) -> np.ndarray:
    form = place.form
    found = reader_codes.unshuffle_bits(place.parameters, data, form.size, form.dtype.itemsize)
    return np.frombuffer(found, form.dtype)


def unshuffle(data: bytes, place: Place) -> np.ndarray:
    need(len(data) == place.form.size * place.form.dtype.itemsize, "planes of another length")
    planes = np.frombuffer(data, np.uint8).reshape(place.form.dtype.itemsize, -1)
    return np.frombuffer(np.ascontiguousarray(planes.T).tobytes(), place.form.dtype)


UNDO: dict[int, Callable] = {
    QUANTIZE: dequantize,
    INTERPOLATE: uninterpolate,
    WAVELET: unwavelet,
    LOGARITHM: lambda data, place: reader.unlogarithm(
        data, place.parameters, place.sides, place.form.shape, place.form.dtype.itemsize
    ),
    TRANSPOSE: untranspose,
    CONSTANT: unconstant,
    DICTIONARY: undictionary,
    DIFFERENCE: undifference,
    LORENZO: lambda data, place: reader.unlorenzo(data, place.form.shape, place.parameters[0]),
    BINNING: unbinning,
    BLOCK_MEAN: unblock_mean,
    LORENZO_TILES: untiles,
    HUFFMAN: unhuffman,
    RANS: lambda data, place: reader_codes.unrans(
        place.parameters, data, place.sides, place.form.shape, place.form.dtype.itemsize
    ),
    GOLOMB_RICE: lambda data, place: reader_codes.ungolomb(
        place.parameters, data, place.sides, place.form.size, place.form.dtype.itemsize
    ),
    CONTEXT_MIXING: lambda data, place: reader_context.unmix(
        place.parameters, data, place.form.shape, place.form.dtype.itemsize
    ),
    FIXED_LENGTH: unfixed,
    BITSHUFFLE: unbitshuffle,
    SHUFFLE: unshuffle,
    ZIGZAG: lambda data, place: reader_planes.unzigzag(data, place.form.dtype),
    NEGABINARY: lambda data, place: reader_codes.unnegabinary(data),
    SIGN_MAGNITUDE: lambda data, place: reader_codes.unsign(data),
}
