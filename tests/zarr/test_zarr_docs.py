"""The Python blocks of docs/zarr.md run, in order, as one program; so do the docstrings."""

from __future__ import annotations

import doctest
import re
import warnings
from pathlib import Path

import pytest

from fzdask.codecs import zarr_array_codec, zarr_codec

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


@pytest.mark.parametrize("module", [zarr_codec, zarr_array_codec], ids=lambda m: m.__name__)
def test_examples_of_docstrings_run(module):
    failed, attempted = doctest.testmod(module)
    assert attempted >= 3
    assert failed == 0
