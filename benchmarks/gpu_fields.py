"""Fields for measuring on a device, made there: a cosmology, a seismic wave, a climate variable.

They have what matters to a compressor of these kinds (range, smoothness, silent regions), are of
any size, and need no download.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["FIELDS", "cube"]

MODES = 24  # waves of a random field


def cube(nbytes: int) -> tuple[int, int, int]:
    """The shape of about so many bytes of float32 nearest to a cube, a multiple of 8 each way."""
    side = max(8, round((nbytes / 4) ** (1 / 3) / 8) * 8)
    return side, side, max(8, round(nbytes / 4 / side**2 / 8) * 8)


def _axes(xp: Any, shape: tuple[int, ...]) -> list[Any]:
    return [
        xp.linspace(0, 1, n, dtype=xp.float32).reshape([-1 if k == a else 1 for k in range(3)])
        for a, n in enumerate(shape)
    ]


def _noise(xp: Any, shape: tuple[int, ...], seed: int) -> Any:
    """Numbers from -1 to 1 by a hash of the place (an integer mixer), alike on every device."""
    x = xp.arange(int(np.prod(shape)), dtype=xp.uint32) + xp.uint32(seed * 0x9E3779B1 % 2**32)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> xp.uint32(shift)
        x *= xp.uint32(factor)
    x ^= x >> xp.uint32(16)
    return ((x >> xp.uint32(8)).astype(xp.float32) / xp.float32(2**23) - 1).reshape(shape)


def nyx_like(xp: Any, shape: tuple[int, ...]) -> Any:
    """Baryon density: the exponential of waves of falling amplitude, over five decades."""
    random = np.random.default_rng(1)
    z, y, x = _axes(xp, shape)
    total = xp.zeros(shape, xp.float32)
    for k in range(MODES):
        a, b, c = (float(v) for v in random.normal(0, 3 + k, 3))
        amplitude, phase = float(2.2 / (1 + k) ** 0.8), float(random.uniform(0, 6.3))
        total += xp.float32(amplitude) * xp.cos(
            xp.float32(6.2832) * (xp.float32(a) * z + xp.float32(b) * y + xp.float32(c) * x)
            + xp.float32(phase)
        )
    total += xp.float32(0.05) * _noise(xp, shape, 1)
    return xp.exp(total)


def rtm_like(xp: Any, shape: tuple[int, ...]) -> Any:
    """A wave front from a source near the surface; silence ahead of it, exactly 0."""
    z, y, x = _axes(xp, shape)
    distance = xp.sqrt((z - xp.float32(0.1)) ** 2 + (y - xp.float32(0.45)) ** 2
                       + (x - xp.float32(0.55)) ** 2)  # fmt: skip
    behind = xp.float32(0.6) - distance
    wave = xp.sin(xp.float32(120) * behind) * xp.exp(-xp.float32(6) * xp.abs(behind))
    wave /= distance + xp.float32(0.05)
    return xp.where(behind > 0, wave, xp.float32(0))


def climate_like(xp: Any, shape: tuple[int, ...]) -> Any:
    """Temperature in K on levels: falling with height and latitude, waves, weather, noise."""
    z, y, x = _axes(xp, shape)
    latitude = xp.cos(xp.float32(3.1416) * (y - xp.float32(0.5)))
    field = xp.float32(220) + xp.float32(75) * latitude * (1 - xp.float32(0.7) * z)
    for k in range(1, 9):
        field = field + xp.float32(6 / k) * xp.sin(
            xp.float32(6.2832 * k) * (x + xp.float32(0.13 * k) * y) + xp.float32(2 * k) * z
        )
    return field + xp.float32(0.02) * _noise(xp, shape, 3)


FIELDS: dict[str, Callable[[Any, tuple[int, ...]], Any]] = {
    "nyx": nyx_like,
    "rtm": rtm_like,
    "climate": climate_like,
}
