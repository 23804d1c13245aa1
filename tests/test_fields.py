"""Generated fields: deterministic, of the asked shape and dtype, each with its own character."""

from __future__ import annotations

import numpy as np
import pytest

from fzdask.metrics import fields


@pytest.mark.parametrize("name", fields.FIELDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_field_is_deterministic(name, dtype):
    a = fields.generate(name, 5000, seed=3, dtype=dtype)
    assert a.dtype == dtype
    assert a.flags.c_contiguous
    assert 2500 <= a.size <= 10000
    assert a.tobytes() == fields.generate(name, 5000, seed=3, dtype=dtype).tobytes()
    assert a.tobytes() != fields.generate(name, 5000, seed=4, dtype=dtype).tobytes()
    if name != "masked":
        assert np.isfinite(a).all()


@pytest.mark.parametrize("name", fields.FIELDS)
@pytest.mark.parametrize("values", [1, 2, 7, 100])
def test_tiny_fields(name, values):
    assert fields.generate(name, values).size >= 1


@pytest.mark.parametrize("shape", [(1,), (17,), (1, 1), (3, 1, 5), (0, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize(
    "make", [fields.turbulence, fields.density, fields.noisy, fields.nearly_constant]
)
def test_any_shape(make, shape):
    assert make(shape).shape == shape


def test_one_number_means_a_cube():
    a = fields.turbulence(12)
    assert a.shape == (12, 12, 12)
    assert abs(float(a.mean())) < 1e-5
    assert float(a.std()) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(("shape", "last"), [((128, 128), 40), ((64, 64, 64), 20)])
def test_turbulence_has_the_kolmogorov_spectrum(shape, last):
    a = fields.turbulence(shape, dtype=np.float64, cutoff=100.0, seed=1)
    power = np.abs(np.fft.fftn(a)) ** 2
    k = np.meshgrid(*(np.fft.fftfreq(n) * n for n in shape), indexing="ij")
    shell = np.sqrt(sum(axis**2 for axis in k)).round().astype(int)
    energy = np.bincount(shell.ravel(), power.ravel())
    wavenumber = np.arange(4, last)
    slope, _ = np.polyfit(np.log(wavenumber), np.log(energy[4:last]), 1)
    assert slope == pytest.approx(-5 / 3, abs=0.15)


def test_turbulence_is_isotropic_in_the_plane_without_a_partner():
    # Modes with last wavenumber 0 carry as much power as those with first wavenumber 0.
    power = np.zeros((32, 32, 32))
    for seed in range(8):
        power += np.abs(np.fft.fftn(fields.turbulence(32, dtype=np.float64, seed=seed))) ** 2
    assert power[:, :, 0].sum() == pytest.approx(power[0].sum(), rel=0.25)


def test_characters():
    smooth = fields.climate((12, 48, 96))
    assert 180 < smooth.min() < smooth.max() < 340
    assert np.abs(np.diff(smooth, axis=-1)).mean() < 2.0

    heavy = fields.density(32)
    assert (heavy > 0).all()
    assert heavy.max() > 10 * np.median(heavy)

    rough = fields.noisy(32, noise=0.5)
    assert np.diff(rough, axis=0).std() > 0.5

    flat = fields.nearly_constant(64, share=0.001)
    assert 0.98 < np.mean(flat == 1.0) < 1.0
    assert (fields.nearly_constant(8, share=0.0) == 1.0).all()

    spread = fields.particles(5000)
    assert 0 <= spread.min() < spread.max() <= 100


def test_masked_has_land_and_gaps():
    a = fields.masked((6, 48, 96), land=0.3, fill_value=-999.0, gaps=0.1)
    land = np.isnan(a)
    assert (land == land[0]).all()
    assert np.mean(land) == pytest.approx(0.3, abs=0.01)
    assert (a == -999.0).any(axis=(1, 2)).all()
    ocean = a[~land & (a != -999.0)]
    assert ((ocean > 180) & (ocean < 340)).all()
    assert not (fields.masked((2, 24, 48), gaps=0.0) == -999.0).any()


def test_bad_requests_are_refused():
    with pytest.raises(ValueError, match="turbulence"):
        fields.generate("turbulance")
    with pytest.raises(ValueError, match="float32 or float64"):
        fields.turbulence(8, dtype=np.int32)
    with pytest.raises(ValueError, match="latitude"):
        fields.climate((8,))
    with pytest.raises(ValueError, match="0 or above"):
        fields.turbulence((-1, 4))
