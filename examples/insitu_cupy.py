"""The simulation of `insitu_solver.py` with its arrays on a GPU, and a dump every few steps.

    python examples/insitu_cupy.py [--small] [--size 192] [--steps 20] [--out cupy.png]

The same equations in CUDA C++, to the same bits. While the device computes, the thread that waits
for it leaves a core to the compression: that wait is the idle window. A dump copies the fields
through page-locked memory. Needs a GPU and CuPy (pip install "fzdask[gpu]"); ends with status 77
where there is none.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from typing import Any

import numpy as np
from insitu_solver import Solver, compare

from fzdask import InSituWriter

MISSING = 77  # the exit status of a program that cannot be tried here

# The literals are doubles as in the Numba kernels, and nothing is contracted to multiply-adds.
SOURCE = r"""
#ifndef EXPORT
#define EXPORT(kernel)
#endif

template <class T>
__device__ double laplacian(const T *a, long long n, long long i, long long j, long long k) {
  auto at = [=](long long i, long long j, long long k) {
    return a[((i + n) % n * n + (j + n) % n) * n + (k + n) % n];
  };
  return at(i + 1, j, k) + at(i - 1, j, k) + at(i, j + 1, k) + at(i, j - 1, k) + at(i, j, k + 1) +
         at(i, j, k - 1) - 6.0 * at(i, j, k);
}

extern "C" __global__ void react_and_diffuse(const float *u, const float *v, float *new_u,
                                             float *new_v, long long n, double feed, double kill) {
  long long here = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
  if (here >= n * n * n) return;
  long long i = here / (n * n), j = here / n % n, k = here % n;
  float reaction = u[here] * v[here] * v[here];
  new_u[here] = u[here] + (0.16 * laplacian(u, n, i, j, k) - reaction + feed * (1.0 - u[here]));
  new_v[here] = v[here] + (0.08 * laplacian(v, n, i, j, k) + reaction - (feed + kill) * v[here]);
}
EXPORT(react_and_diffuse)

extern "C" __global__ void carry(const double *c, double *new_c, long long n, double speed) {
  long long here = blockIdx.x * static_cast<long long>(blockDim.x) + threadIdx.x;
  if (here >= n * n * n) return;
  long long i = here / (n * n), j = here / n % n, k = here % n;
  double behind = c[(i * n + j) * n + (k + n - 1) % n];
  new_c[here] = c[here] - speed * (c[here] - behind) + 0.02 * laplacian(c, n, i, j, k);
}
EXPORT(carry)
"""
BLOCK = 128


class DeviceSolver:
    """The state on the device; one step here is `inner` steps of the equations."""

    def __init__(self, cupy: Any, n: int, inner: int) -> None:
        start = Solver(n, 0.0)
        module = cupy.RawModule(code=SOURCE, options=("--std=c++17", "--fmad=false"))
        self._kernels = {k: module.get_function(k) for k in ("react_and_diffuse", "carry")}
        self._n, self._inner = n, inner
        self._stream = cupy.cuda.Stream(non_blocking=True)
        with self._stream:
            self.fields = {name: cupy.asarray(a) for name, a in start.fields.items()}
            self._spare = {name: cupy.empty_like(a) for name, a in self.fields.items()}
        self._stream.synchronize()

    def step(self, writer: InSituWriter | None) -> None:
        """Launch everything, then wait for the device: the host's core is free meanwhile."""
        with self._stream:
            for _ in range(self._inner):
                self._advance()
            with nullcontext() if writer is None else writer.idle("device"):
                self._stream.synchronize()

    def _advance(self) -> None:
        old, new, n = self.fields, self._spare, np.int64(self._n)
        constants = np.float64(0.035), np.float64(0.06)
        self._launch("react_and_diffuse", old["u"], old["v"], new["u"], new["v"], n, *constants)
        self._launch("carry", old["tracer"], new["tracer"], n, np.float64(0.3))
        self.fields, self._spare = dict(new), old

    def _launch(self, kernel: str, *arguments: Any) -> None:
        blocks = -(-(self._n**3) // BLOCK)
        self._kernels[kernel]((blocks,), (BLOCK,), arguments)


def device() -> Any:
    """CuPy, or the end of the program where it has no device."""
    try:
        import cupy
    except ImportError:
        print("needs CuPy: pip install 'fzdask[gpu]'", file=sys.stderr)
        sys.exit(MISSING)
    if not cupy.is_available():
        print("needs a CUDA device: CuPy sees none", file=sys.stderr)
        sys.exit(MISSING)
    return cupy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="16^3, 6 steps, once")
    parser.add_argument("--size", type=int, default=192, help="points along each axis")
    parser.add_argument("--steps", type=int, default=20, help="dumps")
    parser.add_argument("--inner", type=int, default=1500, help="steps of the equations in each")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--out", help="save a picture of the last dump and of who ran when")
    given = parser.parse_args()
    if given.small:
        given.size, given.steps, given.inner, given.repetitions = 16, 6, 3, 1
    cupy = device()
    # The same bits as on the host, after a few steps.
    host, there = Solver(16, 0.0), DeviceSolver(cupy, 16, 3)
    there.step(None)
    for _ in range(3):
        host.step(None)
    for name, values in host.fields.items():
        assert np.array_equal(values, there.fields[name].get()), f"{name} differs from the host's"

    def make() -> DeviceSolver:
        return DeviceSolver(cupy, given.size, given.inner)

    compare(make, given.steps, given.repetitions, given.out)


if __name__ == "__main__":
    main()
