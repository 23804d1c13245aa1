"""Adaptive binary arithmetic coding of a lattice, predicted bit by bit by several models at once.

Each value is predicted in two ways, by least squares and by Lorenzo; the one that erred less
around it is the base, and the difference to it is cut into binary decisions. For each decision
every model looks up an adaptive probability by its own context, a small online-trained network
mixes them, and an arithmetic coder codes the decision with the result, in integers. Encoder and
decoder are one loop, so that they cannot disagree.
"""

import math

import numpy as np

from fzdask.codecs.kernels.cpu import least_squares
from fzdask.codecs.kernels.cpu.mixing_contexts import (
    BASE,
    CALM,
    CLIP,
    DECISIONS,
    ENTRIES,
    LORENZO,
    MODELS,
    SQUARES,
    STRONG,
    find_contexts,
    lead_of_lorenzo,
)
from fzdask.codecs.kernels.cpu.symbols import exponent
from fzdask.jit import njit

LEAST = 48  # of 65536: no decision is taken to be surer, so a byte stands for 7568 values at most
SPEED = 5  # of the mixer, in 2**-16 of error times input
FIRST_WEIGHT = 1 << 14  # a quarter
EVEN = np.uint32(1 << 31)  # a cell: 22 bits of probability, 10 of how often it was asked
SEEN, SEEN_CALM = 127, 1023  # up to which a cell learns more and more slowly
RUN = 6  # magnitudes told one by one; greater ones by exponent, two bits, and the rest
ZERO, SIGN, UNARY, EXPONENT, TOP, LOW, DONE = range(7)  # kinds of decisions
_TOP_BYTE = 1 << 24
_WORD = 0xFFFFFFFF


def _logistic(i):
    return round(65536 / (1 + math.exp(-(i - 2047.5) / 256)))


def _logit(i):
    return max(-2047, min(2047, round(256 * math.log((i + 0.5) / (4095.5 - i)))))


