"""Plain text tables: the first and last column to the left, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["as_table"]


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of aligned cells, headed."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    last = len(head) - 1

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if k in (0, last) else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return "\n".join(line(cells) for cells in (head, *rows))
