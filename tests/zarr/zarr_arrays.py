"""Arrays for the Zarr tests."""

from __future__ import annotations

import zarr


def create(data, store=None, **encoding):
    """Create and fill an array. (Zarr before 3.1.3 loses chunks with data= and shards=.)"""
    encoding = {"chunks": (8, 8), **encoding}
    z = zarr.create_array(
        {} if store is None else store, shape=data.shape, dtype=data.dtype, **encoding
    )
    z[...] = data
    return z
