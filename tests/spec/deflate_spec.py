"""Specification of ``deflate``: what the standard library reads as a raw stream."""

from __future__ import annotations

import zlib


def decode(data):
    """The bytes of a section."""
    return zlib.decompress(data, wbits=-15)
