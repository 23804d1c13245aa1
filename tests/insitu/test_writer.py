"""The writer: what readers see, and that it is what was written."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from engine_cases import stays, wait_until
from numcodecs import Zstd
from writer_cases import BOUND, assert_within, opened, smooth

import fzdask
from fzdask import ConfigError, FZCodec, InSituWriter
from fzdask.insitu import InSituError
from fzdask.scheduling import gantt_html, plot_gantt

LOSSY = {"compressors": FZCodec(abs=BOUND)}


def test_it_is_public() -> None:
    assert fzdask.InSituWriter is InSituWriter


def test_every_step_comes_back_within_its_bound(tmp_path: Path) -> None:
    kept = []
    with InSituWriter(tmp_path / "run.zarr", encoding={"t": LOSSY}) as w:
        for step in range(6):
            with w.iteration(step):
                t = smooth(step)
                with w.idle("device"):
                    pass
            w.write(step, {"t": t, "exact": t[0]}, coords={"time": 0.5 * step})
            kept.append(t.copy())
            t[:] = np.nan  # what was written is a copy
    ds = opened(tmp_path / "run.zarr")
    np.testing.assert_array_equal(ds.step, np.arange(6))
    np.testing.assert_array_equal(ds.coords["time"], 0.5 * np.arange(6))
    for step, t in enumerate(kept):
        assert_within(ds.t.sel(step=step), t)
        np.testing.assert_array_equal(ds.exact[step], t[0])
    assert ds.t.attrs == {}
    stored = zarr.open_array(tmp_path / "run.zarr", path="t", mode="r")
    assert stored.shape == (6, 12, 16, 20)
    assert stored.metadata.codecs[-1] == FZCodec(abs=BOUND)


def test_the_store_opens_at_any_moment_and_shows_whole_steps(tmp_path: Path) -> None:
    path = tmp_path / "run.zarr"
    with InSituWriter(path, {"a": LOSSY, "b": LOSSY}, windows="marked") as w:
        assert dict(opened(path).sizes) == {}
        for step in range(5):
            w.write(step, {"a": smooth(step), "b": smooth(step, (7, 9), "f8")})
            ds = opened(path)
            shown = ds.sizes.get("step", 0)
            assert shown <= step + 1
            for k in range(shown):
                assert_within(ds.a[k], smooth(k))
                assert_within(ds.b[k], smooth(k, (7, 9), "f8"))
        w.flush()
        assert opened(path).sizes["step"] == 5
        assert w.visible_steps == {"step": [0, 1, 2, 3, 4]}


def test_a_step_is_invisible_until_its_last_block_is_stored() -> None:
    store: dict[str, Any] = {}
    with InSituWriter(store, {"t": {"chunks": (4, 16, 20)}}, windows="marked") as w:
        w.write(0, {"t": smooth(0)})
        w.flush()
        # Three blocks, of which one gets through.
        write = w._sink.write

        def hold(items: Any) -> None:
            write(items[:1])
            raise OSError("pulled the plug")

        w._sink.write = hold  # type: ignore[method-assign]
        w.write(1, {"t": smooth(1)})
        with pytest.raises(fzdask.FZError) as caught:
            w._engine.flush()
        assert isinstance(caught.value.__cause__, OSError)
        written = sum("/c/1/" in key for key in store)
        assert written == 1
        assert opened(zarr.storage.MemoryStore(store)).sizes["step"] == 1
        w.close(cancel=True)


def test_other_codecs_are_zarrs_own_business(tmp_path: Path) -> None:
    encoding = {
        "z": {"compressors": zarr.codecs.ZstdCodec(level=1), "chunks": (5, 16, 20)},
        "s": {"compressors": zarr.codecs.BloscCodec(), "shards": (12, 16, 20),
              "chunks": (6, 16, 20)},
        "n": {"compressors": None},
    }  # fmt: skip
    with InSituWriter(tmp_path / "r.zarr", encoding) as w:
        for step in range(2):
            w.write(step, {name: smooth(step) for name in encoding})
    ds = opened(tmp_path / "r.zarr")
    for name in encoding:
        for step in range(2):
            np.testing.assert_array_equal(ds[name][step], smooth(step))


@pytest.mark.parametrize("dtype", ["f8", "c8", "i8", "bool", ">f4", "M8[s]"], ids=str)
def test_any_dtype_comes_back(dtype: str) -> None:
    values = (100 * smooth(1, (9, 11), "f8")).astype("i8").astype(dtype)
    store: dict[str, Any] = {}
    with InSituWriter(store, {"x": {"chunks": (4, 4)}}) as w:
        w.write(0, {"x": values})
    read = zarr.open_array(zarr.storage.MemoryStore(store), path="x", mode="r")[0]
    np.testing.assert_array_equal(np.asarray(read).view(read.dtype), values)


def test_fields_differ_in_shape_dtype_bound_and_cadence(tmp_path: Path) -> None:
    encoding = {
        "fine": {"compressors": FZCodec(abs=1e-3), "dims": ("z", "y", "x")},
        "coarse": {"compressors": FZCodec(abs=1e-1), "dims": ("cz",)},
        "count": {"step_dim": "rare", "dims": ("bin",)},
    }
    counts = np.arange(5, dtype="i4")
    with InSituWriter(tmp_path / "r.zarr", encoding) as w:
        for step in range(0, 60, 10):
            fields: dict[str, Any] = {"fine": smooth(step, (3, 4, 5), "f8")}
            if step % 20 == 0:
                fields["coarse"] = smooth(step, (9,))
            if step % 30 == 0:
                fields["count"] = counts + step
            w.write(step, fields)
    ds = opened(tmp_path / "r.zarr")
    assert dict(ds.sizes) == {"step": 6, "z": 3, "y": 4, "x": 5, "cz": 9, "rare": 2, "bin": 5}
    np.testing.assert_array_equal(ds.step, np.arange(0, 60, 10))
    np.testing.assert_array_equal(ds.rare, [0, 30])
    for step in range(0, 60, 10):
        assert_within(ds.fine.sel(step=step), smooth(step, (3, 4, 5), "f8"), 1e-3)
        if step % 20 == 0:
            assert_within(ds.coarse.sel(step=step), smooth(step, (9,)), 1e-1)
        else:  # left out: shown as missing
            assert np.isnan(ds.coarse.sel(step=step)).all()
    np.testing.assert_array_equal(ds["count"].sel(rare=30), counts + 30)


def test_data_arrays_keep_dimensions_and_coordinates() -> None:
    store: dict[str, Any] = {}
    da = xr.DataArray(
        smooth(0, (3, 4), "f8"), dims=("lat", "lon"), coords={"lat": [10.0, 20.0, 30.0]}
    )
    with InSituWriter(store, coords={"lon": np.arange(4.0)}, attrs={"title": "a run"}) as w:
        for step in range(2):
            da[:] = smooth(step, (3, 4), "f8")
            w.write(
                step,
                {"t": da},
                coords={"time": np.datetime64("2026-01-01") + np.timedelta64(step, "D")},
            )
            da[:] = 0.0  # the DataArray's own memory is copied like any other
    ds = opened(zarr.storage.MemoryStore(store))
    assert ds.t.dims == ("step", "lat", "lon")
    np.testing.assert_array_equal(ds.lat, [10.0, 20.0, 30.0])
    np.testing.assert_array_equal(ds.lon, np.arange(4.0))
    np.testing.assert_array_equal(ds.t[1], smooth(1, (3, 4), "f8"))
    assert ds.coords["time"].values[1].astype("M8[D]").item() == datetime.date(2026, 1, 2)
    assert ds.attrs["title"] == "a run"


def test_zero_dimensional_empty_and_ragged_fields() -> None:
    store: dict[str, Any] = {}
    values = {"scalar": np.float64(2.5), "none": np.zeros((0, 3)), "prime": smooth(0, (13, 7))}
    with InSituWriter(store, {"prime": {"chunks": (5, 5), **LOSSY}}) as w:
        for step in range(2):
            w.write(step, values)
    ds = opened(zarr.storage.MemoryStore(store))
    np.testing.assert_array_equal(ds.scalar, [2.5, 2.5])
    assert ds["none"].shape == (2, 0, 3)
    assert_within(ds.prime[1], values["prime"])


@pytest.mark.parametrize("layout", ["C", "F", "strided", "read-only"])
def test_memory_layouts(layout: str) -> None:
    base = smooth(4, (10, 12, 14))
    x = {"C": base, "F": np.asfortranarray(base), "strided": base[::2, ::-1, 1:],
         "read-only": base.copy()}[layout]  # fmt: skip
    x.flags.writeable = layout != "read-only"
    for copy in (True, False):
        store: dict[str, Any] = {}
        with InSituWriter(store, {"x": {"chunks": (4, 5, 6), **LOSSY}}) as w:
            w.write(0, {"x": x}, copy=copy)
        assert_within(opened(zarr.storage.MemoryStore(store)).x[0], x)


def test_a_relative_bound_is_not_loosened_by_padding() -> None:
    """An edge chunk's range is that of its own values, whatever it is padded with."""
    x = np.linspace(300.0, 301.0, 33, dtype="f8").reshape(11, 3)
    store: dict[str, Any] = {}
    with InSituWriter(store, {"x": {"compressors": FZCodec(rel=1e-2), "chunks": (8, 3)}}) as w:
        w.write(0, {"x": x})
    decoded = opened(zarr.storage.MemoryStore(store)).x[0].values
    for part in (slice(0, 8), slice(8, 11)):
        assert_within(decoded[part], x[part], 1e-2 * (x[part].max() - x[part].min()))


