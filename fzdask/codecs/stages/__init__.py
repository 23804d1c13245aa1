"""The stages a pipeline is made of, by name and by the code that streams carry."""

from __future__ import annotations

from fzdask.codecs.stages.base import ArrayStage, ByteStage, Stage
from fzdask.codecs.stages.huffman import Huffman
from fzdask.codecs.stages.lorenzo import Lorenzo
from fzdask.codecs.stages.quantize import Quantize
from fzdask.codecs.stages.shuffle import Shuffle
from fzdask.codecs.stages.zstd import Zstd

__all__ = ["BY_CODE", "BY_NAME", "STAGES", "ArrayStage", "ByteStage", "Stage"]

STAGES: tuple[type[Stage], ...] = (Quantize, Lorenzo, Huffman, Zstd, Shuffle)
BY_NAME: dict[str, type[Stage]] = {stage.name: stage for stage in STAGES}
BY_CODE: dict[int, type[Stage]] = {stage.code: stage for stage in STAGES}
