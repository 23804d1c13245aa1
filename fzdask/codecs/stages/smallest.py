"""Several ways of coding a chunk, of which the smallest is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.stages.base import ArrayStage, Encoded, Form, Job, Known
from fzdask.codecs.stages.context_mixing import ContextMixing
from fzdask.codecs.stages.interpolate import Interpolate
from fzdask.codecs.stages.quantize import Quantize
from fzdask.errors import FormatError

__all__ = ["WAYS", "Smallest"]

# Numbers are written to streams: append only. All main sections of a way come from its last stage.
WAYS: tuple[tuple[type[ArrayStage], ...], ...] = (
    (Quantize, ContextMixing),
    (Interpolate, ContextMixing),
)


@dataclass(frozen=True)
class Smallest(ArrayStage):
    """Codes a chunk by each of two chains and keeps the smaller result.

    Guarantees ``|x - x'| <= bound`` for every finite value, as the chains do; what misses the
    bound, NaN, infinities, -0.0 and preserved values are outliers, bit for bit. Predicting from
    neighbours suits rough fields, masks and tight bounds; interpolation suits smooth fields at
    loose ones, by factors of up to three. No sample tells as well as trying, so encoding takes
    the time of both, decoding that of the one kept.

    Stream
    ------
    Parameters: the way in one byte, 0 for ``quantize | context_mixing``, 1 for ``interpolate |
    context_mixing``; then for each of the two stages of that chain, in its order, one byte with
    the number of bytes of its parameters, and those; nothing else.

    All is then as if that chain stood in the header in the place of this stage: the main section
    is that of ``context_mixing``, the side sections (1 ``outlier_runs``, 2 ``outliers``,
    3 ``levels``) are those that ``quantize`` or ``interpolate`` has under these numbers, there or
    not as they say. In the header all of them carry the index of this stage.

    Sources
    -------
    Rissanen 1978, "Modeling by shortest data description", taken at its word; for the ways, see
    the stages.
    """

    name: ClassVar[str] = "smallest"
    code: ClassVar[int] = 29
    takes: ClassVar[tuple[str, ...]] = ("array",)
    gives: ClassVar[str] = "bytes"
    lossy: ClassVar[bool] = True
    section_names: ClassVar[tuple[str, ...]] = ("outlier_runs", "outliers", "levels")

    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        tried = (_encode(way, data, form, replace(job)) for way in range(len(WAYS)))
        return min(tried, key=_nbytes)  # the first of equal ones

    def form_after(self, form: Form, params: bytes) -> Form:
        return _read(form, params)[2][-1]

    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        chain, own, forms = _read(form, params)
        if not {name for stage in chain for name in stage.section_names}.issuperset(sections):
            raise FormatError("fzdask stream: smallest has a section of the other way; damaged.")
        for k in range(len(chain) - 1, -1, -1):
            mine = {n: s for n, s in sections.items() if n in chain[k].section_names}
            data = chain[k].decode(data, forms[k], own[k], mine, known)
        return data


def _encode(way: int, data: NDArray[Any], form: Form, job: Job) -> Encoded:
    """What a chain gives, with the parameters of all its stages."""
    params = bytes([way])
    sections = {}
    for kind in WAYS[way]:
        stage = kind()
        result = stage.encode(data, form, job)
        form = stage.form_after(form, result.params)
        params += bytes([len(result.params)]) + result.params
        sections.update(result.sections)
        data = result.data
    return Encoded(data, params, sections)


def _nbytes(result: Encoded) -> int:
    sides = sum(np.frombuffer(section, np.uint8).size for section in result.sections.values())
    return int(result.data.nbytes) + sides


def _read(form: Form, params: bytes) -> tuple[list[ArrayStage], list[bytes], list[Form]]:
    """The stages of the way kept, their parameters, and the forms before and behind each."""
    if not params or params[0] >= len(WAYS):
        raise FormatError(
            f"fzdask stream: smallest by way {params[:1]!r}, which is unknown; the stream is "
            "damaged or from a newer release."
        )
    chain = [kind() for kind in WAYS[params[0]]]
    own, forms = [], [form]
    at = 1
    for stage in chain:
        size = params[at] if at < len(params) else -1
        own.append(params[at + 1 : at + 1 + size])
        at += 1 + size
        if size < 0 or at > len(params):
            raise FormatError("fzdask stream: parameters of smallest are cut off; it is damaged.")
        forms.append(stage.form_after(forms[-1], own[-1]))
    if at != len(params):
        raise FormatError("fzdask stream: parameters of smallest are too long; it is damaged.")
    return chain, own, forms
