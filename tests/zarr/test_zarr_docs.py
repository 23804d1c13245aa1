"""The Python blocks of docs/zarr.md run, in order, as one program."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "zarr.md"


def test_every_block_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    blocks = list(re.finditer(r"^```python\n(.*?)^```$", text, flags=re.M | re.S))
    assert len(blocks) >= 10
    namespace: dict = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks:
            line = text[: block.start()].count("\n") + 1
            code = compile("\n" * line + block[1], str(PAGE), "exec")
            exec(code, namespace)
