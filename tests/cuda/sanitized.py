"""Run by the tests under a sanitizer: all cases of the format, or a kernel with a fault."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "format")]

import format_cases  # noqa: E402
import numpy as np  # noqa: E402
from shim import ShimDevice, ShimModule  # noqa: E402

import fzdask  # noqa: E402
from fzdask.codecs.config import CodecConfig  # noqa: E402
from fzdask.codecs.device import (  # noqa: E402
    decode_device,
    encode_device,
    interpolate_attempt,
    wrapping,
)
from fzdask.codecs.device_batch import encode_device_many  # noqa: E402
from fzdask.codecs.kernels.cuda.backend import cupy_device  # noqa: E402

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
    if what == "gpu":
        run_all(cupy_device())
        run_batch(cupy_device())
    elif what == "all":
        kwargs = {"blocks_backward": True, "folder": Path(folder), "options": flags}
        run_all(ShimDevice("shuffled", **kwargs))
    else:
        module = ShimModule(FAULTS, Path(folder), flags)
        module.launch(what, (1,), (4,), (np.zeros(4, np.uint32), np.int32(33)), (0, 0))


def run_all(device: Any) -> None:
    """Every case, and what else has kernels, to the CPU's bytes and back."""
    done = 0
    wrapping.LEAST_NBYTES = 1  # back ends there for the shortest sections, too
    interpolate_attempt.FEW = 50  # and levels of few values
    cases = [*format_cases.all_cases().values(), *more_cases()]
    for array, config in cases:
        if array.dtype.kind not in "biufc":
            continue
        x = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
        stream = fzdask.compress(x, **config)
        there = device.upload(x.reshape(-1)).reshape(x.shape)
        assert encode_device(there, CodecConfig.from_mapping(config), device) == stream
        back = device.download(decode_device(stream, device))
        assert back.tobytes() == fzdask.decompress(stream).tobytes()
        done += 1
    print(done, "cases")


def run_batch(device: Any) -> None:
    """Arrays on several streams, as batches of Zarr's chunks are."""
    arrays = [format_cases.field((9, 31, 30 + k), "f4") for k in range(6)]
    for asked in ({"abs": 0.25}, {"abs": 0.25, "pipeline": "speed"}):
        found = encode_device_many([device.upload(x) for x in arrays], asked, kernels=device)
        assert found == [fzdask.compress(x, **asked) for x in arrays]


def more_cases() -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    x = format_cases.field((9, 31, 37), "f4")
    for dtype in ("f2", "f4", "f8"):
        yield x.astype(dtype), {"pw_rel": 1e-3}
    for pipeline in (
        "speed",
        "quantize | lorenzo(axes=narrow, order=2) | fixed_length(block=64, outlier=True)",
        "quantize | lorenzo(order=2) | negabinary | bitshuffle | zstd",
        "quantize | sign_magnitude | fixed_length(block=32)",
        "fz-gpu",
        "quantize | lorenzo | zigzag | bitshuffle | zero_bytes | run_length",
    ):
        yield x, {"abs": 0.25, "pipeline": pipeline}
        yield x.astype("f8"), {"abs": 1e-9, "pipeline": pipeline}
    holes = x.copy()
    holes.reshape(-1)[::50] = np.nan
    for shape in ((-1,), (9, -1), (9, 31, 37), (3, 3, 31, 37)):
        for dtype in ("f4", "f8", "i4"):
            yield x.reshape(shape).astype(dtype), {"abs": 1.0, "pipeline": "speed"}
        yield holes.reshape(shape), {"abs": 0.25, "pipeline": "speed"}
    levels = "interpolate(predictor=interpolation) | huffman"
    for shape in ((-1,), (37, -1), (279, 37), (1147, 9), (9, 31, 37), (3, 3, 31, 37)):
        yield holes.reshape(shape), {"abs": 0.25, "pipeline": levels, "preserve": (x[0, 0, 0],)}
    for dtype in ("f4", "f8", "i4", "c8"):
        yield x[:-1].astype(dtype), {"abs": 1.0, "pipeline": levels}
    yield x, {"rel": 1e-2, "pipeline": "quality"}
    planes = format_cases.field((4, 70, 64), "f4")
    for axes in ("(0, 1, 2)", "(1, 2)"):
        pipeline = f"quantize | lorenzo(axes={axes}) | zigzag | fixed_length"
        yield planes, {"abs": 0.25, "pipeline": pipeline}
    holes[3:5] = np.nan
    yield holes, {"abs": 0.25, "pipeline": "speed"}


if __name__ == "__main__":
    main(*sys.argv[1:])
