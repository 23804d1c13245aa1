"""`fzdask.explain`: the figures are those of the stages, whatever the codec and the array."""

from __future__ import annotations

import numpy as np
import pytest

import fzdask
from fzdask import ConfigError


def field():
    return np.sin(np.arange(60 * 80) / 40).reshape(60, 80).astype("f4")


def test_table_of_the_default_codec():
    x = field()
    x[3, 4:9] = np.nan
    got = fzdask.explain(x, fzdask.FZCodec(abs=1e-3))
    names = [stage.name for stage in got.stages]
    assert names[:3] == ["quantize", "lorenzo", "huffman"]
    assert set(names[3:]) == {
        "outlier_runs > zstd", "outliers > zstd", "codebook > zstd", "group_sizes > zstd",
        "main > zstd",
    }  # fmt: skip
    assert got.outliers == 5
    quantize, lorenzo, huffman = got.stages[:3]
    assert quantize.nbytes_in == x.nbytes
    assert quantize.sections["outliers"] == 20
    assert quantize.nbytes_out == x.nbytes + sum(quantize.sections.values())
    assert lorenzo.entropy < quantize.entropy
    assert huffman.nbytes_out < lorenzo.nbytes_out
    assert 0 <= huffman.entropy <= 8
    assert all(stage.seconds >= 0 for stage in got.stages)
    assert got.stored_nbytes == len(fzdask.compress(x, abs=1e-3))
    assert got.ratio == x.nbytes / got.stored_nbytes
    text = str(got)
    for name in names:
        assert name in text
    assert "5 outliers" in text


def test_entropy_is_shannons():
    x = np.repeat([0.0, 1.0, 2.0, 3.0], 100)
    got = fzdask.explain(x, abs=0.25, pipeline="quantize")
    assert got.stages[0].entropy == 2.0
    assert fzdask.explain(np.ones(99), abs=0.25, pipeline="quantize").stages[0].entropy == 0.0


@pytest.mark.parametrize("config", [{"lossless": True}, {"pw_rel": 0.01}, {"psnr": 60}, {"rel": 0}])
@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "i4", "?", "U3"])
def test_whatever_is_given(config, dtype):
    x = (np.arange(900) % 17).astype(dtype)
    got = fzdask.explain(x, **config)
    assert got.nbytes == x.nbytes
    assert got.stored_nbytes == len(fzdask.compress(x, **config))
    assert got.stages[0].name in got.pipeline


def test_bad_input_is_refused_by_name():
    with pytest.raises(ConfigError, match="not both"):
        fzdask.explain(field(), fzdask.FZCodec(abs=1), rel=1)
    with pytest.raises(ConfigError, match="is no FZCodec"):
        fzdask.explain(field(), "default")
    with pytest.raises(ConfigError, match="holds no bytes"):
        fzdask.explain(np.zeros((3, 0)), abs=1)
