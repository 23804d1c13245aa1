"""``quantize | lorenzo | rans`` without residuals in between when encoding."""

from __future__ import annotations

from typing import ClassVar

from fzdask.codecs.stages.base import Stage
from fzdask.codecs.stages.fused_lorenzo import QuantizeLorenzoHuffman
from fzdask.codecs.stages.lorenzo import Lorenzo
from fzdask.codecs.stages.quantize import Quantize
from fzdask.codecs.stages.rans import Rans

__all__ = ["QuantizeLorenzoRans"]


class QuantizeLorenzoRans(QuantizeLorenzoHuffman):
    """Another entropy coder behind the same kernel: it takes the same symbols."""

    chain: ClassVar[tuple[type[Stage], ...]] = (Quantize, Lorenzo, Rans)
