"""Run by test_cuda_sanitizers.py: all cases of the format, or a kernel with a fault."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "format")]

import format_cases  # noqa: E402
import numpy as np  # noqa: E402
from shim import ShimDevice, ShimModule  # noqa: E402

import fzdask  # noqa: E402
from fzdask.codecs.config import CodecConfig  # noqa: E402
from fzdask.codecs.device import decode_device, encode_device  # noqa: E402

FAULTS = r"""
extern "C" __global__ void overrun(unsigned *a, int n) { a[threadIdx.x + 1] = n; }
EXPORT(overrun)
extern "C" __global__ void shared_overrun(unsigned *a, int n) {
  SHARED(unsigned, all, 4);
  all[threadIdx.x + 1] = n;
  a[0] = all[1];
}
EXPORT(shared_overrun)
extern "C" __global__ void shift(unsigned *a, int n) { a[threadIdx.x] = 1u << n; }
EXPORT(shift)
"""


def main(options: str, folder: str, what: str) -> None:
    flags = tuple(options.split())
    if what != "all":
        module = ShimModule(FAULTS, Path(folder), flags)
        module.launch(what, (1,), (4,), (np.zeros(4, np.uint32), np.int32(33)), (0, 0))
        return
    device = ShimDevice("shuffled", blocks_backward=True, folder=Path(folder), options=flags)
    done = 0
    for array, config in format_cases.all_cases().values():
        if array.dtype.kind not in "biufc":
            continue
        x = array.astype(array.dtype.newbyteorder("="))
        stream = fzdask.compress(x, **config)
        assert encode_device(x, CodecConfig.from_mapping(config), device) == stream
        assert decode_device(stream, device).tobytes() == fzdask.decompress(stream).tobytes()
        done += 1
    print(done, "cases")


if __name__ == "__main__":
    main(*sys.argv[1:])
