"""A plugin for pytest: ``-m gpu`` on the stand-in for CuPy, to try the bodies of those tests."""

import sys
from pathlib import Path

HERE = Path(__file__).parent


def pytest_configure(config):
    sys.path.insert(0, str(HERE))
    from cupy_stand_in import CupyStandIn
    from shim import ShimDevice

    folder = Path(config.cache.mkdir("fzdask-cuda-shim"))
    shim = ShimDevice("forward", blocks_backward=False, folder=folder)
    sys.modules["cupy"] = CupyStandIn(shim)
    import zarr.core.buffer.gpu

    zarr.core.buffer.gpu.cp = sys.modules["cupy"]
