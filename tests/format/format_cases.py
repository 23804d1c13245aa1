"""Arrays for the format's tests: generated, exact on every machine, one for each odd corner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Case = tuple[NDArray[Any], dict[str, Any]]  # an array and the options of `fzdask.compress`

FLOATS = ("<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<c8", ">c8", "<c16", ">c16")
INTEGERS = ("i1", "u1", "<i2", ">u2", "<i4", ">i4", "<u4", "<i8", ">i8", "<u8")
OTHERS = ("?", "S3", "<U2", ">U2", "<M8[s]", ">m8[ns]", "V5", "<i2,>f8,S3", "(2,3)u1,<f4")
SHAPES = (
    (), (1,), (1, 1, 1), (0,), (3, 0, 2), (2,), (13,), (257,), (31, 37), (1, 19, 1, 7),
    (5, 7, 11), (3, 5, 7, 2), (2, 3, 2, 5, 3), (2, 3, 2, 3, 2, 3), (2, 1, 3, 1, 2, 1, 5),
)  # fmt: skip


def raw_bits(count: int, seed: int) -> NDArray[np.uint64]:
    """Random bits whose values NumPy guarantees for ever (`random_raw` of a bit generator)."""
    return np.random.PCG64(seed).random_raw(count) if count else np.zeros(0, np.uint64)


def whole_field(shape: tuple[int, ...], seed: int = 0, step: int = 9) -> NDArray[np.int64]:
    """A walk of whole numbers along the last axis, in steps of up to `step` either way."""
    count = int(np.prod(shape))
    moves = (raw_bits(count, seed) % np.uint64(2 * step + 1)).astype(np.int64) - step
    return np.cumsum(moves.reshape(shape), axis=-1) if shape else moves.reshape(())


def field(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> NDArray[Any]:
    """A field of any dtype; floats are multiples of 1/64, so that they are exact."""
    dtype = np.dtype(dtype)
    whole = whole_field(shape, seed)
    if dtype.kind == "f":
        return (whole / 64).astype(dtype)
    if dtype.kind == "c":
        return (whole / 64 + 1j * whole_field(shape, seed + 1) / 64).astype(dtype)
    if dtype.kind in "iu":
        return (whole + 40 * (dtype.kind == "u")).astype(dtype)
    if dtype.kind == "b":
        return whole % 3 == 0
    if dtype.kind in "SU":
        return np.array([str(abs(v) % 20) for v in whole.ravel()], dtype).reshape(shape)
    bytes_each = (whole[..., None] + np.arange(dtype.itemsize)) // 8 % 5
    return bytes_each.astype(np.uint8).reshape(-1).view(dtype).reshape(shape)


def with_outliers(count: int, share: float, dtype: Any = "f4") -> NDArray[Any]:
    """A field in which this share of the values, in runs and alone, is no finite number."""
    x = field((count,), dtype)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, np.finfo(x.dtype).max], x.dtype)
    places = np.arange(count) % 100 < 100 * share
    places ^= (raw_bits(count, 3) % np.uint64(50) == 0) & (0 < share < 1)
    x[places] = odd[np.arange(count) % odd.size][places]
    if places.any():
        bits = x.view(f"u{x.dtype.itemsize}")
        bits[np.flatnonzero(places)[0]] = bits.dtype.type(~bits.dtype.type(0)) >> 1  # a NaN payload
    return x


def dtype_cases() -> Iterator[tuple[str, Case]]:
    shape = (5, 7, 9)
    for dtype in FLOATS:
        for order in "CF":
            x = np.array(field(shape, dtype), order=order)
            yield f"{dtype}-{order}-abs", (x, {"abs": 1 / 16})
            yield f"{dtype}-{order}-rel", (x, {"rel": 1e-2})
        yield f"{dtype}-lossless", (x, {"lossless": True})
    for dtype in INTEGERS:
        for order in "CF":
            x = np.array(field(shape, dtype), order=order)
            yield f"{dtype}-{order}-abs", (x, {"abs": 2})
        yield f"{dtype}-rel", (x, {"rel": 0.05})
        yield f"{dtype}-below-one", (x, {"abs": 0.5})
        yield f"{dtype}-lossless", (x, {"lossless": True})
    for dtype in OTHERS:
        for order in "CF":
            yield f"{dtype}-{order}", (np.array(field(shape, dtype), order=order), {"abs": 1})


def shape_cases() -> Iterator[tuple[str, Case]]:
    for shape in SHAPES:
        name = "x".join(map(str, shape)) or "0-d"
        for dtype in ("f4", "c16", "i2", "U2"):
            yield f"{name}-{dtype}", (field(shape, dtype), {"abs": 1})
        yield f"{name}-F", (np.array(field(shape, "f8"), order="F"), {"abs": 0.25})


def value_cases() -> Iterator[tuple[str, Case]]:
    for share in (0, 0.01, 0.1, 0.5, 0.9, 1):
        for dtype in ("f2", "f4", "f8"):
            yield f"outliers-{share}-{dtype}", (with_outliers(700, share, dtype), {"abs": 0.5})
    z = with_outliers(700, 0.1).view("c8")
    yield "outliers-complex", (z, {"abs": 0.5})
    kept = field((20, 20), "f4")
    kept[3:9, 2:5] = -999
    yield "preserve", (kept, {"rel": 1e-2, "preserve": (-999.0,)})
    kept = field((20, 20), "i4")
    kept[3:9, 2:5] = -999
    yield "preserve-integers", (kept, {"abs": 3, "preserve": (-999,)})

    flat = np.zeros((90, 100), "f4")
    yield "constant-zero", (flat, {"abs": 1e-3})
    yield "constant", (flat + 7, {"abs": 1e-3})
    spots = flat.copy()
    spots.reshape(-1)[::571] = 3
    yield "runs", (spots, {"abs": 1e-3})
    yield "runs-integers", (spots.astype("i2"), {"lossless": True})
    ramp = np.arange(9000, dtype="i4") + (np.arange(9000) // 800) * 3
    yield "runs-of-one", (ramp, {"lossless": True, "pipeline": "quantize | lorenzo | huffman"})
    yield "runs-of-minus-two", (-2 * ramp, {"lossless": True})

    x = field((900,), "f8", 5)
    yield "wide-symbols", (x, {"abs": 1e-4})
    yield "wide-lattice", (x, {"abs": 1e-9})
    yield "all-outliers-by-range", (x * 1e15, {"abs": 1e-9})
    bits = raw_bits(1000, 11)
    yield "random-int64", (bits.view("i8"), {"abs": 3})
    yield "random-uint64", (bits, {"lossless": True})
    huge = np.where(bits % np.uint64(9) == 0, bits, np.uint64(3))
    for name, dtype in (("int64", "i8"), ("uint64", "u8"), ("int32", "i4")):
        yield f"rare-huge-{name}", (huge.view("i8").astype(dtype), {"lossless": True})
    sparse = np.where(np.arange(9000) % 457 == 0, raw_bits(9000, 12), np.uint64(2)).view("i8")
    yield "runs-and-wide", (sparse, {"lossless": True})
    yield "clipped-int8", (np.repeat(np.array([-128, 127], "i1"), 300), {"abs": 5})
    yield "clipped-uint8", (np.repeat(np.array([0, 255], "u1"), 300), {"abs": 5})
    yield "bound-above-range", (field((400,), "f4"), {"abs": 1e30})
    yield "denormals", (x * 2.0**-1060, {"rel": 1e-2})
    yield "largest", (x / np.abs(x).max() * np.finfo("f8").max, {"rel": 1e-2})


def pipeline_cases() -> Iterator[tuple[str, Case]]:
    x = whole_field((12, 8, 40), 2, step=60) / 64
    for pipeline in (
        "quantize",
        "quantize | zstd",
        "quantize | lorenzo",
        "quantize | lorenzo | zstd",
        "quantize | huffman",
        "quantize | lorenzo(axes=(0, 2)) | lorenzo(axes=(1,)) | huffman(group=256) | zstd",
        "quantize | lorenzo(axes=()) | huffman(group=16384)",
        "quantize | lorenzo(axes='all') | zstd | zstd",
    ):
        yield f"[{pipeline}]", (x, {"abs": 1 / 32, "pipeline": pipeline})
        y = (x * 64).astype("i8")
        yield f"[{pipeline}]-i8", (y, {"abs": 1, "pipeline": pipeline})
    for pipeline in ("shuffle", "shuffle | zstd", "shuffle | zstd(level=9) | zstd(level=1)"):
        yield f"[{pipeline}]", (x, {"lossless": True, "pipeline": pipeline})


def all_cases() -> dict[str, Case]:
    """Every case by name."""
    cases: dict[str, Case] = {}
    for group in (dtype_cases, shape_cases, value_cases, pipeline_cases):
        for name, case in group():
            assert name not in cases
            cases[name] = case
    return cases
