"""Compress a NumPy array to bytes, look inside, decompress, verify the bound.

python examples/numpy_stream.py [--small]
"""

from __future__ import annotations

import argparse

import numpy as np

import fzdask
from fzdask.metrics.fields import turbulence

BOUND = 1e-2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a 24-cube instead of a 128-cube")
    edge = 24 if parser.parse_args().small else 128

    velocity = turbulence((edge, edge, edge), seed=1)
    velocity[0, 0, :4] = [np.nan, np.inf, -np.inf, -0.0]  # come back bit for bit

    stream = fzdask.compress(velocity, abs=BOUND)
    print(fzdask.inspect(stream))
    print(f"{velocity.nbytes} bytes -> {len(stream)}, ratio {velocity.nbytes / len(stream):.2f}")

    # Shape, dtype and bound are in the stream: decompress needs nothing else.
    decoded = fzdask.decompress(stream)
    assert decoded.shape == velocity.shape
    assert decoded.dtype == velocity.dtype

    finite = np.isfinite(velocity)
    error = np.abs(decoded[finite].astype(np.float64) - velocity[finite].astype(np.float64))
    print(f"worst error {error.max():.6g}, bound {BOUND:g}")
    assert error.max() <= BOUND
    assert decoded[0, 0, :4].tobytes() == velocity[0, 0, :4].tobytes()
    print("bound kept by every value; NaN, infinities and -0.0 are unchanged")


if __name__ == "__main__":
    main()