def test_without_encoding_nothing_is_lost() -> None:
    store: dict[str, Any] = {}
    with InSituWriter(store) as w:
        w.write(0, {"x": smooth(0)})
    np.testing.assert_array_equal(opened(zarr.storage.MemoryStore(store)).x[0], smooth(0))


def test_write_waits_while_too_much_is_outstanding() -> None:
    with InSituWriter({}, {"x": LOSSY}, windows="marked", max_outstanding=2) as w:
        for step in range(6):
            w.write(step, {"x": smooth(step)})
            assert w.statistics["outstanding"] <= 2
        found = w.statistics
        assert found["outstanding peak"] == 2
        assert found["back-pressure seconds"] > 0.0


def test_memory_is_used_again() -> None:
    """Steady over many steps: copies live in as many blocks as were outstanding at once."""
    x = smooth(0)
    with InSituWriter({}, {"x": {"chunks": (4, 8, 20), **LOSSY}}, windows="marked") as w:
        for step in range(100):
            with w.iteration(step), w.idle():
                pass
            w.write(step, {"x": x})
        assert w.statistics["pool bytes"] <= 3 * x.nbytes


def test_statistics_and_pictures() -> None:
    with InSituWriter({}, {"x": LOSSY, "y": LOSSY}) as w:
        for step in range(4):
            with w.iteration(step):
                w.core("halo", lambda: None)
                with w.idle("device"):
                    pass
            w.write(step, {"x": smooth(step), "y": smooth(step, (9, 9), "f8")})
        w.flush()
        found, ds = w.statistics, w.to_xarray()
    raw = smooth(0).nbytes + 81 * 8
    assert found["snapshots stored"] == 4
    assert found["raw bytes"] == 4 * raw
    assert found["ratio"] == found["raw bytes"] / found["stored bytes"] > 1.0
    assert found["stored bytes"] == ds.stored_nbytes.sum() == ds.field_stored_nbytes.sum()
    np.testing.assert_array_equal(ds.step, range(4))
    np.testing.assert_array_equal(ds.raw_nbytes, 4 * [raw])
    assert list(ds.field.values) == ["x", "y"]
    for name in ("compress", "write", "copy", "latency"):
        assert (ds[name] >= 0).all()
    names = {(task.machine, task.job) for task in w.tasks}
    assert {("compute", "x/0.0.0"), ("background", "x/0.0.0"), ("background", "core"),
            ("compute", "compute")} <= names  # fmt: skip
    assert "x/0.0.0" in gantt_html(w.tasks)
    assert plot_gantt(w.tasks).get_title(loc="left") == ""


