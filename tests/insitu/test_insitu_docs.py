"""docs/insitu.md: its snippets run, its tables are complete, its links lead somewhere."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import get_args

import pytest

from fzdask import InSituWriter
from fzdask.insitu import layout
from fzdask.insitu.gate import Windows

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "insitu.md").read_text(encoding="utf-8")


def test_the_snippets_run_in_reading_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert len(snippets) == 5
    before = signal.getsignal(signal.SIGTERM)
    try:
        for snippet in snippets:
            exec(snippet, names)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capsys.readouterr().out
    assert (tmp_path / "who-ran-when.png").stat().st_size > 0


def test_every_key_and_mode_is_on_the_page() -> None:
    for key in (*layout.PASSED_ON, *layout.OWN):
        assert re.search(rf"^\|.*`{key}`.*\|.*\|", PAGE, flags=re.MULTILINE), key
    for windows in get_args(Windows):
        assert re.search(rf'^\| `"{windows}"` \|', PAGE, flags=re.MULTILINE), windows


def test_every_figure_on_the_page_is_in_the_statistics() -> None:
    with InSituWriter({}) as w:
        w.write(0, {"x": 1.0})
        w.flush()
        found = w.statistics
    table = PAGE[PAGE.index("| figure | meaning |") :].split("\n\n")[0]
    always = ("ratio", "raw bytes", "stored bytes", "copy seconds", "back-pressure seconds",
              "buffer peak", "outstanding", "outstanding peak")  # fmt: skip
    for name in always:
        assert f"`{name}`" in table
        assert name in found


def test_links_and_pictures_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
