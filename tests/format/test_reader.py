"""The reader made from docs/format.md alone gives what the library gives, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from format_cases import all_cases
from reader import read

import fzdask

CASES = all_cases()


def same(got, want):
    """Whether two arrays agree in dtype, shape, memory order and every bit."""
    return (
        got.dtype == want.dtype
        and got.shape == want.shape
        and got.flags.f_contiguous == want.flags.f_contiguous
        and got.tobytes() == want.tobytes()
    )


@pytest.mark.parametrize("name", CASES)
def test_reader_equals_the_library(name):
    array, config = CASES[name]
    stream = fzdask.compress(array, **config)
    decoded = fzdask.decompress(stream)
    assert same(read(stream), decoded)
    assert decoded.dtype == array.dtype
    assert decoded.shape == array.shape


def test_cases_reach_every_part_of_the_page():
    """The set above is broad: each stage, kind of section and way of storing occurs in it."""
    infos = {name: fzdask.inspect(fzdask.compress(x, **c)) for name, (x, c) in CASES.items()}
    pipelines = {info.pipeline for info in infos.values()}
    assert {
        "stored",
        "shuffle | zstd",
        "quantize | zstd",
        "quantize | lorenzo | zstd",
        "quantize | huffman",
        "quantize | lorenzo | huffman",
        "quantize | lorenzo | huffman | zstd",
        "quantize | lorenzo | lorenzo | huffman | zstd",
        "quantize | lorenzo | zstd | zstd",
    } <= pipelines
    default = "quantize | lorenzo | huffman | zstd"
    for name, dtype in (("wide-lattice", "f8"), ("runs", "f4"), ("constant", "f4")):
        assert infos[name].pipeline == default
        assert infos[name].dtype == np.dtype(dtype)
    assert infos["runs"].ratio > 100
    shares = {i.outliers * i.dtype.itemsize / i.nbytes for n, i in infos.items() if "outliers" in n}
    assert {s for s in shares if 0.005 < s < 0.2}
    assert {s for s in shares if s > 0.4}
