"""Every benchmark runs, at tiny size, and the tools that measure figures measure what they say."""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import json
import math
import subprocess
import sys
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks import (  # noqa: E402
    bench_codec,
    footprint,
    peer_codecs,
    peer_fields,
    peer_report,
    peer_run,
    peer_summary,
    peers,
    zarr_share,
)

HAS_HDF5 = all(importlib.util.find_spec(name) for name in ("h5py", "hdf5plugin"))
needs_hdf5 = pytest.mark.skipif(
    not HAS_HDF5, reason="SZ3, SZ, ZFP and SPERR come from hdf5plugin: pip install 'fzdask[peers]'"
)

# --- the asv suite --------------------------------------------------------------------------

PREFIXES = ("time_", "timeraw_", "track_", "peakmem_")


def asv_benchmarks():
    for name, cls in inspect.getmembers(bench_codec, inspect.isclass):
        if cls.__module__ == bench_codec.__name__:
            for method in dir(cls):
                if method.startswith(PREFIXES):
                    yield pytest.param(cls, method, id=f"{name}.{method}")


@pytest.mark.parametrize(("cls", "method"), list(asv_benchmarks()))
def test_each_asv_benchmark_runs(cls, method, monkeypatch):
    monkeypatch.setattr(bench_codec, "VALUES", 1000)
    for chosen in itertools.product(*getattr(cls, "params", ())):
        benchmark = cls()
        if hasattr(benchmark, "setup"):
            benchmark.setup(*chosen)
        try:
            result = getattr(benchmark, method)(*chosen)
        finally:
            if hasattr(benchmark, "teardown"):
                benchmark.teardown(*chosen)
        if method == "track_max_error_over_bound":
            assert 0 < result <= 1
        elif method == "track_exact_changed":
            assert result == 0
        elif method.startswith("track_"):
            assert result > 0
        elif method.startswith("timeraw_"):
            exec(compile(result, method, "exec"), {})


def test_asv_configuration_points_at_the_suite():
    config = json.loads((ROOT / "asv.conf.json").read_text())
    assert config["project"] == "fzdask"
    assert (ROOT / config["benchmark_dir"] / "bench_codec.py").exists()


# --- peers: the command ---------------------------------------------------------------------


@needs_hdf5
def test_peers_measures_every_codec(tmp_path, capsys):
    out = tmp_path / "peers.json"
    arguments = ["--generated", "--values", "3000", "--bounds", "1e-2", "1e-3", "--repeat", "2"]
    code = peers.main([*arguments, "--no-pin", "--per-field", "--json", str(out)])
    assert code == 0
    found = json.loads(out.read_text())
    rows = found["measurements"]
    codecs = {"fzdask:default", *peer_codecs.PEERS}
    assert {r["codec"] for r in rows} == codecs
    assert {r["rel"] for r in rows} == {1e-2, 1e-3}
    assert len(rows) == len(codecs) * 2 * len({r["field"] for r in rows})
    for row in rows:
        if row["failed"] is not None:
            assert (row["codec"], row["field"]) == ("sperr", "particles")
            continue
        assert row["ratio"] == row["nbytes"] / row["compressed"]
        assert row["compress"] > 0
        assert row["decompress"] > 0
        assert row["repetitions"] == 2
        if not row["lossy"]:
            assert row["violations"] == row["exact_changed"] == 0
        if row["codec"].startswith("fzdask"):
            assert row["max_error_over_bound"] <= 1
            assert row["violations"] == row["exact_changed"] == 0
    bounds = {(r["field"], r["rel"]): set() for r in rows}
    for row in rows:
        bounds[row["field"], row["rel"]].add(row["bound"])
    assert all(len(same) == 1 for same in bounds.values())
    text = capsys.readouterr().out
    for word in (
        "fzdask:default",
        "sperr",
        "figures to reach",
        "worst ratio",
        "GB/s",
        "ratio by field",
    ):
        assert word in text


