"""The same chunk and options give the same bytes: again, in threads, in other processes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from exact import assert_guarantee

import fzdask

THREADS = 10
CONFIGS = [
    {"abs": 0.01},
    {"rel": 1e-4},
    {"abs": 0.3, "preserve": (-999.0,)},
    {"lossless": True},
    {"abs": 0.01, "pipeline": "quantize | lorenzo | huffman(group=256)"},
]


def chunk(number):
    """A field of its own for every number; also run by other processes."""
    rng = np.random.default_rng(number)
    dtype = ["f4", "f8", "f2", "i4", "c8", ">f4"][number % 6]
    x = (20 * rng.normal(size=(9, 31, 40 + number)).cumsum(0)).astype(dtype)
    x[rng.random(x.shape) < 0.02] = -999
    if x.dtype.kind == "f":
        x[rng.random(x.shape) < 0.02] = np.nan
    return np.asfortranarray(x) if number % 4 == 3 else x


def streams():
    """Streams of some chunks, each with every configuration."""
    return [fzdask.compress(chunk(k), **config) for k in range(12) for config in CONFIGS]


def digest(parts):
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_encoding_and_decoding_again_give_the_same():
    first = streams()
    assert streams() == first
    for stream in first:
        a, b = fzdask.decompress(stream), fzdask.decompress(stream)
        assert a.tobytes() == b.tobytes()
        a[...] = 0  # the caller's own: no stream or later decoding sees it
        assert fzdask.decompress(stream).tobytes() == b.tobytes()


def test_place_in_memory_does_not_reach_the_bytes():
    x = chunk(1)
    raw = b"?" + x.tobytes()
    unaligned = np.frombuffer(raw, x.dtype, offset=1).reshape(x.shape)
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    read_only = x.copy()
    read_only.flags.writeable = False
    for config in CONFIGS:
        expected = fzdask.compress(x, **config)
        for other in (unaligned, strided, read_only, x[::-1][::-1], memoryview(x), x.tolist()):
            assert fzdask.compress(np.asarray(other), **config) == expected


def test_any_buffer_decodes():
    stream = fzdask.compress(chunk(0), abs=0.1)
    expected = fzdask.decompress(stream).tobytes()
    shifted = memoryview(b"?" + stream)[1:]
    for buffer in (bytearray(stream), memoryview(stream), np.frombuffer(stream, "u1"), shifted):
        assert fzdask.decompress(buffer).tobytes() == expected


def test_ten_threads_at_once_give_the_bytes_of_one():
    expected = streams()
    start = Barrier(THREADS)

    def work(_):
        start.wait()
        encoded = streams()
        decoded = [fzdask.decompress(s).tobytes() for s in encoded]
        return encoded, decoded

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(work, range(THREADS)))
    reference = [fzdask.decompress(s).tobytes() for s in expected]
    for encoded, decoded in results:
        assert encoded == expected
        assert decoded == reference


def test_ten_threads_on_one_chunk():
    x = np.random.default_rng(0).normal(size=(40, 50, 60)).cumsum(1).astype("f4")
    x.flags.writeable = False
    with ThreadPoolExecutor(THREADS) as pool:
        encoded = set(pool.map(lambda _: fzdask.compress(x, abs=0.1), range(3 * THREADS)))
    assert len(encoded) == 1
    assert_guarantee(x, fzdask.decompress(encoded.pop()), 0.1)


def in_another_process(code, *arguments, **environment):
    """Standard output of a fresh interpreter that can import this file."""
    here = Path(__file__).parent
    root = str(Path(fzdask.__file__).parents[1])
    path = os.pathsep.join([str(here), str(here.parent / "spec"), root])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ENCODE = """
    from test_guarantee_determinism import digest, streams
    print(digest(streams()))
"""


def test_another_process_writes_the_same_bytes_and_reads_them(tmp_path):
    x = chunk(5)
    path = tmp_path / "chunk.fz"
    path.write_bytes(fzdask.compress(x, abs=0.25))
    code = """
        import sys, fzdask
        from test_guarantee_determinism import digest, streams
        y = fzdask.decompress(open(sys.argv[1], "rb").read())
        print(digest([y.tobytes()]), y.dtype.str, y.shape, digest(streams()))
    """
    y = fzdask.decompress(path.read_bytes())
    expected = f"{digest([y.tobytes()])} {y.dtype.str} {y.shape} {digest(streams())}"
    assert in_another_process(code, path, PYTHONHASHSEED="12345") == expected


@pytest.mark.slow
@pytest.mark.parametrize("features", ["generic", "without fused multiply-add"])
def test_another_processor_writes_the_same_bytes(features, tmp_path):
    """Compiled for the plainest processor of this kind, and for this one without FMA."""
    chosen = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    if features != "generic":
        chosen = {"NUMBA_CPU_FEATURES": "-fma,-fma4,-avx512f"}
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert in_another_process(ENCODE, **chosen, **cache) == digest(streams())