def test_an_error_is_not_told_twice() -> None:
    def run(w: InSituWriter) -> None:
        with w:
            w._sink.write = refuse  # type: ignore[method-assign]
            for step in range(9):
                w.write(step, {"t": smooth(step)})

    def refuse(items: Any) -> None:
        raise OSError("no space left")

    with pytest.raises(InSituError, match="no space left") as caught:
        run(InSituWriter({}, windows="always"))
    assert not getattr(caught.value, "__notes__", [])


def test_an_exception_in_the_simulation_keeps_what_was_written(tmp_path: Path) -> None:
    with (  # noqa: PT012
        pytest.raises(RuntimeError, match="blew up"),
        InSituWriter(tmp_path / "r.zarr", windows="marked") as w,
    ):
        w.write(0, {"x": smooth(0)})
        raise RuntimeError("blew up")
    assert opened(tmp_path / "r.zarr").sizes["step"] == 1


def test_idle_time_is_found_without_marks() -> None:
    """No window is ever marked: the simulation's thread sleeps, and that is seen."""
    with InSituWriter({}, {"x": LOSSY}, windows="auto") as w:
        if not w._engine._state.gate.watch.available:
            pytest.skip("this platform does not tell the processor time of another thread")
        w.write(0, {"x": smooth(0)})
        wait_until(lambda: w.statistics["outstanding"] == 0)
        assert "blocks begun out of windows" not in w.statistics
        with w.idle():  # from the first mark on, marks are what counts
            pass
        w.write(1, {"x": smooth(1)})
        assert stays(lambda: w.statistics["outstanding"] == 1)


