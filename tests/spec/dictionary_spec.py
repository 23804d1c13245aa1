"""Specification of ``dictionary``: places in the sorted table of the values that occur."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from run_length_spec import varint


def encode(values):
    """The places, and the section of the table."""
    table = sorted({int(v) for v in values})
    place = {v: k for k, v in enumerate(table)}
    first = table[0]
    packed = varint(2 * first if first >= 0 else -2 * first - 1)
    for before, v in pairwise(table):
        packed += varint(v - before - 1)
    return np.array([place[int(v)] for v in values], "<i4"), packed
