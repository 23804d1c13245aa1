"""Generated fields that stand in for real data: in the demo, tests and benchmarks.

Every function is deterministic: the same arguments give the same values with the same NumPy
(another NumPy or processor may round a transform differently in the last bit). The classes of
field are those on which compressors differ most: a turbulent cascade, a heavy-tailed density,
smooth climate, measurement noise, nearly constant, masked, and unordered particles.

Real fields are the better test; these are for where there are none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "FIELDS",
    "climate",
    "density",
    "generate",
    "masked",
    "nearly_constant",
    "noisy",
    "particles",
    "turbulence",
]

FILL_VALUE = -999.0


def turbulence(
    shape: int | Sequence[int] = 64,
    *,
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    slope: float = -5.0 / 3.0,
    cutoff: float = 1.0 / 3.0,
) -> NDArray[Any]:
    """Isotropic Gaussian field with a Kolmogorov energy spectrum, of mean 0 and deviation 1.

    The shell-integrated spectrum follows ``k**slope`` and is damped by ``exp(-2 (k/kd)**2)``
    beyond the dissipation wavenumber ``kd`` (Kolmogorov 1941; a synthetic field of random
    phases has the spectrum of turbulence, not its intermittency). Periodic along every axis.

    Parameters
    ----------
    shape : int or sequence of int
        One number n means (n, n, n); any number of axes otherwise.
    seed : int
        Same seed, same field.
    dtype : dtype
        float32 or float64; the field is computed in this precision.
    slope : float
        Exponent of the shell-integrated energy spectrum.
    cutoff : float
        Dissipation wavenumber as a fraction of the number of points along the longest axis.
    """
    sides = _sides(shape)
    kind = _float_dtype(dtype)
    if 0 in sides:
        return np.zeros(sides, kind)
    rng = np.random.default_rng(seed)
    k = _wavenumbers(sides, kind)
    k.flat[0] = 1.0  # the mean, which is removed below
    # Energy in a shell of d dimensions spreads over k**(d-1) modes; amplitude is its root.
    amplitude = k ** kind.type((slope - (len(sides) - 1)) / 2.0)
    amplitude *= np.exp(-((k / kind.type(cutoff * max(sides))) ** 2))
    amplitude.flat[0] = 0.0
    # Of the modes with no partner along the last axis only the Hermitian half is real.
    amplitude[..., 0] *= math.sqrt(2.0)
    modes = np.empty(k.shape, dtype=np.result_type(kind, np.complex64))
    modes.real = rng.standard_normal(k.shape, dtype=kind)
    modes.imag = rng.standard_normal(k.shape, dtype=kind)
    modes *= amplitude
    field = np.fft.irfftn(modes, s=sides, axes=range(len(sides)))
    return _standardized(field, kind)


def density(
    shape: int | Sequence[int] = 64,
    *,
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    contrast: float = 1.5,
) -> NDArray[Any]:
    """Lognormal density of a self-gravitating or compressible medium: positive, heavy-tailed.

    ``exp(contrast * turbulence)``: most values lie near 0 and a few peaks are orders of
    magnitude above, so that a bound relative to the range is loose for nearly all of them
    (Coles and Jones 1991).
    """
    kind = _float_dtype(dtype)
    field = turbulence(shape, seed=seed, dtype=kind, slope=-2.0)
    field *= kind.type(contrast)
    np.exp(field, out=field)
    return field


def climate(
    shape: Sequence[int] = (12, 96, 192),
    *,
    seed: int = 0,
    dtype: DTypeLike = np.float32,
) -> NDArray[Any]:
    """Surface-air temperature in kelvin over (time, latitude, longitude): smooth, red spectrum.

    A meridional gradient, an annual cycle that is opposite in the two hemispheres, stationary
    planetary waves and slowly varying weather. Leading axes beyond three are ensemble members.

    Parameters
    ----------
    shape : sequence of int
        At least two axes: (..., latitude, longitude); the one before is time, 12 steps a year.
    """
    sides = _sides(shape)
    if len(sides) < 2:
        raise ValueError(
            f"fzdask.metrics.fields.climate: shape={sides} needs (latitude, longitude) at least, "
            "for example (12, 96, 192)."
        )
    kind = _float_dtype(dtype)
    *leading, nlat, nlon = sides
    latitude = np.linspace(-math.pi / 2, math.pi / 2, nlat).astype(kind)[:, None]
    longitude = np.linspace(0.0, 2 * math.pi, nlon, endpoint=False).astype(kind)[None, :]
    mean = 303.0 - 58.0 * np.sin(latitude) ** 2
    waves = 4.0 * np.cos(latitude) ** 2 * np.sin(3 * longitude + 2 * latitude)
    field = turbulence(sides, seed=seed, dtype=kind, slope=-4.0, cutoff=0.2)
    field *= kind.type(5.0) * (0.4 + np.sin(latitude) ** 2).astype(kind)
    field += (mean + waves).astype(kind)
    if leading:
        month = np.arange(leading[-1], dtype=kind)[:, None, None]
        cycle = -12.0 * np.sin(latitude) * np.cos(2 * math.pi * month / 12.0)
        field += cycle.astype(kind)
    return field


def noisy(
    shape: int | Sequence[int] = 64,
    *,
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    noise: float = 0.1,
) -> NDArray[Any]:
    """A smooth signal of deviation 1 under white measurement noise of deviation `noise`."""
    kind = _float_dtype(dtype)
    field = turbulence(shape, seed=seed, dtype=kind, slope=-5.0)
    rng = np.random.default_rng([seed, 1])
    field += kind.type(noise) * rng.standard_normal(field.shape, dtype=kind)
    return field


def nearly_constant(
    shape: int | Sequence[int] = 64,
    *,
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    share: float = 0.001,
) -> NDArray[Any]:
    """A constant background with compact smooth spots that cover about `share` of the values."""
    sides = _sides(shape)
    kind = _float_dtype(dtype)
    field = np.full(sides, 1.0, dtype=kind)
    if field.size == 0 or share <= 0:
        return field
    rng = np.random.default_rng(seed)
    radius = 2.0
    spots = max(1, round(share * field.size / (2 * radius + 1) ** len(sides)))
    reach = 3
    for _ in range(spots):
        center = [int(rng.integers(n)) for n in sides]
        window = tuple(
            slice(max(0, c - reach), min(n, c + reach + 1))
            for c, n in zip(center, sides, strict=True)
        )
        squares = sum(
            (
                np.arange(w.start, w.stop).reshape([-1 if a == b else 1 for b in range(len(sides))])
                - center[a]
            )
            ** 2.0
            for a, w in enumerate(window)
        )
        spot = np.where(np.sqrt(squares) <= reach, np.exp(-squares / radius**2), 0.0)
        field[window] += (float(rng.uniform(0.5, 2.0)) * spot).astype(kind)
    return field


def masked(
    shape: Sequence[int] = (12, 96, 192),
    *,
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    land: float = 0.3,
    fill_value: float = FILL_VALUE,
    gaps: float = 0.05,
) -> NDArray[Any]:
    """:func:`climate` with continents of NaN and satellite-like gaps of a fill value.

    Parameters
    ----------
    land : float
        Share of the horizontal points that are NaN, the same ones at every time.
    fill_value : float
        What stands in the gaps; give it to a codec as ``preserve=``.
    gaps : float
        Share of the longitudes lost in each gap; every horizontal slice has one.
    """
    field = climate(shape, seed=seed, dtype=dtype)
    if field.size == 0:
        return field
    *_, nlat, nlon = field.shape
    relief = turbulence((nlat, nlon), seed=seed + 1, dtype=np.float32, slope=-3.0)
    flat = field.reshape(-1, nlat, nlon)
    width = max(1, round(gaps * nlon)) if gaps > 0 else 0
    rng = np.random.default_rng([seed, 2])
    for layer in flat:
        first = int(rng.integers(nlon))
        layer[:, np.arange(first, first + width) % nlon] = fill_value
    flat[:, relief > np.quantile(relief, 1.0 - land)] = np.nan
    return field


def particles(
    n: int | Sequence[int] = 1 << 18,
    *,
    seed: int = 0,
    dtype: DTypeLike = np.float32,
    box: float = 100.0,
    clusters: int | None = None,
) -> NDArray[Any]:
    """One coordinate of clustered particles, 1-D, in storage order: neighbours barely correlate.

    Halos of very unequal size are scattered over a periodic box along a space-filling order, so
    that positions drift slowly while each particle jumps about within its halo.
    """
    (count,) = _sides((n,) if isinstance(n, int | np.integer) else n, one=True)
    kind = _float_dtype(dtype)
    rng = np.random.default_rng(seed)
    if count == 0:
        return np.zeros(0, kind)
    halos = clusters or max(1, count // 500)
    sizes = rng.pareto(1.0, halos) + 0.1
    owner = np.searchsorted(np.cumsum(sizes) / sizes.sum(), rng.random(count))
    owner = np.sort(np.minimum(owner, halos - 1))
    center = np.sort(rng.random(halos)) * box
    spread = 0.002 * box * np.cbrt(sizes)
    position = center[owner] + spread[owner] * rng.standard_normal(count)
    return np.mod(position, box).astype(kind)


def _cube(values: int) -> tuple[int, ...]:
    side = max(1, round(values ** (1 / 3)))
    return (side, side, side)


def _globe(values: int) -> tuple[int, ...]:
    # (time, latitude, longitude) as 1 : 4 : 8
    unit = (values / 32) ** (1 / 3)
    return max(1, round(unit)), max(2, round(4 * unit)), max(2, round(8 * unit))


def _line(values: int) -> tuple[int, ...]:
    return (max(1, values),)


#: Name of each class of field, the function that makes it and the shape it takes.
FIELDS: dict[str, tuple[Callable[..., NDArray[Any]], Callable[[int], tuple[int, ...]]]] = {
    "turbulence": (turbulence, _cube),
    "density": (density, _cube),
    "climate": (climate, _globe),
    "noisy": (noisy, _cube),
    "nearly_constant": (nearly_constant, _cube),
    "masked": (masked, _globe),
    "particles": (particles, _line),
}


def generate(
    name: str, values: int = 1 << 18, *, seed: int = 0, dtype: DTypeLike = np.float32
) -> NDArray[Any]:
    """A field by name, of about `values` values, in the shape that suits its class.

    Parameters
    ----------
    name : str
        A key of :data:`FIELDS`.
    values : int
        Number of values wanted; the shape rounds it.

    Raises
    ------
    ValueError
        Unknown name.
    """
    if name not in FIELDS:
        raise ValueError(
            f"fzdask.metrics.fields: no field is called {name!r}; choose one of "
            f"{', '.join(FIELDS)}."
        )
    make, shape_of = FIELDS[name]
    return make(shape_of(values), seed=seed, dtype=dtype)


def _sides(shape: int | Sequence[int], *, one: bool = False) -> tuple[int, ...]:
    if isinstance(shape, int | np.integer):
        shape = (int(shape),) * 3
    sides = tuple(int(n) for n in shape)
    if not sides or min(sides) < 0 or (one and len(sides) != 1):
        wanted = "one length" if one else "one length or more"
        raise ValueError(f"fzdask.metrics.fields: shape={sides} must give {wanted}, 0 or above.")
    return sides


def _float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise ValueError(
            f"fzdask.metrics.fields: dtype={kind} must be float32 or float64; "
            "scale and cast the field for any other."
        )
    return kind


def _wavenumbers(sides: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
    """Magnitude of the wavenumber of each mode of a real transform, in waves per longest side."""
    longest = max(sides)
    *leading, last = sides
    squares: NDArray[Any] = (np.fft.rfftfreq(last) * longest).astype(kind) ** 2
    for axis, n in enumerate(reversed(leading), start=1):
        k = (np.fft.fftfreq(n) * longest).astype(kind) ** 2
        squares = squares + k.reshape((n,) + (1,) * axis)
    np.sqrt(squares, out=squares)
    return squares


def _standardized(field: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    field -= field.mean(dtype=np.float64).astype(kind)
    deviation = float(np.sqrt(np.square(field).mean(dtype=np.float64)))
    if deviation > 0.0:
        field *= kind.type(1.0 / deviation)
    return field.astype(kind, copy=False)
