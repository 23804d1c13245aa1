"""docs/planner.md: its snippets run, and it names every method, family and rule there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fzdask.scheduling.families import FAMILIES
from fzdask.scheduling.planner import METHODS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "planner.md").read_text(encoding="utf-8")


def test_the_snippets_run_in_reading_order(tmp_path, monkeypatch, capsys):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert len(snippets) == 2
    for snippet in snippets:
        exec(snippet, names)
    assert capsys.readouterr().out.startswith("Plan(12 jobs on 1 worker")
    assert (tmp_path / "plan.png").stat().st_size > 0
    assert (tmp_path / "plan.html").read_text(encoding="utf-8").startswith("<div")


def test_every_method_and_family_is_on_the_page():
    for method in METHODS:
        assert re.search(rf"`{re.escape(method.removesuffix('+backfill'))}", PAGE), method
    for family in FAMILIES:
        assert re.search(rf"^\| {family} \|", PAGE, flags=re.MULTILINE), family


def test_links_and_pictures_lead_somewhere():
    titles = re.findall(r"^#+ (.*)$", PAGE, flags=re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", t.lower()).replace(" ", "-") for t in titles}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        else:
            assert (ROOT / "docs" / target).exists(), target
