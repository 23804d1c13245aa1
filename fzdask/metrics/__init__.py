"""Error and size metrics of compressed arrays; pure NumPy, block by block.

Distortion (worst error over the bound, violations, RMSE, PSNR) is decided exactly and never
makes a wide copy of a whole array. :func:`compare` gives all of it at once;
:mod:`fzdask.metrics.fields` generates deterministic fields to try a codec on.
"""

from __future__ import annotations

from fzdask.metrics.comparison import Comparison, compare
from fzdask.metrics.distortion import max_error, max_error_over_bound, psnr, rmse, value_range
from fzdask.metrics.rate import bit_rate, compression_ratio

__all__ = [
    "Comparison",
    "bit_rate",
    "compare",
    "compression_ratio",
    "max_error",
    "max_error_over_bound",
    "psnr",
    "rmse",
    "value_range",
]
