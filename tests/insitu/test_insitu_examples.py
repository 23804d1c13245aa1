"""The examples of the writer that need something: a GPU, here a stand-in, or somebody's code."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A stand-in for CuPy: streams are threads, kernels are compiled by g++ for this processor."""
    for folder in (EXAMPLES, ROOT / "tests/flow", ROOT / "tests/cuda"):
        monkeypatch.syspath_prepend(str(folder))
    shim = pytest.importorskip("shim")
    if shim.compiler() is None:
        pytest.skip("no g++ on this machine: the CUDA source cannot be compiled for its CPU")
    from cupy_standin import StandIn, StandInArray

    class Array(StandInArray):
        """With what the writer asks of an array on a device."""

        __cuda_array_interface__: dict[str, Any] = {}  # noqa: RUF012

        @property
        def ndim(self) -> int:
            return len(self.shape)

        def get(self, stream: Any = None, order: str = "C", out: Any = None) -> Any:
            stream = stream or stand_in.cuda.get_current_stream()
            target = pinned(self.shape, self.dtype) if out is None else out
            super().get(stream=stream, out=target, blocking=False)
            stream.synchronize()
            return target

    class Module:
        def __init__(self, code: str, options: tuple[str, ...]) -> None:
            assert "--fmad=false" in options
            self.compiled = shim.load(code, tmp_path / "kernels")

        def get_function(self, name: str) -> Any:
            def start(grid: Any, block: Any, arguments: Any) -> None:
                stand_in.launch(
                    lambda *raw: self.compiled.launch(name, grid, block, raw, (2, 1)), *arguments
                )

            return start

    def asarray(values: Any) -> Any:
        if isinstance(values, Array):
            return values
        staged = pinned(values.shape, values.dtype)
        staged[...] = values
        array = empty(values.shape, values.dtype)
        array.set(staged, stream=stand_in.cuda.get_current_stream())
        uploaded.append(staged)  # until the stream has copied it
        return array

    def empty(shape: Any, dtype: Any) -> Array:
        array = Array(np.empty(shape, dtype), stand_in.cuda.get_current_stream().steps)
        array.simulator = stand_in.simulator
        return array

    def pinned(shape: Any, dtype: Any) -> Any:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = stand_in.cuda.alloc_pinned_memory(nbytes)
        return memory[:nbytes].view(dtype).reshape(shape)

    stand_in = StandIn(jitter=1e-4)
    uploaded: list[Any] = []
    stand_in.asarray, stand_in.RawModule = asarray, Module
    stand_in.empty_like = lambda array: empty(array.shape, array.dtype)
    stand_in.is_available = lambda: True
    cupyx = types.ModuleType("cupyx")
    cupyx.empty_pinned = pinned  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    yield stand_in
    stand_in.simulator.close()


def test_the_cupy_example_on_a_stand_in(
    cupy: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It compares its fields with those of the Numba solver, bit for bit, and checks its bounds."""
    example = importlib.import_module("insitu_cupy")
    monkeypatch.setattr(sys, "argv", ["insitu_cupy.py", "--small"])
    example.main()
    said = capsys.readouterr().out
    assert "overhead" in said
    assert said.count("bound") == 2
    # Every dump is copied once: u, v, and in every other one the tracer; and what is compared.
    assert cupy.simulator.downloads == 3 + 6 * 2 + 3 + 2


def test_the_cupy_example_without_a_device_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    example = importlib.import_module("insitu_cupy")
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(is_available=lambda: False))
    with pytest.raises(SystemExit) as ended:
        example.device()
    assert ended.value.code == 77
    assert "CUDA device" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["insitu_pyro", "insitu_solver"])
def test_the_picture_is_saved(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    pytest.importorskip("matplotlib")
    if script == "insitu_pyro":
        pytest.importorskip("pyro", reason="needs pyro: pip install pyro-hydro scipy")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)
    example = importlib.import_module(script)
    monkeypatch.setattr(sys, "argv", [script, "--small", "--out", "picture.png"])
    example.main()
    assert "overhead" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
