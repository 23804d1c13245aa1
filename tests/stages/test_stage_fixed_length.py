"""`fixed_length` gives what its specification says, in vectors and in plain loops."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from fixed_length_spec import fixed_length
from llvmlite import binding
from zigzag_spec import zigzag

from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.fixed_length import FixedLength
from fzdask.errors import ConfigError, FormatError

NONE = np.zeros(0, np.uint8)
STAGES = [FixedLength(b, o) for b in (16, 32, 64) for o in (False, True)]


def codes_of(size, bits, seed=0):
    """Codes of every width, the same for a while, and units of zeros among them."""
    rng = np.random.default_rng(seed)
    width = np.repeat(rng.integers(0, bits + 1, size // 11 + 1), 11)[:size].astype("u8")
    codes = rng.integers(0, 1 << 63, size).astype("u8") * np.uint64(2) + np.uint64(1)
    codes = np.where(width > 0, codes >> (np.uint64(64) - np.maximum(width, 1)), np.uint64(0))
    codes[size // 4 : size // 2] = 0
    return codes.astype(f"<u{bits // 8}")


def round_trip(stage, x):
    form = Form(x.shape, x.dtype)
    got = stage.encode(x, form, Job(NONE, NONE, 0.0))
    sections = {k: np.frombuffer(v, np.uint8) for k, v in got.sections.items()}
    assert stage.form_after(form, got.params) == Form((-1,), np.dtype("u1"))
    back = FixedLength().decode(got.data, form, got.params, sections, Known())
    assert back.dtype == x.dtype
    np.testing.assert_array_equal(back, x)
    return bytes(got.data), {k: v.tobytes() for k, v in sections.items()}


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("stage", STAGES, ids=str)
@pytest.mark.parametrize("size", [1, 15, 64, 65, 1000, 4099])
def test_codes_are_packed_as_specified(stage, bits, size):
    codes = codes_of(size, bits, size)
    assert round_trip(stage, codes) == fixed_length(codes, stage.block, stage.outlier)


@pytest.mark.parametrize("width", [0, 1, 7, 8, 9, 12, 13, 15, 16, 17, 24, 25, 31, 32])
def test_every_width_of_a_vector_unit(width):
    """All four blocks of this width, and one of it among narrow ones."""
    rng = np.random.default_rng(width)
    codes = (rng.integers(0, 1 << 32, 256) % max(1 << width, 1)).astype("<u4")
    codes[128:] %= 4
    codes[200] = (1 << width) - 1
    assert round_trip(FixedLength(), codes) == fixed_length(codes, 16, False)


@pytest.mark.parametrize("stage", [FixedLength(), FixedLength(32, True)], ids=str)
@pytest.mark.parametrize("dtype", ["<i4", "<i8"])
def test_a_lattice_is_zigzagged_first(stage, dtype):
    info = np.iinfo(dtype)
    x = np.array([*range(-70, 70), info.min, info.max, 0, -1], dtype)
    codes = np.array([zigzag(int(v)) for v in x], dtype.replace("i", "u"))
    assert round_trip(stage, x) == fixed_length(codes, stage.block, stage.outlier)


def test_zeros_cost_a_bit_for_every_unit():
    main, sections = round_trip(FixedLength(), np.zeros(64 * 800, "<u4"))
    assert main == b""
    assert sections == {"units": bytes(100), "widths": b""}


@pytest.mark.parametrize("stage", [FixedLength(), FixedLength(64), FixedLength(16, True)], ids=str)
def test_sections_that_do_not_fit_are_refused(stage):
    x = codes_of(1410, 32)
    form = Form(x.shape, x.dtype)
    got = stage.encode(x, form, Job(NONE, NONE, 0.0))
    whole = {k: np.frombuffer(v, np.uint8) for k, v in got.sections.items()}

    def refused(main=got.data, **changed):
        sections = {k: v for k, v in (whole | changed).items() if v is not None}
        with pytest.raises(FormatError):
            stage.decode(main, form, got.params, sections, Known())

    refused(main=got.data[:-1])
    refused(main=np.append(got.data, np.uint8(0)))
    for name, section in whole.items():
        refused(**{name: None})
        refused(**{name: section[:-1]})
        refused(**{name: np.append(section, np.uint8(0))})
    beyond = whole["units"].copy()
    beyond[-1] |= 0x80
    refused(units=beyond)
    if not stage.outlier:
        refused(firsts=NONE)
    for name in whole:
        rng = np.random.default_rng(7)
        for _ in range(40):
            hurt = whole[name].copy()
            hurt[rng.integers(hurt.size)] ^= 1 << rng.integers(8)
            try:
                y = stage.decode(got.data, form, got.params, whole | {name: hurt}, Known())
            except FormatError:
                continue
            assert y.size == x.size


@pytest.mark.parametrize("options", [{"block": 8}, {"block": 16.0}, {"block": "16"}])
def test_no_other_blocks(options):
    with pytest.raises(ConfigError, match="block="):
        FixedLength(**options)


def test_outlier_is_yes_or_no():
    with pytest.raises(ConfigError, match="outlier="):
        FixedLength(outlier=1)


@pytest.mark.parametrize("params", [b"\x03", b"\x08", b"\xff", b"", b"\0\0"])
def test_no_other_parameters_are_read(params):
    with pytest.raises(FormatError):
        FixedLength().form_after(Form((3,), np.dtype("u4")), params)


AVX512 = ("avx2", "fma", "bmi2", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")


@pytest.mark.slow
@pytest.mark.parametrize("more", [None, [], ["avx512vnni"], ["avx512vnni", "gfni"]])
def test_a_processor_that_can_do_less_gives_the_same(more):
    """Kernels for another one (None: a generic one), compiled in a process of their own."""
    features = [] if more is None else [*AVX512, *more]
    here = binding.get_host_cpu_features()
    if not all(here.get(feature) for feature in features):
        pytest.skip("this one cannot run such kernels")
    script = (
        "import sys, numpy as np, fzdask\n"
        "x = np.random.default_rng(3).normal(size=5000).cumsum().astype('f4')\n"
        "for bound in (1.0, 1e-2, 1e-5):\n"
        "    stream = fzdask.compress(x, abs=bound, pipeline='speed')\n"
        "    back = fzdask.decompress(stream)\n"
        "    assert np.abs(back.astype('f8') - x).max() <= bound\n"
        "    sys.stdout.write(stream.hex() + back.tobytes().hex())\n"
    )
    other = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": ",".join(f"+{feature}" for feature in features),
    }
    given = [
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            capture_output=True,
            env={**os.environ, **env},
        ).stdout
        for env in ({}, other)
    ]
    assert given[0] == given[1] != b""
