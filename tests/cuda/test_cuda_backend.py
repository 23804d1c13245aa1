"""CuPy is imported when a GPU is asked for and not before; the backend drives it as it should."""

import subprocess
import sys
import types

import numpy as np
import pytest
from shim import ShimDevice

import fzdask
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import decode_device, encode_device
from fzdask.codecs.kernels.cuda import backend
from fzdask.codecs.kernels.cuda.sources import FOLDER, modules, source
from fzdask.errors import DeviceError


def test_importing_fzdask_neither_imports_cupy_nor_warns():
    code = (
        "import sys, fzdask, fzdask.codecs.device; "
        "sys.exit('cupy' in sys.modules or 'fzdask.codecs.kernels.cuda.backend' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_cupy_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"needs CuPy.*pip install 'fzdask\[gpu\]'"):
        backend.cupy_device()


def test_without_a_device_the_error_says_so(monkeypatch):
    cupy = types.SimpleNamespace(__version__="0", is_available=lambda: False)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(DeviceError, match=r"finds no CUDA device here.*on the CPU"):
        backend.cupy_device()


def test_no_module_of_the_kernels_imports_cupy_but_the_backend():
    naming = [p for p in FOLDER.glob("*.py") if "import cupy" in p.read_text()]
    assert naming == [FOLDER / "backend.py"]


def test_sources_are_single_texts():
    assert modules()
    for module in modules():
        text = source(module)
        assert '#include "' not in text
        assert text.count("constexpr u32 BLOCK = 256;") == 1


class FakeRawModule:
    """Takes what ``cupy.RawModule`` takes and compiles it for the CPU."""

    made: list = []  # noqa: RUF012

    def __init__(self, *, code, options):
        self.code, self.options = code, options
        FakeRawModule.made.append(self)
        self.shim = FakeRawModule.shim

    def get_function(self, name):
        module = next(m for m in modules() if source(m) == self.code)

        def call(grid, block, args):
            self.shim.launch(module, name, grid, block, *args)

        return call


class FakeDevice:
    def __init__(self, number=0):
        self.id = number
        self.attributes = {"MultiProcessorCount": 3}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@pytest.fixture
def stand_in(monkeypatch, shim_folder):
    """CuPy's names, with NumPy and the shim behind them."""
    FakeRawModule.shim = ShimDevice("forward", blocks_backward=False, folder=shim_folder)
    FakeRawModule.made = []
    cupy = types.SimpleNamespace(
        __version__="0", is_available=lambda: True, RawModule=FakeRawModule,
        cuda=types.SimpleNamespace(Device=FakeDevice), asnumpy=np.array, asarray=np.array,
        empty=np.empty, zeros=np.zeros, ascontiguousarray=np.ascontiguousarray,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    backend._device.cache_clear()
    yield backend.cupy_device()
    backend._device.cache_clear()


def test_the_backend_compiles_each_source_once_without_contraction(stand_in):
    x = np.cumsum(np.random.default_rng(0).standard_normal((30, 40)), axis=1)
    for _ in range(2):
        stream = encode_device(x, CodecConfig(abs=0.01), stand_in)
        assert stream == fzdask.compress(x, abs=0.01)
        assert np.array_equal(decode_device(stream, stand_in), fzdask.decompress(stream))
    codes = [m.code for m in FakeRawModule.made]
    assert len(codes) == len(set(codes)) > 4
    assert all("--fmad=false" in m.options for m in FakeRawModule.made)
    assert stand_in.multiprocessors == 3
    assert backend.cupy_device() is stand_in
