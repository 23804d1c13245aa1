"""`fzdask.tune`: the codec that it returns reaches the goal on the array it was tuned on."""

from __future__ import annotations

import numpy as np
import pytest

import fzdask
from fzdask import ConfigError
from fzdask.metrics import psnr


def field(dtype="f4"):
    rng = np.random.default_rng(1)
    smooth = np.sin(np.arange(4800) / 40) * 100
    return (smooth + rng.normal(size=4800)).reshape(60, 80).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4"])
def test_a_ratio_is_reached_by_about_the_narrowest_bound(dtype):
    x = field(dtype) * (100 if dtype == "i4" else 1)
    codec, trials = fzdask.tune(x, ratio=8)
    assert x.nbytes / len(codec.encode(x)) >= 8
    narrower = fzdask.FZCodec(abs=codec.abs / 1.05 if dtype != "i4" else codec.abs - 2)
    assert x.nbytes / len(narrower.encode(x)) < 8
    assert np.abs(codec.decode(codec.encode(x)).astype("f8") - x).max() <= codec.abs
    assert all(trial.pipeline == "default" for trial in trials)


@pytest.mark.parametrize("goal", [20, 60.5, 100])
def test_a_psnr_is_reached_by_about_the_widest_bound(goal):
    x = field("f8")
    codec, _ = fzdask.tune(x, psnr=goal)
    assert psnr(x, codec.decode(codec.encode(x))) >= goal
    wider = fzdask.FZCodec(abs=codec.abs * 1.05)
    assert psnr(x, wider.decode(wider.encode(x))) < goal


def test_a_psnr_beyond_the_dtype_is_reached_without_loss():
    x = field("i4")
    codec, _ = fzdask.tune(x, psnr=300)
    np.testing.assert_array_equal(codec.decode(codec.encode(x)), x)


def test_objectives_choose_among_the_pipelines():
    x = field()
    chains = ["quantize | lorenzo | huffman | zstd", "quantize"]
    small = fzdask.tune(x, rel=1e-3, pipelines=chains)
    assert small.codec == fzdask.FZCodec(rel=1e-3, pipeline=chains[0])
    assert small.best.ratio == max(trial.ratio for trial in small.trials)
    fast = fzdask.tune(x, rel=1e-3, pipelines=chains, objective="speed")
    assert fast.best.seconds == min(trial.seconds for trial in fast.trials)
    assert len(fast.trials) == 2
    assert "->" in str(fast)
    both = fzdask.tune(x, ratio=4, pipelines=chains[:1], preserve=-999.0)
    assert both.codec.preserve == (-999.0,)


def test_the_main_presets_are_tried_by_default():
    report = fzdask.tune(field(), rel=1e-3)
    assert "default" in {trial.pipeline for trial in report.trials}
    assert len(report.trials) >= 1


@pytest.mark.parametrize("one", [{"pipeline": "speed"}, {"pipelines": "speed"}], ids=str)
def test_one_pipeline_is_the_only_one_that_is_tried(one):
    for goal in ({"rel": 1e-3}, {"ratio": 3}):
        codec, trials = fzdask.tune(field(), **goal, **one)
        assert codec.pipeline == "speed"
        assert {trial.pipeline for trial in trials} == {"speed"}


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, "got none"),
        ({"ratio": 2, "psnr": 3}, "got ratio and psnr"),
        ({"ratio": 2, "abs": 3}, "got ratio and abs"),
        ({"ratio": -2}, "positive"),
        ({"psnr": np.nan}, "finite"),
        ({"ratio": "20"}, "ratio='20' must be a number"),
        ({"psnr": True}, "psnr=True must be a number"),
        ({"rel": 1e-3, "pipeline": "speed", "pipelines": ["default"]}, "not both"),
        ({"ratio": 2, "objective": "fame"}, "'size' or 'speed'"),
        ({"ratio": 1e9}, "Ask for less"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(options, part):
    with pytest.raises(ConfigError, match=r"fzdask\.tune") as caught:
        fzdask.tune(field(), **options)
    assert part in str(caught.value)


def test_what_has_no_bound_cannot_be_tuned():
    for x in (np.zeros(0), np.array(["a", "b"])):
        with pytest.raises(ConfigError, match="no bound to tune"):
            fzdask.tune(x, ratio=2)
