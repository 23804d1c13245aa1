"""Streams with `logarithm`: signs, zeros, exact values, and every layout of a logarithm."""

from __future__ import annotations

import numpy as np
from format_cases import Case, field, raw_bits, whole_field, with_outliers


def rain(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Whole numbers over 16 octaves, a third of them zero in runs, both signs."""
    x = field(shape, dtype)
    flat = x.reshape(-1)
    octaves = (raw_bits(flat.size, 7) % np.uint64(17)).astype(int) - 8
    flat *= (2.0**octaves).astype(dtype)
    flat[np.arange(flat.size) % 30 < 10] = 0
    return x


def fixtures() -> dict[str, Case]:
    """Arrays and options by name."""
    odd = np.concatenate([with_outliers(400, 0.1), -np.arange(1, 60).astype("u4").view("f4")])
    masked = field((20, 23), "f4") + 100
    masked[5:11, 3:] = np.nan
    return {
        "logarithm": (rain((20, 23), "f4"), {"pw_rel": 1e-2}),
        "logarithm-positive": (field((20, 23), "f4") + 1000, {"pw_rel": 1e-3}),
        "logarithm-exact": (odd, {"pw_rel": 1e-2}),
        "logarithm-raw-bitmaps": (
            rain((11, 13), "f4"),
            {"pw_rel": 1e-2, "pipeline": "logarithm(bitmaps=raw) | quantize | lorenzo | zstd"},
        ),
        "logarithm-signs": (
            whole_field((5, 20, 23), 4, step=2).astype("f4") - 3,
            {"pw_rel": 1e-2},
        ),
        "logarithm-mask": (masked, {"pw_rel": 1e-2}),
        "logarithm-zero": (np.zeros((9, 7), "f8"), {"pw_rel": 0.5}),
        "logarithm-plain-f2": (rain((300,), "f2"), {"pw_rel": 1e-2}),
        "logarithm-f8": (rain((20, 23), "f8"), {"pw_rel": 1e-2}),
        "logarithm-f8-long": (rain((20, 23), ">f8"), {"pw_rel": 1e-5}),
        "logarithm-complex-fortran": (
            np.asfortranarray(rain((20, 23), "f8") - 1j * rain((20, 23), "f8").T.reshape(20, 23)),
            {"pw_rel": 0.05, "pipeline": "quantize | lorenzo"},
        ),
        "logarithm-complex-interpolate": (  # the bound of logarithms is that of no component
            ((field((20, 23), "f8") + 1000) * (2 - 1j)).astype("c8"),
            {"pw_rel": 0.01, "pipeline": "interpolate(predictor=interpolation) | huffman | zstd"},
        ),
    }
