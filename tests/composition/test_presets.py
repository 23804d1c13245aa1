"""Every preset keeps every kind of bound, on fields that please it and on fields that do not."""

from __future__ import annotations

import numpy as np
import pytest
from exact import assert_guarantee, native

import fzdask
from fzdask.codecs.presets import preset_names

MAIN = ("default", "speed", "quality", "ratio")


def fields():
    rng = np.random.default_rng(4)
    smooth = np.sin(np.arange(12 * 17 * 31) / 90).reshape(12, 17, 31)
    odd = rng.normal(size=(9, 301)).cumsum(1)
    odd[2, 30:80] = np.nan
    odd[::3, ::7] = -0.0
    odd[4, 4], odd[5, 5] = np.inf, 1e300
    return {
        "smooth": smooth.astype("f4"),
        "noise": rng.normal(size=(40, 50)).astype("f4"),
        "odd": odd,
        "fortran": np.asfortranarray(smooth.astype("f4")),
        "integers": (smooth * 900).astype("i4"),
        "complex": (smooth + 1j * smooth[::-1]).astype("c8"),
        "halves": smooth.astype(">f2"),
        "one": np.array([3.25]),
        "constant": np.full((64, 70), -7.5, "f4"),
    }


FIELDS = fields()


@pytest.mark.parametrize("name", preset_names())
def test_presets_keep_the_bound(name):
    for x in FIELDS.values():
        for config in ({"abs": 1e-3}, {"rel": 1e-2}):
            stream = fzdask.compress(x, pipeline=name, **config)
            bound = fzdask.inspect(stream).resolved
            assert_guarantee(x, fzdask.decompress(stream), bound)


@pytest.mark.parametrize("name", MAIN)
@pytest.mark.parametrize("kind", ["smooth", "odd", "integers", "halves"])
def test_the_main_presets_keep_the_other_bounds(name, kind):
    x = FIELDS[kind]
    lossless = fzdask.compress(x, pipeline=name, lossless=True)
    assert fzdask.decompress(lossless).tobytes() == x.tobytes()
    y = fzdask.decompress(fzdask.compress(x, pipeline=name, pw_rel=1e-2))
    finite = np.isfinite(native(x))
    a, b = native(x)[finite].astype("f8"), native(y)[finite].astype("f8")
    assert (np.abs(a - b) <= 1e-2 * np.abs(a)).all()
    assert (np.signbit(a) == np.signbit(b)).all()


def test_presets_are_as_small_as_they_say():
    """On a smooth field: prediction and entropy coding before packing, and before raw bytes."""
    x = np.sin(np.add.outer(np.arange(300) / 40, np.arange(400) / 50)).astype("f4")
    size = {n: len(fzdask.compress(x, abs=1e-3, pipeline=n)) for n in preset_names()}
    assert size["ratio"] <= size["quality"] < size["speed"] < x.nbytes / 4
    assert size["default"] < size["speed"]
    assert max(size.values()) < x.nbytes
