"""The pages about pipelines are true: their snippets run, and what is generated is up to date."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_snippets_of_the_pipelines_page_run_in_reading_order(capsys):
    text = (DOCS / "pipelines.md").read_text(encoding="utf-8")
    snippets = re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    assert len(snippets) >= 6
    names = {}
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"pipelines.md, snippet {number}", "exec"), names)
    shown = capsys.readouterr().out
    assert "'shuffle' takes array" in shown
    assert "->" in shown


def test_the_page_of_stages_is_what_the_docstrings_say(tmp_path):
    script = (DOCS / "make_stages.py").read_text(encoding="utf-8")
    copy = tmp_path / "make_stages.py"
    copy.write_text(script, encoding="utf-8")
    subprocess.run([sys.executable, copy], check=True, timeout=240)
    fresh = (tmp_path / "stages.md").read_text(encoding="utf-8")
    assert (DOCS / "stages.md").read_text(encoding="utf-8") == fresh, (
        "run python docs/make_stages.py"
    )
