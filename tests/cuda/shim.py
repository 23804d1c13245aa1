"""CUDA C++ on the CPU: a stand-in for the device that the kernels' launch code runs on.

The kernels' sources are compiled by g++ behind ``shim.h`` and kept by the hash of their text.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cuda.sources import source

HERE = Path(__file__).parent
FLAGS = (
    "-O1", "-std=c++17", "-fPIC", "-shared", "-ffp-contract=off", "-fno-strict-aliasing",
    "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function",
)  # fmt: skip
POISON = 0xCD
ORDERS = ("forward", "backward", "shuffled")
_fibers = threading.Lock()  # those of one grid at a time: all libraries share them


def compiler() -> str | None:
    """The C++ compiler, if there is one."""
    return shutil.which("g++")


class ShimModule:
    """The kernels of one ``.cu`` file, compiled for this processor."""

    def __init__(self, text: str, folder: Path, options: tuple[str, ...] = ()) -> None:
        flags = [*FLAGS, *options]
        shim = (HERE / "shim.h").read_text()
        key = hashlib.sha256("\0".join([text, shim, *flags]).encode()).hexdigest()[:20]
        library = folder / f"{key}.so"
        if not library.exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            unit = folder / f"{key}.{os.getpid()}.cpp"
            unit.write_text(f'#include "{HERE / "shim.h"}"\n{text}')
            built = unit.with_suffix(".tmp")
            command = [str(compiler()), *flags, str(unit), "-o", str(built)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            unit.unlink()
            if done.returncode:
                raise RuntimeError(f"g++ refused the kernels:\n{done.stderr}")
            os.replace(built, library)
        self.library = ctypes.CDLL(str(library))
        self.library.shim_error.restype = ctypes.c_char_p
        self._kinds: dict[str, list[int]] = {}

    def kinds(self, name: str) -> list[int]:
        """Sizes of a kernel's arguments; of what they point to, negative, for pointers."""
        if name not in self._kinds:
            out = (ctypes.c_int * 64)()
            count = getattr(self.library, f"kinds_{name}")(out)
            self._kinds[name] = list(out[:count])
        return self._kinds[name]

    def launch(
        self, name: str, grid: tuple[int, ...], block: tuple[int, ...], args: Any, how: Any
    ) -> None:
        kinds = self.kinds(name)
        if len(kinds) != len(args):
            raise TypeError(f"{name} takes {len(kinds)} arguments, not {len(args)}")
        keep: list[Any] = []
        for k, (kind, value) in enumerate(zip(kinds, args, strict=True)):
            keep.append(_argument(f"{name}, argument {k}", kind, value))
        pointers = (ctypes.c_void_p * max(1, len(keep)))(*(ctypes.addressof(v) for v in keep))
        dims = (ctypes.c_uint * 6)(*_three(grid), *_three(block))
        with _fibers:
            launch = getattr(self.library, f"launch_{name}")
            failed = launch(dims, (ctypes.c_int * 2)(*how), pointers)
            said = self.library.shim_error().decode() if failed else ""
        if failed:
            raise RuntimeError(f"{name}: {said}")


def _argument(where: str, kind: int, value: Any) -> Any:
    """As CuPy passes it, but refused where the kernel takes something of another size."""
    if isinstance(value, np.ndarray):
        if kind >= 0 or value.itemsize != -kind or not value.flags.c_contiguous:
            raise TypeError(f"{where}: an array of {value.dtype}, for a kernel's type of {kind}")
        return ctypes.c_void_p(value.ctypes.data)
    if not isinstance(value, np.generic) or value.itemsize != kind:
        raise TypeError(f"{where}: {value!r} of {type(value)}, for a kernel's type of {kind}")
    return (ctypes.c_char * value.itemsize).from_buffer_copy(value.tobytes())


def _three(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if any(not 0 < n < 2**31 for n in sizes[:1]) or any(not 0 < n < 2**16 for n in sizes[1:]):
        raise ValueError(f"a grid or block of {sizes}")
    return (*sizes, 1, 1)[:3]


class ShimDevice:
    """The device of :mod:`fzdask.codecs.kernels.cuda`, with NumPy for arrays and g++ for CUDA."""

    xp: Any = np
    multiprocessors = 2  # few, so that small arrays already make blocks loop

    def __init__(
        self,
        order: str,
        *,
        blocks_backward: bool,
        folder: Path,
        options: tuple[str, ...] = (),
    ) -> None:
        self.how = (ORDERS.index(order), int(blocks_backward))
        self.folder = folder
        self.options = options
        self.launches: list[str] = []
        self.copied = {"to device": 0, "to host": 0}
        self._modules: dict[str, ShimModule] = {}

    def launch(self, module: str, kernel: str, grid: Any, block: Any, *args: Any) -> None:
        if module not in self._modules:
            self._modules[module] = load(source(module), self.folder, self.options)
        grid, block = (s if isinstance(s, tuple) else (s,) for s in (grid, block))
        self.launches.append(kernel)
        self._modules[module].launch(kernel, grid, block, args, self.how)

    def empty(self, size: int, dtype: Any) -> NDArray[Any]:
        """Poisoned, as nothing may rely on what fresh memory holds."""
        out = np.empty(size, dtype)
        out.view(np.uint8)[:] = POISON
        return out

    def zeros(self, size: int, dtype: Any) -> NDArray[Any]:
        return np.zeros(size, dtype)

    def upload(self, array: NDArray[Any]) -> NDArray[Any]:
        self.copied["to device"] += array.nbytes
        return np.array(array, order="C")

    def download(self, array: NDArray[Any]) -> NDArray[Any]:
        self.copied["to host"] += array.nbytes
        return np.array(array)


_compiled: dict[tuple[Any, ...], ShimModule] = {}


def load(text: str, folder: Path, options: tuple[str, ...] = ()) -> ShimModule:
    """The kernels of a source; compiled if they are not in the folder, loaded once."""
    key = (text, folder, options)
    if key not in _compiled:
        _compiled[key] = ShimModule(text, folder, options)
    return _compiled[key]
