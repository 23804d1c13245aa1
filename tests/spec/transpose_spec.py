"""Specification of ``transpose``: NumPy's own, with the pair axis of complex numbers kept last."""

from __future__ import annotations


def transposed(array, axes, pairs=False):
    """The array with its axes in this order; ``reverse`` turns it round."""
    ndim = array.ndim - pairs
    order = tuple(range(ndim))[::-1] if axes == "reverse" else tuple(a % ndim for a in axes)
    return array.transpose((*order, ndim) if pairs else order)
