"""`fzdask tune` finds a bound or a pipeline, and says how to compress with it."""

from __future__ import annotations

import shlex

import numpy as np
import pytest

from fzdask.cli.tune import _middle
from fzdask.metrics import psnr


def asked_for(shown: str) -> list[str]:
    """The arguments of the command in the last line, without the program's name."""
    words = shlex.split(shown.strip().splitlines()[-1])
    assert words[:2] == ["fzdask", "compress"]
    return words[1:]


def test_the_command_that_it_prints_reaches_the_ratio(run, tmp_path, field, capsys):
    run("tune", tmp_path / "field.npy", "--ratio", "12")
    words = asked_for(capsys.readouterr().out)
    stream = tmp_path / "field.fz"
    run(*[str(stream) if word == "OUTPUT" else word for word in words])
    assert field.nbytes / stream.stat().st_size >= 12


def test_the_variable_is_named(run, tmp_path, netcdf, capsys):
    run("tune", netcdf, "--psnr", "60", "--variable", "t", "--pipeline", "quality")
    words = asked_for(capsys.readouterr().out)
    assert words[words.index("--abs") + 1].startswith("t=")
    assert words[words.index("--pipeline") + 1] == "quality"
    store = tmp_path / "out.zarr"
    run(*[str(store) if word == "OUTPUT" else word for word in words])
    xr = pytest.importorskip("xarray")
    with xr.open_dataset(netcdf) as was, xr.open_zarr(store) as now:
        assert psnr(was.t.values, now.t.values) >= 60


def test_the_best_pipeline_for_a_bound(run, tmp_path, field, capsys):
    run(
        "tune",
        tmp_path / "field.npy",
        "--rel",
        "1e-3",
        "--pipeline",
        "speed",
        "--pipeline",
        "ratio",
    )
    shown = capsys.readouterr().out
    assert asked_for(shown)[-4:] == ["--rel", "0.001", "--pipeline", "ratio"]
    assert shown.count("rel=0.001  ") == 2


def test_a_block_from_the_middle_of_a_large_field(run, tmp_path, capsys):
    x = np.zeros((64, 64, 64), "f4")
    x[20:44, 20:44, 20:44] = np.random.default_rng(0).normal(size=(24, 24, 24))
    np.save(tmp_path / "large.npy", x)
    run("tune", tmp_path / "large.npy", "--abs", "0.1", "--sample", "0.05", "--pipeline", "speed")
    shown = capsys.readouterr().out
    block = x[_middle(x.shape, 13107)]
    assert f"Trying {block.nbytes / 1024:.1f} KiB of 1.0 MiB from the middle" in shown
    assert block.std() > 0.5  # where the values are


@pytest.mark.parametrize(
    ("shape", "elements"),
    [((), 5), ((1000,), 10), ((100, 100), 50), ((3, 1000, 7), 500), ((5, 5), 1), ((2, 3), 0)],
)
def test_a_block_is_from_the_middle_and_no_larger(shape, elements):
    block = np.empty(shape)[_middle(shape, elements)]
    assert block.size <= max(elements, 1) < 4 * max(block.size, 1) + 4
    for part, whole in zip(_middle(shape, elements), shape, strict=True):
        assert abs((whole - part.stop) - part.start) <= 1


def test_a_small_field_is_taken_as_a_whole():
    assert np.empty((3, 4))[_middle((3, 4), 12)].shape == (3, 4)


def test_refusals(refused, tmp_path, field, netcdf):
    npy = tmp_path / "field.npy"
    assert "exactly one is needed of --ratio" in refused("tune", npy)
    assert "exactly one is needed of --ratio" in refused("tune", npy, "--ratio", "3", "--abs", "1")
    assert "--sample" in refused("tune", npy, "--ratio", "3", "--sample", "0")
    assert "field.npy: fzdask.tune: no bound" in refused("tune", npy, "--ratio", "1e9")
    assert "objective='best'" in refused("tune", npy, "--abs", "1", "--objective", "best")
    assert "no variable 'q'" in refused("tune", netcdf, "--ratio", "3", "--variable", "q")
