"""`fzdask stages` lists what there is; the bounds of `compress` are those of the codec."""

from __future__ import annotations

import numpy as np
import pytest

import fzdask
from fzdask.codecs.presets import preset_names
from fzdask.codecs.stages.registry import built_in


def test_every_stage_and_preset_is_listed(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    run("stages")
    shown = capsys.readouterr().out.splitlines()
    words = {line.split()[0] for line in shown if line.strip()}
    assert set(built_in()) <= words
    assert set(preset_names()) <= words
    assert any("axes=auto" in line for line in shown)


@pytest.mark.parametrize(("option", "value"), [("--pw-rel", "1e-2"), ("--psnr", "70")])
def test_the_other_bounds(run, tmp_path, option, value):
    x = np.exp(np.sin(np.arange(3000) / 90)).reshape(30, 100)
    np.save(tmp_path / "x.npy", x)
    run("compress", tmp_path / "x.npy", tmp_path / "x.fz", option, value)
    stream = (tmp_path / "x.fz").read_bytes()
    assert fzdask.inspect(stream).bound == option.removeprefix("--").replace("-", "_")
    y = fzdask.decompress(stream)
    if option == "--pw-rel":
        assert (np.abs(x - y) <= 1e-2 * np.abs(x)).all()
    else:
        assert 20 * np.log10(np.ptp(x) / np.sqrt(np.mean((x - y) ** 2))) >= 70


def test_kernels_are_compiled_ahead(run, capsys):
    run("compile", "--pipeline", "quantize | difference", "--dtype", "float32", "--dtype", "int16")
    first, second, kept = capsys.readouterr().out.splitlines()
    assert first.startswith("quantize | difference, float32: ")
    assert " found in " in first
    assert second.startswith("quantize | difference, int16: ")
    assert kept.startswith("They are kept in ")
