"""What stands around the codec in Zarr: other codecs, foreign chunks, pipelines and buffers."""

from __future__ import annotations

import asyncio
import warnings

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.dtype import parse_data_type
from zarr_arrays import create

from fzdask import ConfigError, FormatError, FZCodec

CODEC = FZCodec(abs=0.01)


# Order of codecs


@pytest.mark.parametrize(
    "encoding",
    [
        {"compressors": [ZstdCodec(), CODEC]},
        {"compressors": [Crc32cCodec(), CODEC]},
        {"compressors": [CODEC, CODEC]},
        {
            "compressors": [
                {"name": "numcodecs.shuffle", "configuration": {"elementsize": 4}},
                CODEC,
            ]
        },
        {"serializer": CODEC.serializer, "compressors": CODEC},
        {"compressors": [ZstdCodec(), CODEC], "shards": (16, 16)},
    ],
    ids=["zstd", "crc32c", "twice", "shuffle", "after serializer", "in shards"],
)
def test_a_codec_before_fzcodec_is_refused_with_the_remedy(field, encoding):
    with warnings.catch_warnings():  # Zarr: numcodecs.* codecs have no v3 specification
        warnings.simplefilter("ignore")
        with pytest.raises(Exception, match=r"Put FZCodec first in compressors"):
            create(field, **encoding)


def test_wrong_length_is_refused_also_for_single_byte_data(field):
    """Here nothing but the length can tell."""
    data = np.clip(field - 200, 0, 255).astype("u1")
    with pytest.raises(
        ConfigError, match=r"got \d+ bytes for a chunk .* which has 64.*Put FZCodec"
    ):
        create(data, compressors=[ZstdCodec(), CODEC])


def test_codecs_after_fzcodec_are_welcome(field, worst):
    z = create(field, compressors=[CODEC, ZstdCodec(), Crc32cCodec()])
    assert worst(z[:], field) <= 0.01


def test_big_endian_bytes_codec_falls_back_to_lossless_and_warns(field, calls):
    with pytest.warns(UserWarning, match="look big-endian"):
        z = create(field, serializer=BytesCodec(endian="big"), compressors=CODEC)
    np.testing.assert_array_equal(z[:], field)
    assert all(c.lossless for c in calls.configs)


def test_little_endian_view_of_big_endian_memory_is_not_garbled(field, worst):
    data = field.astype(">f4").byteswap().view("<f4")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        z = create(data, chunks=data.shape, compressors=CODEC)
    np.testing.assert_array_equal(data, field)
    assert worst(z[:], field) <= 0.01


