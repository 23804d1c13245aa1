"""Figures of own, shared and fitted Huffman codebooks.

    python -m benchmarks.codebooks                    # generated fields
    python -m benchmarks.codebooks --fields FOLDER    # .npy arrays of 1 MB and more below it

Three tables. Chunks of 64 KiB: microseconds per chunk (the least of several runs of each chunk)
and total size. The ways take turns over all chunks, as a program writes them one after another.
Time series (names with ``_t`` and a number): the book of iteration n used at n + 1 against an own
one, before the back end, the book itself counted in both. Compact form: bytes of the book of each
whole field.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import time
from pathlib import Path

from benchmarks.one_core import pin_to_one_core

CHUNK_NBYTES = 1 << 16
WAYS = ("own", "shared", "fitted")
SERIES = re.compile(r"_t\d+(_f64)?$")


def chunks_of(array, nbytes: int, most: int) -> list:
    """Contiguous blocks, as nearly cubic as powers of two allow, of about so many bytes."""
    import numpy as np

    sides = [1] * array.ndim
    while array.itemsize * np.prod(sides, dtype=int) * 2 <= nbytes:
        growing = [k for k in range(array.ndim) if sides[k] * 2 <= array.shape[k]]
        if not growing:
            break
        sides[min(reversed(growing), key=lambda k: sides[k])] *= 2
    starts = (range(0, n - s + 1, s) for n, s in zip(array.shape, sides, strict=True))
    places = itertools.islice(itertools.product(*starts), most)
    return [
        np.ascontiguousarray(array[tuple(slice(a, a + s) for a, s in zip(at, sides, strict=True))])
        for at in places
    ]


def measure_chunks(field, rel: float, repeat: int, most: int) -> dict:
    """Microseconds per chunk and bytes of all chunks, for each way."""
    from fzdask import FZCodec
    from fzdask.codecs import shared_codebooks

    bound = rel * field.value_range
    chunks = chunks_of(field.array, CHUNK_NBYTES, most)
    codecs = {way: FZCodec(abs=bound, codebook=way) for way in WAYS[:2]}
    codecs["fitted"] = FZCodec.fit(field.array, abs=bound)
    for codec in codecs.values():
        codec.encode(chunks[0])  # loads the kernels
    shared_codebooks._registry.clear()
    best = {way: [float("inf")] * len(chunks) for way in WAYS}
    nbytes = dict.fromkeys(WAYS, 0)
    for turn in range(repeat):
        for way, codec in codecs.items():
            for k, chunk in enumerate(chunks):
                start = time.perf_counter()
                stream = codec.encode(chunk)
                best[way][k] = min(best[way][k], time.perf_counter() - start)
                if turn == 0:
                    nbytes[way] += len(stream)
    micro = {way: 1e6 * sum(times) / len(chunks) for way, times in best.items()}
    return {"field": field.name, "chunks": len(chunks), "microseconds": micro, "nbytes": nbytes}


def symbols_of(array, bound: float):
    """What the entropy coder gets for a whole array, as the default pipeline makes it."""
    from fzdask.codecs.config import CodecConfig
    from fzdask.codecs.prepare import prepare
    from fzdask.codecs.presets import find_pipeline
    from fzdask.codecs.stages.fused_lorenzo import encode_quantize_lorenzo

    ready = prepare(array, "C", CodecConfig(abs=bound))
    lorenzo = find_pipeline("default").array_stages[1]
    coded = encode_quantize_lorenzo(lorenzo, ready.data, ready.form, ready.job, symbols=True)
    return coded[1].data


def measure_series(field, rel: float) -> dict:
    """Extra size of every iteration coded with the book of the one before, in percent."""
    import numpy as np

    from fzdask.codecs.codebooks import Codebook, own_coding
    from fzdask.codecs.kernels.cpu import huffman

    bound = rel * field.value_range
    coded = [symbols_of(np.ascontiguousarray(frame), bound) for frame in field.array]
    extra = []
    for before, now in itertools.pairwise(coded):
        own = own_coding(now, 4096)
        mode = own.book.mode
        if own_coding(before, 4096).book.mode != mode:
            mode = -1
        counts = [s.counts for s in (before, now)]
        if mode >= 0:
            counts = [own_coding(s, 4096).counts for s in (before, now)]
        book = Codebook.build_shared(counts[0], mode, escape=True)
        bits = int(huffman.coded_bits(counts[1], book.lengths)) + 8 * len(book.packed)
        extra.append(100 * (bits / own.total_bits - 1))
    return {"field": field.name, "mean": sum(extra) / len(extra), "worst": max(extra)}


def measure_book(field, rel: float) -> dict:
    """Symbols and compact bytes of the book of a whole field."""
    import numpy as np

    from fzdask.codecs.codebooks import own_coding

    own = own_coding(symbols_of(field.array, rel * field.value_range), 4096)
    return {
        "field": field.name,
        "symbols": int(np.count_nonzero(own.counts)),
        "nbytes": len(own.book.packed),
    }


def generated_series(values: int) -> list:
    """A turbulent field carried past, as a stand-in for a simulation."""
    import numpy as np

    from benchmarks.peer_fields import prepare
    from fzdask.metrics import fields

    frame = fields.generate("turbulence", values)
    return [prepare("turbulence_t6", np.stack([np.roll(frame, 3 * t, 0) for t in range(6)]))]


def main(argv: list[str] | None = None) -> int:
    """Run the measurement; 0 when it is done."""
    parser = argparse.ArgumentParser(prog="benchmarks.codebooks", description=__doc__)
    parser.add_argument("--fields", type=Path, help="folder with .npy arrays")
    parser.add_argument("--rel", type=float, default=1e-3, help="bound over the field's range")
    parser.add_argument("--values", type=int, default=1 << 19, help="of generated fields")
    parser.add_argument("--chunks", type=int, default=100, help="most chunks of a field")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--no-pin", action="store_true", help="do not keep to one CPU")
    parser.add_argument("--json", type=Path, help="write the figures there")
    asked = parser.parse_args(argv)
    if not asked.no_pin:
        pin_to_one_core()
    from benchmarks.peer_fields import generated_fields, load_fields

    if asked.fields:
        found = load_fields(asked.fields)
        series = [f for f in found if SERIES.search(f.name) and f.array.ndim > 1]
    else:
        found, series = generated_fields(asked.values), generated_series(asked.values)
    found = [f for f in found if f.array.itemsize >= 4]
    figures = {
        "chunks": [measure_chunks(f, asked.rel, asked.repeat, asked.chunks) for f in found],
        "series": [measure_series(f, asked.rel) for f in series],
        "books": [measure_book(f, asked.rel) for f in found],
    }
    report(figures)
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


def report(figures: dict) -> None:
    """Print the tables."""
    import numpy as np

    print(f"{'chunks of 64 KiB':34} own us  shared  fitted   speed over own   size over own, %")
    ratios = []
    for row in figures["chunks"]:
        us, nbytes = row["microseconds"], row["nbytes"]
        ratio = [us["own"] / us[w] for w in WAYS[1:]] + [
            nbytes[w] / nbytes["own"] for w in WAYS[1:]
        ]
        ratios.append(ratio)
        size = [100 * (r - 1) for r in ratio[2:]]
        print(
            f"{row['field']:34} {us['own']:6.0f} {us['shared']:7.0f} {us['fitted']:7.0f}"
            f" {ratio[0]:8.2f} {ratio[1]:7.2f} {size[0]:9.2f} {size[1]:7.2f}"
        )
    mean = np.exp(np.log(ratios).mean(axis=0))
    print(
        f"{'geometric mean':57} {mean[0]:7.2f} {mean[1]:7.2f}"
        f" {100 * (mean[2] - 1):9.2f} {100 * (mean[3] - 1):7.2f}"
    )
    print("\nbook of iteration n at n + 1: size over own, %     mean   worst")
    for row in figures["series"]:
        print(f"{row['field']:46} {row['mean']:8.3f} {row['worst']:7.3f}")
    print("\ncompact form of the book                        symbols   bytes")
    for row in figures["books"]:
        print(f"{row['field']:46} {row['symbols']:8} {row['nbytes']:7}")


if __name__ == "__main__":
    raise SystemExit(main())
