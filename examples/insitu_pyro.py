"""A simulation by somebody else's code, dumped as it runs: pyro, compressible hydrodynamics.

    pip install pyro-hydro scipy
    python examples/insitu_pyro.py [--small] [--size 128] [--steps 120] [--out pyro.png]

pyro (Harpole et al., J. Open Source Softw. 4 (2019) 1265) solves the Euler equations on a 2-D grid,
here four states that meet in a corner (Schulz-Rinne et al., SIAM J. Sci. Comput. 14 (1993) 1394).
The driver below calls its `single_step` and hands its arrays to `InSituWriter`; nothing in pyro
knows of that. It computes all the time on one thread and says nothing of waits, so the compression
runs at any time, on another core (--windows priority: only where nobody else wants the core).
Printed is what the dumps cost the simulation. Ends with status 77 where pyro is missing.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fzdask import FZCodec, InSituWriter

MISSING = 77  # the exit status of a program that cannot be tried here
BOUNDS = {"density": 1e-3, "pressure": 1e-3, "x-momentum": 1e-3, "y-momentum": 1e-3}
EVERY = 2  # steps from one dump to the next


class Simulation:
    """pyro's compressible solver on a square grid."""

    def __init__(self, size: int) -> None:
        from pyro import Pyro

        self._pyro = Pyro("compressible")
        settings = {"mesh.nx": size, "mesh.ny": size, "driver.tmax": 1e9, "driver.max_steps": 10**9}
        quiet = {"driver.verbose": 0, "vis.dovis": 0, "io.do_io": 0}
        self._pyro.initialize_problem(
            "quad", inputs_file="inputs.quad", inputs_dict={**settings, **quiet}
        )

    def step(self) -> None:
        """One time step, as long as pyro finds stable."""
        self._pyro.single_step()

    @property
    def time(self) -> float:
        """In the units of the problem."""
        return float(self._pyro.sim.cc_data.t)

    @property
    def coords(self) -> dict[str, np.ndarray]:
        """Centres of the cells."""
        grid = self._pyro.sim.cc_data.grid
        return {
            "x": np.array(grid.x[grid.ilo : grid.ihi + 1]),
            "y": np.array(grid.y[grid.jlo : grid.jhi + 1]),
        }

    @property
    def fields(self) -> dict[str, Any]:
        """Views of its arrays without their ghost cells; the writer copies them."""
        return {name: self._pyro.get_var(name).v() for name in BOUNDS}


def simulate(
    size: int, steps: int, windows: str, path: Path | None
) -> tuple[float, Any, InSituWriter | None]:
    """Seconds that the steps took, the last fields, and the (closed) writer if there is a path."""
    simulation = Simulation(size)
    simulation.step()  # compiles
    encoding = {n: {"compressors": FZCodec(abs=b), "dims": ("x", "y")} for n, b in BOUNDS.items()}
    settings = {"coords": simulation.coords, "windows": windows}
    with nullcontext() if path is None else InSituWriter(path, encoding, **settings) as writer:
        if writer is not None:
            writer.write(0, simulation.fields, coords={"time": simulation.time})  # compiles too
        start = time.perf_counter()
        for step in range(1, steps + 1):
            with nullcontext() if writer is None else writer.iteration(step):
                simulation.step()
            if writer is not None and step % EVERY == 0:
                writer.write(step, simulation.fields, coords={"time": simulation.time})
        seconds = time.perf_counter() - start  # what the simulation notices
    return seconds, {name: np.array(a) for name, a in simulation.fields.items()}, writer


def picture(ds: xr.Dataset, writer: InSituWriter, path: Path) -> None:
    """Density at three moments, and who ran when in a middle part of the run."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from fzdask.scheduling import plot_gantt

    figure, axes = plt.subplot_mosaic([["0", "1", "2"], ["gantt"] * 3], figsize=(11, 6.5),
                                      height_ratios=(3, 2), layout="constrained")  # fmt: skip
    at = [0, ds.sizes["step"] // 2, ds.sizes["step"] - 1]
    low, high = float(ds.density[at].min()), float(ds.density[at].max())
    for panel, index in enumerate(at):
        shown = ds.density[index]
        image = axes[str(panel)].pcolormesh(ds.x, ds.y, shown.T, vmin=low, vmax=high)
        title = f"density, as stored, at {float(shown.coords['time']):.2f}"
        axes[str(panel)].set_title(title, loc="left", fontsize=10)
        axes[str(panel)].set_aspect("equal")
    figure.colorbar(image, ax=[axes[str(panel)] for panel in range(3)], shrink=0.8)
    end = max(task.end for task in writer.tasks)
    low, high = 0.5 * end, 0.6 * end
    tasks = [t for t in writer.tasks if t.end > low and t.start < high]
    plot_gantt(
        tasks,
        ax=axes["gantt"],
        title="a tenth of the run; compression runs beside the simulation",
        labels=False,
    )
    axes["gantt"].set_xlim(low, high)
    figure.savefig(path, dpi=120)


def compare(size: int, steps: int, windows: str, repetitions: int, out: Path | None) -> None:
    """Run without and with dumps, by turns; print what they cost, check the last, draw it."""
    plain, dumped = [], []
    for repetition in range(repetitions):
        plain.append(simulate(size, steps, windows, None)[0])
        path = Path(f"{repetition}.zarr")
        seconds, last, writer = simulate(size, steps, windows, path)
        dumped.append(seconds)
    assert writer is not None
    without, with_dumps = float(np.median(plain)), float(np.median(dumped))
    found = writer.statistics
    print(f"{steps} steps of {size} x {size} cells: {without:.3f} s without dumps")
    print(f"{with_dumps:.3f} s with one every {EVERY}: ", end="")
    print(f"overhead {100 * (with_dumps / without - 1):.1f} %")
    print(f"{found['raw bytes'] / 1e6:.1f} MB dumped, ratio {found['ratio']:.1f}")
    print(f"copied in {found['copy seconds']:.3f} s")
    print(f"waited for room {found['back-pressure seconds']:.3f} s")
    with xr.open_zarr(path, chunks=None) as ds:
        assert list(ds.step.values) == [0, *range(EVERY, steps + 1, EVERY)]
        if steps % EVERY == 0:
            for name, bound in BOUNDS.items():
                worst = float(np.abs(ds[name][-1].values - last[name].astype("g")).max())
                print(f"{name}: worst error {worst:.3g}, bound {bound:g}")
                assert worst <= bound
        if out is not None:
            picture(ds, writer, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="32 x 32 cells, 6 steps, once")
    parser.add_argument("--size", type=int, default=128, help="cells along each axis")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--windows", choices=("always", "priority"), default="always")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", type=Path, help="save a picture of the stored density")
    given = parser.parse_args()
    if given.small:
        given.size, given.steps, given.repetitions = 32, 6, 1
    out = given.out.absolute() if given.out is not None else None
    try:
        import pyro  # noqa: F401
    except ImportError:
        print("needs pyro: pip install pyro-hydro scipy", file=sys.stderr)
        sys.exit(MISSING)
    # pyro leaves a file with its settings in the working directory.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        compare(given.size, given.steps, given.windows, given.repetitions, out)


if __name__ == "__main__":
    main()
