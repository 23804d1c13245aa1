"""`smallest` keeps the smaller of its chains, with the bytes that the chain alone has."""

from __future__ import annotations

import numpy as np
import pytest
import smallest_spec
from exact import assert_guarantee

import fzdask
from fzdask.codecs.presets import find_pipeline
from fzdask.codecs.stages.base import Form
from fzdask.codecs.stages.smallest import WAYS, Smallest
from fzdask.errors import FormatError
from fzdask.format import unpack


def fields():
    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.sin(np.arange(70) / 9), np.cos(np.arange(80) / 11)).astype("f4")
    rough = rng.normal(size=(40, 50)).cumsum(1)
    steps = np.repeat(rng.integers(0, 5, (12, 14)), 5, 1).astype("f4")
    odd = smooth.copy()
    odd[3:9, 4:7] = np.nan
    return {"smooth": smooth, "rough": rough, "steps": steps, "odd": odd,
            "halves": smooth.astype("f2"), "complex": smooth * (1 + 2j),
            "integers": (rough * 100).astype("i4"), "fortran": np.asfortranarray(rough),
            "mask": np.where(rng.random((60, 60)) < 0.5, 0, 7).astype("f4")}  # fmt: skip


FIELDS = fields()


@pytest.mark.parametrize("name", FIELDS)
def test_it_is_the_smaller_of_its_chains_and_keeps_the_guarantee(name):
    x = FIELDS[name]
    bound = 20 if x.dtype.kind == "i" else 0.02
    stream = fzdask.compress(x, abs=bound, pipeline="smallest")
    assert_guarantee(x, fzdask.decompress(stream), bound)
    header, sections = unpack(stream)
    if header.stages[0].code != Smallest.code:  # larger than the array
        return
    told = smallest_spec.read(header.stages[0].params)
    sizes = {}
    for way in smallest_spec.WAYS:
        alone = fzdask.compress(x, abs=bound, pipeline=" | ".join(way))
        alone_header, alone_sections = unpack(alone)
        sizes[way] = sum(s.size for s in alone_sections)
        if way == tuple(n for n, _ in told):
            assert [s.params for s in alone_header.stages] == [p for _, p in told]
            assert sorted(s.tobytes() for s in sections) == sorted(
                s.tobytes() for s in alone_sections
            )
    assert sum(s.size for s in sections) == min(sizes.values())


def test_either_way_is_taken():
    ways = set()
    for name in ("smooth", "rough", "steps", "mask"):
        header, _ = unpack(fzdask.compress(FIELDS[name], abs=0.02, pipeline="ratio"))
        ways.add(header.stages[0].params[0])
    assert ways == {0, 1}


def test_ways_and_section_names_are_those_of_the_stages():
    assert [tuple(stage.name for stage in way) for way in WAYS] == list(smallest_spec.WAYS)
    used = {name for way in WAYS for stage in way for name in stage.section_names}
    assert used == set(Smallest.section_names)
    assert find_pipeline("ratio").stages[0] == Smallest()


@pytest.mark.parametrize(
    "params", [b"", b"\x02", b"\0", b"\0\1", b"\0\1\4", b"\0\1\4\1", b"\0\1\4\1\0\0", b"\1\1\1\xff"]
)
def test_damaged_parameters_are_refused(params):
    with pytest.raises(FormatError):
        Smallest().form_after(Form((20, 30), np.dtype("<f4"), 0.1), params)