def test_idle_priority_needs_no_windows() -> None:
    with InSituWriter({}, {"x": LOSSY}, windows="priority") as w:
        w.write(0, {"x": smooth(0)})
        wait_until(lambda: w.statistics["outstanding"] == 0)
        assert w.statistics["idle priority"] in ("SCHED_IDLE", "nice 19", "")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: InSituWriter({}, max_outstanding=0), "at least 1"),
        (lambda: InSituWriter({}, max_outstanding="2"), "max_outstanding='2' must be a whole"),  # type: ignore[arg-type]
        (lambda: InSituWriter({}, timeout="x"), "timeout='x' must be a number of seconds"),  # type: ignore[arg-type]
        (lambda: InSituWriter({}, timeout=float("nan")), "timeout=nan must be a number"),
        (lambda: InSituWriter({}, buffer="some"), "positive number of bytes"),
        (lambda: InSituWriter({}, mode="r"), "must be 'a'"),
        (lambda: InSituWriter({}, windows="sometimes"), "must be one of"),
        (lambda: InSituWriter(3), "int is no store"),
        (lambda: InSituWriter({}, {"x": FZCodec(abs=1)}), "give a mapping such as"),
        (lambda: InSituWriter({}, FZCodec(abs=1)), "must be a mapping of fields"),  # type: ignore[arg-type]
        (lambda: InSituWriter({}, fsync=True), "needs a local directory"),
        (lambda: InSituWriter({}, rank=2, size=2, run_id="s"), "below size=2"),
        (lambda: InSituWriter({}, size=2), "need run_id="),
        (lambda: InSituWriter({}, {"x": {"compressor": None}}), "did you mean 'compressors'"),
        (lambda: InSituWriter({}, {"x": {"compressors": Zstd()}}), "zarr.codecs, such as ZstdC"),
        (lambda: InSituWriter({}, {"x": {"filters": [Zstd()]}}), "filters=Zstd.*a codec of numco"),
        (lambda: InSituWriter({}, {"a/b": {}}), "cannot name a field"),
        (lambda: InSituWriter({}, {"x": {"shape": 64}}), "shape=64 of 'x' must be whole numbers"),
        (lambda: InSituWriter({}, {"x": {"attrs": "K"}}), "attrs='K' of 'x' must be a mapping"),
        (lambda: InSituWriter({}, attrs={"a": np.ones(1)}), "of 'the dataset'.*tolist"),
    ],
)
def test_bad_settings_name_the_remedy(call: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        call()


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ({"chunks": (2, 4, 4, 4)}, "span 2 steps"),
        ({"chunks": (4, 4)}, "must have 3 positive sizes"),
        ({"chunks": "auto"}, "must be whole numbers"),
        ({"shards": (12, 16.5, 20)}, "must be whole numbers"),
        ({"chunks": 4}, "must be whole numbers"),
        ({"dims": ("a", "b")}, "must name its 3 axes"),
        ({"start": (3, 0, 0), "shape": (24, 16, 20), "chunks": (4, 16, 20)}, "cuts through"),
        ({"start": (20, 0, 0), "shape": (24, 16, 20)}, "does not lie in"),
        ({"compressors": "zip"}, "Zarr cannot make an array"),
    ],
)
def test_bad_encodings_name_the_remedy(encoding: dict[str, Any], words: str) -> None:
    with InSituWriter({}, {"x": encoding}) as w, pytest.raises(ConfigError, match=words):
        w.write(0, {"x": smooth(0)})


