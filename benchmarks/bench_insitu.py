"""asv suite of in-situ output: what the machinery costs, and how large a block should be.

    asv run --quick -E existing --bench bench_insitu
    python -m benchmarks.bench_insitu               # the tables of docs/insitu.md

The machinery is measured with encoders and stores that do nothing. Processor time of the whole
process is what a simulation might miss; wall time is what a snapshot takes at least.
"""

from __future__ import annotations

import time

import numpy as np

from fzdask import FZCodec, InSituWriter
from fzdask.insitu import Block, Engine, Rules
from fzdask.insitu.block import one_slice

BLOCKS = 256


class NoStore:
    """A sink that forgets."""

    def write(self, items):
        pass


def engine_block(number, sink):
    return Block(f"f/{number}", "f", 1000, one_slice(lambda: b"x"), f"f/{number}", sink)


class EngineMachinery:
    """Submit, encode, store and complete a snapshot of blocks that cost nothing."""

    def setup(self):
        self.engine = Engine(Rules(windows="always", order="johnson"))
        self.sink = NoStore()
        for _ in range(3):
            self.snapshot()

    def snapshot(self):
        self.engine.submit([engine_block(i, self.sink) for i in range(BLOCKS)])
        self.engine.flush()

    def time_snapshot(self):
        self.snapshot()

    def track_processor_us_per_block(self):
        begin = time.process_time()
        for _ in range(10):
            self.snapshot()
        return 1e6 * (time.process_time() - begin) / (10 * BLOCKS)

    track_processor_us_per_block.unit = "µs"

    def time_window(self):
        with self.engine.idle("x"):
            pass

    def teardown(self):
        self.engine.close()


class WriterMachinery:
    """The same through InSituWriter: layouts, copies of tiny blocks, keys, metadata of each step.

    Fields of one value per block, not compressed, to a dictionary.
    """

    params = ([16, 256],)
    param_names = ("blocks",)

    def setup(self, blocks):
        self.field = np.zeros(blocks, "f4")
        settings = {"compressors": None, "chunks": (1,)}
        self.writer = InSituWriter({}, {"f": settings}, windows="always")
        self.step = 0
        for _ in range(3):
            self.write(blocks)

    def write(self, blocks):
        self.writer.write(self.step, {"f": self.field})
        self.writer.flush()
        self.step += 1

    def time_write_and_flush(self, blocks):
        self.write(blocks)

    def track_processor_us_per_block(self, blocks):
        begin = time.process_time()
        for _ in range(10):
            self.write(blocks)
        return 1e6 * (time.process_time() - begin) / (10 * blocks)

    track_processor_us_per_block.unit = "µs"

    def teardown(self, blocks):
        self.writer.close()


class Copies:
    """What the simulation's thread spends in `write` and `detach`, by what is copied when.

    Two sets of arrays take turns; each snapshot is compressed before its arrays are taken back.
    """

    params = ([True, "late", False],)
    param_names = ("copy",)
    blocks = 32  # of a mebibyte

    def setup(self, copy):
        shape = (16 * self.blocks, 128, 128)
        self.levels = [np.full(shape, k, "f4") for k in range(2)]
        settings = {"compressors": FZCodec(abs=0.05), "chunks": (16, 128, 128)}
        self.writer = InSituWriter({}, {"f": settings}, windows="always", max_outstanding=2)
        self.step = 0
        for _ in range(4):
            self.seconds(copy)

    def seconds(self, copy):
        """Of one step."""
        begin = time.perf_counter()
        self.writer.detach(self.step - 2)
        self.writer.write(self.step, {"f": self.levels[self.step % 2]}, copy=copy)
        spent = time.perf_counter() - begin
        self.writer.flush()
        self.step += 1
        return spent

    def track_us_per_mebibyte(self, copy):
        return 1e6 * min(self.seconds(copy) for _ in range(20)) / self.blocks

    track_us_per_mebibyte.unit = "µs"

    def teardown(self, copy):
        self.writer.close()


class BlockSize:
    """Encoding a field in blocks of different sizes, in slices.

    Small blocks pay the fixed cost more often; large ones cannot be interrupted for longer.
    """

    params = ([1 << k for k in range(16, 24)],)
    param_names = ("block_nbytes",)
    field_nbytes = 1 << 24

    def setup(self, block_nbytes):
        rng = np.random.default_rng(0)
        field = np.cumsum(rng.normal(size=self.field_nbytes // 4)).astype("f4")
        block_nbytes = min(block_nbytes, self.field_nbytes)
        self.blocks = field.reshape(-1, block_nbytes // 1024, 16, 16)
        self.codec = FZCodec(abs=0.05, codebook="shared")
        self.slices()

    def slices(self):
        """Lengths of all slices, and bytes."""
        from fzdask.codecs.slices import encode_slices

        lengths, nbytes = [], 0
        for block in self.blocks:
            slices = encode_slices(block, self.codec._encoding_config())
            while True:
                begin = time.thread_time()
                try:
                    next(slices)
                except StopIteration as end:
                    nbytes += len(end.value)
                    lengths.append(time.thread_time() - begin)
                    break
                lengths.append(time.thread_time() - begin)
        return lengths, nbytes

    def time_encode(self, block_nbytes):
        self.slices()

    def track_slice_ms(self, block_nbytes):
        """The 99th percentile of the slices' lengths."""
        return 1e3 * float(np.quantile(self.slices()[0], 0.99))

    track_slice_ms.unit = "ms"

    def track_gb_per_s(self, block_nbytes):
        return self.field_nbytes / sum(self.slices()[0]) / 1e9

    track_gb_per_s.unit = "GB/s of processor time"

    def track_ratio(self, block_nbytes):
        return self.field_nbytes / self.slices()[1]


def main():
    engine = EngineMachinery()
    engine.setup()
    print(f"engine: {engine.track_processor_us_per_block():.0f} µs of processor time a block")
    begin = time.perf_counter()
    for _ in range(2000):
        engine.time_window()
    print(f"idle window: {1e6 * (time.perf_counter() - begin) / 2000:.1f} µs")
    engine.teardown()
    for blocks in WriterMachinery.params[0]:
        writer = WriterMachinery()
        writer.setup(blocks)
        cost = writer.track_processor_us_per_block(blocks)
        print(f"writer, {blocks} blocks: {cost:.0f} µs of processor time a block")
        writer.teardown(blocks)
    for copy in Copies.params[0]:
        copies = Copies()
        copies.setup(copy)
        cost = copies.track_us_per_mebibyte(copy)
        print(f"write of a mebibyte, copy={copy!r}: {cost:.1f} µs")
        copies.teardown(copy)
    print("\n| block [KiB] | GB/s | slices, p99 [ms] | ratio |\n| ---: | ---: | ---: | ---: |")
    for nbytes in BlockSize.params[0]:
        size = BlockSize()
        size.setup(nbytes)
        print(
            f"| {nbytes >> 10} | {size.track_gb_per_s(nbytes):.2f} | "
            f"{size.track_slice_ms(nbytes):.2f} | {size.track_ratio(nbytes):.2f} |"
        )


if __name__ == "__main__":
    main()
