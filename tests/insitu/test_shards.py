"""What the writer stores are the bytes that Zarr would, chunk by chunk and in shards."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import zarr
from writer_cases import BOUND, smooth

from fzdask import FZCodec, InSituWriter


@pytest.mark.parametrize(
    "codec",
    [FZCodec(abs=BOUND, codebook="own"), FZCodec(lossless=True, codebook="own")],
    ids=["lossy", "lossless"],
)
@pytest.mark.parametrize("place", ["compressors", "serializer"])
@pytest.mark.parametrize("shards", [None, (12, 16, 20)], ids=["chunks", "shards"])
def test_chunks_are_the_bytes_that_zarr_would_write(
    codec: FZCodec, place: str, shards: tuple[int, ...] | None
) -> None:
    settings: dict[str, Any] = {"chunks": (4, 8, 20), "shards": shards}
    settings[place] = codec if place == "compressors" else codec.serializer
    ours: dict[str, Any] = {}
    with InSituWriter(ours, {"t": settings}, share_codebooks=False) as w:
        w.write(3, {"t": smooth(3)})
    theirs: dict[str, Any] = {}
    array = zarr.create_array(
        zarr.storage.MemoryStore(theirs),
        name="t",
        shape=(1, 12, 16, 20),
        dtype="f4",
        chunks=(1, 4, 8, 20),
        shards=None if shards is None else (1, *shards),
        fill_value=np.nan,
        **({"serializer": codec.serializer, "compressors": None} if place == "serializer"
           else {"compressors": codec}),
        config={"write_empty_chunks": True},
    )  # fmt: skip
    array[0] = smooth(3)
    chunks = {k: v.to_bytes() for k, v in theirs.items() if "/c/" in k}
    assert len(chunks) == (1 if shards else 6)
    assert {k: ours[k].to_bytes() for k in chunks} == chunks
    read = zarr.open_array(zarr.storage.MemoryStore(ours), path="t", mode="r")
    np.testing.assert_array_equal(read[0, 5, 3:11], array[0, 5, 3:11])


# Releases of Zarr without the setting have one order, Morton's.
ORDERS: list[dict[str, Any]] = [{}] + [
    {field.name: order}
    for field in dataclasses.fields(zarr.codecs.ShardingCodec)
    if field.name == "subchunk_write_order"
    for order in ("lexicographic", "colexicographic")
]


@pytest.mark.parametrize("shape", [(1,), (7,), (5, 4), (1, 3, 8), (9, 2, 3)], ids=str)
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_chunks_lie_in_a_shard_as_zarr_would_put_them(
    shape: tuple[int, ...], order: dict[str, Any]
) -> None:
    codec = FZCodec(lossless=True, codebook="own").serializer
    sharding = zarr.codecs.ShardingCodec(
        chunk_shape=(1,) * (1 + len(shape)), codecs=[codec], **order
    )
    layout = {"serializer": sharding, "compressors": None}
    values = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    ours: dict[str, Any] = {}
    with InSituWriter(ours, {"t": {"chunks": shape, **layout}}, share_codebooks=False) as w:
        w.write(0, {"t": values})
    theirs: dict[str, Any] = {}
    array = zarr.create_array(
        zarr.storage.MemoryStore(theirs), name="t", shape=(1, *shape), chunks=(1, *shape),
        dtype="f4", fill_value=np.nan, config={"write_empty_chunks": True}, **layout,
    )  # fmt: skip
    array[0] = values
    key = "t/c/" + "/".join("0" for _ in array.shape)
    assert ours[key].to_bytes() == theirs[key].to_bytes()


@pytest.mark.parametrize("compressors", [None, FZCodec(lossless=True)], ids=["raw", "fzdask"])
@pytest.mark.parametrize("where", ["values", "index", "start"])
@pytest.mark.filterwarnings("ignore:FZCodec stores a chunk:UserWarning")  # of big-endian values
def test_layouts_that_the_writer_leaves_to_zarr_are_read_as_written(
    where: str, compressors: Any
) -> None:
    big = zarr.codecs.BytesCodec(endian="big")
    settings: dict[str, Any] = {"serializer": big, "compressors": compressors, "chunks": (6, 5)}
    if where != "values":
        inner = [zarr.codecs.BytesCodec(), *([] if compressors is None else [compressors])]
        index = {"index_location": "start"} if where == "start" else {
            "index_codecs": [big, zarr.codecs.Crc32cCodec()]
        }  # fmt: skip
        settings["serializer"] = zarr.codecs.ShardingCodec(
            chunk_shape=(1, 3, 5), codecs=inner, **index
        )
        settings["compressors"] = None
    store: dict[str, Any] = {}
    values = np.arange(60.0).reshape(12, 5)
    with InSituWriter(store, {"t": settings}) as w:
        w.write(0, {"t": values})
    read = zarr.open_array(zarr.storage.MemoryStore(store), path="t", mode="r")
    np.testing.assert_array_equal(read[0], values)
    np.testing.assert_array_equal(read[0, 4:7, 2], values[4:7, 2])
