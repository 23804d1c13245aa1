"""The fields that all codecs are measured on, prepared alike for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.metrics import fields, value_range

__all__ = ["Field", "generated_fields", "load_fields", "prepare"]

FILL_MAGNITUDE = 1e20  # the customary fill values (1e20, 9.96921e36, 1e30) are at least this


@dataclass(frozen=True, slots=True)
class Field:
    """One prepared array, its range, and what was done to it.

    Attributes
    ----------
    name : str
        File name without its ending, or the name of the generated field.
    array : ndarray
        C-ordered, native byte order, finite.
    value_range : float
        ``max - min``, in float64: a relative bound times it is the absolute one.
    notes : tuple of str
        What the preparation changed.
    """

    name: str
    array: NDArray[Any]
    value_range: float
    notes: tuple[str, ...] = ()


def prepare(name: str, array: NDArray[Any]) -> Field:
    """Make an array that every codec can take; the same one goes to all of them.

    NaN, infinities and magnitudes of 1e20 and more (masks) become the mean of the other
    values, since most peers neither keep nor survive them: the range, and so the bound, is that
    of the real values. A table of particles (n, 2 to 4) becomes 1-D, one component after the
    other. Other shapes stay; a peer's adapter folds what the peer cannot take.
    """
    notes = []
    a = np.asarray(array)
    if a.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            valid = np.abs(a) < FILL_MAGNITUDE
        if not valid.all():
            mean = a[valid].mean(dtype=np.float64) if valid.any() else 0.0
            a = np.where(valid, a, a.dtype.type(mean))
            notes.append(f"{np.count_nonzero(~valid)} masked values replaced by the mean")
    if a.ndim == 2 and 2 <= a.shape[1] <= 4 < a.shape[0]:
        a = a.T.ravel()
        notes.append("table of particles laid out component by component")
    a = np.ascontiguousarray(a, dtype=a.dtype.newbyteorder("="))
    return Field(name, a, value_range(a), tuple(notes))


def load_fields(folder: Path, *, kinds: str = "float", min_mb: float = 1.0) -> list[Field]:
    """Every .npy array below `folder` of the wanted kind and size, in order of name.

    Parameters
    ----------
    folder : Path
        Searched with its subfolders.
    kinds : {"float", "int", "all"}
        Which dtypes.
    min_mb : float
        Smallest size in 1e6 bytes.

    Raises
    ------
    FileNotFoundError
        Nothing there is of that kind and size.
    """
    wanted = {"float": "f", "int": "iu", "all": "fiu"}[kinds]
    found = []
    for path in sorted(folder.rglob("*.npy")):
        lazy = np.load(path, mmap_mode="r")
        if lazy.dtype.kind not in wanted or lazy.nbytes < min_mb * 1e6:
            continue
        field = prepare(path.stem, np.load(path))
        if field.value_range > 0:  # a constant has no relative bound
            found.append(field)
    if not found:
        raise FileNotFoundError(
            f"peers: no .npy array of kind {kinds!r} and at least {min_mb} MB below {folder}; "
            "lower --min-mb, change --kinds, or leave --fields out to use generated fields."
        )
    return found


def generated_fields(values: int, *, seed: int = 0) -> list[Field]:
    """One field of each class of :mod:`fzdask.metrics.fields`, and one in float64."""
    made = [(name, fields.generate(name, values, seed=seed)) for name in fields.FIELDS]
    double = fields.generate("turbulence", values, seed=seed, dtype=np.float64)
    made.append(("turbulence_f64", double))
    return [prepare(name, array) for name, array in made]
