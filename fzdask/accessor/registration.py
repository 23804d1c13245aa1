"""Registers ``ds.fz`` on ``import fzdask``, whichever of fzdask and xarray is imported first.

Arrays and trees get theirs (``da.fz``, ``dt.fz``) at the same time.

xarray has no entry point for accessors, and importing it takes longer than all the rest of
``import fzdask``. Where xarray is there already, the accessor is registered at once. Where it is
not, a finder at the head of `sys.meta_path` waits for it: the extension point that Python
documents for this. It has nothing to say on any other module; for xarray it takes the spec that
the finders after it give, and lets that spec's own loader call back once when the module has run.
The module keeps its loader and its spec, and the finder then leaves `sys.meta_path`.

A module put into `sys.modules` before its time (`importlib.util.LazyLoader`) would need no
finder, but would make ``"xarray" in sys.modules`` true in programs that never import it: libraries
decide by that whether they were handed an xarray object.
"""

from __future__ import annotations

import sys
import threading
import warnings
from importlib.machinery import ModuleSpec
from typing import Any

__all__ = ["arm"]

XARRAY = "xarray"


def arm() -> None:
    """Register the accessors now if xarray is imported, else as soon as it is."""
    module = sys.modules.get(XARRAY)
    if module is not None and hasattr(module, "register_dataset_accessor"):
        _register(module)
        _leave()
    elif not any(isinstance(finder, XarrayFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, XarrayFinder())


def _leave() -> None:
    """Take the finder out of `sys.meta_path`; nobody else's place changes."""
    for finder in list(sys.meta_path):
        if isinstance(finder, XarrayFinder):
            sys.meta_path.remove(finder)


class XarrayFinder:
    """A finder that finds nothing itself: it asks those after it, and hears when xarray has run."""

    def __init__(self) -> None:
        self._asking: set[int] = set()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The spec that the other finders give for xarray; None for every other module."""
        thread = threading.get_ident()
        if fullname != XARRAY or thread in self._asking:
            return None
        self._asking.add(thread)  # a finder may ask all of sys.meta_path, this one included
        try:
            spec = self._ask_others(fullname, path, target)
        finally:
            self._asking.discard(thread)
        if spec is not None:
            self._listen(spec.loader)
        return spec

    def _ask_others(self, fullname: str, path: Any, target: Any) -> ModuleSpec | None:
        finders = list(sys.meta_path)
        after = finders[finders.index(self) + 1 :] if self in finders else finders
        for finder in after:
            find_spec = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find_spec(fullname, path, target) if find_spec else None
            if spec is not None:
                return spec
        return None

    def _listen(self, loader: Any) -> None:
        """Have this one loader call back; a loader that is a class serves other modules too."""
        execute = getattr(loader, "exec_module", None)
        if execute is None or isinstance(loader, type):
            return

        def exec_module(module: Any) -> None:
            execute(module)
            if module.__name__ == XARRAY:
                vars(loader).pop("exec_module", None)
                _leave()
                _register(module)

        try:
            loader.exec_module = exec_module
        except (AttributeError, TypeError):
            return  # it allows no attributes: the accessor is registered on the next use of fzdask


def _register(xarray: Any) -> None:
    """Register the accessors, unless they are already.

    An ``import xarray`` never fails because of them: what goes wrong becomes a warning.
    """
    from fzdask.accessor.dataset import DataArrayAccessor, DatasetAccessor
    from fzdask.accessor.tree import DataTreeAccessor

    accessors = {
        "Dataset": DatasetAccessor,
        "DataArray": DataArrayAccessor,
        "DataTree": DataTreeAccessor,
    }
    try:
        for name, accessor in accessors.items():
            if getattr(getattr(xarray, name), "fz", None) is not accessor:
                getattr(xarray, f"register_{name.lower()}_accessor")("fz")(accessor)
    except Exception as error:  # whatever it is, it must not stop somebody's `import xarray`
        warnings.warn(
            f"fzdask: xarray {getattr(xarray, '__version__', '')} did not take the accessor "
            f"'fz' ({type(error).__name__}: {error}); FZCodec in encoding= works without it.",
            RuntimeWarning,
            stacklevel=2,
        )
