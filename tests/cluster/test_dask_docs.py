"""docs/dask.md: its snippets run, its tables are complete, its links lead somewhere."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from fzdask.cluster import ClusterWriter, FZSchedulerPlugin

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "dask.md").read_text(encoding="utf-8")


def test_the_snippets_run_in_reading_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Functions of the page are sent to workers by value, as those of a script are.
    names: dict[str, object] = {"__name__": "__main__"}
    snippets = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert len(snippets) == 6
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"dask.md, snippet {number}", "exec"), names)
    assert "snapshots" in capsys.readouterr().out


@pytest.mark.parametrize("described", [ClusterWriter, FZSchedulerPlugin])
def test_every_argument_is_on_the_page(described: type) -> None:
    for name in list(inspect.signature(described).parameters)[1:]:
        assert re.search(rf"^\|.*`{name}`.*\|.*\|", PAGE, flags=re.MULTILINE), name


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        page, _, anchor = link.partition("#")
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
        assert not anchor or anchor in {t.lower().replace(" ", "-") for t in titles}, link