def test_bad_writes_name_the_remedy() -> None:
    with InSituWriter({}) as w:
        w.write(1, {"x": smooth(0), "n": np.arange(3)}, coords={"time": 0.0})
        cases: list[tuple[Any, Any, Any, str]] = [
            (1, {"x": smooth(0), "n": np.arange(3)}, {"time": 1.0}, "steps increase"),
            (2, {"x": smooth(0, (3, 3)), "n": np.arange(3)}, {"time": 1.0}, "has shape"),
            (2, {"x": smooth(0, dtype="f8"), "n": np.arange(3)}, {"time": 1.0}, "has shape"),
            (2, {"x": smooth(0)}, {"time": 1.0}, "leaves out 'n'"),
            (2, {"x": smooth(0), "n": np.arange(3)}, {}, "give the same ones"),
            (2, {"x": smooth(0), "n": np.arange(3)}, {"time": "noon"}, "one number"),
            (2, {"m": np.arange(3)}, {"time": 1.0}, "is new after 1 steps"),
            (2, {"x": np.ma.masked_array(smooth(0))}, {"time": 1.0}, "masked"),
            (2, {"o": np.array([None])}, {"time": 1.0}, "Python objects"),
            (2, {"a/b": smooth(0)}, {"time": 1.0}, "cannot name a field"),
            (2, {}, {"time": 1.0}, "has no fields"),
            (2, {"x": smooth(0), "n": np.arange(3)}, 1.0, "must be a mapping, such as"),
            (2, [smooth(0)], {"time": 1.0}, "give a mapping of names"),
            (2.5, {"x": smooth(0)}, {"time": 1.0}, "must be a whole number"),
            ("2", {"x": smooth(0)}, {"time": 1.0}, "must be a whole number"),
        ]
        for step, fields, coords, words in cases:
            with pytest.raises(ConfigError, match=words):
                w.write(step, fields, coords=coords)
        w.write(2, {"x": smooth(0), "n": np.arange(3)}, coords={"time": 1.0})  # still usable
    with pytest.raises(ConfigError, match="writer is closed"):
        w.write(3, {"x": smooth(0)})


def test_axes_in_another_order_are_refused() -> None:
    """Of equal lengths, they would be stored under each other's names."""
    t = smooth(0, (6, 6))
    swapped = xr.DataArray(t, dims=("x", "y"))
    with InSituWriter({}, {"named": {"dims": ("y", "x")}}) as w:
        with pytest.raises(ConfigError, match=r"named.transpose\('y', 'x'\)"):
            w.write(0, {"named": swapped})
        w.write(0, {"t": swapped})
        with pytest.raises(ConfigError, match=r"t.transpose\('x', 'y'\)"):
            w.write(1, {"t": swapped.T})
        w.write(1, {"t": swapped})


