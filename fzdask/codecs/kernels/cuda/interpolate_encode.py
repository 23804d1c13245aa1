"""Encoding of an interpolation on a device: the launches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fzdask.codecs.kernels.cuda.device import BLOCK, Device, blocks, suffix
from fzdask.codecs.kernels.cuda.interpolate_geometry import POINTS, ROWS, mean_of

__all__ = ["Quantizer", "find_special", "mask_special", "set_bits"]


def find_special(device: Device, x: Any, forced: Any) -> Any:
    """A bit for each value that must come back bit for bit, 32 in a word; None if there is none.

    Those are what is not finite, -0.0, and what is flagged in ``forced`` (empty: nothing is).
    """
    mask = device.empty(-(-x.size // 32), np.uint32)
    some = device.zeros(1, np.uint32)
    device.launch(
        "interpolate_encode", f"find_special_{suffix(x.dtype)}", blocks(x.size), BLOCK,
        x, forced if forced.size else device.empty(1, np.uint8), np.uint32(forced.size > 0),
        np.uint64(x.size), mask, some,
    )  # fmt: skip
    return mask if device.download(some)[0] else None


def mask_special(device: Device, x: Any, mask: Any) -> Any:
    """The array with NaN where the mask has a bit."""
    out = device.empty(x.size, x.dtype)
    device.launch(
        "interpolate_encode", f"mask_special_{suffix(x.dtype)}", blocks(x.size), BLOCK,
        x, mask, np.uint64(x.size), out,
    )  # fmt: skip
    return out


def set_bits(device: Device, mask: Any, places: NDArray[np.uint64]) -> None:
    """Set bits of a mask."""
    if places.size:
        device.launch(
            "interpolate_encode", "set_bits", blocks(places.size), BLOCK,
            device.upload(places), np.uint64(places.size), mask,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Quantizer:
    """Classes to codes and decoded values.

    Attributes
    ----------
    device : Device
    rows : int64 array
        The rows of all levels on a device, finest first, on the host.
    there : device array
        The same, flat, on the device.
    bound, largest, whole
        As of :func:`~fzdask.codecs.kernels.cpu.interpolate_classes.quantize`.
    codes : int32 device array
        Gets the codes.
    """

    device: Device
    rows: NDArray[np.int64]
    there: Any
    bound: float
    largest: float
    whole: bool
    codes: Any

    def encode_class(
        self, level: int, p: int, plan: NDArray[np.int64], cell: float, x: Any, decoded: Any,
        mask: Any,
    ) -> None:  # fmt: skip
        """Encode class ``p`` of a level from arrays of the level's rows.

        ``decoded`` has the classes before it and gets this one; ``mask`` a bit for what misses.
        """
        which = level * ROWS + p
        points = int(self.rows[which, POINTS])
        if points:
            cells = (cell, 1.0 / cell, self.bound, self.largest)
            self.device.launch(
                "interpolate_encode", f"encode_class_{suffix(x.dtype)}", blocks(points), BLOCK,
                x, self.there, np.uint32(which), *mean_of(plan, p), *map(np.float64, cells),
                np.uint32(self.whole), decoded, self.codes, mask,
            )  # fmt: skip
