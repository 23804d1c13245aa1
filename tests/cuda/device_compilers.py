"""The CUDA compilers of this machine, if any: neither needs a device."""

from __future__ import annotations

import ctypes
import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from fzdask.codecs.kernels.cuda.backend import OPTIONS

Compile = Callable[[str, str, Path], str]
"""Source, architecture (``sm_90``) and a folder to what ptxas says of every kernel."""

KERNEL = re.compile(
    r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads"
    r".*?Used (\d+) registers",
    re.DOTALL,
)


def resources(log: str) -> dict[str, tuple[int, int]]:
    """Registers, and bytes spilled, of every kernel."""
    return {m[1]: (int(m[4]), int(m[2]) + int(m[3])) for m in KERNEL.finditer(log)}


def with_nvcc(text: str, architecture: str, folder: Path) -> str:
    unit = folder / "unit.cu"
    unit.write_text(text)
    command = ["nvcc", *OPTIONS, f"-arch={architecture}", "-cubin", "-Xptxas", "-v"]
    done = subprocess.run(
        [*command, str(unit), "-o", str(folder / "unit.cubin")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stderr


def with_nvrtc(text: str, architecture: str, folder: Path) -> str:
    """The compiler that CuPy uses, from the wheel ``nvidia-cuda-nvrtc``."""
    library = ctypes.CDLL(str(_nvrtc()))
    program = ctypes.c_void_p()
    source = text.encode()
    library.nvrtcCreateProgram(ctypes.byref(program), source, b"unit.cu", 0, None, None)
    options = [*OPTIONS, f"--gpu-architecture={architecture}", "--ptxas-options=-v"]
    array = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
    failed = library.nvrtcCompileProgram(program, len(options), array)
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    assert failed == 0, log.value.decode()
    return log.value.decode()


def _nvrtc() -> Path | None:
    spec = importlib.util.find_spec("nvidia")
    for place in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(place).rglob("libnvrtc.so.*")):
            if "builtins" not in path.name:
                return path
    return None


def find() -> Compile | None:
    """A compiler, nvcc first."""
    if shutil.which("nvcc"):
        return with_nvcc
    return with_nvrtc if _nvrtc() else None
