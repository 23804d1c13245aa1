"""What one fresh process is asked by footprint.py; prints one JSON object.

    python -m benchmarks.footprint_probe import
    python -m benchmarks.footprint_probe first
    python -m benchmarks.footprint_probe memory CHUNK.npy

Nothing is imported at the top but the clock: what is measured starts here.
"""

from __future__ import annotations

import sys
import time

START = time.perf_counter()


def probe_import() -> dict[str, float]:
    """Seconds that ``import fzdask`` takes."""
    start = time.perf_counter()
    import fzdask

    taken = time.perf_counter() - start
    assert fzdask.__version__
    return {"import_fzdask": taken}


def probe_first() -> dict[str, float]:
    """Seconds of the first encode and decode of a process, and of the second encode."""
    import fzdask

    imported = time.perf_counter()
    import numpy as np

    wave = np.sin(np.linspace(0, 20, 96, dtype=np.float32))
    field = wave[:, None, None] * wave[None, :, None] + wave
    made = time.perf_counter()
    stream = fzdask.compress(field, abs=1e-3)
    encoded = time.perf_counter()
    fzdask.decompress(stream)
    decoded = time.perf_counter()
    fzdask.compress(field, abs=1e-3)
    again = time.perf_counter()
    return {
        "import_fzdask": imported - START,
        "first_encode": encoded - made,
        "from_start_to_first_stream": encoded - START,
        "first_decode": decoded - encoded,
        "second_encode": again - decoded,
    }


def probe_memory(path: str) -> dict[str, float]:
    """Bytes that encode and decode need at their peak, beyond what the process held before."""
    import numpy as np

    import fzdask

    chunk = np.load(path)
    small = np.ascontiguousarray(chunk[tuple(slice(0, 8) for _ in chunk.shape)])
    bound = 1e-3 * float(chunk.max() - chunk.min())
    fzdask.decompress(fzdask.compress(small, abs=bound))  # libraries and kernels are loaded
    before = _reset_peak()
    stream = fzdask.compress(chunk, abs=bound)
    encode = _peak() - before
    before = _reset_peak()
    decoded = fzdask.decompress(stream)
    decode = _peak() - before
    assert decoded.shape == chunk.shape
    return {
        "chunk": chunk.nbytes,
        "stream": len(stream),
        "encode_extra": encode,
        "decode_extra": decode,
    }


def _reset_peak() -> int:
    """Forget the peak so far and return what is resident now; Linux only."""
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"footprint: this system does not tell {name}")


if __name__ == "__main__":
    import json

    probes = {"import": probe_import, "first": probe_first, "memory": probe_memory}
    print(json.dumps(probes[sys.argv[1]](*sys.argv[2:])))
