"""Adaptive binary arithmetic coding of a lattice, predicted bit by bit by several models at once.

Each value is predicted in two ways, by least squares and by Lorenzo; the one that erred less
around it is the base, and the difference to it is cut into binary decisions. For each decision
every model looks up an adaptive probability by its own context, a small online-trained network
mixes them, and an arithmetic coder codes the decision with the result. All of that is integer
arithmetic. Encoder and decoder are one loop, so that they cannot disagree.
"""

import math

import numpy as np
from numba import njit

from fzdask.codecs.kernels.cpu import least_squares
from fzdask.codecs.kernels.cpu.symbols import exponent

MODELS = 8
DECISIONS = 64  # of one value that are told apart
STRONG = 6  # classes of energy, each with mixing weights of its own
LEVELS = 26
_SIZES = (LEVELS * 8, 343, 13 * 9 * 4, 11 * 11 * 7, LEVELS * 9, 16 * LEVELS, LEVELS * LEVELS,
          LEVELS * 25)  # fmt: skip
OFFSETS = np.array([sum(_SIZES[:k]) * DECISIONS for k in range(MODELS)], np.int64)
ENTRIES = sum(_SIZES) * DECISIONS
CLIP = 1 << 20  # of a difference that is kept for contexts
LEAST = 16  # of 65536: no decision is taken to be surer
SPEED = 5  # of the mixer, in 2**-16 of error times input
FIRST_WEIGHT = 1 << 14  # a quarter
_RUN = 6  # magnitudes coded one by one


def _logistic(i):
    return round(65536 / (1 + math.exp(-(i - 2047.5) / 256)))


def _logit(i):
    return round(256 * math.log((i + 0.5) / (4095.5 - i)))


