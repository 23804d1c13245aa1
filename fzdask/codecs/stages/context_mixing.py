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
    the fastest being 0 (axes of length 1 left out, of more than four the first folded).

    Main section: the bytes of a binary arithmetic coder whose interval, ``[0, 2**32 - 1]`` at
    first, is cut at ``low + ((high - low) * P >> 16)`` for a decision that is 1 with chance
    ``P / 65536``; 1 takes the lower part, up to and with the cut. While the top bytes of both
    ends are equal they are written and shifted out (filled by 0 and by ones); at the end the four
    bytes of ``low`` follow.

    In what follows a difference of a value at an earlier place is kept clipped to ``2**20``; what
    is before the first value is 0, and neighbours are at fixed distances in the flat order.

    *Predictions.* Least squares: ``p``, the sum of weights times the differences of the neighbours
    (those of ``neighbours``) to the value before, in binary64, in order; 0 if they are all 0 or
    ``p`` is not below ``2**52``. Its prediction is the value before plus ``p`` rounded to even.
    The normal equations gain the row of each value whose differences are not all 0; after every
    32nd value they are solved by Cholesky with 10 added to the diagonal, if a row was added since,
    and multiplied by 0.9379. Lorenzo: the signed sum of the corners before, along the axes told.
    Lorenzo is taken where the differences to it were smaller in magnitude than those to least
    squares, summed over: W and N twice, WW, NW, NE; U twice, the one after it, the one below it;
    V twice (W: before; N: row above; U: plane before; V: volume before).

    *Decisions.* Energy ``a``: magnitudes of differences to the base, ``2 W + WW + 2 N + NW + NE +
    2 U + (after U) + (below U) + 2 V`` (N is WW if there is no row). Shift ``s``: the exponent of
    ``a // (5 + 2 [row] + 4 [plane] + 2 [volume])`` less one if that is 4 or more, else 0. With
    ``s = 0``: whether the difference ``d`` is not 0 (decision 0), whether it is negative (1), then
    ``m = |d| - 1``. Else: whether it is negative (32), then ``m = d`` or ``-d - 1``, shifted down
    by ``s``. Of ``m``: up to six ones and a zero if it is below six, from decision 2, 9, 34 or 41
    (the second of each pair for negative ones) on; else ``m - 2`` with its exponent as ones from
    two on and a zero, at decisions 16 to 21 or 48 to 53, the next two bits at 22 or 54 plus twice
    the exponent less two, at most three, and plus one, and the rest at even odds. With ``s``: the
    next bit at 62 (63 after an exponent), the other ``s - 1`` at even odds.

    *Models and mixing.* Contexts, cells, rates and tables are those of the specification in the
    tests (``tests/spec/context_mixing_spec.py``), which is a decoder as well.

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
