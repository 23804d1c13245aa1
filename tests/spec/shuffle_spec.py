"""Specification of ``shuffle``: the first byte of all elements, then the second, and so on."""

from __future__ import annotations


def shuffle(data, itemsize):
    """The bytes of elements of that size, grouped by their place in the element."""
    return b"".join(data[k::itemsize] for k in range(itemsize))
