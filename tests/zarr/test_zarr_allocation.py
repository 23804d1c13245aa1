"""A sound stream that stands for far more than its chunk is refused before it is decoded."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

import fzdask
from fzdask import FormatError, FZCodec


@pytest.mark.parametrize("role", ["compressors", "serializer"])
def test_a_chunk_of_another_size_is_refused_without_allocating_it(role):
    huge = fzdask.compress(np.zeros(1 << 24, "f4"), abs=1.0)  # 64 MiB in a few hundred bytes
    assert len(huge) < 4096
    store = MemoryStore()
    codec = FZCodec(abs=1.0)
    with_codec = {role: codec if role == "compressors" else codec.serializer}
    if role == "serializer":
        with_codec["compressors"] = None
    array = zarr.create_array(store, shape=(64,), chunks=(64,), dtype="f4", **with_codec)
    array[:] = np.arange(64)
    key = next(k for k in store._store_dict if k.endswith("c/0"))
    store._store_dict[key] = type(store._store_dict[key]).from_bytes(huge)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="Zarr metadata describes"):
            array[:]
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()
