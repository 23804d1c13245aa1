"""The benchmark of devices runs, on fields that are what they say."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import gpu, gpu_fields
from fzdask.codecs.device import interpolate_attempt

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")


def test_every_pipeline_and_field_is_measured_end_to_end_and_by_kernel(
    device, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(interpolate_attempt, "FEW", 1000)  # such small fields would be the host's
    report = tmp_path / "gpu.json"
    results = gpu.main(["--mb", "0.03", "--repeats", "1", "--json", str(report)], device)
    assert {(r.field, r.pipeline) for r in results} == {
        (f, p) for f in ("nyx", "rtm", "climate") for p in ("default", "speed", "quality")
    }
    for r in results:
        assert r.error_over_bound <= 1
        rates = (r.copy_rate, r.sections_rate, r.stream_rate, r.decode_rate, r.decode_kernels_rate)
        assert min(rates) > 0
        assert r.ratio > 1
        names = set(r.kernels)
        assert "range_f4" in names
        if r.pipeline == "default":
            assert {"quantize_f4_i4", "encode_i4"} <= names
            assert names & {"row_values_i4_f4", "column_values_i4_f4", "dequantize_f4_i4"}
        elif r.pipeline == "quality":
            assert {"find_special_f4", "encode_class_f4", "read_values_f4_u4", "encode_i4"} <= names
        else:
            assert names & {f"encode{axes}_f4" for axes in range(4)}
            assert any(name.startswith("unpack_") for name in names)
        assert all(k.launches and k.nbytes for k in r.kernels.values())
    assert [r["field"] for r in json.loads(report.read_text())] == [r.field for r in results]
    assert "GB/s of its arrays" in capsys.readouterr().out


def test_fields_are_of_the_size_asked_for_and_of_their_kind():
    for nbytes in (10_000, 10**6, 2**26):
        assert 0.5 < np.prod(gpu_fields.cube(nbytes)) * 4 / nbytes < 1.5
    made = {n: make(np, (24, 32, 40)) for n, make in gpu_fields.FIELDS.items()}
    assert all(x.dtype == np.float32 and np.isfinite(x).all() for x in made.values())
    assert made["nyx"].min() > 0
    assert made["nyx"].max() / np.median(made["nyx"]) > 30
    assert 0.1 < (made["rtm"] == 0).mean() < 0.9
    assert 150 < made["climate"].min() < made["climate"].max() < 350


def test_a_pipeline_without_kernels_is_refused(device):
    with pytest.raises(ValueError, match="does not run on a device"):
        gpu.main(["--mb", "0.01", "--fields", "nyx", "--pipelines", "shuffle | zstd"], device)
