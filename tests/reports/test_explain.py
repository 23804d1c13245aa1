"""`fzdask.explain`: the figures are those of the stages, whatever the codec and the array."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest

import fzdask
from fzdask import ConfigError
from fzdask.reports import explain as explain_module
from fzdask.reports.overlap import chunks_of


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


def test_times_of_stages_are_the_faster_of_two(monkeypatch):
    """The first run of a process loads or compiles kernels, which no chunk after it does."""
    ticks = itertools.chain([0, 50], itertools.count(100))
    monkeypatch.setattr("fzdask.reports.explain.time.perf_counter", lambda: next(ticks))
    got = fzdask.explain(field(), abs=1e-3)
    assert {stage.seconds for stage in got.stages} == {1}


def test_bad_input_is_refused_by_name():
    with pytest.raises(ConfigError, match="not both"):
        fzdask.explain(field(), fzdask.FZCodec(abs=1), rel=1)
    with pytest.raises(ConfigError, match="is no FZCodec"):
        fzdask.explain(field(), "default")
    with pytest.raises(ConfigError, match="holds no bytes"):
        fzdask.explain(np.zeros((3, 0)), abs=1)


class TestTimeline:
    """A real run of the executor, of the same bytes, drawn when it is asked for."""

    def test_chunks_are_encoded_in_steps_on_several_threads(self):
        report = fzdask.explain(field(), abs=1e-3)
        timeline = report.timeline(chunks=4, workers=2)
        names = timeline.by_name()
        assert set(names) == {"prepare", "quantize | lorenzo | huffman", "zstd", "join"}
        assert [names[n][0] for n in ("prepare", "quantize | lorenzo | huffman", "join")] == [4] * 3
        assert {span.tag for span in timeline.spans} == {0, 1, 2, 3}
        assert set(timeline.places) <= {"host 0", "host 1"}
        assert not any(span.failed for span in timeline.spans)

    def test_explain_itself_runs_no_flow(self, monkeypatch):
        monkeypatch.setattr(explain_module, "overlapped_run", lambda *a, **k: pytest.fail("ran"))
        str(fzdask.explain(field(), abs=1e-3))

    @pytest.mark.parametrize(
        ("shape", "order", "count", "expected"),
        [
            ((60, 80), "C", 4, [(15, 80)] * 4),
            ((60, 80), "F", 4, [(60, 20)] * 4),
            ((2, 9), "C", 4, [(2, 3), (2, 3), (2, 3)]),
            ((3, 2), "C", 7, [(1, 2)] * 3),
            ((), "C", 4, [()]),
        ],
    )
    def test_chunks_cover_the_array(self, shape, order, count, expected):
        x = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape), order=order)
        parts = list(chunks_of(x, count))
        assert [part.shape for part in parts] == expected
        assert sorted(np.concatenate([p.ravel() for p in parts])) == list(range(x.size))

    @pytest.mark.parametrize("config", [{"rel": 1e-3}, {"lossless": True}, {"psnr": 60}], ids=str)
    @pytest.mark.parametrize("suffix", [".svg", ".png"])
    def test_picture(self, tmp_path, config, suffix):
        pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")
        file = tmp_path / f"timeline{suffix}"
        assert fzdask.explain(field(), **config).save_timeline(file, chunks=3, workers=2) == file
        begin = file.read_bytes()
        if suffix == ".png":
            assert begin.startswith(b"\x89PNG")
        else:
            assert b"<svg" in begin
            assert begin.count(b"PolyCollection") > 3  # a bar for each part, and lanes behind them

    def test_refusals(self, tmp_path):
        report = fzdask.explain(field(), abs=1e-3)
        with pytest.raises(ConfigError, match="chunks=0"):
            report.timeline(chunks=0)
        with pytest.raises(ConfigError, match=r"no format by its extension.*\.svg"):
            report.save_timeline(tmp_path / "timeline.doc")
        copied = pickle.loads(pickle.dumps(report))
        assert str(copied) == str(report)
        with pytest.raises(ConfigError, match="no array to run"):
            copied.timeline()
