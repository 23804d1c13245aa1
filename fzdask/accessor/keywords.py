"""The keywords that the accessors have of their own."""

from __future__ import annotations

__all__ = ["BOUNDS", "OPTIONS"]

BOUNDS = ("abs", "rel", "pw_rel", "psnr", "lossless")  # those of the codec
OPTIONS = ("preserve", "pipeline", "codebook")
