"""Make the stored streams of the format's present version, each with a description beside it.

    python tests/format/make_fixtures.py [NAME ...]

With names, only the fixtures of those modules in ``cases`` (one for each stage). A stream that
says the same before its back ends is left as it is, since the bytes of zstd depend on its
release. Until the format is declared stable, run this after a deliberate change and add a line to
CHANGELOG.md; from then on the folder of a version is only ever added to.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
from format_cases import Case, field, raw_bits, whole_field, with_outliers
from stream_parts import Parts

import fzdask
from fzdask.format import VERSION

FOLDER = Path(__file__).parent / "fixtures" / f"v{VERSION}"
CASES = Path(__file__).parent / "cases"


def encoded(only: Collection[str] = ()) -> dict[str, Case]:
    """Arrays and options of the fixtures that the encoder makes."""
    cases = {} if only else general_cases()
    for path in sorted(CASES.glob("*.py")):
        if path.stem != "__init__" and (not only or path.stem in only):
            for name, case in importlib.import_module(f"cases.{path.stem}").fixtures().items():
                assert name not in cases, f"two fixtures are named {name!r}"
                cases[name] = case
    return cases


def general_cases() -> dict[str, Case]:
    """Those of the first stages, in all their corners."""
    plane = field((20, 23), "f4")
    rough = whole_field((9, 11, 13), 2, step=60) / 64
    sentinel = plane.copy()
    sentinel[3:9, 2:5] = -999
    steps = np.arange(9000, dtype="i4") + (np.arange(9000) // 800) * 3
    sparse = np.where(np.arange(9000) % 457 == 0, raw_bits(9000, 12), np.uint64(2)).view("i8")
    spots = np.zeros((60, 100), "f4")
    spots.reshape(-1)[::571] = 3
    default = {"abs": 1 / 16}
    return {
        "stored-empty": (np.zeros((3, 0, 2), "f4"), default),
        "stored-0d": (np.array(2.5, ">f8"), default),
        "stored-random-u8": (raw_bits(40, 1), {"lossless": True}),
        "stored-fortran": (np.array(raw_bits(30, 2).view("f8").reshape(5, 6), order="F"), default),
        "shuffle-bool": (field((40, 50), "?"), default),
        "shuffle-datetime-big-endian": (field((30, 20), ">M8[s]"), default),
        "shuffle-unicode": (field((10, 9), "<U3"), default),
        "shuffle-structured": (field((15, 7), [("a", "<i2"), ("b", ">f8", (2,))]), default),
        "shuffle-structured-fortran": (np.array(field((15, 7), "<i2,S3"), order="F"), default),
        "shuffle-field-names-of-any-script": (field((99,), [("ä", "i2"), ("温", "f4")]), default),
        "shuffle-lossless-f4": (plane, {"lossless": True}),
        "quantize": (rough[:3], {**default, "pipeline": "quantize"}),
        "quantize-zstd": (rough, {**default, "pipeline": "quantize | zstd"}),
        "quantize-lorenzo": (rough[:3], {**default, "pipeline": "quantize | lorenzo"}),
        "quantize-lorenzo-zstd": (rough, {**default, "pipeline": "quantize | lorenzo | zstd"}),
        "quantize-huffman": (rough, {**default, "pipeline": "quantize | huffman"}),
        "lorenzo-twice": (rough, {**default, "pipeline": "quantize | lorenzo | lorenzo | huffman"}),
        "huffman-groups-of-256": (
            rough,
            {**default, "pipeline": "quantize | lorenzo | huffman(group=256)"},
        ),
        "huffman-group-of-16384": (
            rough,
            {**default, "pipeline": "quantize | lorenzo(axes='all') | huffman(group=16384)"},
        ),
        "default-f2": (plane.astype("f2"), default),
        "default-f4": (plane, default),
        "default-f4-big-endian": (plane.astype(">f4"), default),
        "default-f4-fortran": (np.asfortranarray(plane), default),
        "default-f4-rel": (plane, {"rel": 1e-3}),
        "default-f8": (plane.astype("f8"), default),
        "default-f8-wide-lattice": (plane.astype("f8")[:4], {"abs": 1e-9}),
        "default-c8": (field((13, 17), "c8"), default),
        "default-c16-big-endian-fortran": (np.array(field((13, 17), ">c16"), order="F"), default),
        "default-6d": (field((2, 3, 2, 5, 3, 4), "f4"), default),
        "default-axes-of-one": (field((1, 19, 1, 17, 1), "f4"), default),
        "default-constant": (np.full((30, 40), 7, "f4"), default),
        "default-runs": (spots, default),
        "default-runs-of-one": (steps, {"lossless": True}),
        "default-runs-and-wide-symbols": (sparse, {"lossless": True}),
        "default-outliers-few": (with_outliers(500, 0.05), default),
        "default-outliers-half": (with_outliers(500, 0.5, "f8"), default),
        "default-outliers-all": (with_outliers(500, 1, "f2"), default),
        "default-outliers-complex": (with_outliers(500, 0.1).view("c8"), default),
        "default-preserve": (sentinel, {"rel": 1e-3, "preserve": [-999.0]}),
        "default-i1": (field((20, 23), "i1"), {"abs": 2}),
        "default-i1-clipped": (np.repeat(np.array([-128, 127], "i1"), 300), {"abs": 5}),
        "default-u1-lossless": (field((20, 23), "u1"), {"lossless": True}),
        "default-i4-big-endian": (field((20, 23), ">i4"), {"abs": 2}),
        "default-i8-preserve": (sentinel.astype("i8"), {"abs": 2, "preserve": [-999]}),
        "default-u8-wide-symbols": (
            np.where(raw_bits(500, 3) % np.uint64(9) == 0, raw_bits(500, 4), np.uint64(3)),
            {"lossless": True},
        ),
    }


def written_by_hand() -> dict[str, bytes]:
    """Valid streams that need more than one back end to help, which no small array shows."""
    quiet = {"lossless": True, "pipeline": "shuffle | zstd | zstd"}
    period = np.tile(raw_bits(5, 5), 60_000)
    parts = Parts.of(fzdask.compress(period, **quiet))
    return {
        "back-end-second-only": parts.apply(0, 0b10).join(),
        "back-end-both": parts.apply(0, 0b11).join(),
    }


def describe(stream: bytes, config: dict[str, Any] | None) -> dict[str, Any]:
    """What is stored beside a stream."""
    array = fzdask.decompress(stream)
    info = fzdask.inspect(stream)
    return {
        "shape": list(array.shape),
        "dtype": ascii(np.lib.format.dtype_to_descr(array.dtype)),
        "order": info.order,
        "pipeline": info.pipeline,
        "config": config,
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
    }


def before_back_ends(stream: bytes) -> dict[str, Any]:
    """What of a stream does not depend on the release of zstd."""
    parts = Parts.of(stream)
    h = parts.header
    keys = [(entry.stage, entry.number) for entry in h.sections]
    return {
        "dtype": h.dtype,
        "shape": h.shape,
        "order": h.order,
        "bound": (h.bound_kind, h.asked, h.resolved),
        "stages": h.stages,
        "sections": dict(zip(keys, parts.raw, strict=True)),
    }


def make(only: Collection[str] = ()) -> dict[str, tuple[bytes, dict[str, Any] | None]]:
    """Every fixture: its stream as it would be written now, and the options it was made with."""
    made: dict[str, tuple[bytes, dict[str, Any] | None]] = {}
    for name, (array, config) in encoded(only).items():
        made[name] = fzdask.compress(array, **config), config
    for name, stream in ({} if only else written_by_hand()).items():
        made[name] = stream, None
    return made


def write(only: Collection[str] = (), report: Callable[[str], None] = print) -> None:
    """Write the folder of the present version."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = make(only)
    for name, (stream, config) in made.items():
        path = FOLDER / f"{name}.fz"
        kept = path.exists() and _says_the_same(path.read_bytes(), stream)
        if not kept:
            path.write_bytes(stream)
        entry = json.dumps(describe(path.read_bytes(), config), indent=1, sort_keys=True)
        path.with_suffix(".json").write_text(entry + "\n")
        report(f"{'kept' if kept else 'made':<5}{path.stat().st_size:>6}  {name}")
    for path in [] if only else FOLDER.iterdir():
        if path.suffix in (".fz", ".json") and path.stem not in made:
            path.unlink()
            report(f"gone         {path.name}")


def _says_the_same(stored: bytes, made: bytes) -> bool:
    try:
        return before_back_ends(stored) == before_back_ends(made)
    except fzdask.FormatError:
        return False


if __name__ == "__main__":
    write(sys.argv[1:])
