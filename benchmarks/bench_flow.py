"""asv suite of the task flow: what a task costs, and encoding many chunks at once.

asv run --quick -E existing --bench bench_flow
python -m benchmarks.bench_flow            # the tables of docs/flow.md
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from rich.table import Table

from benchmarks.console import wide_console
from fzdask.codecs.api import encode
from fzdask.codecs.batch import encode_many
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.flow import Flow, SimulatedDevice
from fzdask.metrics import fields

TASKS = 5000
CHUNK_NBYTES = [1 << k for k in (16, 18, 20, 22, 24)]  # 64 KiB to 16 MiB
FIELDS = ["turbulence", "density"]
TOTAL_NBYTES = 1 << 26
WORKERS = 2
CONFIG = CodecConfig(rel=1e-3)


def encode_in_turn(chunks):
    """One after the other, in this thread."""
    return [encode(chunk, CONFIG) for chunk in chunks]


def encode_in_pool(chunks):
    """One task for each chunk in a pool of threads."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(lambda chunk: encode(chunk, CONFIG), chunks))


def encode_in_flow(chunks):
    """A task for each step of each chunk."""
    return encode_many(chunks, CONFIG, workers=WORKERS)


WAYS = {"in turn": encode_in_turn, "pool": encode_in_pool, "flow": encode_in_flow}


def make_chunks(field, chunk_nbytes):
    """Chunks of 64 MiB in all, at most 256."""
    count = min(TOTAL_NBYTES // chunk_nbytes, 256)
    return np.array_split(fields.generate(field, count * chunk_nbytes // 4).reshape(-1), count)


class EncodeMany:
    """Chunks of a field, by the way they are encoded."""

    params = (FIELDS, CHUNK_NBYTES, list(WAYS))
    param_names = ("field", "chunk_nbytes", "way")

    def setup(self, field, chunk_nbytes, way):
        self.chunks = make_chunks(field, chunk_nbytes)
        encode_in_turn(self.chunks[:1])  # loads the kernels

    def time_encode(self, field, chunk_nbytes, way):
        WAYS[way](self.chunks)


def chain_on_host():
    """Tasks that each update one of 64 data, which gives 64 chains."""
    with Flow(workers=WORKERS) as flow:
        data = [flow.data(0) for _ in range(64)]
        for k in range(TASKS):
            one = data[k % 64]
            flow.submit(lambda value: value + 1, reads=one, writes=one)


def chain_on_device(device):
    """The same on imitated streams, whose own cost is counted in."""
    with Flow(device, workers=WORKERS) as flow:
        data = [flow.data(np.zeros(1)) for _ in range(64)]
        for k in range(TASKS):
            one = data[k % 64]
            flow.submit(lambda value: None, reads=one, writes=one, place="device")


class Tasks:
    """5000 tasks that do nothing."""

    def time_host(self):
        chain_on_host()

    def setup(self):
        self.device = SimulatedDevice()

    def teardown(self):
        self.device.close()

    def time_device(self):
        chain_on_device(self.device)


def best(functions, runs):
    """Least seconds, and least seconds of processor time, of functions run in turn."""
    least = dict.fromkeys(functions, (float("inf"), float("inf")))
    for _ in range(runs):
        for name, function in functions.items():
            start, used = time.perf_counter(), time.process_time()
            function()
            took = (time.perf_counter() - start, time.process_time() - used)
            least[name] = tuple(min(pair) for pair in zip(least[name], took, strict=True))
    return least


def main() -> int:
    console = wide_console()
    device = SimulatedDevice()
    costs = best({"host": chain_on_host, "device": lambda: chain_on_device(device)}, 3)
    device.close()
    for place, (seconds, used) in costs.items():
        each = 1e6 / TASKS
        console.print(
            f"a task on the {place}: {each * seconds:.0f} µs, processor {each * used:.0f}"
        )
    columns = [f"{way}, {unit}" for unit in ("MB/s", "ms/MB") for way in WAYS]
    table = Table("field", "chunk", "chunks", *columns)
    for field in FIELDS:
        for nbytes in CHUNK_NBYTES:
            chunks = make_chunks(field, nbytes)
            expected = encode_in_turn(chunks)
            assert all(encode_all(chunks) == expected for encode_all in WAYS.values())
            functions = {way: (lambda f=f, c=chunks: f(c)) for way, f in WAYS.items()}
            least = best(functions, 7)
            mb = 1e-6 * sum(c.nbytes for c in chunks)
            rates = [f"{mb / least[way][0]:.0f}" for way in WAYS]
            used = [f"{1e3 * least[way][1] / mb:.2f}" for way in WAYS]
            table.add_row(field, f"{nbytes >> 10} KiB", str(len(chunks)), *rates, *used)
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
