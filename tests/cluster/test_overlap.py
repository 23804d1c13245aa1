"""`fzdask.overlap`: the same bytes as without, compression and storing at once, fallbacks."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from cluster_cases import GATES, PATIENCE, eventually, gate
from distributed import Lock
from zarr.storage import LocalStore, WrapperStore

import fzdask
from fzdask import FZCodec
from fzdask.cluster.overlapping import OverlapWarning
from fzdask.cluster.task_order import TaskOrder, compress_name, label_of
from fzdask.errors import ConfigError
from fzdask.scheduling import FZSchedulerPlugin

BOUND = 1e-3


def waves(shape: tuple[int, ...] = (24, 16, 16), chunks: Any = (8, 16, 16)) -> da.Array:
    return da.random.default_rng(0).random(shape, chunks=chunks).astype("f4")


def dataset() -> xr.Dataset:
    x = waves()
    return xr.Dataset({"a": (("z", "y", "x"), x), "b": (("z", "y", "x"), 2 * x + 1)})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def both(client: Any, folder: Path, write: Callable[[Path], Any]) -> None:
    """Write twice, with and without overlap; the stores are equal, and tasks were split."""
    write(folder / "plain")
    split = []
    from fzdask.cluster import overlapping as module

    original = module._all_notes
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error", OverlapWarning)
        patch.setattr(module, "_all_notes", lambda *a: split.append(original(*a)) or split[-1])
        with fzdask.overlap(client):
            write(folder / "overlapped")
    assert contents(folder / "plain") == contents(folder / "overlapped")
    assert split[0].split > 0


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_same_bytes(client: Any, tmp_path: Path, zarr_format: Any) -> None:
    codec = FZCodec(abs=BOUND)
    encoding = {v: {"compressors": codec} for v in ("a", "b")}
    both(
        client,
        tmp_path,
        lambda to: dataset().to_zarr(
            to, encoding=encoding, zarr_format=zarr_format, consolidated=False
        ),
    )
    found = xr.open_zarr(tmp_path / "overlapped", consolidated=False)
    error = np.abs(found.b.values.astype("f8") - dataset().b.values.astype("f8"))
    assert error.max() <= BOUND


def test_shards_and_chunks_that_are_all_fill_value(client: Any, tmp_path: Path) -> None:
    x = da.where(da.arange(24, chunks=8)[:, None, None] < 8, 0.0, waves())
    ds = xr.Dataset({"a": (("z", "y", "x"), x)})
    settings = {"compressors": FZCodec(abs=BOUND), "shards": (8, 16, 16), "chunks": (4, 8, 16)}
    both(client, tmp_path, lambda to: ds.to_zarr(to, encoding={"a": settings}, consolidated=False))


def test_regions_and_appending(client: Any, tmp_path: Path) -> None:
    def write(to: Path) -> None:
        encoding = {"a": {"compressors": FZCodec(abs=BOUND)}}
        dataset()[["a"]].to_zarr(to, encoding=encoding, consolidated=False)
        part = dataset()[["a"]].isel(z=slice(8, 16)) + 1.0
        part.to_zarr(to, region={"z": slice(8, 16)}, consolidated=False)
        dataset()[["a"]].to_zarr(to, append_dim="z", consolidated=False)

    both(client, tmp_path, write)
    assert xr.open_zarr(tmp_path / "overlapped", consolidated=False).sizes["z"] == 48


def test_a_single_chunk(client: Any, tmp_path: Path) -> None:
    """Dask may fuse the only write with the task that gathers the results."""

    def write(to: Path) -> None:
        ds = dataset()[["a"]].isel(z=slice(0, 8))
        ds.to_zarr(to, encoding={"a": {"compressors": FZCodec(abs=BOUND)}}, consolidated=False)

    both(client, tmp_path, write)


def test_dask_arrays_and_delayed_writes(client: Any, tmp_path: Path) -> None:
    def write(to: Path) -> None:
        target = zarr.create_array(
            to, shape=(24, 16, 16), chunks=(8, 16, 16), dtype="f4", compressors=FZCodec(abs=BOUND)
        )
        da.store(waves(), target, lock=False)

    both(client, tmp_path / "store", write)

    def delayed(to: Path) -> None:
        encoding = {v: {"compressors": FZCodec(abs=BOUND)} for v in ("a", "b")}
        later = dataset().to_zarr(to, encoding=encoding, consolidated=False, compute=False)
        later.compute()

    both(client, tmp_path / "delayed", delayed)


class WaitingStore(WrapperStore[Any]):
    """The first chunk is stored only once the last has been compressed."""

    async def set(self, key: str, value: Any) -> None:
        import asyncio

        if "/c/" in key or key.startswith("c/"):
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(None, gate("all compressed").wait, PATIENCE)
        await self._store.set(key, value)

    def __getstate__(self) -> Any:
        return self._store

    def __setstate__(self, store: Any) -> None:
        self.__init__(store)  # type: ignore[misc]


def opening_gate(block: Any, block_info: Any = None) -> Any:
    """Passes a block on; the last one lets stores go on."""
    if block_info and block_info[0]["chunk-location"][0] == 2:
        gate("all compressed").set()
    return block


def test_chunks_are_compressed_while_others_are_stored(client: Any, tmp_path: Path) -> None:
    """Storing waits for chunks that come later, on workers of one thread: only overlap ends."""
    target = zarr.create_array(
        WaitingStore(LocalStore(tmp_path / "z")),
        shape=(24, 16, 16), chunks=(8, 16, 16), dtype="f4", compressors=FZCodec(abs=BOUND),
    )  # fmt: skip
    one = next(iter(client.cluster.workers.values())).address
    with fzdask.overlap(client):
        x = waves().map_blocks(opening_gate, dtype="f4", meta=np.empty((0, 0, 0), "f4"))
        da.store(x, target, lock=False, workers=[one])
    found = zarr.open_array(LocalStore(tmp_path / "z"))[:].astype("f8")
    assert np.abs(found - waves().compute().astype("f8")).max() <= BOUND


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("codec", "not compressed with FZCodec"),
        ("lock", "lock="),
        ("partial", "not made of whole chunks"),
        ("target", "not a Zarr array"),
    ],
)
def test_what_cannot_be_split_is_stored_all_the_same(
    client: Any, tmp_path: Path, why: str, reason: str
) -> None:
    codec = None if why == "codec" else FZCodec(abs=BOUND)
    chunk = 12 if why == "partial" else 8
    target: Any = zarr.create_array(
        tmp_path / "z", shape=(24, 16, 16), chunks=(chunk, 16, 16), dtype="f4", compressors=codec
    )
    if why == "target":
        target = SharedArray()
    lock = Lock("fz-test") if why == "lock" else False
    with pytest.warns(OverlapWarning, match=reason), fzdask.overlap(client):
        da.store(waves(), target, lock=lock)
    # With partial chunks Dask itself does not exclude that two tasks change one chunk.
    if why != "partial":
        error = np.abs(target[:].astype("f8") - waves().compute().astype("f8"))
        assert error.max() <= BOUND


MEMORY = np.zeros((24, 16, 16), "f4")


class SharedArray:
    """A target in this process, wherever it is unpickled."""

    shape, dtype, ndim = MEMORY.shape, MEMORY.dtype, 3

    def __setitem__(self, where: Any, values: Any) -> None:
        MEMORY[where] = values

    def __getitem__(self, where: Any) -> Any:
        return MEMORY[where]


def test_a_context_that_saw_no_store_says_so(client: Any, tmp_path: Path) -> None:
    encoding = {v: {"compressors": FZCodec(abs=BOUND)} for v in ("a", "b")}
    with pytest.warns(OverlapWarning, match="no graph"), fzdask.overlap(client):
        dataset().compute().to_zarr(tmp_path / "z", encoding=encoding, consolidated=False)


def test_bad_arguments() -> None:
    with pytest.raises(ConfigError, match=r"distributed\.Client"), fzdask.overlap(None):
        pass
    with pytest.raises(ConfigError, match="buffer"), fzdask.overlap(None, buffer="much"):
        pass


def test_a_full_buffer_delays_compression_and_loses_nothing(client: Any, tmp_path: Path) -> None:
    target = zarr.create_array(
        tmp_path / "z", shape=(48, 16, 16), chunks=(4, 16, 16), dtype="f4",
        compressors=FZCodec(abs=BOUND),
    )  # fmt: skip
    x = waves((48, 16, 16), (4, 16, 16))
    with fzdask.overlap(client, buffer=1):
        da.store(x, target, lock=False)
    assert np.abs(target[:].astype("f8") - x.compute().astype("f8")).max() <= BOUND


def test_the_second_write_goes_in_johnsons_order(client: Any, tmp_path: Path) -> None:
    plugin = client.cluster.scheduler.plugins[FZSchedulerPlugin.name]

    def write() -> None:
        with fzdask.overlap(client):
            dataset().to_zarr(
                tmp_path / "z", mode="w", consolidated=False,
                encoding={v: {"compressors": FZCodec(abs=BOUND)} for v in ("a", "b")},
            )  # fmt: skip

    write()
    eventually(lambda: sum(str(tmp_path) in k for k in plugin._task_order._sums) == 2)
    before = plugin.counts["graphs ordered"]
    write()
    assert plugin.counts["graphs ordered"] == before + 1


def test_ranks_follow_johnson_and_stay_behind_what_they_need() -> None:
    name = compress_name("store|a", "store-map-1")
    tasks: list[Any] = []
    needs: dict[Any, list[Any]] = {}
    for i in range(4):
        source, compress, write = ("source", i), (name, i), ("store-map-1", i)
        needs |= {source: ["shared"], compress: [source], write: [compress]}
        tasks += [source, compress, write]
    tasks.append("shared")
    assert label_of((name, 2)) == ("store/a", (2,))
    assert label_of("x") is None
    order = TaskOrder()
    assert order.ranks(tasks, lambda k: needs.get(k, [])) == {}
    # Johnson: those with compress <= write by compress ascending, then by write descending.
    for i, (compress, write) in enumerate([(4.0, 2.0), (1.0, 5.0), (3.0, 1.0), (0.5, 6.0)]):
        order.learn("store/a", [i], compress, write)
    ranks = order.ranks(tasks, lambda k: needs.get(k, []))
    assert sorted((name, i) for i in range(4)) == sorted(k for k in ranks if k[0] == name)
    assert sorted(range(4), key=lambda i: ranks[name, i]) == [3, 1, 0, 2]
    assert all(ranks[k] > ranks[d] for k in needs for d in needs[k])
    assert ranks["shared"] == 0
    assert len(set(ranks.values())) == len(tasks)


def test_gates_of_this_module_are_fresh(client: Any) -> None:
    assert GATES == {}
