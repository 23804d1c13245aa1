"""Cached machine code is discarded when any file that it was compiled from changes."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.caching import CacheImpl

import fzdask
from fzdask import jit

ROOT = Path(fzdask.__file__).parent
KERNELS = sorted(p for p in ROOT.rglob("*.py") if "from fzdask.jit import" in p.read_text())


def test_kernels_are_compiled_by_no_other_decorator():
    others = [
        path.name
        for path in ROOT.rglob("*.py")
        if "from numba import njit" in path.read_text() and "cuda" not in path.parts
    ]
    assert others == []


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_every_imported_file_of_the_package_is_found(path):
    source = path.read_text()
    expected = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "fzdask":
            expected.add(node.module)
            expected |= {f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Import):
            expected |= {a.name for a in node.names if a.name.split(".")[0] == "fzdask"}
    files = {ROOT.joinpath(*name.split(".")[1:]) for name in expected}
    expected = {f for name in files for f in (name.with_suffix(".py"), name / "__init__.py")}
    assert jit.imported_files(source) == {file for file in expected if file.is_file()}
    assert ROOT / "jit.py" in jit.imported_files(source)


def test_constants_are_no_types_of_their_own():
    @jit.njit(nogil=True, cache=True)
    def added(a, b, negated):
        return a - b if negated else a + b

    @jit.njit(nogil=True, cache=True)
    def call(a):
        return added(a, 1, False) + added(2, a, False) + added(b=a, a=3, negated=False)

    assert call(5) == 6 + 7 + 8
    assert len(added.signatures) == 1
    assert added(7, 1, True) == 6


def answer(folder):
    """What a new process computes, which keeps no byte code.

    Python tells that of an edited file by its length and the whole second of its edit, which are
    the same for one digit changed at once.
    """
    program = "from fzdask.caller import call; print(call(1))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={
            "PATH": "",
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": str(folder / "cache"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture
def package(tmp_path):
    """A package of the same name with a kernel that calls one of another file."""
    folder = tmp_path / "fzdask"
    folder.mkdir()
    shutil.copy(ROOT / "jit.py", folder)
    (folder / "__init__.py").write_text("")
    (folder / "constants.py").write_text("ADDED = 10\n")
    (folder / "callee.py").write_text(
        "from fzdask.constants import ADDED\nfrom fzdask.jit import njit\n\n\n"
        "@njit(cache=True)\ndef add(x):\n    return x + ADDED\n"
    )
    (folder / "caller.py").write_text(
        "from fzdask.callee import (\n    add,\n)\nfrom fzdask.jit import njit\n\n\n"
        "@njit(cache=True)\ndef call(x):\n    return add(x)\n"
    )
    return folder


def test_an_edited_file_behind_a_kernel_compiles_it_anew(package):
    assert answer(package.parent) == 11
    (package / "constants.py").write_text("ADDED = 20\n")
    assert answer(package.parent) == 21, "the caller ran the machine code of the old constant"


def test_unchanged_files_are_taken_from_the_cache(package):
    answer(package.parent)
    stored = {path: path.stat().st_mtime_ns for path in package.parent.rglob("*.nbc")}
    assert len(stored) == 2
    answer(package.parent)
    assert {path: path.stat().st_mtime_ns for path in package.parent.rglob("*.nbc")} == stored


def test_a_numba_whose_cache_cannot_be_told_is_used_without_it(monkeypatch):
    def fails(path):
        raise OSError("no such file")

    monkeypatch.setattr(jit, "source_stamp", fails)
    with pytest.warns(UserWarning, match="compiled anew in each process"):
        kernel = jit.njit(cache=True)(lambda x: x + 1)
    assert kernel(1) == 2
    assert not kernel.stats.cache_path


def test_where_nothing_can_be_written_kernels_work_and_one_warning_names_the_remedy(monkeypatch):
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    jit._say_that_nothing_is_kept.cache_clear()
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR") as caught:
        kernels = [jit.njit(nogil=True, cache=True)(lambda x, n=n: x + n) for n in range(3)]
    assert len(caught) == 1
    assert [kernel(1) for kernel in kernels] == [1, 2, 3]
