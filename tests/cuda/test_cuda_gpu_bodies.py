"""The tests of ``pytest -m gpu`` run on a stand-in for CuPy, so that they run on a GPU too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from shim import compiler

HERE = Path(__file__).parent
# Twenty runs of a large array, and NVIDIA's tools, are for a GPU alone.
LEFT_OUT = "not repeated and not compute_sanitizer and not random_programs"


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_bodies_run_on_arrays_that_are_no_numpy_arrays():
    if compiler() is None:
        pytest.skip("no g++ on this machine: the CUDA sources cannot be compiled for its CPU")
    root = HERE.parents[1]
    path = os.pathsep.join([str(HERE), str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "gpu_stand_in", "-p", "no:xdist",
         "-m", "gpu", "-k", LEFT_OUT, str(HERE)],
        capture_output=True, text=True, check=False, cwd=root,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
