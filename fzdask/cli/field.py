"""The one field of a file that a command looks at, or the one that is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fzdask.cli.console import CommandError, output
from fzdask.cli.datasets import is_scaled, load_npy, open_raw, preserving_fills

__all__ = ["one_field"]


def one_field(
    source: Path, kind: str, variable: str | None, options: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """An array or a variable, not yet read, and the options with its fill values preserved.

    A note says where numbers are packed.

    Raises
    ------
    CommandError
        There is no such variable, or several fields and no name.
    """
    if kind == ".npy":
        if variable is not None:
            raise CommandError(f"{source}: --variable is for .nc and .zarr; a .npy is one array.")
        return load_npy(source), options
    from fzdask.accessor.fields import field_names

    dataset = open_raw(source)
    there = ", ".join(str(name) for name in dataset.data_vars) or "none"
    if variable is None:
        fields = field_names(dataset)
        if len(fields) != 1:
            raise CommandError(
                f"{source}: it has {len(fields)} fields; choose one with --variable of {there}."
            )
        variable = str(fields[0])
    if variable not in dataset.variables:
        raise CommandError(f"{source}: no variable {variable!r}; it has {there}.")
    found = dataset[variable]
    if is_scaled(found):
        output().print(
            f"Note: {variable} is packed (scale_factor, add_offset); bound and figures are in the "
            "unit of the stored numbers, not of what they stand for.",
            markup=False,
            soft_wrap=True,
        )
    return found, preserving_fills(options, found)