@pytest.mark.parametrize(
    "source",
    [
        lambda a, tmp: np.frombuffer(a.tobytes(), "f4").reshape(a.shape),
        lambda a, tmp: np.frombuffer(a.tobytes(), "u1").view("f4").reshape(a.shape),
        lambda a, tmp: np.memmap(tmp / "m", "f4", "w+", shape=a.shape).__iadd__(a),
        lambda a, tmp: np.asfortranarray(a)[::-1],
        lambda a, tmp: np.broadcast_to(a[0], a.shape),
    ],
    ids=["frombuffer", "typed view of bytes", "memmap", "reversed F", "broadcast"],
)
@pytest.mark.parametrize("chunks", [(37, 29), (8, 8)], ids=str)
def test_no_kind_of_input_is_mistaken_for_rearranged_bytes(
    tmp_path, field, worst, calls, source, chunks
):
    data = source(field, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        z = create(data, chunks=chunks, compressors=CODEC)
    assert worst(z[:], np.asarray(data)) <= 0.01
    assert not any(c.lossless for c in calls.configs)


@pytest.mark.parametrize(
    "filters",
    [[numcodecs.Shuffle(4)], [numcodecs.Zlib()], [numcodecs.Shuffle(4), numcodecs.CRC32()]],
    ids=["shuffle", "zlib", "shuffle, crc32"],
)
def test_bytes_of_a_v2_filter_are_kept_exactly(field, calls, filters):
    codec = FZCodec(abs=50.0)
    z = create(field, zarr_format=2, filters=filters, compressors=codec)
    np.testing.assert_array_equal(z[:], field)
    assert all(c.lossless for c in calls.configs)


def test_packed_bits_of_a_v3_filter_are_kept_exactly():
    packbits = pytest.importorskip("zarr.codecs.numcodecs").PackBits
    data = np.random.default_rng(0).random((16, 8)) < 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        z = create(data, filters=[packbits()], compressors=FZCodec(abs=50.0))
    np.testing.assert_array_equal(z[:], data)


def test_fzcodec_as_a_v2_filter(field, worst):
    z = create(field, zarr_format=2, order="F", filters=[CODEC], compressors=numcodecs.Zstd())
    assert worst(z[:], field) <= 0.01


def test_plain_numcodecs_codec_is_what_zarr_v3_refuses(field):
    """Why FZCodec is both kinds of codec: a numcodecs one works in v2 only."""
    with pytest.raises(TypeError):
        create(field, compressors=numcodecs.Zlib())


# Wrong chunks


@pytest.mark.parametrize("how", ["compressors", "serializer"])
def test_chunk_of_another_array_is_refused(field, how):
    def array(data):
        store = zarr.storage.MemoryStore()
        encoding = {"compressors": CODEC}
        if how == "serializer":
            encoding = {"serializer": CODEC.serializer, "compressors": None}
        return store, create(data, store, **encoding)

    store, z = array(field)
    other, _ = array(field.astype("f8"))
    asyncio.run(store.set("c/1/1", other._store_dict["c/1/1"]))
    np.testing.assert_array_equal(np.isfinite(z[:8, :8]), True)
    with pytest.raises(FormatError, match=r"shape \(8, 8\) and dtype float64.*another array"):
        z[8:16, 8:16]


# Pipelines and buffers


def test_synchronous_codec_pipeline(field, worst, encode_as, zarr_format):
    from zarr.core import codec_pipeline

    if not hasattr(codec_pipeline, "FusedCodecPipeline"):
        pytest.skip("this Zarr has no synchronous pipeline")
    with zarr.config.set({"codec_pipeline.path": "zarr.core.codec_pipeline.FusedCodecPipeline"}):
        z = create(field, zarr_format=zarr_format, **encode_as(CODEC))
        assert worst(z[:], field) <= 0.01


@pytest.mark.parametrize("batch_size", [3, 100])
def test_batches_of_chunks(field, worst, encode_as, zarr_format, batch_size):
    with zarr.config.set({"codec_pipeline.batch_size": batch_size}):
        z = create(field, zarr_format=zarr_format, **encode_as(CODEC))
        assert worst(z[:], field) <= 0.01


def chunk_spec(data, prototype):
    dtype = parse_data_type(data.dtype, zarr_format=3)
    return ArraySpec(data.shape, dtype, 0.0, ArrayConfig.from_dict({}), prototype)


def test_buffers_that_are_not_in_host_memory_are_brought_there(field, worst):
    """Zarr's GPU buffers answer as_array_like() with device arrays; today's core is a CPU one."""
    from zarr.core.buffer import cpu
    from zarr.core.buffer.core import BufferPrototype

    class DeviceArray:
        def __init__(self, data):
            self.data, self.ndim, self.dtype = data, data.ndim, data.dtype

    class DeviceBuffer(cpu.Buffer):
        def as_array_like(self):
            return DeviceArray(self._data)

    spec = chunk_spec(field, BufferPrototype(buffer=DeviceBuffer, nd_buffer=cpu.NDBuffer))
    chunk = DeviceBuffer(field.ravel().view("B"))
    (stream,) = asyncio.run(CODEC.encode([(chunk, spec)]))
    (decoded,) = asyncio.run(CODEC.decode([(stream, spec)]))
    assert isinstance(stream, DeviceBuffer)
    assert isinstance(decoded, DeviceBuffer)
    assert worst(decoded.as_numpy_array().view("f4").reshape(field.shape), field) <= 0.01


def test_missing_chunks_pass_through_a_batch(field):
    spec = chunk_spec(field, default_buffer_prototype())
    assert list(asyncio.run(CODEC.decode([(None, spec)]))) == [None]
    assert list(asyncio.run(CODEC.encode([(None, spec)]))) == [None]
