"""``ds.fz`` is there whichever of fzdask and xarray is imported first, and nothing else changes."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_fzdask_first_imports_no_xarray_and_leaves_nothing_behind():
    run(
        """
        import importlib.util, sys
        import fzdask

        heavy = {"xarray", "pandas", "dask", "zarr", "numba", "numpy"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        finder = sys.meta_path[0]
        assert type(finder).__module__ == "fzdask.accessor.registration"

        # Whoever only looks whether xarray is there, does not use the finder up.
        assert importlib.util.find_spec("xarray").origin.endswith("__init__.py")
        assert "xarray" not in sys.modules

        import xarray as xr
        assert finder not in sys.meta_path
        loader = xr.__spec__.loader
        assert "exec_module" not in vars(loader)
        assert type(loader).__module__ == "_frozen_importlib_external"
        assert xr.__loader__ is loader

        from importlib.resources import files  # reads through the loader
        assert files("xarray.static.css").joinpath("style.css").read_text()
        ds = xr.Dataset({"t": ("x", [1.0, 2.0])})
        assert ds.fz.encoding(abs=0.1)["t"]["compressors"].abs == 0.1
        assert ds.t.fz.encoding(abs=0.1)["t"]["compressors"].abs == 0.1
        """
    )


def test_xarray_first():
    run(
        """
        import sys
        import xarray as xr
        before = list(sys.meta_path)
        import fzdask
        assert sys.meta_path == before
        from fzdask.accessor import DataArrayAccessor, DatasetAccessor
        assert xr.Dataset.fz is DatasetAccessor
        assert xr.DataArray.fz is DataArrayAccessor
        """
    )


@pytest.mark.parametrize(
    "statement",
    [
        "from xarray import Dataset",
        "import xarray.core.dataset; from xarray import Dataset",
        "import importlib; Dataset = importlib.import_module('xarray').Dataset",
    ],
)
def test_other_ways_to_import(statement):
    run(f"import fzdask; {statement}; Dataset().fz")


def test_beside_other_import_hooks():
    """One before and one after, each of which asks all finders itself."""
    run(
        """
        import importlib.util, sys

        class Asking:
            calls = 0
            busy = False

            def find_spec(self, name, path=None, target=None):
                if name != "xarray" or self.busy:
                    return None
                self.busy = True
                try:
                    self.calls += 1
                    return importlib.util.find_spec(name)
                finally:
                    self.busy = False

        after, before = Asking(), Asking()
        sys.meta_path.insert(0, after)
        import fzdask
        sys.meta_path.insert(0, before)
        import xarray
        assert before.calls == after.calls == 1, (before.calls, after.calls)
        xarray.Dataset().fz
        """
    )


def test_a_finder_with_a_loader_of_its_own_is_heard_too():
    run(
        """
        import importlib.machinery, sys
        import fzdask

        class Loader(importlib.machinery.SourceFileLoader):
            executed = 0
            def exec_module(self, module):
                Loader.executed += 1
                super().exec_module(module)

        class Finder:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name != "xarray":
                    return None
                spec = importlib.machinery.PathFinder.find_spec(name, path, target)
                spec.loader = Loader(name, spec.origin)
                return spec

        sys.meta_path.insert(1, Finder)
        import xarray
        assert Loader.executed == 1
        assert type(xarray.__spec__.loader) is Loader
        xarray.Dataset().fz
        """
    )


def test_a_loader_that_takes_no_attributes_is_left_alone():
    """The next use of fzdask registers the accessor then."""
    run(
        """
        import importlib.machinery, sys
        import fzdask

        class Loader:
            __slots__ = ("inner",)
            def create_module(self, spec):
                return None
            def exec_module(self, module):
                self.inner.exec_module(module)

        class Finder:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name != "xarray":
                    return None
                spec = importlib.machinery.PathFinder.find_spec(name, path, target)
                loader = Loader()
                loader.inner, spec.loader = spec.loader, loader
                return spec

        sys.meta_path.insert(1, Finder)
        import xarray
        assert not hasattr(xarray.Dataset, "fz")
        fzdask.ConfigError, fzdask.FZCodec
        xarray.Dataset().fz
        assert not any(type(f).__name__ == "XarrayFinder" for f in sys.meta_path)
        """
    )


def test_threads_that_import_at_once():
    run(
        """
        import threading
        import fzdask

        found = []
        def work():
            import xarray
            found.append(hasattr(xarray.Dataset, "fz"))
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert found == [True] * 8, found
        """
    )


def test_without_xarray_nothing_breaks():
    run(
        """
        import sys
        sys.modules["xarray"] = None  # as if it were not installed
        import fzdask
        assert fzdask.FZCodec(abs=1.0).abs == 1.0
        try:
            import xarray
        except ModuleNotFoundError:
            pass
        else:
            raise AssertionError("not blocked")
        """
    )


def test_an_import_that_fails_fails_as_without_fzdask_and_may_be_tried_again():
    run(
        """
        import importlib.machinery, sys
        import fzdask

        class Broken(importlib.machinery.SourceFileLoader):
            def exec_module(self, module):
                raise ImportError("half an installation")

        class Finder:
            broken = True
            @classmethod
            def find_spec(cls, name, path=None, target=None):
                if name != "xarray" or not cls.broken:
                    return None
                spec = importlib.machinery.PathFinder.find_spec(name, path, target)
                spec.loader = Broken(name, spec.origin)
                return spec

        sys.meta_path.insert(1, Finder)
        try:
            import xarray
        except ImportError as error:
            assert str(error) == "half an installation"
        Finder.broken = False
        import xarray
        xarray.Dataset().fz
        """
    )


def test_an_xarray_that_refuses_accessors_is_imported_with_a_warning():
    run(
        """
        import sys, types, warnings
        from fzdask.accessor import registration

        def refuse(name):
            raise TypeError("no accessors any more")

        module = types.ModuleType("xarray")
        module.Dataset = module.DataArray = type("Thing", (), {})
        module.register_dataset_accessor = module.register_dataarray_accessor = refuse
        sys.modules["xarray"] = module
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            registration.arm()
        assert "no accessors any more" in str(said[0].message), said
        """
    )


def test_a_store_opened_without_importing_fzdask_has_the_accessor_too(tmp_path, ds):
    ds.fz.to_zarr(tmp_path / "a.zarr", rel=1e-3)
    run(
        f"""
        import xarray as xr
        opened = xr.open_zarr({str(tmp_path / "a.zarr")!r})
        assert opened.fz.report({str(tmp_path / "a.zarr")!r}).ok
        """
    )
