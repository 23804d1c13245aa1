"""fzdask.compress and fzdask.decompress with arrays of a device: a stand-in, and the shim."""

import numpy as np
import pytest
from device_arrays import DeviceArray, field

import fzdask


@pytest.mark.parametrize("pipeline", ["default", "speed"])
def test_a_device_array_is_compressed_where_it_is(counted, pipeline):
    x = field()
    stream = fzdask.compress(x.view(DeviceArray), abs=1e-3, pipeline=pipeline)
    assert type(stream) is bytes
    assert stream == fzdask.compress(x, abs=1e-3, pipeline=pipeline)
    assert counted.launches
    assert counted.copied["to host"] < x.nbytes / 2


@pytest.mark.parametrize("asked", [{"lossless": True}, {"psnr": 60.0}, {"pw_rel": 1e-3}], ids=str)
def test_every_kind_of_bound_gives_the_bytes_of_the_host(counted, asked):
    x = field()
    assert fzdask.compress(x.T.view(DeviceArray), **asked) == fzdask.compress(x.T, **asked)


def test_a_stream_on_a_device_comes_back_as_an_array_there(counted):
    x = field()
    stream = fzdask.compress(x, abs=1e-3)
    there = np.frombuffer(stream, np.uint8).view(DeviceArray)
    y = fzdask.decompress(there)
    assert "to device" in counted.copied
    assert counted.launches
    np.testing.assert_array_equal(y, fzdask.decompress(stream))


def test_without_cupy_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    there = field().view(DeviceArray)
    with pytest.raises(fzdask.FZError, match=r"pip install 'fzdask\[gpu\]'"):
        fzdask.compress(there, abs=1e-3)


@pytest.mark.gpu
def test_on_a_gpu():
    cupy = pytest.importorskip("cupy")
    x = field()
    stream = fzdask.compress(cupy.asarray(x), abs=1e-3)
    assert stream == fzdask.compress(x, abs=1e-3)
    y = fzdask.decompress(cupy.asarray(np.frombuffer(stream, np.uint8)))
    assert isinstance(y, cupy.ndarray)
    np.testing.assert_array_equal(cupy.asnumpy(y), fzdask.decompress(stream))
