"""Every command and every Python snippet of the README runs, at small size."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from fzdask.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = [line.strip() for block in blocks("bash") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_only_known_languages_are_fenced() -> None:
    assert set(re.findall(r"^```(\w+)", README, flags=re.MULTILINE)) <= {"bash", "python"}


def test_snippets_and_commands_in_reading_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Snippets write the files that the commands below them read."""
    monkeypatch.chdir(tmp_path)
    snippets = blocks("python")
    assert len(snippets) >= 2
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"README.md, snippet {number}", "exec"), {})
    own = [shlex.split(line) for line in commands() if line.startswith("fzdask ")]
    told = {"compile", "demo", "compress", "decompress", "inspect", "explain", "tune", "stages"}
    assert {words[1] for words in own} == told
    for words in own:
        small = ["--size", "24"] if words[1] == "demo" else []
        with pytest.raises(SystemExit) as stop:
            main([*words[1:], *small])
        assert stop.value.code in (0, None), f"{words}: {capsys.readouterr().err}"


def test_make_targets_exist_and_install_what_the_project_declares() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    targets = [shlex.split(line)[1:] for line in commands() if line.startswith("make ")]
    inline = [shlex.split(c)[1:] for c in re.findall(r"`(make [^`]+)`", README)]
    assert ["demo"] in targets
    assert ["test"] in targets
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for target in targets + inline:
        plan = subprocess.run(
            ["make", "--dry-run", "VENV=no-such-venv", *target],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert plan.returncode == 0, plan.stderr
        asked = re.findall(r'pip install .*"\.\[([^\]]+)\]"', plan.stdout)
        assert asked, f"make {target} installs nothing: {plan.stdout}"
        for names in asked:
            assert set(names.split(",")) <= set(extras)


def test_nothing_else_is_told_to_run() -> None:
    """`pip install .` is what the gate does; any other command needs a test of its own."""
    for line in commands():
        assert line.startswith(("fzdask ", "make ")) or line == "pip install ."


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (ROOT / link).exists(), link
