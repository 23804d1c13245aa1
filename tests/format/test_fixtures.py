"""Stored streams: read today as on the day they were written, and written today as they were."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import make_fixtures
import numpy as np
import pytest
from reader import STAGES_READ, read
from reader_header import LENGTHS

import fzdask
from fzdask.codecs.stages.registry import built_in
from fzdask.format import VERSION, unpack

VERSIONS = Path(__file__).parent / "fixtures"
STREAMS = sorted(VERSIONS.glob("v*/*.fz"))
REMEDY = (
    "If the change is meant: python tests/format/make_fixtures.py, a line in CHANGELOG.md, and "
    "docs/format.md and tests/format/reader.py where they describe it."
)


NAMES = [path.stem for path in STREAMS if path.parent.name == f"v{VERSION}"]


def entry_of(path):
    return json.loads(path.with_suffix(".json").read_text())


DECODINGS = [pytest.param(p, fzdask.decompress, id=f"{p.parent.name}-{p.stem}") for p in STREAMS]
DECODINGS += [pytest.param(p, read, id=f"{p.parent.name}-{p.stem}-reader") for p in STREAMS]


def test_every_version_has_its_folder_and_every_stream_its_entry():
    assert (VERSIONS / f"v{VERSION}").is_dir()
    for folder in VERSIONS.glob("v*"):
        assert {p.stem for p in folder.glob("*.fz")} == {p.stem for p in folder.glob("*.json")}


def test_the_second_reader_knows_all_stages():
    assert {stage.code for stage in built_in().values()} == STAGES_READ
    stored = {entry.code for path in STREAMS for entry in unpack(path.read_bytes())[0].stages}
    assert stored >= STAGES_READ, "each that it knows is in a stored stream"


def test_every_form_of_parameters_that_the_second_reader_knows_is_in_a_stored_stream():
    stages = [entry for path in STREAMS for entry in unpack(path.read_bytes())[0].stages]
    stored = {(entry.code, len(entry.params)) for entry in stages}
    known = {(code, n) for code, ns in LENGTHS.items() if isinstance(ns, tuple) for n in ns}
    assert known <= stored


@pytest.mark.parametrize(("path", "decode"), DECODINGS)
def test_stored_streams_decode_to_what_is_stored_beside_them(path, decode):
    entry = entry_of(path)
    array = decode(path.read_bytes())
    assert list(array.shape) == entry["shape"]
    assert ascii(np.lib.format.dtype_to_descr(array.dtype)) == entry["dtype"]
    assert array.flags["FORC" if entry["order"] == "C" else "F_CONTIGUOUS"]
    assert hashlib.sha256(array.tobytes()).hexdigest() == entry["sha256"]


@pytest.fixture(scope="module")
def made():
    return make_fixtures.make()


@pytest.mark.parametrize("name", NAMES)
def test_the_encoder_still_writes_the_stored_streams(name, made):
    """Byte for byte before the back ends, whose bytes depend on the release of zstd."""
    assert name in made, f"make_fixtures.py makes no {name!r} any more. {REMEDY}"
    stored = (VERSIONS / f"v{VERSION}" / f"{name}.fz").read_bytes()
    now = make_fixtures.before_back_ends(made[name][0])
    then = make_fixtures.before_back_ends(stored)
    differing = [part for part in then if now[part] != then[part]]
    assert not differing, f"{name}: another {', '.join(differing)} than was stored. {REMEDY}"


def test_no_new_fixture_is_forgotten(made):
    assert set(made) == set(NAMES), REMEDY


def test_fixtures_keep_the_bound_they_were_made_with():
    """The stored checksums are of arrays within the bound of what was compressed."""
    for name, (array, config) in make_fixtures.encoded().items():
        stored = fzdask.decompress((VERSIONS / f"v{VERSION}" / f"{name}.fz").read_bytes())
        if array.dtype.kind not in "fciu" or config.get("lossless"):
            assert stored.tobytes() == array.tobytes(), name
            continue
        bound = fzdask.inspect(fzdask.compress(array, **config)).resolved
        if array.dtype.kind == "c":  # the components are within the bound, and so the distance
            component = f"{array.dtype.str[0]}f{array.dtype.itemsize // 2}"
            array, stored = (np.ascontiguousarray(a).view(component) for a in (array, stored))
            bound *= 1 if "pw_rel" in config else 0.5**0.5
        x, y = array.astype("f8"), stored.astype("f8")
        kept = np.isfinite(x)
        allowed = bound * np.abs(x[kept]) if "pw_rel" in config else bound
        assert (np.abs(x[kept] - y[kept]) <= allowed).all(), name
        assert array[~kept].tobytes() == stored[~kept].tobytes(), name