def test_peers_reads_a_folder(tmp_path, capsys):
    folder = tmp_path / "fields" / "below"
    folder.mkdir(parents=True)
    ramp = np.linspace(0, 1, 3000, dtype=np.float64).reshape(30, 100)
    np.save(folder / "ramp.npy", ramp)
    np.save(folder / "counts.npy", np.arange(6000, dtype=np.int16))
    np.save(folder / "small.npy", ramp[:2])
    np.save(folder / "constant.npy", np.ones(5000))
    out = tmp_path / "out.json"
    arguments = ["--fields", str(tmp_path / "fields"), "--min-mb", "0.01", "--no-pin"]
    arguments += ["--peers", "zstd", "memcpy", "--repeat", "1", "--json", str(out)]
    arguments += ["--clock", "cpu"]
    assert peers.main(arguments) == 0
    rows = json.loads(out.read_text())["measurements"]
    assert {r["field"] for r in rows} == {"ramp"}
    assert {r["rel"] for r in rows} == set(peers.DEFAULT_BOUNDS)
    assert peers.main([*arguments, "--kinds", "int"]) == 0
    assert {r["field"] for r in json.loads(out.read_text())["measurements"]} == {"counts"}
    assert peers.main(["--fields", str(tmp_path / "none"), "--no-pin"]) == 2
    assert "--min-mb" in capsys.readouterr().out


def test_an_unknown_peer_is_refused(capsys):
    assert peers.main(["--generated", "--values", "10", "--no-pin", "--peers", "sz9"]) == 2
    assert "sz3" in capsys.readouterr().out


# --- peers: what is measured ----------------------------------------------------------------


def fake_codec(name, change=lambda a: a, log=None, encode_error=None):
    class FakeSession:
        def __init__(self, array):
            self.array = array

        def encode(self):
            if log is not None:
                log.append(name)
            if encode_error is not None:
                raise encode_error
            return self.array.nbytes // 4

        def decode(self):
            return change(self.array.copy())

    @contextmanager
    def opened(array, bound):
        yield FakeSession(array)

    return peer_codecs.Codec(name, True, opened)


def one_field(name="ramp", n=100):
    return peer_fields.prepare(name, np.linspace(0, 1, n).astype(np.float32))


def push_last(amount):
    def change(array):
        array[-1] += amount
        return array

    return change


def test_a_broken_bound_is_counted_without_tolerance():
    # float32 rounding puts this error 1e-8 of the bound above it: a tolerance would hide it.
    field = one_field()
    bound = 1e-2 * field.value_range
    barely = next(
        e
        for e in np.nextafter(np.float32(bound), np.float32(1)) + np.arange(9) * np.float32(6e-8)
        if Fraction(float(np.float32(field.array[-1] + e))) - Fraction(float(field.array[-1]))
        > Fraction(bound)
    )
    codecs = [fake_codec("fzdask:default", push_last(barely)), fake_codec("sz")]
    broken, kept = peer_run.measure_all([field], codecs, [1e-2], repeat=1)
    assert broken.violations == 1
    assert 1 < broken.max_error_over_bound < 1.001
    assert kept.violations == 0
    assert peer_summary.broken_promises([broken, kept]) == 1
    check = peer_summary.check_targets([broken, kept])[-1]
    assert check.reached is False


def test_rounds_are_interleaved_and_rotated():
    log = []
    codecs = [fake_codec(n, log=log) for n in "abc"]
    peer_run.measure_all([one_field()], codecs, [1e-3], repeat=3)
    warm_up, rounds = log[:3], log[3:]
    assert warm_up == ["a", "b", "c"]
    # Each twice: the first time on a corner, not timed.
    assert rounds[::2] == rounds[1::2] == ["a", "b", "c", "b", "c", "a", "c", "a", "b"]


def test_slow_codecs_get_fewer_rounds(monkeypatch):
    row = peer_run.Measurement("f", (1,), "float32", 4, 1e-3, 1e-3, "slow", True)
    assert peer_run._rounds(row, 9) == 9
    row.compress_seconds, row.decompress_seconds = [0.15], [0.1]
    assert peer_run._rounds(row, 9) == 4
    row.compress_seconds = [30.0]
    assert peer_run._rounds(row, 9) == 2
    assert peer_run._rounds(row, 1) == 1
    with pytest.raises(ValueError, match="repeat"):
        peer_run.measure_all([], [], [], repeat=0)


def test_a_failure_is_recorded_and_fails_fzdask_only():
    codecs = [
        fake_codec("fzdask:default"),
        fake_codec("sz3", encode_error=peer_codecs.Unsupported("too thin")),
        fake_codec("zfp", encode_error=RuntimeError("boom")),
    ]
    rows = peer_run.measure_all([one_field()], codecs, [1e-3], repeat=2)
    assert [r.failed for r in rows] == [None, "too thin", "RuntimeError: boom"]
    assert peer_summary.broken_promises(rows) == 0
    lines = {s.codec: s for s in peer_summary.summaries(rows)}
    assert (lines["zfp"].fields, lines["zfp"].failed) == (0, 1)
    assert math.isnan(lines["zfp"].ratio)
    rows[0].failed = "RuntimeError: boom"
    assert peer_summary.broken_promises(rows) == 1


