"""The second reader's part for `wavelet`, from its page alone: coefficients to values."""

from __future__ import annotations

import numpy as np
from reader_interpolate import has_cells

K = 1.149604398860241
R = 1 / K


def neighbours(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row of lines and the one after it; the last one's is itself."""
    return x, np.concatenate([x[1:], x[-1:]])


def join(lines: np.ndarray) -> np.ndarray:
    """One level back along axis 0: ``s`` and ``d`` to the line they came from."""
    n = len(lines)
    s, d = lines[: -(-n // 2)] * R, lines[-(-n // 2) :] * K

    def around_s(d: np.ndarray) -> np.ndarray:
        before = np.concatenate([d[:1], d])[: len(s)]
        after = np.concatenate([d, d[-1:]])[: len(s)]
        return before + after

    def around_d(s: np.ndarray) -> np.ndarray:
        here, after = neighbours(s)
        return (here + after)[: len(d)]

    s = s - 0.443506852043971 * around_s(d)
    d = d - 0.882911075530934 * around_d(s)
    s = s + 0.052980118572961 * around_s(d)
    d = d + 1.586134342059924 * around_d(s)
    out = np.empty_like(lines)
    out[0::2], out[1::2] = s, d
    return out


def turns(grid: list[int], levels: list[int], apart: int) -> list[tuple[list[int], int]]:
    """Boxes and axes, in the order of encoding."""
    found = []
    for axis in range(4):
        if apart >> axis & 1:
            box = list(grid)
            for _ in range(levels[axis]):
                found.append((list(box), axis))
                box[axis] = -(-box[axis] // 2)
    box = list(grid)
    joint = [0 if apart >> axis & 1 else levels[axis] for axis in range(4)]
    for level in range(max(joint)):
        now = [axis for axis in range(4) if joint[axis] > level]
        found += [(list(box), axis) for axis in now]
        for axis in now:
            box[axis] = -(-box[axis] // 2)
    return found


def values_of(
    codes: np.ndarray,
    shape: tuple[int, ...],
    dtype: np.dtype,
    bound: float,
    parameters: bytes,
    corrections: list[int],
) -> np.ndarray | None:
    """The flat array of `dtype`, before outliers; None where something does not fit."""
    grid = [n for n in shape if n != 1]
    while len(grid) > 4:
        grid[:2] = [grid[0] * grid[1]]
    grid = [1] * (4 - len(grid)) + grid
    levels = [parameters[2 + axis // 2] >> 4 * (axis % 2) & 15 for axis in range(4)]
    if not has_cells(bound, dtype.kind in "iu", 2**53):
        return None
    y = codes.astype(np.float64).reshape(grid)
    for box, axis in reversed(turns(grid, levels, parameters[4])):
        if box[axis] < 2:
            return None
        part = np.moveaxis(y[tuple(slice(n) for n in box)], axis, 0)
        part[...] = join(part.copy())
    reach = bound + 0.5 if dtype.kind in "iu" else bound
    with np.errstate(all="ignore"):
        flat = y.reshape(-1) * (reach * (parameters[1] / 16))
        place = 0
        for number in corrections:
            place += number >> 1
            if place >= flat.size:
                return None
            flat[place] += -2 * reach if number & 1 else 2 * reach
        if dtype.kind == "f":
            return flat.astype(dtype)
        info = np.iinfo(dtype)
        low, high = max(float(info.min), -(2.0**52)), min(float(info.max), 2.0**52)
        return np.clip(np.floor(flat + 0.5), low, high).astype(dtype)
