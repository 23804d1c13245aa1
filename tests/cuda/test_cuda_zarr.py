"""Zarr, xarray and Dask with arrays of a device: a stand-in for CuPy, and the kernels on a CPU.

All between the array's assignment and the store is real: Zarr's GPU buffers, its codec pipeline,
the codec, the flow of a batch with CuPy's streams, and the launch code.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zarr
from cupy_stand_in import CupyStandIn, DeviceArray
from devices import make_device

import fzdask
from fzdask.codecs import device_batch
from fzdask.codecs.kernels.cuda import backend

PATIENCE = 30  # seconds; only a failure waits that long
ABS = {"abs": 1e-3}
CODEC = fzdask.FZCodec(**ABS)
ON_HOST = {"buffer": "zarr.buffer.cpu.Buffer", "ndbuffer": "zarr.buffer.cpu.NDBuffer"}


@pytest.fixture
def cupy(request, monkeypatch):
    stand_in = CupyStandIn(make_device("forward", request))
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    monkeypatch.setattr("zarr.core.buffer.gpu.cp", stand_in)
    backend._device.cache_clear()
    device_batch.cuda_streams.cache_clear()
    with zarr.config.enable_gpu():
        yield stand_in
    backend._device.cache_clear()
    device_batch.cuda_streams.cache_clear()


def field():
    """Four chunks of 64 KiB, of which the stream is a small part."""
    return (np.sin(np.arange(64 * 1024) / 400) + 2).reshape(64, 1024).astype("f4")


def encode_as(kind):
    if kind == "compressors":
        return {"compressors": CODEC}
    return {"serializer": CODEC.serializer, "compressors": None}


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("kind", ["compressors", "serializer"])
def test_only_compressed_bytes_cross_whatever_the_batch(cupy, tmp_path, batch_size, kind):
    x = field()
    on_device = cupy.asarray(x)
    cupy.counts.update({"to device": 0, "to host": 0})
    with zarr.config.set({"codec_pipeline.batch_size": batch_size}):
        z = zarr.create_array(
            tmp_path / "z", shape=x.shape, chunks=(16, 1024), dtype="f4", **encode_as(kind)
        )
        z[:] = on_device
        written = dict(cupy.counts)
        read = z[:]
    assert sum(written.values()) < x.nbytes / 2
    assert sum(cupy.counts.values()) - sum(written.values()) < x.nbytes / 4
    assert isinstance(read, DeviceArray)
    kernels = {kernel for kernel, _ in cupy.launched}
    assert {"quantize_f4_i4", "decode_i4"} <= kernels
    for number in range(4):
        chunk = x[16 * number : 16 * number + 16]
        stored = (tmp_path / "z" / "c" / str(number) / "0").read_bytes()
        assert stored == CODEC.encode(chunk)
    with zarr.config.set(ON_HOST):
        on_host = zarr.open_array(tmp_path / "z")[:]
    np.testing.assert_array_equal(read._values, on_host)
    assert np.abs(on_host.astype("f8") - x.astype("f8")).max() <= 1e-3


@pytest.mark.parametrize("kind", ["compressors", "serializer"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_chunks_are_in_flight_together(cupy, tmp_path, kind, batch_size):
    """No chunk's lattice is made before that of another is about to be."""
    meeting = threading.Barrier(2)

    def before(kernel):
        if kernel.startswith("quantize"):
            meeting.wait(PATIENCE)

    x = field()
    with zarr.config.set({"codec_pipeline.batch_size": batch_size}):
        z = zarr.create_array({}, shape=x.shape, chunks=(16, 1024), dtype="f4", **encode_as(kind))
        cupy.before = before
        z[:] = cupy.asarray(x)
    assert not meeting.broken


def test_a_batch_of_chunks_of_all_kinds(cupy, tmp_path):
    """Empty chunks are not stored, and ranges leave the fill value out, as on the host."""
    x = field()
    x[16:32] = 7.0
    x[32:40] = 7.0
    x[50] = np.nan
    codec = fzdask.FZCodec(rel=1e-3)
    with zarr.config.set({"codec_pipeline.batch_size": 10}):
        z = zarr.create_array(
            tmp_path / "z", shape=x.shape, chunks=(16, 1024), dtype="f4", fill_value=7.0,
            compressors=codec,
        )  # fmt: skip
        z[:] = cupy.asarray(x)
        y = z[:]._values
    assert not (tmp_path / "z" / "c" / "1").exists()
    with zarr.config.set(ON_HOST):
        host = zarr.create_array(
            tmp_path / "host", shape=x.shape, chunks=(16, 1024), dtype="f4", fill_value=7.0,
            compressors=codec,
        )  # fmt: skip
        host[:] = x
    for number in (0, 2, 3):
        path = f"c/{number}/0"
        assert (tmp_path / "z" / path).read_bytes() == (tmp_path / "host" / path).read_bytes()
    with zarr.config.set(ON_HOST):
        np.testing.assert_array_equal(y, zarr.open_array(tmp_path / "host")[:])


