"""Draw the pictures of docs/flow.md: ``python -m benchmarks.flow_pictures FOLDER``.

``flow_batch.png`` is a measured run of the batch encoder. ``flow_device.png`` is a run on an
imitated device, whose kernels do nothing but take their time (below, in milliseconds).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from fzdask.codecs.batch import encode_many
from fzdask.codecs.flow import Flow, SimulatedDevice, Timeline
from fzdask.codecs.flow.picture import plot_timeline
from fzdask.metrics import fields

CHUNKS = 6
CHUNK_VALUES = 1 << 21
RUNS = 20  # of which the quickest is shown: other work on the machine delays the rest
CONFIG = {"rel": 1e-3}

TIMES = {
    "predict": 16.0,
    "histogram": 6.0,
    "compact outliers": 16.0,
    "encode": 12.0,
    "codebook": 10.0,
    "zstd": 28.0,
}
DEVICE_CHUNK = 1 << 18


def batch_timeline() -> Timeline:
    """Six chunks of a density field on two threads."""
    field = fields.generate("density", CHUNKS * CHUNK_VALUES).reshape(-1)
    chunks = np.array_split(field, CHUNKS)
    timeline = Timeline()
    encode_many(chunks, CONFIG, workers=2, timeline=timeline)
    return timeline


def device_timeline() -> Timeline:
    """Four chunks through a pipeline of both: codebooks and zstd on the host, the rest not."""
    device = SimulatedDevice()
    timeline = Timeline()

    def kernel(name, *shapes):
        """A device function that allocates arrays of these sizes and takes its time."""

        def launch(*_):
            out = tuple(device.empty(shape, np.uint8) for shape in shapes)
            device.launch(lambda *_: time.sleep(1e-3 * TIMES[name]), *out)
            return out if len(out) > 1 else out[0]

        return launch

    def on_host(name):
        return lambda *_: time.sleep(1e-3 * TIMES[name]) or np.zeros(1024, np.uint8)

    with Flow(device, workers=2, streams=2, depth=2, timeline=timeline) as flow:
        for tag in range(4):
            chunk = flow.data(np.zeros(DEVICE_CHUNK, np.uint8), name="chunk")
            residual, counts, book = (flow.data(name=n) for n in ("residual", "counts", "book"))
            outliers, words, stream = (flow.data(name=n) for n in ("outliers", "words", "stream"))

            def add(name, reads, writes, *shapes, tag=tag):
                function = kernel(name, *shapes) if shapes else on_host(name)
                place = "device" if shapes else "host"
                flow.submit(function, reads=reads, writes=writes, place=place, name=name, tag=tag)

            add("predict", chunk, residual, DEVICE_CHUNK)
            add("histogram", residual, counts, 4096)
            add("codebook", counts, book)
            add("compact outliers", residual, outliers, DEVICE_CHUNK // 64)
            add("encode", [residual, book], words, DEVICE_CHUNK // 8)
            add("zstd", [words, outliers], stream)
    device.close()
    return timeline


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    import matplotlib

    matplotlib.use("Agg")
    folder = Path(sys.argv[1])
    for name, run in (("batch", batch_timeline), ("device", device_timeline)):
        timeline = min((run() for _ in range(RUNS)), key=lambda timeline: timeline.elapsed)
        plot_timeline(timeline).figure.savefig(folder / f"flow_{name}.png", dpi=110)
        print(f"{name}: {timeline!r}")
        for task, (count, seconds, nbytes) in timeline.by_name().items():
            print(f"  {task:34} {count:4} x {1e3 * seconds / count:8.3f} ms {nbytes:10} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
