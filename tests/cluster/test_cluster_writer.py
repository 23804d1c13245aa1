"""ClusterWriter: whole steps, bounds, resuming, failures, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from cluster_cases import RULES, addresses, eventually, plugin_of
from zarr.storage import LocalStore, WrapperStore

from fzdask import FZCodec, InSituWriter
from fzdask.cluster import ClusterWriter, writer_for_client
from fzdask.cluster.grid import chunks_of, default_block
from fzdask.errors import ConfigError
from fzdask.insitu import InSituError, RateLimitedStore

BOUND = 1e-3
ENCODING = {"t": {"compressors": FZCodec(abs=BOUND), "dims": ("y", "x")}}


def field(step: int, chunks: Any = (16, 32)) -> da.Array:
    y, x = np.mgrid[0:40, 0:32]
    values = np.sin(0.1 * x + step) * np.cos(0.2 * y)
    return da.from_array(values.astype("f4"), chunks=chunks)


def check(folder: Path, steps: int) -> None:
    found = xr.open_zarr(folder)
    assert list(found.step.values) == list(range(steps))
    for step in range(steps):
        error = np.abs(found.t[step].values.astype("f8") - field(step).compute().astype("f8"))
        assert error.max() <= BOUND


def test_steps_are_stored_within_their_bound(client: Any, tmp_path: Path) -> None:
    target = tmp_path / "run.zarr"
    with ClusterWriter(client, target, ENCODING, coords={"x": np.arange(32.0)}) as w:
        for step in range(4):
            w.write(step, {"t": field(step)}, coords={"time": 0.5 * step})
        w.flush()
        assert w.visible_steps == {"step": [0, 1, 2, 3]}
        found = w.statistics
        assert found["raw bytes"] == 4 * 48 * 32 * 4  # whole blocks: the last chunk is padded
        assert found["ratio"] > 1.0
        assert list(w.to_xarray().step.values) == [0, 1, 2, 3]
    check(target, 4)
    assert xr.open_zarr(target).time[3] == 1.5


def test_fields_of_different_cadence_shape_and_dtype(client: Any, tmp_path: Path) -> None:
    encoding = {**ENCODING, "mean": {"step_dim": "rare", "dims": ("band",)}}
    counts = da.arange(10, chunks=5)
    with ClusterWriter(client, tmp_path / "r", encoding) as w:
        for step in range(3):
            fields = {"t": field(step)}
            if step % 2 == 0:
                fields["mean"] = counts + step
            w.write(step, fields)
    check(tmp_path / "r", 3)
    found = xr.open_zarr(tmp_path / "r")
    assert found["mean"].dtype == counts.dtype
    assert list(found.rare.values) == [0, 2]
    assert (found["mean"][1].values == np.arange(10) + 2).all()


def test_chunks_may_move_but_not_cut_through_blocks(client: Any, tmp_path: Path) -> None:
    encoding = {"t": {**ENCODING["t"], "chunks": (8, 32)}}
    with ClusterWriter(client, tmp_path / "r", encoding) as w:
        w.write(0, {"t": field(0)})
        w.write(1, {"t": field(1, chunks=(24, 32))})
        with pytest.raises(ConfigError, match="cut through blocks of 8"):
            w.write(2, {"t": field(2, chunks=(12, 32))})
        with pytest.raises(ConfigError, match="has shape"):
            w.write(2, {"t": field(2)[:8]})
        w.write(2, {"t": field(2)})
    check(tmp_path / "r", 3)


def test_a_run_is_continued(client: Any, tmp_path: Path) -> None:
    with ClusterWriter(client, tmp_path / "r", ENCODING) as w:
        w.write(0, {"t": field(0)})
        w.write(1, {"t": field(1)})
    stale = tmp_path / "r" / "t" / "c" / "2" / "0" / "0"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"what a killed run left behind")
    with ClusterWriter(client, tmp_path / "r", ENCODING) as w:
        assert w.resumed_at == 1
        assert not stale.exists()
        for step in range(4):
            w.write(step, {"t": field(step)})
        w.flush()
        assert w.statistics["steps skipped"] == 2
    check(tmp_path / "r", 4)


class FullStore(WrapperStore[Any]):
    """Has no space left from the chunks of the second step on."""

    async def set(self, key: str, value: Any) -> None:
        if key.startswith("t/c/1/"):
            raise OSError(28, "No space left on device")
        await self._store.set(key, value)

    def __reduce__(self) -> Any:
        return FullStore, (self._store,)


def test_a_step_that_fails_is_reported_and_nothing_after_it_is_visible(
    client: Any, tmp_path: Path
) -> None:
    w = ClusterWriter(client, FullStore(LocalStore(tmp_path / "r")), ENCODING, retries=1)
    w.write(0, {"t": field(0)})
    w.write(1, {"t": field(1)})
    with pytest.raises(InSituError, match="step 1 failed") as caught:
        w.flush()
    assert "No space left" in str(caught.value.__cause__)
    with pytest.raises(InSituError, match="step 1 failed"):
        w.write(2, {"t": field(2)})
    with pytest.raises(InSituError, match="step 1 failed"):
        w.close()
    check(tmp_path / "r", 1)
    eventually(lambda: not any(plugin_of(client, a).engine.outstanding for a in addresses(client)))


def test_an_error_within_the_block_is_kept(client: Any, tmp_path: Path) -> None:
    def run(w: ClusterWriter) -> None:
        with w:
            w.write(0, {"t": field(0)})
            raise ZeroDivisionError

    w = ClusterWriter(client, tmp_path / "r", ENCODING)
    with pytest.raises(ZeroDivisionError):
        run(w)
    check(tmp_path / "r", 1)
    with pytest.raises(ConfigError, match="closed"):
        w.write(1, {"t": field(1)})


class Unpicklable(WrapperStore[Any]):
    def __reduce__(self) -> Any:
        raise TypeError("holds a lock")


def test_what_is_refused(client: Any, tmp_path: Path) -> None:
    for in_this_process in ({}, RateLimitedStore({}, 1e6)):
        with pytest.raises(ConfigError, match="copy of its own"):
            ClusterWriter(client, in_this_process)
    with pytest.raises(ConfigError, match="cannot be pickled"):
        ClusterWriter(client, Unpicklable(LocalStore(tmp_path / "local")))
    with pytest.raises(ConfigError, match="max_outstanding"):
        ClusterWriter(client, tmp_path / "r", max_outstanding=0)
    with ClusterWriter(client, tmp_path / "r", ENCODING) as w:
        with pytest.raises(ConfigError, match="on the workers"):
            w.write(0, {"t": np.zeros((4, 4))})
        w.write(0, {"t": field(0)})
        with pytest.raises(ConfigError, match="comes after step 0"):
            w.write(0, {"t": field(0)})
        with pytest.raises(ConfigError, match=r"ClusterWriter.*must be a whole number"):
            w.write(0.5, {"t": field(1)})  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"ClusterWriter.*Python objects"):
            w.write(1, {"o": da.zeros(4, chunks=4, dtype=object)})
        unknown = da.arange(4)
        with pytest.raises(ConfigError, match="compute_chunk_sizes"):
            w.write(1, {"n": unknown[unknown > 1]})
        axes = xr.DataArray(da.zeros((4, 4)), dims=("a", "b"))
        w.write(1, {"t": field(1), "ab": axes})
        with pytest.raises(ConfigError, match=r"ClusterWriter.*ab.transpose"):
            w.write(2, {"t": field(2), "ab": axes.T})
    parts = {"t": {**ENCODING["t"], "start": (0, 0)}}
    w = ClusterWriter(client, tmp_path / "s", parts)
    with pytest.raises(ConfigError, match="which is for processes"):
        w.write(0, {"t": field(0)})
    w.write(0, {"u": da.zeros((4, 4), chunks=2)})
    with pytest.raises(ConfigError, match="length 5 in 'v' and 4 in 'u'"):
        w.write(1, {"v": xr.DataArray(da.zeros(5), dims=("u_dim_0",))})
    w.close()


def test_arguments_of_the_in_situ_writer(client: Any, tmp_path: Path) -> None:
    with InSituWriter(tmp_path / "r", ENCODING, client=client, mode="w") as w:
        assert isinstance(w, ClusterWriter)
        for step in range(2):
            with w.iteration(step), w.idle("solve"):
                pass
            w.write(step, {"t": field(step)})
    check(tmp_path / "r", 2)
    with pytest.raises(ConfigError, match="comm= means nothing with client="):
        writer_for_client(client, tmp_path / "r", comm=object())
    with pytest.raises(ConfigError, match="other settings"):
        writer_for_client(client, tmp_path / "r", windows="always")
    with pytest.raises(ConfigError, match="other settings"):
        writer_for_client(client, tmp_path / "r", buffer="1MiB")
    with pytest.raises(ConfigError, match="not both"):
        writer_for_client(client, tmp_path / "r", windows="always", rules=RULES)


def test_default_blocks_divide_chunks() -> None:
    assert default_block([(512, 512, 100)], 8) == (512,)
    shape = default_block([(300, 300), (1000,), (1000,)], 4)
    assert 300 % shape[0] == 1000 % shape[1] == 1000 % shape[2] == 0
    prime = default_block([(997,), (1009,), (1013,)], 4)
    assert all(n % b == 0 for n, b in zip((997, 1009, 1013), prime, strict=True))
    found = list(chunks_of("t", da.zeros((5, 4), chunks=(2, 4))))
    assert [c.start for c in found] == [(0, 0), (2, 0), (4, 0)]
