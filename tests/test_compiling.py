"""`compile_kernels` leaves nothing to compile for the calls after it."""

import subprocess
import sys

import numpy as np
import pytest

import fzdask
from fzdask.errors import ConfigError
from fzdask.jit import KERNELS

PROGRAM = """
import numpy as np
import fzdask
from fzdask.jit import KERNELS
from fzdask.metrics import fields

def present():
    return {(k.py_func.__module__, k.py_func.__name__, s) for k in KERNELS for s in k.signatures}

done = fzdask.compile_kernels("speed", "float32")
ready = present()
assert done.compiled + done.loaded > 20 and done.folder, done
assert fzdask.compile_kernels("speed", "float32")[:2] == (0, 0)
for name in fields.FIELDS:
    x = fields.generate(name, 64000)
    with np.errstate(invalid="ignore"):
        spread = float(np.nanmax(x) - np.nanmin(x))
    for given in ({"abs": 1e-2 * spread}, {"abs": 1e-5 * spread}, {"rel": 1e-3}, {"pw_rel": 1e-2},
                  {"psnr": 70}, {"lossless": True}):
        stream = fzdask.compress(x, pipeline="speed", **given)
        for at in (0, 1, 2, 4):  # wherever it lies, and whether it may be written to or not
            moved = bytes(at) + stream
            fzdask.decompress(memoryview(moved)[at:])
            fzdask.decompress(memoryview(bytearray(moved))[at:])
late = {name for _, name, _ in present() - ready}
assert not late, late
"""


def test_no_call_after_it_compiles_anything():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", ["float16", "complex64", "int8", "uint16", ">f4"])
def test_every_dtype_of_numbers_can_be_asked_for(dtype):
    fzdask.compile_kernels("quantize | difference", dtype)
    ready = sum(len(kernel.signatures) for kernel in KERNELS)
    x = np.arange(60).astype(dtype)
    back = fzdask.decompress(fzdask.compress(x, abs=2, pipeline="quantize | difference"))
    assert np.abs(back.astype("c16") - x.astype("c16")).max() <= 2
    assert sum(len(kernel.signatures) for kernel in KERNELS) == ready


def test_a_pipeline_of_one_kind_of_bound_is_compiled_for_that():
    chain = "logarithm | quantize"
    fzdask.compile_kernels(chain, "float32")
    ready = sum(len(kernel.signatures) for kernel in KERNELS)
    x = np.linspace(-3, 5, 500, dtype="f4")
    back = fzdask.decompress(fzdask.compress(x, pw_rel=1e-2, pipeline=chain))
    assert (np.abs(back.astype("f8") - x) <= 1e-2 * np.abs(x.astype("f8"))).all()
    assert sum(len(kernel.signatures) for kernel in KERNELS) == ready


@pytest.mark.parametrize(
    ("pipeline", "dtype", "said"),
    [
        ("sped", "float32", "did you mean 'speed'"),
        ("speed", "flot32", "no NumPy dtype"),
        ("speed", object, "give float16"),
        ("speed", "M8[s]", "give float16"),
        ("speed", np.longdouble if np.dtype("g").itemsize > 8 else bool, "give float16"),
    ],
)
def test_what_no_pipeline_takes_is_refused(pipeline, dtype, said):
    with pytest.raises(ConfigError, match=said):
        fzdask.compile_kernels(pipeline, dtype)
