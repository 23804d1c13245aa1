"""How far each step dimension of a run has come, and which step may come next."""

from __future__ import annotations

import difflib
import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fzdask.errors import ConfigError
from fzdask.insitu.layout import FieldLayout
from fzdask.insitu.publication import Publisher

__all__ = ["StepAxes"]


class StepAxes:
    """The steps that fields have; the base of what holds the fields of a run."""

    who: ClassVar[str]
    """Whom the messages name."""

    def __init__(
        self, encoding: Mapping[str, Mapping[str, Any]], publisher: Publisher, share: bool
    ) -> None:
        self._encoding = encoding
        self._publisher = publisher
        self._share = share
        self._layouts: dict[str, FieldLayout] = {}
        axes = publisher.catalog.axes
        self._counts = {dim: len(axis.steps) for dim, axis in axes.items()}
        self._visible = {dim: {int(s) for s in axis.steps} for dim, axis in axes.items()}
        self.stored_before = {dim: int(a.steps[-1]) for dim, a in axes.items() if a.steps}
        self._last = dict(self.stored_before)

    def index(self, name: str) -> int:
        """Position of the coming step along the field's step dimension."""
        return self._counts.get(self._layouts[name].step_dim, 0)

    def checked_step(self, step: Any, fields: Any) -> int:
        """The step as an `int`, of what was handed to ``write``.

        Raises
        ------
        ConfigError
            It is no whole number, or the fields are no mapping.
        """
        if not isinstance(fields, Mapping):
            raise ConfigError(
                f"{self.who}.write: the fields are a {type(fields).__name__}; give a mapping of "
                "names to arrays, such as {'density': density}"
            )
        try:
            return operator.index(step)
        except TypeError:
            raise ConfigError(
                f"{self.who}.write: step={step!r} must be a whole number; the time belongs into "
                "coords, as in coords={'time': 0.5}"
            ) from None

    def warn_of_misspelling(self, fields: Mapping[str, Any]) -> None:
        """A new field without encoding whose name is nearly one that `encoding` has in vain."""
        known = (*fields, *self._layouts)
        unused = [name for name in self._encoding if name not in known]
        for name in fields:
            if name in self._layouts or name in self._encoding:
                continue
            for near in difflib.get_close_matches(str(name), unused, n=1):
                warnings.warn(
                    f"{self.who}: {name!r} has no encoding and is stored without loss; encoding "
                    f"has {near!r}, which this step lacks. If it is the same field, give it the "
                    "same name",
                    stacklevel=3,
                )

    def check_order(self, name: str, given: Any, dims: Sequence[str]) -> None:
        """Refuse a DataArray with the axes of the field in another order.

        Raises
        ------
        ConfigError
            It says how to transpose.
        """
        own = tuple(str(dim) for dim in getattr(given, "dims", ()))
        if own != tuple(dims) and sorted(own) == sorted(dims):
            raise ConfigError(
                f"{self.who}: {name!r} has the axes {own}, and is stored with {tuple(dims)}; give "
                f"{name}.transpose{tuple(dims)}"
            )

    def was_stored(self, step: int, names: Mapping[str, Any]) -> bool:
        """Whether this step was visible, for all these fields, when the store was opened."""
        dims = {str(self._encoding.get(n, {}).get("step_dim", "step")) for n in names}
        return bool(dims) and all(step in self._visible.get(dim, ()) for dim in dims)

    def check_dims(self, name: str, dims: Sequence[str], shape: Sequence[int]) -> None:
        """Refuse what xarray could not open: one name for two axes, or for two lengths.

        Raises
        ------
        ConfigError
            It says which arrays.
        """
        step_dim = str(self._encoding.get(name, {}).get("step_dim", "step"))
        of_steps = {step_dim, *self._publisher.catalog.axes}
        for dim in dims:
            if dim in of_steps or list(dims).count(dim) > 1:
                raise ConfigError(
                    f"{self.who}: {name!r} has the axes {tuple(dims)}, and {dim!r} stands for two, "
                    f"those of steps ({', '.join(sorted(of_steps))}) among them; give each axis "
                    "its own name: dims= or step_dim= in encoding"
                )
        for other, document in self._publisher.catalog.documents.items():
            sizes = dict(zip(document["dimension_names"] or (), document["shape"], strict=False))
            for dim, n in zip(dims, shape, strict=True):
                if other != name and sizes.get(dim, n) != n:
                    raise ConfigError(
                        f"{self.who}: {dim!r} has length {n} in {name!r} and {sizes[dim]} in "
                        f"{other!r}; name the axes otherwise: dims= in encoding"
                    )

    def step_dims(self, step: int, names: Mapping[str, Any]) -> list[str]:
        """The dimensions that grow with this step.

        Raises
        ------
        ConfigError
            It is no later than the last, or leaves out a field that cannot show that.
        """
        dims = list(dict.fromkeys(self._layouts[name].step_dim for name in names))
        if not dims:
            raise ConfigError(f"{self.who}: write({step}, ...) has no fields")
        for dim in dims:
            if dim in self._last and step <= self._last[dim]:
                raise ConfigError(
                    f"{self.who}: step {step} comes after step {self._last[dim]} of {dim!r}; "
                    "steps increase, and all fields of a step are written at once"
                )
        for name, layout in self._layouts.items():
            if layout.step_dim in dims and name not in names and not layout.gaps:
                raise ConfigError(
                    f"{self.who}: step {step} leaves out {name!r}, and {layout.dtype} has no "
                    "NaN to mark that; give fill_value= or its own step_dim= in encoding"
                )
        return dims

    def count(self, step: int, dims: Sequence[str]) -> None:
        """The step was taken: the next one comes after it."""
        for dim in dims:
            self._counts[dim] = self._counts.get(dim, 0) + 1
            self._last[dim] = step