def test_integers_and_bytes(cupy, tmp_path):
    for dtype in ("i2", "u1", "c8"):
        x = (np.arange(4000) % 251).astype(dtype)
        z = zarr.create_array(
            tmp_path / dtype, shape=x.shape, chunks=(1000,), dtype=dtype, compressors=CODEC
        )
        z[:] = cupy.asarray(x)
        np.testing.assert_array_equal(np.round(z[:]._values), x)


def test_dask_and_xarray_write_chunks_of_a_device_with_the_same_line(cupy, tmp_path):
    da = pytest.importorskip("dask.array")
    xr = pytest.importorskip("xarray")
    x = field()
    lazy = da.from_array(x, chunks=(16, 1024)).map_blocks(
        cupy.asarray, meta=cupy.asarray(np.empty((0, 0), "f4"))
    )
    data = xr.Dataset({"t": (("y", "x"), lazy)})
    cupy.counts.update({"to device": 0, "to host": 0})
    data.to_zarr(tmp_path / "z.zarr", encoding={"t": {"compressors": [CODEC]}}, consolidated=False)
    assert cupy.counts["to host"] < x.nbytes / 2
    assert "quantize_f4_i4" in {kernel for kernel, _ in cupy.launched}
    group = zarr.open_group(tmp_path / "z.zarr", mode="r")
    assert isinstance(group["t"][:], DeviceArray)
    with zarr.config.set(ON_HOST):
        back = xr.open_zarr(tmp_path / "z.zarr", consolidated=False)["t"].to_numpy()
    assert np.abs(back.astype("f8") - x.astype("f8")).max() <= 1e-3


def test_workers_use_their_own_device(cupy):
    """Each with its own current device, and arrays on it, at once.

    Under dask-cuda a worker's device is the only one that its process sees. Zarr makes its chunks
    on the first of those.
    """

    def work(number):
        with cupy.cuda.Device(number):
            x = cupy.asarray(field() + np.float32(number))
            streams = [CODEC.encode(x), fzdask.compress(x, abs=1e-3)]
            streams += [s for _, s in sorted(device_batch.encode_device_as_completed([x], ABS))]
            out = cupy.empty(x.shape, "f4")
            assert CODEC.decode(streams[0], out=out) is out
            return streams, out._values

    with ThreadPoolExecutor(3) as workers:
        found = list(workers.map(work, range(3)))
    for number, (streams, back) in enumerate(found):
        x = field() + np.float32(number)
        assert streams == [CODEC.encode(x)] * 3
        np.testing.assert_array_equal(back, CODEC.decode(streams[0]))
    used = [number for kernel, number in cupy.launched if kernel.startswith("quantize")]
    assert sorted(used) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_the_device_of_an_array_is_used_by_a_thread_whose_own_is_another(cupy):
    with cupy.cuda.Device(3):
        x = cupy.asarray(field())
    stream = CODEC.encode(x)
    assert stream == CODEC.encode(field())
    assert {number for _, number in cupy.launched} == {3}
    assert fzdask.compress(x, abs=1e-3) == stream


def test_explain_shows_the_streams_of_an_array_on_a_device(cupy):
    x = field()
    on_device = cupy.asarray(x)
    report = fzdask.explain(on_device, CODEC)
    assert report.stored_nbytes == len(CODEC.encode(x))
    cupy.launched.clear()
    timeline = report.timeline(chunks=4, workers=2)
    names = timeline.by_name()
    assert names["range | quantize"][0] == names["codebook"][0] == names["join"][0] == 4
    places = {span.name: span.place.split()[0] for span in timeline.spans}
    assert (places["compact outliers"], places["codebook"]) == ("stream", "host")
    assert timeline.downloaded > 0
    assert timeline.uploaded == 0
    assert cupy.launched
