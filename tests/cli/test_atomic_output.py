"""An output appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from fzdask.cli.console import CommandError
from fzdask.cli.files import atomic_output


def fail_half_way(target: Path, *, force: bool) -> None:
    with atomic_output(target, force=force) as partial:
        partial.write_bytes(b"half")
        raise RuntimeError("half-way")


def race(target: Path) -> None:
    with atomic_output(target, force=False) as partial:
        partial.write_bytes(b"mine")
        target.write_bytes(b"theirs")


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half-way"):
        fail_half_way(tmp_path / "o.bin", force=False)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_content(tmp_path: Path) -> None:
    target = tmp_path / "o.bin"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="half-way"):
        fail_half_way(target, force=True)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_an_output_made_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "o.bin"
    with pytest.raises(CommandError, match="--force"):
        race(target)
    assert target.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]