# exp and log may differ in the last bit between machines, but none of these is near a half
# (tests/stages/test_stage_context_mixing.py), so the rounded tables do not.
SQUASH = np.array([_logistic(i) for i in range(4096)], np.int64)
STRETCH = np.array([max(-2047, min(2047, _logit(i))) for i in range(4096)], np.int32)
RATES = np.array([65536 * 2 // (2 * n + 3) for n in range(128)], np.int64)


@njit(nogil=True, cache=True)
def _level(a):
    """Itself below 4, then two levels for each power of two."""
    if a < 4:
        return a
    e = exponent(a)
    return min(2 * e + ((a >> (e - 1)) & 1), LEVELS - 1)


@njit(nogil=True, cache=True)
def _clip(v, most):
    return min(max(v, -most), most) + most


@njit(nogil=True, cache=True)
def lorenzo_terms(strides, subset, distances, signs):
    """Distances and signs of the terms of a Lorenzo prediction; their number."""
    used = 0
    axes = strides.size
    for mask in range(1, 1 << axes):
        if mask & ~subset == 0:
            distance = 0
            sign = -1
            for k in range(axes):
                if (mask >> k) & 1:
                    distance += strides[k]
                    sign = -sign
            distances[used] = distance
            signs[used] = sign
            used += 1
    return used


@njit(nogil=True, cache=True)
def choose_axes(q, pad, strides, samples):
    """The axes whose Lorenzo residual is smallest on a sample, by the sum of its bit lengths.

    ``q`` has ``pad`` zeros in front.
    """
    n = q.size - pad
    best, least = 0, np.int64(0)
    distances = np.empty(16, np.int64)
    signs = np.empty(16, np.int64)
    for subset in range(1 << strides.size):
        terms = lorenzo_terms(strides, subset, distances, signs)
        cost = np.int64(0)
        for k in range(samples):
            i = k * n // samples
            r = q[pad + i]
            for t in range(terms):
                r -= signs[t] * q[pad + i - distances[t]]
            if r != 0:
                # The sign of a zigzagged residual is its lowest bit.
                cost += exponent(np.uint64(abs(r) | 1)) + 2
        if subset == 0 or cost < least:
            best, least = subset, cost
    return best


@njit(nogil=True, cache=True)
def run(q, pad, row, plane, volume, terms, signs, around, data, decoding):
    """Code the lattice ``q[pad:]`` into ``data``, or decode it from there.

    Parameters
    ----------
    q : int64 array
        ``pad`` zeros, at least as many as the farthest neighbour is away; then the values, which
        are filled in when decoding.
    row, plane, volume : int
        Distances of the neighbours along the axes above the fastest; 0: there is none.
    terms, signs : int64 arrays
        As :func:`lorenzo_terms` gives them.
    around : int64 array
        Distances of the neighbours of the least-squares prediction; the first is 1.
    data : uint8 array
        What is coded.
    decoding : bool

    Returns
    -------
    int
        Bytes written or looked at; -1 where ``data`` is too small for them.
    """
    n = q.size - pad
    e = np.zeros(q.size, np.int32)  # differences to the base
    by_squares = np.zeros(q.size, np.int32)
    by_lorenzo = np.zeros(q.size, np.int32)
    table = np.full(ENTRIES, np.uint32(1 << 31), np.uint32)  # 22 bits of probability, 10 of count
    weights = np.full(STRONG * DECISIONS * MODELS, FIRST_WEIGHT, np.int32)
    at = np.zeros(MODELS, np.int64)
    inputs = np.zeros(MODELS, np.int32)
    regressors = around.size - 1
    x = np.zeros(regressors)
    products = np.zeros((regressors, regressors))
    lower = np.zeros((regressors, regressors))
    targets = np.zeros(regressors)
    solution = np.zeros(regressors)
    share = 5 + 2 * (row > 0) + 4 * (plane > 0) + 2 * (volume > 0)
    low, high, code = np.int64(0), np.int64(0xFFFFFFFF), np.int64(0)
    place = np.int64(0)
    if decoding:
        for _ in range(4):
            code = (code << 8) | (np.int64(data[place]) if place < data.size else 0)
            place += 1
    for i in range(pad, pad + n):
        # Two predictions.
        before = q[i - 1]
        moved = False
        for k in range(regressors):
            d = q[i - around[k + 1]] - before
            x[k] = np.float64(d)
            moved |= d != 0
        p = least_squares.predict(x, solution) if moved else 0.0
        whole = np.rint(p)
        squares = before + np.int64(whole)
        lorenzo = np.int64(0)
        for t in range(terms.size):
            lorenzo += signs[t] * q[i - terms[t]]
        # How the differences around, and those of either prediction, went.
        w, ww = np.int64(e[i - 1]), np.int64(e[i - 2])
        nn, nw, ne, u, right, below, v = ww, 0, 0, 0, 0, 0, 0
        s = 2 * abs(np.int64(by_squares[i - 1])) + abs(np.int64(by_squares[i - 2]))
        s -= 2 * abs(np.int64(by_lorenzo[i - 1])) + abs(np.int64(by_lorenzo[i - 2]))
        if row:
            nn, nw, ne = np.int64(e[i - row]), np.int64(e[i - row - 1]), np.int64(e[i - row + 1])
            s += 2 * abs(np.int64(by_squares[i - row])) - 2 * abs(np.int64(by_lorenzo[i - row]))
            s += abs(np.int64(by_squares[i - row - 1])) - abs(np.int64(by_lorenzo[i - row - 1]))
            s += abs(np.int64(by_squares[i - row + 1])) - abs(np.int64(by_lorenzo[i - row + 1]))
        if plane:
            u, right = np.int64(e[i - plane]), np.int64(e[i - plane + 1])
            below = np.int64(e[i - plane + row])
            s += 2 * abs(np.int64(by_squares[i - plane]))
            s -= 2 * abs(np.int64(by_lorenzo[i - plane]))
            s += abs(np.int64(by_squares[i - plane + 1]))
            s -= abs(np.int64(by_lorenzo[i - plane + 1]))
            s += abs(np.int64(by_squares[i - plane + row]))
            s -= abs(np.int64(by_lorenzo[i - plane + row]))
        if volume:
            v = np.int64(e[i - volume])
            s += 2 * abs(np.int64(by_squares[i - volume]))
            s -= 2 * abs(np.int64(by_lorenzo[i - volume]))
        if s > 0:  # Lorenzo erred less
            base, other = lorenzo, squares
            fraction = min(max(p - np.float64(lorenzo - before), -0.5), 0.499)
        else:
            base, other = squares, lorenzo
            fraction = min(p - whole, 0.499)
        sixteenth = np.int64(np.floor((fraction + 0.5) * 16.0))
        # Contexts.
        west, ww_value = before - base, q[i - 2] - base
        north, north_west, north_east, up = ww_value, np.int64(0), np.int64(0), np.int64(0)
        if row:
            north, north_west = q[i - row] - base, q[i - row - 1] - base
            north_east = q[i - row + 1] - base
            up = north_east
        if plane:
            up = q[i - plane] - base
        past = north_west
        if volume:
            past = q[i - volume] - base
        aside = abs(ww) + abs(nw) + abs(ne)
        behind = abs(u) + abs(right) + abs(below) + abs(v)
        energy = 2 * abs(w) + 2 * abs(nn) + aside + abs(u) + behind + abs(v)
        level = _level(energy)
        slope = _level(
            min(abs(west - north_west), CLIP)
            + min(abs(north - north_west), CLIP)
            + min(abs(north - north_east), CLIP)
            + min(abs(up - west), CLIP)
        )
        strength = min(level, 3) if level < 5 else 4
        strong = 0 if energy == 0 else 1 if energy < 3 else 2 if energy < 6 else 3
        if energy >= 12:
            strong = 4 if energy < 40 else 5
        strength = 0 if energy == 0 else 1 if energy < 4 else 2 if energy < 12 else 3
        at[0] = level * 8 + (sixteenth >> 1)
        at[1] = _clip(w, 3) * 49 + _clip(nn, 3) * 7 + _clip(u if plane else nw, 3)
        at[2] = _clip(other - base, 6) * 36 + _clip(up, 4) * 4 + strength
        at[3] = _clip(west, 5) * 77 + _clip(north, 5) * 7 + _clip(up, 3)
        at[4] = _level(aside) * 9 + _clip(w + nn + u, 4)
        at[5] = sixteenth * LEVELS + slope
        at[6] = level * LEVELS + slope
        at[7] = _level(behind) * 25 + _clip(past, 2) * 5 + _clip(north_east, 2)
        for k in range(MODELS):
            at[k] = OFFSETS[k] + at[k] * DECISIONS
        # The difference, decision by decision.
        mean = energy // share
        shift = exponent(mean) - 1 if mean >= 4 else np.int64(0)
        delta = q[i] - base
        negative = np.int64(delta < 0)
        if shift:
            size = ~delta if negative else delta
        else:
            size = (-delta if negative else delta) - 1
        quotient = size >> shift
        top = np.int64(0)
        decision = 32 if shift else 0
        step = 1 if shift else 0  # 0 zero, 1 sign, 2 one by one, 3 exponent, 4 next two bits, 5 low
        count = np.int64(0)
        got = np.int64(0)
        length = np.int64(0)
        while step < 6:
            bit = np.int64(0)
            if not decoding:
                if step == 0:
                    bit = np.int64(delta != 0)
                elif step == 1:
                    bit = negative
                elif step == 2:
                    bit = np.int64(count < quotient)
                elif step == 3:
                    bit = np.int64(count < exponent(np.uint64(quotient - _RUN + 4)))
                elif step == 4:
                    bit = ((quotient - _RUN + 4) >> (length - 1 - count)) & 1
                else:
                    bit = (size >> (shift - 1)) & 1
            # Mix what the models say.
            first = (strong * DECISIONS + decision) * MODELS
            dot = np.int64(0)
            for k in range(MODELS):
                cell = table[np.uint64(at[k] + decision)]
                inputs[k] = STRETCH[cell >> np.uint32(20)]
                dot += np.int64(weights[np.uint64(first + k)]) * np.int64(inputs[k])
            dot = min(max((dot + 0x8000) >> 16, -2048), 2047)
            chance = min(max(SQUASH[np.uint64(dot + 2048)], LEAST), 65536 - LEAST)
            # Code.
            middle = low + (((high - low) * chance) >> 16)
            if decoding:
                bit = np.int64(code <= middle)
            if bit:
                high = middle
            else:
                low = middle + 1
            while (low ^ high) < 1 << 24:
                if decoding:
                    code = (code << 8) & 0xFFFFFFFF
                    code |= np.int64(data[place]) if place < data.size else 0
                elif place < data.size:
                    data[place] = np.uint8(high >> 24)
                place += 1
                low = (low << 8) & 0xFFFFFFFF
                high = ((high << 8) & 0xFFFFFFFF) | 255
            # Learn.
            error = ((bit << 16) - chance) * SPEED
            for k in range(MODELS):
                weights[np.uint64(first + k)] += np.int32(
                    (np.int64(inputs[k]) * error + 0x8000) >> 16
                )
                cell = np.int64(table[np.uint64(at[k] + decision)])
                seen = cell & 1023
                chance_22 = cell >> 10
                chance_22 += (((bit << 22) - bit - chance_22) * RATES[seen]) >> 16
                table[np.uint64(at[k] + decision)] = np.uint32(
                    (chance_22 << 10) | min(seen + 1, 127)
                )
            # On to the next decision.
            if step == 0:
                step, decision = (1, 1) if bit else (6, 0)
            elif step == 1:
                negative = bit
                step = 2
                decision = (34 + 7 * negative) if shift else (2 + 7 * negative)
            elif step == 2:
                count += bit
                decision += 1
                if not bit or count == _RUN:
                    got = count
                    step = 3 if bit else 5
                    decision = 48 if shift else 16
                    count = np.int64(2)
                    if step == 5:
                        decision = 62
            elif step == 3:
                if bit:
                    count += 1
                    decision = min(decision + 1, 53 if shift else 21)
                if not bit or count == 62:
                    length = count
                    top = np.int64(1)
                    count = np.int64(0)
                    step = 4
                    decision = (54 if shift else 22) + min(length - 2, 3) * 2
            else:
                if step == 4:
                    top = (top << 1) | bit
                    count += 1
                    decision += 1
                    if count == 2:
                        rest = length - 2
                        place, low, high, code, top = _raw(
                            data, place, low, high, code, rest, quotient - _RUN + 4, top, decoding
                        )
                        got = top - 4 + _RUN
                        step, decision = 5, 63
                else:
                    got = (got << 1) | bit
                    place, low, high, code, got = _raw(
                        data, place, low, high, code, shift - 1, size, got, decoding
                    )
                    step = 6
            if step == 5 and not shift:
                step = 6
        if decoding:
            if shift:
                delta = ~got if negative else got
            elif bit == 0 and decision == 0:
                delta = np.int64(0)
            else:
                delta = -got - 1 if negative else got + 1
            q[i] = base + delta
        value = q[i]
        e[i] = min(max(delta, -CLIP), CLIP)
        by_squares[i] = min(max(value - squares, -CLIP), CLIP)
        by_lorenzo[i] = min(max(value - lorenzo, -CLIP), CLIP)
        if moved or value != before:
            least_squares.learn(x, np.float64(value - before), products, targets)
        if (i - pad) % least_squares.EVERY == least_squares.EVERY - 1:
            least_squares.solve(products, targets, lower, solution)
    if decoding:
        return place
    for k in range(4):
        if place < data.size:
            data[place] = np.uint8(low >> (24 - 8 * k))
        place += 1
    return place if place <= data.size else np.int64(-1)


@njit(nogil=True, cache=True)
def _raw(data, place, low, high, code, width, value, got, decoding):
    """Code the low ``width`` bits of ``value`` at even odds; ``got`` with them appended."""
    for k in range(width - 1, -1, -1):
        middle = low + ((high - low) >> 1)
        bit = (value >> k) & 1
        if decoding:
            bit = np.int64(code <= middle)
        got = (got << 1) | bit
        if bit:
            high = middle
        else:
            low = middle + 1
        while (low ^ high) < 1 << 24:
            if decoding:
                code = (code << 8) & 0xFFFFFFFF
                code |= np.int64(data[place]) if place < data.size else 0
            elif place < data.size:
                data[place] = np.uint8(high >> 24)
            place += 1
            low = (low << 8) & 0xFFFFFFFF
            high = ((high << 8) & 0xFFFFFFFF) | 255
    return place, low, high, code, got
