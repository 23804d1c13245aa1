"""`fzdask explain` prints the report and draws the timeline of a real run."""

from __future__ import annotations

import numpy as np
import pytest


def test_the_report_of_an_array_and_its_timeline(run, tmp_path, field, capsys):
    pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")
    picture = tmp_path / "timeline.svg"
    run("explain", tmp_path / "field.npy", "--abs", "1e-3", "--timeline", picture)
    shown = capsys.readouterr().out
    assert "quantize | lorenzo | huffman | zstd" in shown
    assert "ratio" in shown
    assert f"timeline: {picture}" in shown
    assert "<svg" in picture.read_text()


def test_the_one_field_of_a_dataset(run, netcdf, capsys):
    run("explain", netcdf, "--rel", "1e-3", "--variable", "t")
    shown = capsys.readouterr().out
    assert f"{6 * 20 * 30 * 4:,} to" in shown


def test_the_unit_of_packed_numbers_is_said(run, netcdf, capsys):
    run("explain", netcdf, "--abs", "1", "--variable", "packed")
    assert "Note: packed is packed (scale_factor, add_offset); bound" in capsys.readouterr().out
    run("explain", netcdf, "--abs", "1", "--variable", "t")
    assert "Note" not in capsys.readouterr().out


@pytest.mark.parametrize(("bound", "noted"), [("0.99", False), ("1", True), ("5", True)])
def test_a_bound_as_large_as_the_range_is_legal_and_noted(
    run, tmp_path, field, capsys, bound, noted
):
    run("explain", tmp_path / "field.npy", "--rel", bound)
    run("compress", tmp_path / "field.npy", tmp_path / "field.fz", "--rel", bound)
    said = f"Note: --rel {bound} allows errors as large as the range"
    assert capsys.readouterr().out.count(said) == 2 * noted


def test_fill_values_are_preserved_as_compress_does(run, tmp_path, capsys):
    """Without that a relative bound would be one of their size, and a field a handful of bytes."""
    xr = pytest.importorskip("xarray")
    field = np.random.default_rng(0).normal(size=(60, 80)).astype("f4")
    sizes = []
    for path, fill in ((tmp_path / "plain.nc", None), (tmp_path / "masked.nc", 1e20)):
        values = field.copy()
        values[0, :3] = field[0, 3] if fill is None else fill
        attributes = {} if fill is None else {"_FillValue": np.float32(fill)}
        data = xr.Dataset({"t": (("y", "x"), values, attributes)})
        data.to_netcdf(path)
        run("explain", path, "--rel", "1e-3")
        shown = capsys.readouterr().out
        sizes.append(int(shown.split(f"{field.nbytes:,} to ")[1].split()[0].replace(",", "")))
    plain, masked = sizes
    assert plain <= masked < plain + 100


def test_refusals(refused, tmp_path, field, netcdf):
    npy = tmp_path / "field.npy"
    assert "exactly one bound" in refused("explain", npy)
    assert "--variable is for" in refused("explain", npy, "--abs", "1", "--variable", "t")
    assert "no variable 'q'" in refused("explain", netcdf, "--abs", "1", "--variable", "q")
    assert "extension .doc" in refused(
        "explain", npy, "--abs", "1", "--timeline", tmp_path / "timeline.doc"
    )
    taken = tmp_path / "taken.svg"
    taken.write_text("")
    assert "--force" in refused("explain", npy, "--abs", "1", "--timeline", taken)
    assert taken.read_text() == ""


def test_an_error_of_the_codec_names_the_file(refused, tmp_path):
    np.save(tmp_path / "empty.npy", np.zeros((0, 3)))
    assert "empty.npy: " in refused("explain", tmp_path / "empty.npy", "--abs", "1")
