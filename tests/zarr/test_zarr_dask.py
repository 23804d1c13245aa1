"""Dask-backed datasets: threads, processes and a distributed cluster write and read the codec."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

from fzdask import FZCodec

CODEC = FZCodec(abs=0.01, preserve=-999.0)


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes, without a dashboard."""
    distributed = pytest.importorskip("distributed")
    with (
        dask.config.set({"distributed.worker.daemon": True}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def processes():
    """Two processes that outlive one `compute`, unlike those that Dask starts by default."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(params=["threads", "processes", "distributed"])
def scheduler(request):
    """Settings for `dask.config.set`: ten threads, two processes, or a cluster of two workers."""
    if request.param == "distributed":
        return {"scheduler": request.getfixturevalue("cluster")}
    if request.param == "processes":
        return {"scheduler": "processes", "pool": request.getfixturevalue("processes")}
    return {"scheduler": "threads", "num_workers": 10}


def write_and_read(path, scheduler, zarr_format, encoding, chunk=16):
    """Write a Dask-backed field with `to_zarr`, read it back lazily; return both."""
    y, x = np.mgrid[0:64, 0:48]
    data = (275 + 20 * np.sin(y / 6) * np.cos(x / 5)).astype("f4")
    data[::7, ::5] = -999.0
    ds = xr.Dataset({"t": (("y", "x"), da.from_array(data, chunks=chunk))})
    with dask.config.set(**scheduler):
        ds.to_zarr(path, zarr_format=zarr_format, encoding={"t": encoding}, consolidated=False)
        with xr.open_zarr(path, consolidated=False) as back:
            assert isinstance(back.t.data, da.Array)
            return data, (back.t * 1).compute().values


def test_every_scheduler_keeps_the_bound(tmp_path, scheduler, worst):
    for name, zarr_format, encoding in (
        ("v2", 2, {"compressors": CODEC}),
        ("v3", 3, {"compressors": CODEC}),
        ("shards", 3, {"compressors": CODEC, "chunks": (8, 8), "shards": (16, 16)}),
        ("serializer", 3, {"serializer": CODEC.serializer, "compressors": None}),
    ):
        want, got = write_and_read(tmp_path / name, scheduler, zarr_format, encoding)
        assert worst(got, want) <= 0.01, name
        np.testing.assert_array_equal(got == -999.0, want == -999.0)


def test_appending_and_regions_from_dask(tmp_path, worst):
    path = tmp_path / "d.zarr"
    y = np.linspace(0, 1, 64 * 8, dtype="f4").reshape(64, 8)
    ds = xr.Dataset({"t": (("y", "x"), y)}).chunk(y=16)
    ds.to_zarr(path, compute=False, encoding={"t": {"compressors": CODEC}}, consolidated=False)
    for start in (0, 32):
        part = slice(start, start + 32)
        ds.isel(y=part).to_zarr(path, region={"y": part}, consolidated=False)
    ds.to_zarr(path, append_dim="y", consolidated=False)
    with xr.open_zarr(path, consolidated=False) as back:
        assert worst(back.t, np.concatenate([y, y])) <= 0.01


def test_dask_names_do_not_depend_on_the_instance():
    assert dask.base.tokenize(CODEC) == dask.base.tokenize(FZCodec(abs=0.01, preserve=[-999.0]))
    others = [
        FZCodec(abs=0.02, preserve=[-999]),
        CODEC.serializer,
        FZCodec.from_config({"abs": 0.01, "later": 1}),
        FZCodec.from_config({"abs": 0.01, "later": 2}),
    ]
    assert len({dask.base.tokenize(codec) for codec in [CODEC, *others]}) == 5
