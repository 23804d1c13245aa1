"""What every stage and every fusion of the registry keeps, whoever wrote it."""

from __future__ import annotations

import inspect
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from exact import assert_guarantee

from fzdask.codecs.config import CodecConfig
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.prepare import (
    Prepared,
    flat_form,
    flatten,
    memory_order,
    prepare,
    restore_layout,
)
from fzdask.codecs.stages.base import ArrayStage, ByteStage, Job, Known
from fzdask.codecs.stages.registry import built_in, fusions
from fzdask.errors import FormatError

TESTS = Path(__file__).parents[1]
STAGES = list(built_in().values())
FIRST = {"quantize", "lorenzo", "huffman", "zstd", "shuffle"}  # their fixtures are in every corner
PREFIX = {"array": [], "lattice": ["quantize"], "codes": ["quantize", "zigzag"]}
ARRAYS = {
    "one value": np.array([2.5], "f4"),
    "short": np.arange(13, dtype="f8") ** 2,
    "plane": np.sin(np.arange(41 * 67) / 50).reshape(41, 67).astype("f4") * 9,
    "fortran": np.asfortranarray(np.sin(np.arange(800) / 30).reshape(8, 10, 10)),
    "constant": np.full((30, 50), 3.25, "f4"),
    "integers": (np.arange(1200).reshape(30, 40) // 7 % 50).astype("i2"),
    "complex": np.exp(1j * np.arange(900) / 40).reshape(9, 100).astype("c8"),
    "halves": np.linspace(-3, 3, 700).astype("f2").reshape(7, 100),
}


def odd_values():
    """A field with what no lattice holds, in stretches and alone."""
    x = np.random.default_rng(3).normal(size=(23, 211)).cumsum(1).astype("f4")
    x[3:5, 10:90] = np.nan
    x[::4, ::9] = -0.0
    x[7, 7], x[8, 8] = np.inf, 3e38
    return x


def chain_with(stage):
    """The shortest chain that the stage can be in, as names."""
    if issubclass(stage, ByteStage):
        return ["quantize", "lorenzo", stage.name]
    kind = next(kind for kind in PREFIX if kind in stage.takes)
    return [*PREFIX[kind], stage.name]


def bound_for(stage):
    """A bound that the stage understands."""
    return {"pw_rel": 0.01} if stage.resolves == "pw_rel" else {"abs": 0.01}


def as_ids(stages):
    return [stage.name for stage in stages]


def test_names_and_numbers_are_unique_and_kinds_are_known():
    assert len({stage.code for stage in STAGES}) == len(STAGES)
    assert all(stage.code > 0 for stage in STAGES)
    kinds = {"array", "lattice", "codes", "bytes"}
    for stage in STAGES:
        assert set(stage.takes) <= kinds
        assert stage.gives in kinds | {"same"}
        if issubclass(stage, ArrayStage):
            assert len(stage.section_names) <= 7


@pytest.mark.parametrize("stage", STAGES, ids=as_ids(STAGES))
def test_every_stage_is_documented_specified_and_stored(stage):
    doc = inspect.getdoc(stage)
    assert "Source" in doc, "a stage names what it follows"
    if stage.name not in FIRST:
        assert "Stream\n------" in doc, "the layout of its bytes, enough to write a decoder"
        assert any(
            path.stem == f"{stage.name}_spec" or f"``{stage.name}``" in path.read_text()
            for path in (TESTS / "spec").glob("*_spec.py")
        )
        stored = (TESTS / "format" / "fixtures").glob("v*/*.json")
        used = [json.loads(path.read_text())["pipeline"] for path in stored]
        assert any(stage.name in pipeline for pipeline in used)


@pytest.mark.parametrize("stage", STAGES, ids=as_ids(STAGES))
def test_options_round_trip_and_instances_are_values(stage):
    made = stage()
    assert made == stage()
    assert hash(made) == hash(stage())
    assert made.get_config() == {}
    assert str(made) == stage.name
    with pytest.raises(AttributeError):
        made.anything = 1


@lru_cache(maxsize=256)
def lattice_stream(stage, name):
    """A stream of a chain with this stage, in parts; None where there is no lattice."""
    x = odd_values() if name == "odd" else ARRAYS[name]
    asked = CodecConfig(**bound_for(stage))
    if stage.resolves and x.dtype.kind not in "fc":
        return None
    names = chain_with(stage)
    chain = Pipeline([*names, "quantize"] if stage.resolves else names)
    if chain.lossy:
        ready = prepare(x, memory_order(x), asked)
    else:
        flat = flatten(x, memory_order(x))
        form = flat_form(x.dtype, x.shape, memory_order(x))
        ready = Prepared(flat, form, Job(np.zeros(0, "u1"), flat[:0], 0.0), 0.0)
    return x, ready, chain, chain.encode(ready.data, ready.form, ready.job)


@pytest.mark.parametrize("name", [*ARRAYS, "odd"])
@pytest.mark.parametrize("stage", STAGES, ids=as_ids(STAGES))
def test_chains_with_the_stage_keep_the_bound(stage, name):
    made = lattice_stream(stage, name)
    if made is None:
        return
    x, ready, chain, (stages, entries, blobs) = made
    plain = Pipeline.from_entries(stages)
    assert as_ids(plain.stages) == as_ids(chain.stages)
    flat = plain.decode(ready.form, stages, entries, blobs, Known())
    if not chain.lossy:
        assert flat.tobytes() == ready.data.tobytes()
        return
    y = restore_layout(
        flat.view(x.dtype.newbyteorder("<")).astype(x.dtype), x.shape, memory_order(x)
    )
    if stage.resolves:
        finite = np.isfinite(x)
        wide = np.longdouble if x.dtype.kind == "f" else np.clongdouble
        a, b = x[finite].astype(wide), y[finite].astype(wide)
        assert (np.abs(a - b) <= np.longdouble(0.01) * np.abs(a)).all()
    else:
        assert_guarantee(x, y, 0.01)


@pytest.mark.parametrize("stage", STAGES, ids=as_ids(STAGES))
def test_truncated_and_swapped_sections_never_crash(stage):
    """Whatever the bytes of its sections: a FormatError, or an array of the right size."""
    for name in ("plane", "odd"):
        _, ready, _, (stages, entries, blobs) = lattice_stream(stage, name)
        plain = Pipeline.from_entries(stages)
        rng = np.random.default_rng(5)
        for k in range(len(blobs)):
            for turn in range(12):
                hurt = [blob.copy() for blob in blobs]
                blob = hurt[k]
                if turn % 3 == 0:
                    blob = blob[: rng.integers(0, blob.size + 1)]
                elif turn % 3 == 1 and blob.size:
                    blob[rng.integers(0, blob.size, 3)] ^= rng.integers(1, 256, 3).astype("u1")
                else:
                    blob = rng.integers(0, 256, blob.size).astype("u1")
                hurt[k] = blob
                try:
                    flat = plain.decode(ready.form, stages, entries, hurt, Known())
                except FormatError:
                    continue
                assert flat.size == ready.form.size


@pytest.mark.parametrize("stage", [s for s in STAGES if issubclass(s, ArrayStage)])
def test_hostile_parameters_are_refused_or_harmless(stage):
    _, ready, _, (stages, entries, blobs) = lattice_stream(stage, "plane")
    plain = Pipeline.from_entries(stages)
    at = as_ids(plain.stages).index(stage.name)
    rng = np.random.default_rng(6)
    given = stages[at].params
    tries = [b"", given + b"\0", given[:-1], bytes(len(given)), b"\xff" * len(given)]
    tries += [rng.bytes(len(given)) for _ in range(30)]
    for params in tries:
        changed = list(stages)
        changed[at] = type(stages[at])(stages[at].code, params)
        try:
            flat = plain.decode(ready.form, changed, entries, blobs, Known())
        except FormatError:
            continue
        assert flat.size == ready.form.size


@pytest.mark.parametrize("fusion", fusions(), ids=lambda f: type(f).__name__)
def test_fusions_write_and_read_the_bytes_of_their_stages(fusion):
    chain = [stage.name for stage in fusion.chain]
    for name in (*ARRAYS, "odd"):
        x = odd_values() if name == "odd" else ARRAYS[name]
        results = []
        for fused in (True, False):
            ready = prepare(x, memory_order(x), CodecConfig(abs=0.01))
            run = Pipeline(chain, fused=fused)
            results.append(run.encode(ready.data, ready.form, ready.job))
        (stages, entries, blobs), (stages_2, entries_2, blobs_2) = results
        assert stages == stages_2
        assert entries == entries_2
        assert [bytes(b) for b in blobs] == [bytes(b) for b in blobs_2]
        decoded = [
            Pipeline(chain, fused=fused).decode(ready.form, stages, entries, blobs, Known())
            for fused in (True, False)
        ]
        assert decoded[0].tobytes() == decoded[1].tobytes()
