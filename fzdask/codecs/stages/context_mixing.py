"""Context mixing: the smallest size, at the speed of the strongest image coders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cpu import context_mixing, mixing_contexts
from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known, check_params
from fzdask.codecs.stages.lorenzo import folded_shape
from fzdask.errors import FormatError

__all__ = ["ContextMixing", "neighbours"]

SAMPLES = 2048
# A decision takes at least log2(65536 / 65488) bits, so a byte is good for no more values.
MOST_VALUES_PER_BYTE = 7569
ROOM_PER_VALUE, ROOM = 16, 1024  # bytes, which a main section never exceeds
# Neighbours of the least-squares prediction by their offsets along the last axes, the value
# before first; in four dimensions, those of the volume before are added.
_AROUND: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((-1,), (-2,), (-3,), (-4,)),
    2: ((0, -1), (0, -2), (-1, 0), (-1, -1), (-1, 1), (-2, 0), (-1, 2), (-1, -2), (-2, -1),
        (-2, 1), (0, -3)),
    3: ((0, 0, -1), (0, 0, -2), (0, -1, 0), (0, -1, -1), (0, -1, 1), (0, -2, 0), (-1, 0, 0),
        (-1, 0, -1), (-1, 0, 1), (-1, -1, 0), (-1, 1, 0), (-1, -1, -1), (-1, -1, 1), (-2, 0, 0),
        (-1, 1, 1), (-1, 1, -1)),
    4: ((-1, 0, 0, 0), (-1, 0, 0, -1), (-1, 0, 0, 1), (-1, 0, -1, 0), (-1, 0, 1, 0),
        (-1, -1, 0, 0), (-1, 1, 0, 0), (-2, 0, 0, 0)),
}  # fmt: skip


@dataclass(frozen=True)
class ContextMixing(ArrayStage):
    """Prediction and adaptive entropy coding of a lattice as one, for the smallest size; exact.

    Takes the lattice itself, without another predictor before it. One value after the other is
    predicted by least squares over up to 23 neighbours, learnt from the values just coded, and
    by Lorenzo; eight models, each with its own context, predict every binary decision that tells
    the value apart from the better prediction, and a mixer that is trained as it goes joins them.
    Decoding does the same work as encoding, takes as long (some 5 to 50 MB/s of floats on one
    core) and cannot be split: a chunk is the unit of parallel work. Both need some 30 bytes of
    memory for each value.

    Stream
    ------
    Parameters: one byte, in which bit ``k`` tells that the Lorenzo prediction is along axis ``k``,
    the fastest being 0 (axes of length 1 left out, of more than four the first folded). Bits
    beyond the axes are 0.

    *Terms.* The lattice is coded value by value in its flat order, as integers ``q[i]`` of 64
    bits; one of 32 bits keeps the low half. Integers have 64 bits and wrap around (two's
    complement). Floating point is binary64, each operation rounded to nearest even by itself (no
    fused ones), sums from the left to the right. ``>>`` comes last and rounds down, ``rint``
    rounds to nearest even, ``exponent(v)`` is ``floor(log2(v))``, and ``clip(v, m)`` is the number
    from ``-m`` to ``m`` that is nearest to ``v``. ``R``, ``P`` and ``V`` are the distances in flat
    order of the neighbours along axes 1, 2 and 3: the length of axis 0, that times the length of
    axis 1, and that times the length of axis 2. A term with one of them is 0 (a distance: left
    out) if there is no such axis. Whatever is kept by place is 0 before the first value, and at
    place ``i`` while value ``i`` is coded.

    *Coder.* The main section is that of a binary arithmetic coder: ``low = 0``, ``high = 2**32 -
    1``, and ``code`` is the first four bytes, the highest first. For a decision that is 1 with
    chance ``c`` in 65536, ``cut = low + ((high - low) * c >> 16)``: it is 1 if ``code <= cut``, and
    ``high`` becomes ``cut``; else it is 0, and ``low`` becomes ``cut + 1``. Then, while the top
    ones of the four bytes of ``low`` and ``high`` are equal, all three drop theirs and shift up by
    a byte, filled by 0 in ``low``, 255 in ``high`` and the next byte in ``code``; a writer puts out
    what ``low`` drops, and at the end the four bytes of it. So after the last value all bytes have
    been taken and none lacked. A byte stands for at most 7569 values. *Bits at even odds* are
    decisions with ``c = 32768``, the most significant first.

    *Least squares.* The distances of the neighbours are, in this order, with one axis or none 1, 2,
    3, 4; with two 1, 2, ``R``, ``R+1``, ``R-1``, ``2R``, ``R-2``, ``R+2``, ``2R+1``, ``2R-1``, 3;
    with three or four 1, 2, ``R``, ``R+1``, ``R-1``, ``2R``, ``P``, ``P+1``, ``P-1``, ``P+R``,
    ``P-R``, ``P+R+1``, ``P+R-1``, ``2P``, ``P-R-1``, ``P-R+1``; with four then ``V``, ``V+1``,
    ``V-1``, ``V+R``, ``V-R``, ``V+P``, ``V-P``, ``2V``; without 0 and without those that came
    before. For each but the first there are ``x[k] = q[i - distance] - q[i-1]``, in binary64, and a
    weight ``w[k]``, at first 0. ``p = 0 + w[0] x[0] + w[1] x[1] + ...``, but 0 if all ``x`` are 0
    or not ``|p| < 2**52``. The prediction is ``S = q[i-1] + rint(p)``. When the value is known,
    unless all ``x`` are 0, ``A[k][j] += x[k] x[j]`` for ``j <= k`` and ``b[k] += x[k] t`` with ``t
    = q[i] - q[i-1]`` in binary64 (all 0 at first). After every 32nd value (``i mod 32 = 31``) the
    weights are found anew, if anything was added since the last time, and then all ``A`` and ``b``
    are multiplied by 0.9379. To find them, for ``k = 0, 1, ...`` and for each ``k`` for ``j = 0 ...
    k``: ``s = A[k][j]``, plus 10 if ``j = k``, minus ``L[k][r] L[j][r]`` for ``r = 0 ... j-1`` in
    turn; ``L[k][j] = s / L[j][j]`` if ``j < k``, ``L[k][k] = sqrt(s)``; all weights stay as they
    were if that ``s`` is not above 0. Then ``y[k] = (b[k] - L[k][0] y[0] - L[k][1] y[1] - ...) /
    L[k][k]`` for ``k`` upwards, and ``w[k] = (y[k] - L[k+1][k] w[k+1] - L[k+2][k] w[k+2] - ...) /
    L[k][k]`` for ``k`` downwards.

    *Lorenzo.* The prediction ``T`` is the sum, over all sets of one or more of the axes told, of
    the value at the distance that is the sum of 1, ``R``, ``P``, ``V`` for axes 0, 1, 2, 3 in the
    set; with a minus if the axes in the set are even in number.

    *Base.* For differences ``h`` by place, ``E(h) = 2 |h[i-1]| + |h[i-2]| + 2 |h[i-R]| +
    |h[i-R-1]| + |h[i-R+1]| + 2 |h[i-P]| + |h[i-P+1]| + |h[i-P+R]| + 2 |h[i-V]|``. Kept by place
    are ``clip(q - S, 2**20)`` and ``clip(q - T, 2**20)``. If ``E`` of the latter is smaller, the
    base is ``T`` and the other ``S``, and ``f = p - (T - q[i-1])`` in binary64, at least -0.5 and
    at most 0.499; else the base is ``S`` and the other ``T``, and ``f = p - rint(p)``, at most
    0.499. ``z = floor((f + 0.5) 16)``. What is coded is ``d = q[i] - base``, which is kept as
    ``e[i] = clip(d, 2**20)``.

    *Decisions.* Let ``a = E(e)``, without axis 1 plus ``2 |e[i-2]|``, and ``v`` be ``a`` divided
    by 5, 7, 11 or 13 (with up to one, two, three or four axes), rounded down;
    ``s = exponent(v) - 1`` if ``v`` is 4 or more, else 0. Decisions have numbers, by which their
    chances are told apart:

    1. If ``s = 0``: decision 0, whether ``d`` is not 0 (if it is 0, this is all); 1, whether it
       is negative; ``m = |d| - 1``. Else: 32, whether ``d`` is negative; ``M = -d - 1`` if it is,
       else ``M = d``; ``m = M >> s``.
    2. One after the other, for ``k`` from 0 to 5, whether ``m > k``, up to the first 0; decision
       ``F + k``, where ``F`` is 2 if ``s = 0``, else 34, plus 7 if ``d`` is negative.
    3. If all six are 1: let ``X`` be the exponent of ``m - 2``. For ``k`` from 2 to 61, whether
       ``X > k``, up to the first 0; decision 16, or 48 if ``s > 0``, plus the smaller of ``k - 2``
       and 5. The two bits of ``m - 2`` below its leading one, the higher first; decisions ``G``
       and ``G + 1``, where ``G`` is 22, or 54 if ``s > 0``, plus twice the smaller of ``X - 2``
       and 3. The other ``X - 2`` bits of ``m - 2`` at even odds.
    4. If ``s > 0``: bit ``s - 1`` of ``M``, decision 63 if all six were 1, else 62. The bits below
       it at even odds.

    *Models.* ``level(v)`` is ``v`` below 4, else ``2 exponent(v)`` plus the bit below the leading
    one, at most 25. The values around, less the base, are ``W = q[i-1] - base``,
    ``N = q[i-R] - base``, ``NW = q[i-R-1] - base``, ``NE = q[i-R+1] - base``,
    ``U = q[i-P] - base``, ``O = q[i-V] - base``. Without axis 1, ``N = q[i-2] - base`` and
    ``NW = NE = 0``; without axis 2, ``U = NE``; without axis 3, ``O = NW``. Let ``n = e[i-R]``,
    without axis 1 ``e[i-2]``, and ``l`` be ``level`` of the sum of ``|clip(., 2**20)|`` of
    ``W - NW``, ``N - NW``, ``N - NE`` and ``U - W``. Eight models have these contexts:

    1. ``level(a)``; ``z >> 1``.
    2. ``clip(e[i-1], 3)``; ``clip(n, 3)``; ``clip(e[i-P], 3)``, without axis 2
       ``clip(e[i-R-1], 3)``.
    3. ``clip(other - base, 6)``; ``clip(U, 4)``; whether ``a`` is 0, 1 to 3, 4 to 11, or more.
    4. ``clip(W, 5)``; ``clip(N, 5)``; ``clip(U, 3)``.
    5. ``level(|e[i-2]| + |e[i-R-1]| + |e[i-R+1]|)``; ``clip(e[i-1] + n + e[i-P], 4)``.
    6. ``z``; ``l``.
    7. ``level(a)``; ``l``.
    8. ``level(|e[i-P]| + |e[i-P+1]| + |e[i-P+R]| + |e[i-V]|)``; ``clip(O, 2)``; ``clip(NE, 2)``.

    *Mixing.* Each model has a cell for each context and decision: a chance ``g``, at first
    ``2**21``, and a count ``k``, at first 0. For each decision, and each class of ``a`` (0, 1 to 2,
    3 to 5, 6 to 11, 12 to 39, 40 or more), there are eight weights ``u``, one for each model, at
    first ``2**14``, integers of 32 bits that wrap around. A model's opinion is
    ``o = stretch(g >> 10)``, where ``stretch(j)`` is the integer nearest to
    ``256 ln((j + 0.5) / (4095.5 - j))``, clipped to 2047. ``D`` is ``2**15`` plus the sum of all
    ``u o``, ``>> 16``, at least -2048 and at most 2047. The chance ``c`` for the coder is the
    integer nearest to ``65536 / (1 + exp(-(D + 0.5) / 256))``, at least 48 and at most 65488. (No
    value of these two functions is within ``10**-6`` of a tie.) After the decision ``bit``, each
    ``u`` gains ``5 (65536 bit - c) o + 2**15 >> 16``, and each of the eight cells learns: ``g``
    gains ``((2**22 - 1) bit - g) r >> 16`` with ``r = floor(131072 / (2 k + 3))``, then ``k`` 1,
    up to 127.

    *Calm.* If ``a = 0``, ``l = 0`` and the other is the base, decision 0 is not mixed: it has one
    cell, like those of models, for each context of ``z``, ``clip(W, 2)``, and which of ``e`` at the
    distances 3, ``R-2``, ``R+2`` (without axis 1: 3, 4, 5), ``P+R``, ``P+1`` are not 0. ``c = g >>
    6``, at least 48 and at most 65488; only this cell learns, with ``k`` up to 1023.

    Sources
    -------
    Mahoney 2005, "Adaptive weighing of context models for lossless data compression" (mixing, the
    coder); Wu et al. 2000, "Piecewise 2D autoregression for predictive image coding", and Meyer
    and Tischer 2001, "Glicbawls" (least squares); Ibarria et al. 2003 (Lorenzo).
    """

    name: ClassVar[str] = "context_mixing"
    code: ClassVar[int] = 28
    takes: ClassVar[tuple[str, ...]] = ("lattice",)
    gives: ClassVar[str] = "bytes"

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        strides, around, pad = _geometry(form.shape)
        q = np.zeros(pad + data.size, np.int64)
        q[pad:] = data
        axes = mixing_contexts.choose_axes(q, pad, strides, min(SAMPLES, data.size))
        out = np.empty(ROOM_PER_VALUE * data.size + ROOM, np.uint8)
        used = _run(q, pad, strides, around, axes, out, decoding=False)
        if used > out.size:
            out = np.empty(used, np.uint8)
            _run(q, pad, strides, around, axes, out, decoding=False)
        return Encoded(out[:used].copy(), bytes([axes]))

    def form_after(self, form: Form, params: bytes) -> Form:
        check_params(ContextMixing, params, 1)
        if params[0] >> len(folded_shape(form.shape)) or form.dtype.kind != "i":
            raise FormatError(
                f"fzdask stream: context_mixing along axes {params[0]:#b} of shape {form.shape} "
                f"{form.dtype}; the stream is damaged."
            )
        return Form((-1,), np.dtype(np.uint8))

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        if form.size > MOST_VALUES_PER_BYTE * data.size:
            raise FormatError(
                f"fzdask stream: {data.size} bytes of context_mixing cannot hold {form.size} "
                "values; the stream is damaged."
            )
        strides, around, pad = _geometry(form.shape)
        q = np.zeros(pad + form.size, np.int64)
        # A copy, since the one loop for both ways is compiled for arrays that can be written to.
        if _run(q, pad, strides, around, params[0], data.copy(), decoding=True) != data.size:
            raise FormatError(
                "fzdask stream: context_mixing payload is not as long as its values; it is damaged."
            )
        return q[pad:].astype(form.dtype)


@lru_cache(maxsize=256)
def _geometry(shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Strides, the fastest axis first; distances of neighbours; zeros in front that they need."""
    folded = folded_shape(shape)
    strides = [1]
    for n in folded[:0:-1]:
        strides.append(strides[-1] * n)
    around = neighbours(strides)
    made = np.array(strides[: len(folded)], np.int64), np.array(around, np.int64)
    for array in made:
        array.setflags(write=False)  # shared by all who ask
    return *made, max(max(around), sum(strides)) + mixing_contexts.REACH


def neighbours(strides: list[int]) -> list[int]:
    """Distances of the neighbours of the least-squares prediction, each once, in their order."""
    offsets = list(_AROUND[min(len(strides), 3)])
    if len(strides) == 4:
        offsets = [(0, *offset) for offset in offsets] + list(_AROUND[4])
    around = [-sum(o * s for o, s in zip(at[::-1], strides, strict=True)) for at in offsets]
    return list(dict.fromkeys(distance for distance in around if distance > 0))


def _run(
    q: NDArray[np.int64],
    pad: int,
    strides: NDArray[np.int64],
    around: NDArray[np.int64],
    axes: int,
    data: NDArray[np.uint8],
    *,
    decoding: bool,
) -> int:
    """Bytes written or looked at."""
    terms, signs = np.empty(16, np.int64), np.empty(16, np.int64)
    used = mixing_contexts.lorenzo_terms(strides, axes, terms, signs)
    row, plane, volume = (int(n) for n in (*strides[1:], 0, 0, 0)[:3])
    return int(
        context_mixing.run(
            q, pad, row, plane, volume, terms[:used], signs[:used], around, data, decoding
        )
    )
