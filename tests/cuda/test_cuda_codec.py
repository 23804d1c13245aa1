"""FZCodec with arrays of a device: NumPy arrays that say they are on one, and the shim."""

from types import SimpleNamespace

import numpy as np
import pytest
from zarr.core.array_spec import ArrayConfig, ArraySpec
from zarr.core.buffer import BufferPrototype, cpu
from zarr.dtype import Float32

import fzdask
from fzdask.codecs.device import arrays


class DeviceArray(np.ndarray):
    """What code that looks for a device array takes for one."""

    @property
    def __cuda_array_interface__(self):
        return self.__array_interface__


class DeviceBuffer(cpu.Buffer):
    """Zarr's buffer of a device: its bytes come as a device array."""

    def as_array_like(self):
        return super().as_array_like().view(DeviceArray)


@pytest.fixture
def counted(device, monkeypatch):
    """The device that FZCodec finds for every device array, with its copies counted."""
    if not hasattr(device, "copied"):
        pytest.skip("a stand-in for CuPy; with a GPU see test_cuda_gpu.py")
    monkeypatch.setattr(arrays, "device_of", lambda array: device)
    return device


def field():
    return np.sin(np.arange(64 * 90) / 40).reshape(64, 90).astype("f4")


@pytest.mark.parametrize("pipeline", ["default", "speed", "quality"])
def test_device_array_in_and_out(counted, pipeline):
    x = field()
    codec = fzdask.FZCodec(abs=1e-3, pipeline=pipeline)
    stream = codec.encode(x.view(DeviceArray))
    assert stream == codec.encode(x)
    out = np.empty_like(x).view(DeviceArray)
    assert codec.decode(stream, out=out) is out
    np.testing.assert_array_equal(out, codec.decode(stream))
    assert np.abs(out.astype("f8") - x).max() <= 1e-3


def test_zarr_chunks_stay_on_the_device_and_only_compressed_bytes_cross(counted):
    x = field()
    codec = fzdask.FZCodec(abs=1e-3)
    prototype = BufferPrototype(buffer=DeviceBuffer, nd_buffer=cpu.NDBuffer)
    spec = ArraySpec(
        shape=x.shape,
        dtype=Float32(),
        fill_value=np.float32(0),
        config=ArrayConfig.from_dict({}),
        prototype=prototype,
    )
    chunk = DeviceBuffer.from_array_like(x.reshape(-1).view("u1"))
    before = counted.copied["to host"]
    stream = codec._encode_sync(chunk, spec)
    assert stream.to_bytes() == codec.encode(x)
    assert counted.copied["to host"] - before < x.nbytes / 2
    before = dict(counted.copied)
    back = codec._decode_sync(DeviceBuffer.from_bytes(stream.to_bytes()), spec)
    assert isinstance(back, DeviceBuffer)
    y = np.asarray(back.as_array_like()).view("f4").reshape(x.shape)
    np.testing.assert_array_equal(y, codec.decode(stream.to_bytes()))
    assert counted.copied["to device"] - before["to device"] < x.nbytes / 2


def test_an_array_without_cupy_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(fzdask.FZError, match=r"pip install 'fzdask\[gpu\]'"):
        fzdask.FZCodec(abs=1e-3).encode(field().view(DeviceArray))


def test_values_that_only_look_like_arrays_of_a_device():
    assert not arrays.is_device_array(np.float32(3))
    assert not arrays.is_device_array(field())
    assert arrays.is_device_array(SimpleNamespace(__cuda_array_interface__={}))
