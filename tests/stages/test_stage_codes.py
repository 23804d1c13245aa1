"""`zigzag`, `negabinary` and `sign_magnitude` give what their specifications say, and undo it."""

from __future__ import annotations

import numpy as np
import pytest
from negabinary_spec import negabinary
from sign_magnitude_spec import sign_magnitude
from zigzag_spec import zigzag

from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.negabinary import Negabinary
from fzdask.codecs.stages.sign_magnitude import SignMagnitude
from fzdask.codecs.stages.zigzag import Zigzag
from fzdask.errors import FormatError

NONE = np.zeros(0, np.uint8)
SPECS = {
    Zigzag: lambda v, bits: zigzag(v),
    Negabinary: negabinary,
    SignMagnitude: sign_magnitude,
}


@pytest.mark.parametrize("dtype", ["<i4", "<i8"])
@pytest.mark.parametrize("stage", SPECS)
def test_codes_are_as_specified_and_come_back(stage, dtype):
    bits = 8 * np.dtype(dtype).itemsize
    info = np.iinfo(dtype)
    ends = [info.min, info.min + 1, info.min // 2, info.max // 2, info.max - 1, info.max]
    x = np.array([*range(-40, 41), *ends], dtype)
    form = Form(x.shape, x.dtype)
    got = stage().encode(x, form, Job(NONE, NONE, 0.0))
    after = stage().form_after(form, got.params)
    assert after == Form(x.shape, np.dtype(f"<u{x.itemsize}"))
    assert got.data.dtype == after.dtype
    assert got.sections == {}
    assert [int(c) for c in got.data] == [SPECS[stage](int(v), bits) for v in x]
    back = stage().decode(got.data, form, b"", {}, Known())
    assert back.dtype == x.dtype
    np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize("stage", SPECS)
def test_only_a_lattice_has_codes(stage):
    with pytest.raises(FormatError, match="no lattice"):
        stage().form_after(Form((3,), np.dtype("f4")), b"")
    with pytest.raises(FormatError, match="1 bytes of parameters"):
        stage().form_after(Form((3,), np.dtype("i4")), b"x")


def test_negabinary_digits_weigh_powers_of_minus_two():
    for v in range(-50, 51):
        code = negabinary(v, 32)
        assert sum((-2) ** k for k in range(32) if code >> k & 1) == v
