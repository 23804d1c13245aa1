"""Specification of ``smallest``: which chain it is, by its parameters."""

from __future__ import annotations

WAYS = (("quantize", "context_mixing"), ("interpolate", "context_mixing"))


def read(params):
    """Names and parameters of the stages of the chain kept."""
    way, rest = WAYS[params[0]], params[1:]
    own = []
    for _ in way:
        own.append(rest[1 : 1 + rest[0]])
        rest = rest[1 + rest[0] :]
    assert not rest
    return list(zip(way, own, strict=True))
