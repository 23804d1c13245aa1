"""Blocks on a cluster: from a profile where workers hold the chunks, kept on a resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

from fzdask import FZCodec
from fzdask.cluster import ClusterWriter, block_profile
from fzdask.insitu.block_size import CANDIDATES

MIB = 1 << 20
ENCODING = {"t": {"compressors": FZCodec(abs=1e-3), "dims": ("z", "y", "x")}}


def field(client: Any, *, held: bool) -> da.Array:
    """Sixteen mebibytes in chunks of eight."""
    z, y, x = np.ogrid[0:16, 0:512, 0:512]
    values = (np.sin(0.1 * x) * np.cos(0.2 * y) + z).astype("f4")
    array = da.from_array(values, chunks=(8, 512, 512))
    return client.persist(array) if held else array


def stored_block(target: Path) -> int:
    array = zarr.open_array(target, path="t", mode="r")
    return int(np.prod(array.chunks)) * 4


def write(client: Any, target: Path, step: int, array: da.Array) -> None:
    with ClusterWriter(client, target, ENCODING, mode="a") as w:
        w.write(step, {"t": array})


def test_a_worker_encodes_blocks_of_each_size(client: Any, tmp_path: Path) -> None:
    write(client, tmp_path / "run.zarr", 0, field(client, held=True))
    assert stored_block(tmp_path / "run.zarr") in CANDIDATES


def test_the_profile_decides_and_a_resume_keeps_its_blocks(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "run.zarr"
    # The workers are threads here. A block costs the same whatever its size: large ones are best.
    monkeypatch.setattr(block_profile, "measure", lambda encode: (1e-3, 1e-4))
    write(client, target, 0, field(client, held=True))
    assert stored_block(target) == 4 * MIB
    # Slices of large blocks are too long: a new run would take small ones.
    monkeypatch.setattr(block_profile, "measure", lambda encode: (1e-3, 1.0))
    write(client, target, 1, field(client, held=True))
    assert stored_block(target) == 4 * MIB
    write(client, tmp_path / "other.zarr", 0, field(client, held=True))
    assert stored_block(tmp_path / "other.zarr") == MIB


def test_chunks_that_are_not_computed_are_not_computed_for_it(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(encode: Any) -> Any:
        raise AssertionError("profiled")

    monkeypatch.setattr(block_profile, "measure", refuse)
    write(client, tmp_path / "run.zarr", 0, field(client, held=False))
    assert stored_block(tmp_path / "run.zarr") == 2 * MIB  # the encoding has a bound
