"""Specification of ``wavelet``: a level along an axis, all levels, corrections; on any array.

``levels`` says how often each axis is halved, ``apart`` which of them by themselves.
"""

import numpy as np

STEPS = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
K = 1.149604398860241
R = 1 / K


def lifted(s, d, sign, order):
    """The lifting steps in this order on the even and the odd values of one line."""
    s, d = list(s), list(d)
    for k in order:
        c = sign * STEPS[k]
        if k % 2 == 0:  # odd values, from the even ones beside them
            d = [v + c * (s[i] + s[i + 1 if i + 1 < len(s) else i]) for i, v in enumerate(d)]
        else:
            mirror = [d[0], *d, d[-1]]
            s = [v + c * (mirror[i] + mirror[i + 1]) for i, v in enumerate(s)]
    return s, d


def forward(line):
    """One level of one line: low half, high half."""
    s, d = lifted(line[0::2], line[1::2], 1.0, (0, 1, 2, 3))
    return [v * K for v in s] + [v * R for v in d]


def inverse(line):
    """Undo :func:`forward`."""
    m = (len(line) + 1) // 2
    s, d = lifted([v * R for v in line[:m]], [v * K for v in line[m:]], -1.0, (3, 2, 1, 0))
    out = [0.0] * len(line)
    out[0::2], out[1::2] = s, d
    return out


def turns(shape, levels, apart):
    """Box and axis of each turn of the forward transform."""
    for axis in apart:
        box = list(shape)
        for _ in range(levels[axis]):
            yield tuple(box), axis
            box[axis] = -(-box[axis] // 2)
    box = list(shape)
    joint = [0 if axis in apart else count for axis, count in enumerate(levels)]
    for level in range(max(joint)):
        taking_part = [axis for axis, count in enumerate(joint) if count > level]
        for axis in taking_part:
            yield tuple(box), axis
        for axis in taking_part:
            box[axis] = -(-box[axis] // 2)


def transform(x, levels, apart=(), *, back=False):
    """All turns of an array, or back again."""
    x = np.array(x, np.float64)
    every = list(turns(x.shape, levels, apart))
    turn = inverse if back else forward
    for box, axis in reversed(every) if back else every:
        part = x[tuple(slice(n) for n in box)]
        part[...] = np.apply_along_axis(lambda v: np.array(turn(v.tolist())), axis, part)
    return x


def read_plan(params):
    """Levels of the four axes, and which of them are halved apart."""
    levels = [params[2] & 15, params[2] >> 4, params[3] & 15, params[3] >> 4]
    return levels, tuple(axis for axis in range(4) if params[4] >> axis & 1)


def correct(values, corrections, unit):
    """Apply the section ``corrections`` to flat values."""
    values = values.copy()
    place = code = shift = 0
    for byte in corrections:
        code |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            place += code >> 1
            values[place] += -unit if code & 1 else unit
            code = shift = 0
    return values


def decode(codes, dtype, bound, params, corrections=b""):
    """Values of coefficients in a grid of four axes, before outliers are put back."""
    dtype = np.dtype(dtype)
    reach = bound + 0.5 if dtype.kind in "iu" else bound
    y = transform(codes, *read_plan(params), back=True) * (reach * (params[1] / 16))
    y = correct(y.reshape(-1), corrections, 2 * reach).reshape(y.shape)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return y.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.floor(y + 0.5), max(info.min, -(2.0**52)), min(info.max, 2.0**52)).astype(
        dtype
    )