# exp and log may differ in the last bit between machines; no entry is so near a half that its
# rounding could (a test looks), so these tables do not.
SQUASH = np.array([_logistic(i) for i in range(4096)], np.int64)
STRETCH = np.array([_logit(i) for i in range(4096)], np.int32)
RATES = np.array([65536 * 2 // (2 * n + 3) for n in range(SEEN_CALM + 1)], np.int64)


@njit(nogil=True, cache=True, inline="always")
def _learnt(cell, bit, most):
    """A cell after a decision: its probability moves by 1 / (count + 1.5) of what it missed."""
    seen = np.int64(cell) & 1023
    chance = np.int64(cell) >> 10
    chance += (((bit << 22) - bit - chance) * RATES[seen]) >> 16
    return np.uint32((chance << 10) | min(seen + 1, most))


@njit(nogil=True, cache=True, inline="always")
def _code(state, data, chance, bit, decoding):
    """Code one decision of which 1 has ``chance`` in 65536; returns it.

    ``state``: low and high end of the interval, what was read of it, the place in ``data``.
    """
    low, high = state[0], state[1]
    middle = low + (((high - low) * chance) >> 16)
    if decoding:
        bit = np.int64(state[2] <= middle)
    if bit:
        high = middle
    else:
        low = middle + 1
    while (low ^ high) < _TOP_BYTE:
        place = state[3]
        if decoding:
            byte = np.int64(data[place]) if place < data.size else np.int64(0)
            state[2] = ((state[2] << 8) & _WORD) | byte
        elif place < data.size:
            data[place] = np.uint8(high >> 24)
        state[3] += 1
        low = (low << 8) & _WORD
        high = ((high << 8) & _WORD) | 255
    state[0], state[1] = low, high
    return bit


@njit(nogil=True, cache=True)
def _code_raw(state, data, width, value, got, decoding):
    """Code the low ``width`` bits of ``value`` at even odds; ``got`` with them appended."""
    for k in range(width - 1, -1, -1):
        got = (got << 1) | _code(state, data, np.int64(1 << 15), (value >> k) & 1, decoding)
    return got


@njit(nogil=True, cache=True, inline="always")
def _asked(kind, delta, negative, size, quotient, count, length, shift):
    """What the encoder answers."""
    if kind == ZERO:
        return np.int64(delta != 0)
    if kind == SIGN:
        return negative
    if kind == UNARY:
        return np.int64(count < quotient)
    if kind == EXPONENT:
        return np.int64(count < exponent(np.uint64(quotient - RUN + 4)))
    if kind == TOP:
        return ((quotient - RUN + 4) >> (length - 1 - count)) & 1
    return (size >> (shift - 1)) & 1


@njit(nogil=True, cache=True, inline="always")
def _code_difference(delta, shift, strong, calm_at, at, models, state, data, decoding):
    """Code how far a value is from its base; returns that.

    With ``shift`` the magnitude is cut off by so many bits: the sign first, the quotient, the next
    bit, the rest as it is. Without: whether it is 0, the sign, the magnitude minus one.
    """
    table, calm, weights, inputs = models
    negative = np.int64(delta < 0)
    size = ~delta if negative else delta
    if not shift:
        size = (-delta if negative else delta) - 1
    quotient = size >> shift
    kind = SIGN if shift else ZERO
    decision = np.int64(32 if shift else 0)
    count, got, length = np.int64(0), np.int64(0), np.int64(0)
    while kind != DONE:
        bit = np.int64(0)
        if not decoding:
            bit = _asked(kind, delta, negative, size, quotient, count, length, shift)
        if calm_at >= 0:  # only for the first decision
            cell = calm[calm_at]
            chance = min(max(np.int64(cell) >> 16, LEAST), 65536 - LEAST)
            bit = _code(state, data, chance, bit, decoding)
            calm[calm_at] = _learnt(cell, bit, SEEN_CALM)
            calm_at = np.int64(-1)
        else:
            first = (strong * DECISIONS + decision) * MODELS
            dot = np.int64(0)
            for k in range(MODELS):
                inputs[k] = STRETCH[table[np.uint64(at[k] + decision)] >> np.uint32(20)]
                dot += np.int64(weights[np.uint64(first + k)]) * np.int64(inputs[k])
            dot = min(max((dot + 0x8000) >> 16, -2048), 2047)
            chance = min(max(SQUASH[np.uint64(dot + 2048)], LEAST), 65536 - LEAST)
            bit = _code(state, data, chance, bit, decoding)
            error = ((bit << 16) - chance) * SPEED
            for k in range(MODELS):
                weights[np.uint64(first + k)] += np.int32(
                    (np.int64(inputs[k]) * error + 0x8000) >> 16
                )
                place = np.uint64(at[k] + decision)
                table[place] = _learnt(table[place], bit, SEEN)
        if kind == ZERO:
            if not bit:
                return np.int64(0)
            kind, decision = SIGN, np.int64(1)
        elif kind == SIGN:
            negative = bit
            kind = UNARY
            decision = (34 if shift else 2) + 7 * bit
        elif kind == UNARY:
            count += bit
            decision += 1
            if not bit:
                got = count
                kind, decision = (LOW, np.int64(62)) if shift else (DONE, decision)
            elif count == RUN:
                kind, decision = EXPONENT, np.int64(48 if shift else 16)
                count = np.int64(2)
        elif kind == EXPONENT:
            count += bit
            decision = min(decision + 1, 53 if shift else 21)
            if not bit or count == 62:
                length = count
                kind, decision = TOP, (54 if shift else 22) + min(length - 2, 3) * 2
                count, got = np.int64(0), np.int64(1)
        elif kind == TOP:
            got = (got << 1) | bit
            count += 1
            decision += 1
            if count == 2:
                got = _code_raw(state, data, length - 2, quotient - RUN + 4, got, decoding)
                got += RUN - 4
                kind, decision = (LOW, np.int64(63)) if shift else (DONE, decision)
        else:
            got = _code_raw(state, data, shift - 1, size, (got << 1) | bit, decoding)
            kind = DONE
    if shift:
        return ~got if negative else got
    return -got - 1 if negative else got + 1


@njit(nogil=True, cache=True)
def run(q, pad, row, plane, volume, terms, signs, around, data, decoding):
    """Code the lattice ``q[pad:]`` into ``data``, or decode it from there.

    Parameters
    ----------
    q : int64 array
        Zeros, then the values, which are filled in when decoding.
    pad : int
        How many zeros: as many as the farthest neighbour is away, and ``REACH`` more.
    row, plane, volume : int
        Distances of the neighbours along the axes above the fastest; 0: there is none.
    terms, signs : int64 arrays
        Those of the Lorenzo prediction.
    around : int64 array
        Distances of the neighbours of the least-squares prediction; the first is 1.
    data : uint8 array
        What is coded.
    decoding : bool

    Returns
    -------
    int
        Bytes written, of which only those that ``data`` has room for; or bytes looked at.
    """
    past = np.zeros((3, q.size), np.int32)
    table = np.full(ENTRIES, EVEN, np.uint32)
    calm = np.full(CALM, EVEN, np.uint32)
    weights = np.full(STRONG * DECISIONS * MODELS, FIRST_WEIGHT, np.int32)
    models = (table, calm, weights, np.zeros(MODELS, np.int32))
    at = np.zeros(MODELS, np.int64)
    m = around.size - 1
    x, targets, solution = np.zeros(m), np.zeros(m), np.zeros(m)
    products, lower = np.zeros((m, m)), np.zeros((m, m))
    learnt = False
    share = 5 + 2 * int(row > 0) + 4 * int(plane > 0) + 2 * int(volume > 0)  # weights of energy
    state = np.array([0, _WORD, 0, 0], np.int64)
    if decoding:
        for k in range(4):
            state[2] = (state[2] << 8) | (np.int64(data[k]) if k < data.size else np.int64(0))
        state[3] = 4
    for i in range(pad, q.size):
        before = q[i - 1]
        moved = False
        for k in range(m):
            d = q[i - around[k + 1]] - before
            x[k] = np.float64(d)
            moved |= d != 0
        p = least_squares.predict(x, solution) if moved else 0.0
        whole = np.rint(p)
        squares = before + np.int64(whole)
        lorenzo = np.int64(0)
        for t in range(terms.size):
            lorenzo += signs[t] * q[i - terms[t]]
        base, other, fraction = squares, lorenzo, min(p - whole, 0.499)
        if lead_of_lorenzo(past, i, row, plane, volume) > 0:
            base, other = lorenzo, squares
            fraction = min(max(p - np.float64(lorenzo - before), -0.5), 0.499)
        sixteenth = np.int64(np.floor((fraction + 0.5) * 16.0))
        energy, strong, calm_at = find_contexts(
            q, past, i, base, other, sixteenth, row, plane, volume, at
        )
        mean = np.int64(energy) // share
        shift = exponent(mean) - 1 if mean >= 4 else np.int64(0)
        delta = _code_difference(
            q[i] - base, shift, strong, calm_at, at, models, state, data, decoding
        )
        if decoding:
            q[i] = base + delta
        value = q[i]
        past[BASE, i] = min(max(delta, -CLIP), CLIP)
        past[SQUARES, i] = min(max(value - squares, -CLIP), CLIP)
        past[LORENZO, i] = min(max(value - lorenzo, -CLIP), CLIP)
        if moved:
            least_squares.learn(x, np.float64(value - before), products, targets)
            learnt = True
        if (i - pad) % least_squares.EVERY == least_squares.EVERY - 1:
            if learnt:
                least_squares.solve(products, targets, lower, solution)
            least_squares.forget(products, targets)
            learnt = False
    if not decoding:
        for k in range(4):
            if state[3] < data.size:
                data[state[3]] = np.uint8((state[0] >> (24 - 8 * k)) & 255)
            state[3] += 1
    return state[3]
