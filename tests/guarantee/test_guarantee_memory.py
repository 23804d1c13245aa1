"""Peak memory of encoding: at most three times the chunk, the chunk included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fzdask

PEAK = 3.0
MEASURE = """
    import json, sys
    import numpy as np
    import fzdask

    N = 1 << 24  # float32 values, 64 MiB
    rng = np.random.default_rng(0)


    def resident(field):
        with open("/proc/self/status") as status:
            return next(1024 * int(s.split()[1]) for s in status if s.startswith(field))


    def make(kind, n):
        if kind == "smooth":
            x = np.arange(n, dtype="f4")
            x *= np.float32(1e-3)
            np.sin(x, out=x)
            return x.reshape(-1, 256, 256) if n == N else x
        if kind == "any bits":
            return np.frombuffer(rng.bytes(4 * n), "f4")
        x = rng.random(n, dtype="f4")
        if kind in ("missing", "preserved"):
            x[::3] = np.nan if kind == "missing" else -999
        return x


    results = {}
    for kind, bound in CASES:
        config = {"abs": bound, "preserve": (-999.0,) if kind == "preserved" else ()}
        fzdask.compress(make(kind, 70000), **config)  # code and tables are there
        before = resident("VmRSS")
        x = make(kind, N)
        with open("/proc/self/clear_refs", "w") as reset:
            reset.write("5")
        assert resident("VmHWM") <= 1.2 * x.nbytes + before
        stream = fzdask.compress(x, **config)
        results[kind] = (resident("VmHWM") - before) / x.nbytes
        del x, stream
    print(json.dumps(results))
"""


def peaks(cases):
    """Peak resident memory of each case over its chunk's size, in a process of its own."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("peak memory is read from Linux's /proc")
    code = f"CASES = {cases!r}\n" + textwrap.dedent(MEASURE)
    root = str(Path(fzdask.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_encoding_takes_at_most_three_times_the_chunk():
    cases = [("smooth", 1e-3), ("noise", 1e-3), ("missing", 1e-3), ("preserved", 1e-3)]
    cases += [("any bits", 1e-3)]
    for kind, peak in peaks(cases).items():
        assert 1.0 <= peak <= PEAK, kind


@pytest.mark.xfail(strict=True, reason="residuals beyond 16 bits are listed in 64 bits each")
def test_encoding_takes_at_most_three_times_the_chunk_at_a_bound_near_the_last_digits():
    """Nearly every residual of uniform noise at 1e-9 takes more than 16 bits."""
    assert peaks([("noise", 1e-9)])["noise"] <= PEAK
