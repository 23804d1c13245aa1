"""docs/add_a_stage.md works: the package that it shows is built, found, used, and missed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add_a_stage.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
MODULE, USE = (text for language, text in FENCES if language == "python")
(PROJECT,) = (text for language, text in FENCES if language == "toml")


@pytest.fixture
def site(tmp_path):
    """A folder with the package installed as pip would lay it out."""
    points = tomllib.loads(PROJECT)["project"]["entry-points"]
    (tmp_path / "fzdask_xor.py").write_text(MODULE)
    info = tmp_path / "fzdask_xor-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fzdask-xor\nVersion: 1.0\n")
    lines = [f"[{group}]" for group in points]
    lines += [f"{name} = {value}" for group in points.values() for name, value in group.items()]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(code, *paths):
    """Run code in a process of its own, with these folders on the import path."""
    head = "import sys; sys.path[:0] = sys.argv[1:]\n"
    command = [sys.executable, "-c", head + code, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


AFTER = """
y = fzdask.decompress(stream)
for lag in (1, 7, 255):
    for shape in ((3,), (40, 50), (5, 6, 7)):
        z = np.random.default_rng(lag).normal(size=shape).cumsum(-1)
        text = f"quantize | xor_difference(lag={min(lag, z.size - 1)}) | zstd"
        back = fzdask.decompress(fzdask.compress(z, abs=0.1, pipeline=text))
        assert np.abs(back - z).max() <= 0.1, (lag, shape)
p = fzdask.Pipeline.from_text("quantize | xor_difference(lag=3)")
assert fzdask.Pipeline.from_json(p.to_json()) == p
open(sys.argv[1] + "/x.fz", "wb").write(stream)
"""


def test_the_page_works_and_a_missing_package_is_named(site):
    done = run(USE + AFTER, site)
    assert done.returncode == 0, done.stderr
    missing = run("import fzdask; fzdask.decompress(open(sys.argv[1], 'rb').read())", site / "x.fz")
    assert "FormatError" in missing.stderr
    assert "stage 'xor_difference'" in missing.stderr
    assert "install the one that does" in missing.stderr
    shown = run("import fzdask; print(fzdask.Pipeline.from_text('quantize | xor_difference'))")
    assert "no stage 'xor_difference'" in shown.stderr


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (('name = "xor_difference"', 'name = "another"'), "its name must be that"),
        (("    lag: int", "    code = 7\n    lag: int"), "code 0"),
        (("(ArrayStage)", ""), "neither an ArrayStage"),
    ],
)
def test_a_stage_that_breaks_the_rules_is_refused(site, change, part):
    module = site / "fzdask_xor.py"
    module.write_text(module.read_text().replace(*change))
    done = run("import fzdask; fzdask.Pipeline.from_text('quantize | xor_difference')", site)
    assert "ConfigError" in done.stderr
    assert part in done.stderr