def test_a_misspelt_name_does_not_go_unnoticed() -> None:
    with InSituWriter({}, {"density": LOSSY, "slow": LOSSY}) as w:
        with pytest.warns(UserWarning, match="'densty' has no encoding .* has 'density'"):
            w.write(0, {"densty": smooth(0), "mask": smooth(1)})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            w.write(1, {"densty": smooth(0), "density": smooth(1), "slow": smooth(2)})


def test_one_dimension_of_two_lengths_is_refused_before_anything_is_written() -> None:
    """xarray could not open the store: the second field is named, and the first is not written."""
    store: dict[str, Any] = {}
    encoding = {
        "a": {"dims": ("y", "x")},
        "b": {"dims": ("y", "z")},
        "c": {"dims": ("y", "y")},
        "d": {"dims": ("w", "step")},
        "e": {"dims": ("v", "u"), "step_dim": "u"},
    }
    a, b = np.zeros((4, 8)), np.zeros((5, 8))
    with InSituWriter(store, encoding, coords={"z": np.arange(8.0)}) as w:
        with pytest.raises(ConfigError, match="'y' has length 5 in 'b' and 4 in 'a'"):
            w.write(0, {"a": a, "b": b})
        with pytest.raises(ConfigError, match="'z' has length 7 in 'b' and 8 in 'z'"):
            w.write(0, {"a": a, "b": b[:4, :7]})
        for name in ("c", "d", "e"):
            with pytest.raises(ConfigError, match="stands for two"):
                w.write(0, {name: np.zeros((4, 4))})
        assert not any("/c/" in key and not key.startswith("z/") for key in store)
        w.write(0, {"a": a, "b": np.zeros((4, 8))})
    assert dict(opened(zarr.storage.MemoryStore(store)).sizes) == {
        "step": 1,
        "y": 4,
        "x": 8,
        "z": 8,
    }


def test_device_arrays_come_through_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for CuPy: one copy, into memory that it allocates, and no other."""
    import sys
    import types

    pinned: list[Any] = []

    class DeviceArray:
        __cuda_array_interface__: dict[str, Any] = {}  # noqa: RUF012

        def __init__(self, values: Any) -> None:
            self.values, self.shape, self.dtype = values, values.shape, values.dtype
            self.ndim = values.ndim

        def get(self, out: Any) -> None:
            out[...] = self.values

    def empty_pinned(shape: Any, dtype: Any) -> Any:
        pinned.append(np.empty(shape, dtype))
        return pinned[-1]

    cupy, cupyx = types.ModuleType("cupy"), types.ModuleType("cupyx")
    cupy.asarray = lambda array: array  # type: ignore[attr-defined]
    cupyx.empty_pinned = empty_pinned  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    store: dict[str, Any] = {}
    device = DeviceArray(smooth(0))
    with InSituWriter(store, {"x": LOSSY}, windows="marked") as w:
        for step in range(2):
            device.values = smooth(step)
            w.write(step, {"x": device})
            device.values = None  # overwritten on the device; the snapshot is its own
        assert w.statistics["pool bytes"] == 0
    assert len(pinned) == 2
    ds = opened(zarr.storage.MemoryStore(store))
    for step in range(2):
        assert_within(ds.x[step], smooth(step))


@pytest.mark.slow
def test_memory_is_steady_over_a_thousand_steps(tmp_path: Path) -> None:
    import tracemalloc

    x = smooth(0, (16, 32, 32))
    with InSituWriter(tmp_path / "r.zarr", {"x": {"chunks": (4, 32, 32), **LOSSY}}) as w:
        held = {}
        for step in range(1000):
            if step == 100:
                tracemalloc.start()
            with w.iteration(step), w.idle():
                pass
            w.write(step, {"x": x}, coords={"time": float(step)})
            if step in (300, 999):
                w.flush()
                held[step] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert w.statistics["pool bytes"] <= 3 * x.nbytes
    # What grows are the records until they are full, and eight bytes a coordinate.
    assert held[999] - held[300] <= 8 << 20
    assert opened(tmp_path / "r.zarr").sizes["step"] == 1000
