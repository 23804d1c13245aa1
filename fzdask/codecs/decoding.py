"""How streams of one pipeline and form are decoded: worked out once, for all chunks alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.addresses import address
from fzdask.codecs.stages.base import ArrayStage, ByteStage, Form, Known
from fzdask.codecs.stages.fusion import Fusion
from fzdask.errors import FormatError
from fzdask.format import SectionEntry, StageEntry

__all__ = ["Decoding"]

# No stage writes a longer section than this per element (or its size, if that is more), plus a
# fixed part: a Huffman code with its raw bits takes 10 bytes and 4 of padding, a codebook 938.
SECTION_NBYTES_PER_ELEMENT = 16
SECTION_NBYTES = 1024

MAIN = ""  # the name of the last array stage's main output; side sections have one of their own
Sides = list[dict[str, NDArray[np.uint8]]]


@dataclass(frozen=True, slots=True)
class Decoding:
    """What the stages of a stream and the form of its array say of decoding it.

    Attributes
    ----------
    chain, back_ends : tuple of stages
        Array stages, and byte stages in the order of the bits that say which were applied.
    forms : tuple of Form
        Of the array, then behind each array stage.
    params : tuple of bytes
        Of each array stage.
    steps : tuple of (int, int, Fusion or None)
        Stages from the one number up to the other that are undone together; the last ones first.
    names : dict
        Of the sections, by stage and number.
    room : int
        Bytes that no section can exceed.
    lossy : bool
        Whether a stage moves values.
    """

    chain: tuple[ArrayStage, ...]
    back_ends: tuple[ByteStage, ...]
    forms: tuple[Form, ...]
    params: tuple[bytes, ...]
    steps: tuple[tuple[int, int, Fusion | None], ...]
    names: dict[tuple[int, int], str]
    room: int
    lossy: bool

    @classmethod
    def of(
        cls,
        chain: tuple[ArrayStage, ...],
        back_ends: tuple[ByteStage, ...],
        fusion_at: Callable[[int, Form], Fusion | None],
        form: Form,
        entries: Sequence[StageEntry],
    ) -> Decoding:
        """For an array of this form, and stages with the parameters that a stream tells.

        Raises
        ------
        FormatError
            No stream has such stages or parameters.
        """
        if not form.size * form.dtype.itemsize:
            raise FormatError("fzdask stream: stages for an array of no bytes; it is damaged.")
        if any(entry.params for entry in entries[len(chain) :]):
            raise FormatError("fzdask stream: parameters of a back end; it is damaged.")
        params = tuple(entry.params for entry in entries[: len(chain)])
        forms = [form]
        for stage, given in zip(chain, params, strict=True):
            forms.append(stage.form_after(forms[-1], given))
        steps: list[tuple[int, int, Fusion | None]] = []
        at = 0
        while at < len(chain):
            fusion = fusion_at(at, forms[at])
            until = at + (len(fusion.chain) if fusion else 1)
            steps.insert(0, (at, until, fusion))
            at = until
        names = {(len(chain) - 1, 0): MAIN}
        for at, stage in enumerate(chain):
            names |= {(at, k): name for k, name in enumerate(stage.section_names, 1)}
        elements = (form.size + 7) // 8 * 8  # bit planes are of whole bytes
        room = max(SECTION_NBYTES_PER_ELEMENT, form.dtype.itemsize) * elements + SECTION_NBYTES
        lossy = any(stage.lossy for stage in chain)
        return cls(chain, back_ends, tuple(forms), params, tuple(steps), names, room, lossy)

    def run(
        self, entries: Sequence[SectionEntry], blobs: Sequence[NDArray[np.uint8]], known: Known
    ) -> NDArray[Any]:
        """The flat array of these sections; FormatError where anything does not fit."""
        data, sides = self.unwrapped(entries, blobs, self.unwrap)
        chain, forms, params = self.chain, self.forms, self.params
        array = _with_form(data, forms[-1], chain[-1].alignment)
        for at, until, fusion in self.steps:
            what = Known(known.book) if at else known  # the room is for what the caller wants
            if fusion is None:
                array = chain[at].decode(array, forms[at], params[at], sides[at], what)
            else:
                array = fusion.decode(
                    chain[at:until], array, forms[at:until], params[at:until], sides[at:until],
                    what,
                )  # fmt: skip
        return array if array.flags.writeable else array.copy()  # a view of the stream

    def unwrapped(
        self,
        entries: Sequence[SectionEntry],
        blobs: Sequence[NDArray[np.uint8]],
        unwrap_main: Callable[[SectionEntry, NDArray[np.uint8]], Any],
    ) -> tuple[Any, Sides]:
        """Undo the back ends: the main section, and the side sections of each stage by name."""
        data = None
        sides: Sides = [{} for _ in self.chain]
        for entry, blob in zip(entries, blobs, strict=True):
            stage, number, applied, sizes = entry
            if sizes[0] > self.room:
                raise FormatError(
                    f"fzdask stream: a section of {sizes[0]} bytes for {self.forms[0].size} "
                    f"elements of {self.forms[0].dtype}; it is damaged."
                )
            name = self.names.get((stage, number))
            if name is None:
                raise FormatError("fzdask stream: a section that no stage writes; damaged.")
            if name == MAIN:
                data = unwrap_main(entry, blob)
            else:
                sides[stage][name] = self.unwrap(entry, blob) if applied else blob
        if data is None:
            raise FormatError("fzdask stream: the main section is missing; it is damaged.")
        return data, sides

    def unwrap(self, entry: SectionEntry, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Undo the back ends of one section."""
        applied = entry.applied
        if applied >> len(self.back_ends):
            raise FormatError("fzdask stream: a section names an unknown back end; damaged.")
        sizes = list(entry.sizes[:-1])
        for k in range(applied.bit_length() - 1, -1, -1):
            if applied >> k & 1:
                data = self.back_ends[k].decompress(data, sizes.pop())
        return data


def _with_form(data: NDArray[np.uint8], form: Form, alignment: int) -> NDArray[Any]:
    """Bytes as an array of the form that the last array stage gave (-1: any number of bytes)."""
    if form.shape != (-1,) and data.size != form.size * form.dtype.itemsize:
        raise FormatError(
            f"fzdask stream: the main section has {data.size} bytes instead of "
            f"{form.size * form.dtype.itemsize}; it is damaged."
        )
    if form.dtype.itemsize > 1:
        alignment = max(form.dtype.alignment, 4)
    if alignment > 1 and address(data) % alignment:
        data = data.copy()
    return data.view(form.dtype) if form.dtype.itemsize > 1 else data
