"""A 3-D simulation that dumps three fields as it runs, with and without InSituWriter.

    python examples/insitu_solver.py [--small] [--steps 40] [--out solver.png]

Two substances react and diffuse (Gray and Scott 1983; parameters of Pearson 1993) while a passive
tracer is carried along, on a periodic grid: finite differences in Numba. A real code would leave
part of each step to an accelerator and wait for it; here a sleep stands in for that wait. The
fields differ in dtype, bound and cadence. Printed is what the dump costs the simulation.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numba
import numpy as np
import xarray as xr

from fzdask import FZCodec, InSituWriter

BOUNDS = {"u": 1e-4, "v": 1e-4, "tracer": 1e-3}
TRACER_EVERY = 2  # dumps


@numba.njit(nogil=True, cache=True)
def laplacian(a, i, j, k):
    n, m, p = a.shape
    return (
        a[(i + 1) % n, j, k] + a[i - 1, j, k] + a[i, (j + 1) % m, k] + a[i, j - 1, k]
        + a[i, j, (k + 1) % p] + a[i, j, k - 1] - 6.0 * a[i, j, k]
    )  # fmt: skip


@numba.njit(nogil=True, cache=True)
def react_and_diffuse(u, v, new_u, new_v, feed, kill):
    """One explicit step of du/dt = Du lap u - u v^2 + F (1 - u), dv/dt = Dv lap v + u v^2 - ..."""
    n, m, p = u.shape
    for i in range(n):
        for j in range(m):
            for k in range(p):
                reaction = u[i, j, k] * v[i, j, k] * v[i, j, k]
                new_u[i, j, k] = u[i, j, k] + (
                    0.16 * laplacian(u, i, j, k) - reaction + feed * (1.0 - u[i, j, k])
                )
                new_v[i, j, k] = v[i, j, k] + (
                    0.08 * laplacian(v, i, j, k) + reaction - (feed + kill) * v[i, j, k]
                )


@numba.njit(nogil=True, cache=True)
def carry(c, new_c, speed):
    """Advection along x (first-order upwind) with a little diffusion."""
    n, m, p = c.shape
    for i in range(n):
        for j in range(m):
            for k in range(p):
                new_c[i, j, k] = (
                    c[i, j, k]
                    - speed * (c[i, j, k] - c[i, j, k - 1])
                    + 0.02 * laplacian(c, i, j, k)
                )


class Solver:
    """The state and one step of it. `insitu_cupy.py` does the same with arrays on a GPU."""

    def __init__(self, n: int, wait: float) -> None:
        rng = np.random.default_rng(4)
        self.u = np.ones((n, n, n), np.float32)
        self.v = np.zeros((n, n, n), np.float32)
        middle = slice(n // 2 - n // 8, n // 2 + n // 8)
        self.u[middle, middle, middle] = 0.5
        self.v[middle, middle, middle] = 0.25
        self.v += rng.uniform(0.0, 0.02, self.v.shape).astype(np.float32)
        x = np.linspace(0.0, 2.0 * np.pi, n, endpoint=False)
        self.tracer = np.sin(x)[:, None, None] * np.cos(x)[:, None] + np.sin(2.0 * x)
        self._spare = [np.empty_like(a) for a in (self.u, self.v, self.tracer)]
        self._wait = wait

    @property
    def fields(self) -> dict[str, Any]:
        """What is dumped."""
        return {"u": self.u, "v": self.v, "tracer": self.tracer}

    def step(self, writer: InSituWriter | None) -> None:
        """React and diffuse, wait for the accelerator, carry the tracer, wait again."""
        react_and_diffuse(self.u, self.v, self._spare[0], self._spare[1], 0.035, 0.06)
        self.u, self._spare[0] = self._spare[0], self.u
        self.v, self._spare[1] = self._spare[1], self.v
        self._idle(writer, "reaction rates")
        carry(self.tracer, self._spare[2], 0.3)
        self.tracer, self._spare[2] = self._spare[2], self.tracer
        self._idle(writer, "pressure")

    def _idle(self, writer: InSituWriter | None, name: str) -> None:
        with nullcontext() if writer is None else writer.idle(name):
            time.sleep(self._wait)  # the accelerator computes


def simulate(solver: Any, steps: int, path: Path | None) -> tuple[float, InSituWriter | None]:
    """Seconds that a step takes in the mean, and the (closed) writer if there is a path."""
    solver.step(None)  # compiled, and pages touched, before time counts
    dims = {"dims": ("z", "y", "x")}
    encoding = {
        "u": {"compressors": FZCodec(abs=BOUNDS["u"]), **dims},
        "v": {"compressors": FZCodec(abs=BOUNDS["v"]), **dims},
        "tracer": {"compressors": FZCodec(abs=BOUNDS["tracer"]), "step_dim": "tracer_step", **dims},
    }
    with nullcontext() if path is None else InSituWriter(path, encoding) as writer:
        start = time.perf_counter()
        for step in range(steps):
            with nullcontext() if writer is None else writer.iteration(step):
                solver.step(writer)
            if writer is not None:
                fields = dict(solver.fields)
                if step % TRACER_EVERY:
                    del fields["tracer"]
                writer.write(step, fields, coords={"time": 1.0 * step})
            if step == 0:  # the first write compiles
                start = time.perf_counter()
        seconds = time.perf_counter() - start  # what the simulation notices
    return seconds / (steps - 1), writer


def compare(make: Callable[[], Any], steps: int, repetitions: int, out: str | None) -> None:
    """Run without and with a dump, by turns; print what it costs, check it, and draw it."""
    plain, dumped = [], []
    with tempfile.TemporaryDirectory() as folder:
        for repetition in range(repetitions):
            plain.append(simulate(make(), steps, None)[0])
            solver, path = make(), Path(folder) / f"{repetition}.zarr"
            seconds, writer = simulate(solver, steps, path)
            dumped.append(seconds)
        assert writer is not None
        without, with_dump = float(np.median(plain)), float(np.median(dumped))
        found = writer.statistics
        print(f"{1e3 * without:.1f} ms a step without a dump")
        print(
            f"{1e3 * with_dump:.1f} ms with one: overhead {100 * (with_dump / without - 1):.1f} %"
        )
        print(f"{found['raw bytes'] / 1e6:.1f} MB dumped, ratio {found['ratio']:.1f}")
        print(f"copied in {found['copy seconds']:.3f} s")
        print(f"waited for room {found['back-pressure seconds']:.3f} s")
        with xr.open_zarr(path, chunks=None) as ds:
            assert ds.sizes["step"] == steps
            assert ds.sizes["tracer_step"] == -(-steps // TRACER_EVERY)
            for name in ("u", "v"):
                last = solver.fields[name]
                last = last.get() if hasattr(last, "get") else last  # from a GPU
                # Recomputed in float64.
                worst = float(np.abs(ds[name][-1].values.astype("f8") - last).max())
                print(f"{name}: worst error {worst:.3g}, bound {BOUNDS[name]:g}")
                assert worst <= BOUNDS[name]
            if out:
                picture(ds, writer, out)


def picture(ds: xr.Dataset, writer: InSituWriter, path: str) -> None:
    """The last dump, and the Gantt chart of the last iterations."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from fzdask.scheduling import plot_gantt

    figure, axes = plt.subplot_mosaic([["v", "tracer"], ["gantt", "gantt"]], figsize=(11, 8),
                                      layout="constrained")  # fmt: skip
    for name in ("v", "tracer"):
        field = ds[name][-1]
        axes[name].imshow(field[field.shape[0] // 2], cmap="viridis")
        axes[name].set_title(f"{name}, as stored", loc="left", fontsize=10)
        axes[name].set_axis_off()
    end = max(task.end for task in writer.tasks)
    tasks = [t for t in writer.tasks if t.end > 0.9 * end]
    plot_gantt(tasks, ax=axes["gantt"], title="the last tenth of the run", labels=False)
    axes["gantt"].set_xlim(0.9 * end, end)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="16^3, 6 steps, once")
    parser.add_argument("--size", type=int, default=96, help="points along each axis")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument(
        "--wait", type=float, default=0.03, help="for the accelerator, twice a step"
    )
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", help="save a picture of the last dump and of who ran when")
    given = parser.parse_args()
    if given.small:
        given.size, given.steps, given.wait, given.repetitions = 16, 6, 0.005, 1
    compare(lambda: Solver(given.size, given.wait), given.steps, given.repetitions, given.out)


if __name__ == "__main__":
    main()
