"""Arrays and codecs that the tests of codebooks share."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fzdask.codecs import shared_codebooks


@pytest.fixture(autouse=True)
def no_history():
    """Every test begins without shared books."""
    shared_codebooks._registry.clear()


@pytest.fixture
def in_new_process():
    """Run a script in another Python; returns what it printed."""

    def run(script: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def waves():
    """Smooth chunks of 64 KiB whose residuals have one distribution, more or less."""

    def chunk(number: int, noise: float = 3.0, dtype: str = "f4") -> np.ndarray:
        rng = np.random.default_rng(number)
        x = np.linspace(number, number + 3, 16384).reshape(128, 128)
        return (100 * np.sin(x) + noise * rng.standard_normal((128, 128))).astype(dtype)

    return chunk


@pytest.fixture
def worst():
    """Largest error of finite values, in float64 or wider; the rest must agree bit for bit."""

    def error(got: np.ndarray, want: np.ndarray) -> float:
        assert got.dtype == want.dtype
        assert got.shape == want.shape
        if want.dtype.kind in "iu":
            return float(
                max(abs(int(a) - int(b)) for a, b in zip(got.flat, want.flat, strict=False))
            )
        if want.dtype.kind == "c":
            d = got.astype(np.clongdouble) - want.astype(np.clongdouble)
            return float(np.abs(d).max())
        finite = np.isfinite(want)
        assert got[~finite].tobytes() == want[~finite].tobytes()
        d = got[finite].astype(np.longdouble) - want[finite].astype(np.longdouble)
        return float(np.abs(d).max(initial=0))

    return error
