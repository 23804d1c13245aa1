"""What a fusion is: adjacent stages that run as one kernel, with the bytes of the stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.stages.base import Encoded, Form, Job, Known, Stage

__all__ = ["Fusion"]


class Fusion(ABC):
    """One kernel for a run of stages. An optimisation, never a format: the bytes are the same."""

    chain: ClassVar[tuple[type[Stage], ...]]
    """The adjacent stages that it stands for."""

    def applies(self, form: Form) -> bool:
        """Whether it can take this input; asked alike when encoding and when decoding."""
        return form.dtype.kind == "f"

    @abstractmethod
    def encode(
        self, stages: Sequence[Any], data: NDArray[Any], form: Form, job: Job
    ) -> list[Encoded]:
        """What each stage gives; of the main outputs only the last is there (others: None)."""

    @abstractmethod
    def decode(
        self,
        stages: Sequence[Any],
        data: NDArray[Any],
        forms: Sequence[Form],
        params: Sequence[bytes],
        sections: Sequence[dict[str, NDArray[np.uint8]]],
        known: Known,
    ) -> NDArray[Any]:
        """The flat array of ``forms[0]``; ``forms[k]`` is what ``stages[k]`` took."""
