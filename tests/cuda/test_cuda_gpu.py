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
