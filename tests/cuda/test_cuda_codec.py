"""FZCodec with arrays of a device: NumPy arrays that say they are on one, and the shim.

Its Zarr face is in test_cuda_zarr.py.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from device_arrays import DeviceArray, field

import fzdask
from fzdask.codecs.device import arrays


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


def test_an_array_without_cupy_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(fzdask.FZError, match=r"pip install 'fzdask\[gpu\]'"):
        fzdask.FZCodec(abs=1e-3).encode(field().view(DeviceArray))


def test_values_that_only_look_like_arrays_of_a_device():
    assert not arrays.is_device_array(np.float32(3))
    assert not arrays.is_device_array(field())
    assert arrays.is_device_array(SimpleNamespace(__cuda_array_interface__={}))
