"""A pipeline in text, JSON, TOML and objects is the same pipeline, and says what is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

import fzdask
from fzdask import ConfigError, Pipeline
from fzdask.codecs.presets import find_preset, preset_names
from fzdask.codecs.stages.huffman import Huffman
from fzdask.codecs.stages.lorenzo import Lorenzo
from fzdask.codecs.stages.quantize import Quantize
from fzdask.codecs.stages.zstd import Zstd

TEXTS = [
    "quantize",
    "quantize | lorenzo(axes=(0, 2)) | huffman(group=256) | zstd(level=3)",
    "quantize | lorenzo(axes=all) | zstd | zstd(level=9)",
    "shuffle | zstd",
    "quantize | lorenzo | huffman | zstd; outliers = zstd(level=19)",
    "quantize | huffman | zstd; outliers = none; quantize.outlier_runs = zstd | zstd",
    "quantize | lorenzo; main = zstd",
]


@pytest.mark.parametrize("text", [*TEXTS, *(str(find_preset(n).pipeline) for n in preset_names())])
def test_every_form_round_trips(text):
    pipeline = Pipeline.from_text(text)
    assert str(pipeline) == text
    assert Pipeline.from_json(pipeline.to_json()) == pipeline
    assert Pipeline.from_json(json.loads(pipeline.to_json())) == pipeline
    assert Pipeline.from_toml(pipeline.to_toml()) == pipeline
    assert Pipeline(pipeline.stages, pipeline.sections) == pipeline
    assert hash(Pipeline.from_text(text)) == hash(pipeline)
    codec = fzdask.FZCodec(abs=1, pipeline=pipeline)
    assert fzdask.FZCodec.from_config(codec.get_config()) == codec
    assert codec.pipeline == text


def test_python_objects_names_and_text_are_one():
    made = Pipeline([Quantize(), "lorenzo", Huffman(group=512), Zstd(level=3)])
    assert made == Pipeline.from_text("quantize | lorenzo | huffman(group=512) | zstd(level=3)")
    own = Pipeline(["quantize", Lorenzo(axes="all")], {"outliers": [Zstd(level=9)]})
    assert own == Pipeline.from_text("quantize | lorenzo(axes=all); outliers = zstd(level=9)")
    assert own != Pipeline.from_text("quantize | lorenzo(axes=all)")


def test_toml_by_hand():
    text = """
    [[stages]]
    stage = "quantize"
    [[stages]]
    stage = "lorenzo"
    axes = [0, 1]
    [[sections.outliers]]
    stage = "zstd"
    level = 9
    """
    wanted = Pipeline.from_text("quantize | lorenzo(axes=(0, 1)); outliers = zstd(level=9)")
    assert Pipeline.from_toml(text) == wanted
    assert Pipeline.from_toml(f'pipeline = "{wanted}"') == wanted


WRONG_TEXT = {
    "quantize; outliers": ["cannot read 'outliers'", "side section"],
    "quantize; outliers = none; outliers = zstd": ["'outliers' is given back ends twice"],
    "quantize; outliers = zstd; quantize.outliers = zstd": ["given back ends twice"],
    "quantize; anchors = zstd": ["no section 'anchors'", "outlier_runs, quantize.outlier_runs"],
    "quantize | lorenzo; outliers = lorenzo": ["'lorenzo' takes lattice", "'outliers' is bytes"],
    "quantize; outliers = zsdt": ["no stage 'zsdt'", "did you mean 'zstd'"],
    "quantize; outliers = zstd(level=99)": ["level=99"],
}


@pytest.mark.parametrize("text", WRONG_TEXT)
def test_errors_in_text_name_the_place(text):
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_text(text)
    for part in WRONG_TEXT[text]:
        assert part in str(caught.value)


WRONG_JSON = [
    ("[1", "no JSON"),
    ("3", "a mapping with the key 'stages'"),
    ("{}", "got the keys []"),
    ('{"stages": ["quantize"], "pipeline": "quantize"}', "either"),
    ('{"stages": ["quantize"], "extra": 1}', "'extra'"),
    ('{"stages": "quantize"}', "stages are a list"),
    ('{"stages": [{"level": 3}]}', "the key 'stage'"),
    ('{"stages": [{"stage": "zstd", "lewel": 3}]}', "did you mean 'level'"),
    ('{"stages": ["quantize"], "sections": []}', "'sections' maps names"),
    ('{"pipeline": "quantize", "sections": {}}', "'pipeline' is a text"),
]


@pytest.mark.parametrize(("text", "part"), WRONG_JSON)
def test_errors_in_json_say_what_is_expected(text, part):
    with pytest.raises(ConfigError) as caught:
        Pipeline.from_json(text)
    assert part in str(caught.value)


def test_no_toml_is_said_to_be_none():
    with pytest.raises(ConfigError, match="no TOML"):
        Pipeline.from_toml("stages = [")


def with_outliers():
    x = np.linspace(0, 50, 40_000).reshape(200, 200).astype("f4")
    x[::7, ::3] = np.nan
    return x


def sections(stream):
    info = fzdask.inspect(stream)
    return {name.split(".")[-1]: size for name, size in info.sections.items()}


def test_a_section_has_its_own_back_ends():
    x = with_outliers()
    chain = "quantize | lorenzo | huffman"
    plain = fzdask.compress(x, abs=1e-3, pipeline=chain)
    packed = fzdask.compress(x, abs=1e-3, pipeline=f"{chain}; outliers = zstd(level=9)")
    spared = fzdask.compress(x, abs=1e-3, pipeline=f"{chain} | zstd; outliers = none")
    twice = fzdask.compress(x, abs=1e-3, pipeline=f"{chain} | zstd; outliers = zstd | zstd")
    for stream in (plain, packed, spared, twice):
        y = fzdask.decompress(stream)
        kept = np.isfinite(x)
        assert (np.abs(x[kept].astype("f8") - y[kept]) <= 1e-3).all()
        assert x[~kept].tobytes() == y[~kept].tobytes()
    raw = sections(plain)["outliers"]
    assert sections(packed)["outliers"] < raw / 50
    assert sections(packed)["outlier_runs"] == sections(plain)["outlier_runs"]
    assert sections(spared)["outliers"] == raw
    assert sections(spared)["outlier_runs"] < sections(plain)["outlier_runs"]
    assert sections(twice)["outliers"] < raw / 50


def test_preset_files_say_what_they_follow():
    for name in preset_names():
        preset = find_preset(name)
        assert preset.papers
        assert all(paper[:1].isupper() for paper in preset.papers)
        assert preset.description.endswith(".")
