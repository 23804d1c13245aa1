"""What a stage is: one reversible step of a pipeline."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.codebooks import Codebook
from fzdask.codecs.shared_codebooks import SharedBooks
from fzdask.errors import FormatError

__all__ = ["ArrayStage", "ByteStage", "Encoded", "Form", "Job", "Known", "Section", "Stage"]

Section = NDArray[Any] | bytes


@dataclass(frozen=True, slots=True)
class Form:
    """Shape and dtype of what travels between two stages.

    Attributes
    ----------
    shape : tuple of int
        In the order of memory.
    dtype : numpy.dtype
    bound : float
        How far the values may still move; 0 behind the lossy stage, where all is exact.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    bound: float = 0.0
    size: int = field(init=False, repr=False, compare=False)
    """Number of elements."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", math.prod(self.shape))


@dataclass(slots=True)
class Job:
    """What the stages of one encoding know besides their input.

    Attributes
    ----------
    forced : uint8 array, flat
        Empty, or flags of values that must come back bit for bit.
    bits : unsigned integer array, flat
        The input's own bits, kept for outliers (half precision is quantized through float32).
    magnitude : float, or a function that finds it
        Greatest magnitude of the finite values that are not forced: what :attr:`finite_max` gives.
    order : str
        Memory order of the user's array; for ``F`` the shape of a form is that of its transpose.
    pairs : bool
        Whether a form has one more axis behind those: the parts of complex numbers.
    sample : tuple, optional
        Flat array and factor that give lattice values, for stages that look at a sample. It is
        set by the quantizer, so that a choice does not depend on whether stages are fused.
    books : SharedBooks or Codebook, optional
        Where to take the codebook from; None: each chunk has its own.
    """

    forced: NDArray[np.uint8]
    bits: NDArray[Any]
    magnitude: float | Callable[[], float]
    order: str = "C"
    sample: tuple[NDArray[Any], float] | None = None
    books: SharedBooks | Codebook | None = None
    pairs: bool = False

    @property
    def finite_max(self) -> float:
        """Greatest magnitude of the finite values that are not forced; found when first asked."""
        if not isinstance(self.magnitude, float):
            self.magnitude = self.magnitude()
        return self.magnitude

    @finite_max.setter
    def finite_max(self, value: float) -> None:
        self.magnitude = value

    @property
    def measured(self) -> bool:
        """Whether :attr:`finite_max` is known, so that asking takes no pass over the values."""
        return isinstance(self.magnitude, float)

    def memory_axis(self, axis: int, shape: tuple[int, ...]) -> int | None:
        """Axis of a form of this shape for one of the user's array; None if it has none such."""
        ndim = len(shape) - self.pairs
        if not -ndim <= axis < ndim:
            return None
        axis %= ndim
        return ndim - 1 - axis if self.order == "F" else axis


@dataclass(frozen=True, slots=True)
class Known:
    """What the stages of one decoding know besides their sections.

    Attributes
    ----------
    book : Codebook, optional
        The codebook of the codec's configuration, for streams that only name theirs.
    room : flat array, optional
        Where the caller wants the array, of its size and aligned for it. What gives the array may
        put it there instead of in memory of its own, or leave anything there.
    """

    book: Codebook | None = None
    room: NDArray[Any] | None = None


@dataclass(slots=True)
class Encoded:
    """What a stage gives: its main output, parameters for decoding, named side sections."""

    data: Any
    params: bytes = b""
    sections: dict[str, Section] = field(default_factory=dict)


class Stage(ABC):
    """A reversible step; immutable, thread-safe, equal if its options are.

    Subclasses are frozen dataclasses whose fields are the options of the text form. What travels
    between stages is of one of these kinds: ``array`` (values: any numbers), ``lattice`` (int32
    or int64), ``codes`` (uint32 or uint64), ``bytes``.
    """

    name: ClassVar[str]
    """Written to text and metadata; never renamed, never reused."""
    code: ClassVar[int] = 0
    """Written to streams, never reused; 0 for stages of other packages, which go by name."""
    takes: ClassVar[tuple[str, ...]]
    """Kinds that it can follow."""
    gives: ClassVar[str]
    """Kind of its main output, or ``same``."""
    lossy: ClassVar[bool] = False
    """Whether it moves values, within the bound of the form that it gets."""
    resolves: ClassVar[str] = ""
    """Kind of bound that it takes and turns into an absolute one for the stages behind it."""
    array_axes: ClassVar[frozenset[str]] = frozenset()
    """Options that number axes of the array as the user sees it, for which names may stand."""

    def get_config(self) -> dict[str, Any]:
        """Options that differ from their defaults, as plain values."""
        config = {}
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            if value != f.default:
                config[f.name] = value
        return config

    def __str__(self) -> str:
        options = ", ".join(f"{k}={v}" for k, v in self.get_config().items())
        return f"{self.name}({options})" if options else self.name


class ArrayStage(Stage):
    """A stage that takes numbers in an array.

    One that gives another array of values (a preprocessing) also makes ``bits``, ``forced`` and
    ``finite_max`` of the job fit it. Decoding never needs options: what it must know is in
    parameters and sections.
    """

    section_names: ClassVar[tuple[str, ...]] = ()
    """Side sections that it may write, at most 7, in the order of their numbers from 1."""
    alignment: ClassVar[int] = 4
    """Of what number of bytes the place of a main section of bytes has to be a multiple."""

    @abstractmethod
    def encode(self, data: NDArray[Any], form: Form, job: Job) -> Encoded:
        """Encode a flat C-order array of the given form."""

    @abstractmethod
    def form_after(self, form: Form, params: bytes) -> Form:
        """Form of the main output for an input of this form; raises FormatError on bad params."""

    @abstractmethod
    def decode(
        self,
        data: NDArray[Any],
        form: Form,
        params: bytes,
        sections: dict[str, NDArray[np.uint8]],
        known: Known,
    ) -> NDArray[Any]:
        """The flat array of the given form from what :meth:`encode` gave."""


class ByteStage(Stage):
    """A lossless back end: bytes to bytes, for any section."""

    takes: ClassVar[tuple[str, ...]] = ("bytes",)
    gives: ClassVar[str] = "bytes"

    @abstractmethod
    def compress(self, data: NDArray[np.uint8]) -> bytes | None:
        """Compressed bytes, or None where that would save nothing."""

    @abstractmethod
    def check(self, data: NDArray[np.uint8], nbytes: int) -> None:
        """Raise FormatError if the compressed bytes cannot give that many."""

    @abstractmethod
    def decompress(self, data: NDArray[np.uint8], nbytes: int) -> NDArray[np.uint8]:
        """Exactly ``nbytes`` bytes; FormatError otherwise."""


def one_type(*sections: NDArray[Any]) -> list[NDArray[Any]]:
    """Sections as arrays of one type, for which a kernel is compiled once: aligned, read only.

    Those that lie in a stream may be anywhere, and those from a back end may be written to.
    """
    made = [held if held.flags.aligned else held.copy() for held in sections]
    for held in made:
        held.setflags(write=False)
    return made


def check_params(stage: type[Stage], params: bytes, nbytes: int) -> None:
    """Refuse stage parameters of the wrong length."""
    if len(params) != nbytes:
        raise FormatError(
            f"fzdask stream: stage {stage.name!r} has {len(params)} bytes of parameters, "
            f"not {nbytes}; the stream is damaged or from another version."
        )