def row_of(codec, field, ratio, compress, rel=1e-3):
    row = peer_run.Measurement(field, (1,), "float32", 4, rel, 1e-3, codec, True)
    row.ratio, row.compress, row.decompress = ratio, compress, compress
    row.psnr, row.max_error_over_bound, row.violations, row.exact_changed = 60.0, 1.0, 0, 0
    return row


def test_contests_and_figures_to_reach():
    rows = [
        row_of("fzdask:default", "a", 10.0, 2.0),
        row_of("fzdask:default", "b", 40.0, 0.5),
        row_of("fzdask:default", "only fzdask", 1.0, 9.0),
        row_of("sz3", "a", 10.0, 0.1),
        row_of("sz3", "b", 10.0, 0.1),
        row_of("sz", "a", 12.5, 0.1),
        row_of("sz", "b", 20.0, 0.1),
    ]
    won = {c.peer: c for c in peer_summary.contests(rows)}
    assert won["sz3"].fields == 2
    assert won["sz3"].ratio == pytest.approx(2.0)
    assert won["sz3"].compress == pytest.approx(10.0)
    assert (won["sz"].worst, won["sz"].worst_field) == (0.8, "a")
    assert won["sz"].smaller == 0.5
    rows += [
        row_of("fzdask:default", "a", 10.0, 10.0, rel=1e-2),
        row_of("sz3", "a", 10.0, 0.1, rel=1e-2),
    ]
    checks = {c.figure: c for c in peer_summary.check_targets(rows)}
    both = checks["default: compress speed over sz3"]
    assert both.measured == pytest.approx(math.sqrt(10 * 100))
    assert (both.least, both.least_at) == (pytest.approx(10), 1e-3)
    assert both.reached is True
    assert checks["default: ratio over sz"].reached is True
    assert checks["speed: share of fields smaller over zfp"].reached is None
    assert checks["violations of fzdask, all fields and bounds"].reached is True
    elsewhere = peer_summary.check_targets([row_of("fzdask:default", "a", 1, 1, rel=1e-2)])
    assert all(c.reached is None for c in elsewhere[:-1])


def test_json_is_strict(tmp_path):
    rows = [row_of("zstd", "a", 2.0, 1.0)]
    rows[0].psnr = math.inf
    path = tmp_path / "new" / "out.json"
    peer_report.write_json(path, peer_report.to_json(rows, peer_report.environment()))
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert found["measurements"][0]["psnr"] is None
    assert found["environment"]["packages"]["numpy"] == np.__version__


# --- peers: fields and adapters -------------------------------------------------------------


def test_fields_are_prepared_alike_for_all():
    a = np.array([[1.0, 2.0, np.nan], [4.0, 1e30, -np.inf]], dtype=">f4")
    field = peer_fields.prepare("masked", np.asfortranarray(a))
    mean = np.float32(7 / 3)
    assert field.array.tolist() == [[1.0, 2.0, mean], [4.0, mean, mean]]
    assert field.value_range == 3.0
    assert field.array.flags.c_contiguous
    assert field.array.dtype == np.dtype("=f4")
    assert field.notes == ("3 masked values replaced by the mean",)
    table = np.arange(30.0).reshape(10, 3)
    assert peer_fields.prepare("particles", table).array.tolist() == table.T.ravel().tolist()
    assert peer_fields.prepare("counts", np.arange(4, dtype=np.int16)).value_range == 3.0
    names = {f.name for f in peer_fields.generated_fields(500)}
    assert {"turbulence", "turbulence_f64", "particles"} <= names


@pytest.mark.parametrize(
    ("shape", "folded"),
    [((2, 3, 4, 5), (6, 4, 5)), ((1, 7, 1), (7,)), ((2, 3, 2, 3, 4), (12, 3, 4)), ((1, 1), (1,))],
)
def test_folding_keeps_the_values_in_order(shape, folded):
    a = np.arange(math.prod(shape)).reshape(shape)
    assert peer_codecs._fold(a).shape == folded
    assert np.array_equal(peer_codecs._fold(a).ravel(), a.ravel())


