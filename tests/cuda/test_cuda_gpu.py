"""What only a GPU can show: races between runs, and what NVIDIA's own checker finds."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fzdask
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.device import decode_device, encode_device
from fzdask.codecs.device_batch import encode_device_many
from fzdask.codecs.kernels.cuda.backend import cupy_device
from fzdask.errors import DeviceError

pytestmark = pytest.mark.gpu
HERE = Path(__file__).parent


@pytest.fixture
def gpu():
    try:
        return cupy_device()
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("pipeline", ["default", "speed", "quality", "fz-gpu", "pfpl"])
def test_repeated_runs_give_the_same_bytes(gpu, pipeline):
    random = np.random.default_rng(0)
    x = np.cumsum(random.standard_normal((120, 130, 140)), axis=2).astype("f4")
    x[random.random(x.shape) < 0.01] = np.nan
    config = CodecConfig(abs=0.01, pipeline=pipeline)
    expected = fzdask.compress(x, abs=0.01, pipeline=pipeline)
    there = gpu.upload(x)
    decoded = fzdask.decompress(expected)
    for _ in range(20):
        assert encode_device(there, config, gpu) == expected
        back = gpu.download(decode_device(expected, gpu))
        assert np.array_equal(back, decoded, equal_nan=True)


@pytest.mark.parametrize("pipeline", ["default", "speed", "quality"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_the_bound_holds_for_what_the_device_writes_and_reads(gpu, pipeline, dtype):
    random = np.random.default_rng(1)
    x = np.cumsum(random.standard_normal((30, 40, 50)), axis=2).astype(dtype)
    x[random.random(x.shape) < 0.01] = np.nan
    stream = encode_device(gpu.upload(x), CodecConfig(abs=0.01, pipeline=pipeline), gpu)
    y = gpu.download(decode_device(stream, gpu))
    assert y.dtype == x.dtype
    assert np.array_equal(np.isnan(y), np.isnan(x))
    assert np.nanmax(np.abs(y.astype(np.longdouble) - x.astype(np.longdouble))) <= 0.01


def test_batches_give_the_same_bytes_every_time(gpu):
    """Several arrays on several streams, which must not meet in memory."""
    random = np.random.default_rng(2)
    arrays = [np.cumsum(random.standard_normal((40, 50 + k)), axis=1) for k in range(10)]
    arrays = [x.astype("f4") for x in arrays]
    expected = [fzdask.compress(x, rel=1e-3) for x in arrays]
    for _ in range(10):
        there = [gpu.upload(x) for x in arrays]
        assert encode_device_many(there, {"rel": 1e-3}) == expected


@pytest.mark.parametrize("batch_size", [1, 8])
def test_zarr_takes_and_returns_arrays_of_the_device(gpu, tmp_path, batch_size):
    zarr = pytest.importorskip("zarr")
    x = np.cumsum(np.random.default_rng(3).standard_normal((64, 512)), axis=1).astype("f4")
    codec = fzdask.FZCodec(abs=1e-2)
    with zarr.config.enable_gpu(), zarr.config.set({"codec_pipeline.batch_size": batch_size}):
        z = zarr.create_array(
            tmp_path / "z", shape=x.shape, chunks=(16, 512), dtype="f4", compressors=codec
        )
        z[:] = gpu.upload(x)
        y = z[:]
    assert hasattr(y, "__cuda_array_interface__")
    assert np.abs(gpu.download(y).astype("f8") - x.astype("f8")).max() <= 1e-2
    for number in range(4):
        chunk = np.ascontiguousarray(x[16 * number : 16 * number + 16])
        assert (tmp_path / "z" / "c" / str(number) / "0").read_bytes() == codec.encode(chunk)


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "synccheck", "initcheck"])
def test_compute_sanitizer_finds_nothing(gpu, tool):
    checker = shutil.which("compute-sanitizer")
    if checker is None:
        pytest.skip("compute-sanitizer (of the CUDA toolkit) is not on this machine")
    command = [checker, "--tool", tool, "--error-exitcode", "9", sys.executable]
    done = subprocess.run(
        [*command, str(HERE / "sanitized.py"), "", "", "gpu"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "cases" in done.stdout
