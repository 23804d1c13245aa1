"""Devices for the kernels' tests: the shim on a CPU, and CuPy with ``pytest -m gpu``."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "format"), str(HERE.parent / "spec")]

from devices import make_device  # noqa: E402
from shim import ORDERS, compiler, load  # noqa: E402

from fzdask.codecs.device import arrays  # noqa: E402
from fzdask.codecs.kernels.cuda.sources import modules, source  # noqa: E402

GPU = pytest.param("gpu", marks=pytest.mark.gpu)


@pytest.fixture(scope="session")
def shim_folder(request, tmp_path_factory):
    """Where the compiled kernels are; all are there, or the test is skipped."""
    if compiler() is None:
        pytest.skip("no g++ on this machine: the CUDA sources cannot be compiled for its CPU")
    kept = getattr(request.config, "cache", None)  # not with -p no:cacheprovider
    folder = Path(kept.mkdir("fzdask-cuda-shim")) if kept else tmp_path_factory.mktemp("shim")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: load(source(name), folder), modules()))
    return folder


@pytest.fixture(params=["shuffled", GPU])
def device(request):
    """One order of warps and blocks (the one furthest from a CPU's), or the GPU."""
    return make_device(request.param, request)


@pytest.fixture(params=[*ORDERS[1:], GPU])
def every_device(request):
    """All orders of warps and blocks that differ from a CPU's, or the GPU."""
    return make_device(request.param, request)


@pytest.fixture
def counted(device, monkeypatch):
    """The device that is found for every device array, with its copies counted."""
    if not hasattr(device, "copied"):
        pytest.skip("a stand-in for CuPy; with a GPU see test_cuda_gpu.py")
    monkeypatch.setattr(arrays, "device_of", lambda array: device)
    return device