@pytest.mark.parametrize("name", peer_codecs.PEERS)
def test_each_peer_gives_the_array_back(name):
    try:
        codec = peer_codecs.peer_codec(name)
    except peer_codecs.Unsupported as reason:
        pytest.skip(str(reason))
    a = peer_fields.generated_fields(4000)[0].array.reshape(1, 1, *([16] * 3))
    bound = 1e-3 * float(a.max() - a.min())
    with codec.open(a, bound) as session:
        size = session.encode()
        decoded = session.decode()
    assert decoded.shape == a.shape
    assert decoded.dtype == a.dtype
    assert 0 < size <= 1.1 * a.nbytes
    error = np.abs(decoded.astype(np.float64) - a).max()
    # Peers may miss their bound by rounding; that is what peers.py is there to count.
    assert error <= (1.01 * bound if codec.lossy else 0)
    assert (error > 0) == codec.lossy  # a read served from a cache would be exact


def test_missing_peers_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(peer_codecs.Unsupported, match=r"fzdask\[peers\]"):
        peer_codecs.peer_codec("sz3")


def test_pinning_leaves_one_cpu():
    code = (
        "import os; from benchmarks.one_core import pin_to_one_core; cpu = pin_to_one_core();"
        "cpus = os.sched_getaffinity(0) if hasattr(os, 'sched_getaffinity') else {cpu};"
        "assert cpus == {cpu} and os.environ['OMP_NUM_THREADS'] == '1'"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# --- footprint ------------------------------------------------------------------------------


def test_covered_counts_concurrent_time_once():
    assert zarr_share.covered([]) == 0
    assert zarr_share.covered([(0, 2), (1, 3), (5, 6), (5.5, 5.75)]) == 4


def test_shares_of_a_write():
    workers = [
        {"encode": [(1.0, 3.0)], "store": [(3.0, 4.0)]},
        {"encode": [(1.0, 2.0)], "store": []},
    ]
    found = zarr_share.shares((0.0, 5.0), workers, [(0.5, 4.5), (1.0, 2.0)], 100, 10)
    assert (found.wall, found.encode, found.store, found.tasks) == (5.0, 3.0, 1.0, 5.0)
    assert (found.before_first_task, found.after_last_task) == (0.5, 0.5)
    assert found.outside_of_worker_time == pytest.approx(1 - 4 / 10)
    assert found.outside_of_elapsed_time == pytest.approx(1 - 3 / 5)
    assert found.outside_of_task_time == pytest.approx(1 - 4 / 5)
    assert found.busiest_worker == 0.5


def test_import_is_timed_in_a_fresh_process():
    assert 0 < footprint.import_time(repeat=1)["import_fzdask"] < 60


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc"
)
def test_peak_memory_is_that_of_one_call():
    found = footprint.peak_memory(side=96)
    assert found["chunk"] == 4 * 96**3
    assert found["encode_extra"] > 0
    assert 1 < found["encode"] < 50
    assert found["decode"] > 0.5


def test_footprint_checks_say_what_was_not_measured():
    nothing = {"import": {}, "first_calls": {}, "memory": {}, "to_zarr": {}}
    assert all(c.reached is None for c in footprint.checks(nothing))
    some = nothing | {
        "import": {"import_fzdask": 0.5},
        "to_zarr": {"plain": {"outside_of_worker_time": 0.125}},
    }
    verdicts = {c.figure: (c.measured, c.reached) for c in footprint.checks(some)}
    assert verdicts["import fzdask"] == (0.5, False)
    assert verdicts["to_zarr outside encode and store, of worker time"] == (12.5, True)


def test_a_failing_probe_shows_its_error():
    with pytest.raises(RuntimeError, match="No such file"):
        footprint.probe("memory", "no-such-file.npy")


@pytest.mark.slow
def test_footprint_command(tmp_path):
    out = tmp_path / "footprint.json"
    assert footprint.main(["--repeat", "1", "--blocks", "2", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    calls = found["first_calls"]
    assert calls["cold"]["first_encode"] > 0
    assert calls["warm"]["from_start_to_first_stream"] > 0
    for way in ("plain", "write_empty_chunks"):
        share = found["to_zarr"][way]
        assert share["nbytes"] == 2 * 4 * math.prod(zarr_share.BLOCK)
        assert 0 < share["encode"] <= share["tasks"]
        assert share["store"] > 0
        assert 0 < share["outside_of_worker_time"] < 1
