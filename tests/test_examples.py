"""Every script in examples/ runs; each asserts its bound itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MISSING = 77
"""The exit status of an example that needs what is not here; it says what."""

FILES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
SCRIPTS = [path for path in FILES if "__main__" in path.read_text(encoding="utf-8")]


def test_there_are_examples() -> None:
    assert len(SCRIPTS) >= 3


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example(script: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--small"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode == MISSING:
        pytest.skip(f"{script.name} {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert "bound" in done.stdout
    assert list(tmp_path.iterdir()) == [], "an example leaves no files behind"
