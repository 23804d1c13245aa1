"""Whatever the codebook, every value is within the bound: own, shared, fitted; all dtypes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fzdask import FZCodec
from fzdask.codecs import codebooks
from fzdask.codecs.codebooks import Codebook, fitted_coding
from fzdask.codecs.kernels.cpu import symbols
from fzdask.codecs.stages.base import Form, Job, Known
from fzdask.codecs.stages.huffman import Huffman
from fzdask.codecs.stages.symbols import Symbols
from fzdask.errors import ConfigError

DTYPES = ["f2", "f4", "f8", ">f4", ">f8", "c8", "c16"]
DTYPES += ["i1", "i2", "i4", "i8", ">i4", "u1", "u2", "u4", "u8"]
SHARED = ("own", "shared", "fitted")


def codec_for(way: str, sample: np.ndarray, **config) -> FZCodec:
    return FZCodec.fit(sample, **config) if way == "fitted" else FZCodec(codebook=way, **config)


def values(dtype: str, seed: int, spread: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    a = spread * rng.standard_normal((40, 50)).cumsum(axis=1)
    kind = np.dtype(dtype)
    if kind.kind == "c":
        return (a + 1j * a[::-1]).astype(kind)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        return np.clip(a + (info.max // 2 if kind.kind == "u" else 0), info.min, info.max).astype(
            kind
        )
    return a.astype(kind)


@pytest.mark.parametrize("way", SHARED)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bound_holds_for_every_dtype(way, dtype, worst):
    bound = 1.0
    chunks = [values(dtype, seed, spread) for seed, spread in enumerate([3, 3, 0.01, 40, 3])]
    if np.dtype(dtype).itemsize == 1:
        chunks = [c.reshape(20, 100) for c in chunks]  # not a flat buffer of bytes
    codec = codec_for(way, chunks[0], abs=bound)
    for want in chunks:
        assert worst(codec.decode(codec.encode(want)), want) <= bound


@pytest.mark.parametrize("way", SHARED)
def test_nan_infinities_and_sentinels_come_back(way, waves):
    codec = codec_for(way, waves(0), abs=0.5, preserve=(-999.0,))
    for number in range(4):
        want = waves(number)
        want[number, ::7] = np.nan
        want[5, ::11] = -np.inf
        want[:, 3] = -999.0
        want[2, 2] = -0.0
        got = codec.decode(codec.encode(want))
        kept = ~np.isfinite(want) | (want == -999.0) | (want == 0)
        assert got[kept].tobytes() == want[kept].tobytes()
        assert np.abs(got[~kept].astype("f8") - want[~kept].astype("f8")).max() <= 0.5


def coded_with(book: Codebook, residual: np.ndarray, monkeypatch) -> tuple[Symbols, dict]:
    """Code residuals with exactly this book, though an own one may be smaller."""
    coded = Symbols.of(residual)
    monkeypatch.setattr(codebooks, "own_coding", lambda *_: codebooks.Coding(book, 1 << 62, None))
    coding = fitted_coding(coded, 4096, book)
    assert coding.book is book
    job = Job(np.zeros(0, np.uint8), residual[:0], 0.0, books=book)
    return Huffman().encode(coded, Form((residual.size,), residual.dtype), job)


def lattice(kind: str, dtype: str, size: int = 9000) -> np.ndarray:
    rng = np.random.default_rng(7)
    info = np.iinfo(dtype)
    if kind == "noise":
        return rng.integers(-2000, 2000, size).astype(dtype)
    if kind == "wide":
        return rng.integers(info.min, info.max, size, dtype=dtype, endpoint=True)
    if kind == "extremes":
        return np.where(np.arange(size) % 2, info.max, info.min).astype(dtype)
    runs = np.zeros(size, dtype)
    runs[::701] = rng.integers(info.min, info.max, runs[::701].size, dtype=dtype)
    return runs


@pytest.mark.parametrize("dtype", ["i4", "i8"])
@pytest.mark.parametrize("kind", ["noise", "wide", "extremes", "runs"])
@pytest.mark.parametrize("mode", [-1, 0])
def test_a_book_of_zeros_codes_anything(kind, dtype, mode, monkeypatch):
    """Every symbol but one is an escape."""
    counts = np.zeros(symbols.ALPHABET, np.int64)
    if mode < 0:
        counts[0] = 1000
    else:
        counts[symbols.RUN + 12] = 1000  # runs of 4096; shorter ones are escapes
    if mode >= 0 and kind != "runs":
        counts[symbols.RUN] = 1
    counts[symbols.ESCAPE] = 1
    # A run symbol must not be an escape: every length of runs that may come has a code.
    counts[symbols.RUN : symbols.ESCAPE] |= 1 if mode >= 0 else 0
    book = Codebook.build(counts, mode)
    assert book.usable
    want = lattice(kind, dtype)
    got = coded_with(book, want, monkeypatch)
    assert "codebook_name" in got.sections
    sides = {k: np.frombuffer(v, np.uint8) for k, v in got.sections.items()}
    form = Form((want.size,), want.dtype)
    back = Huffman().decode(got.data, form, got.params, sides, Known(book))
    np.testing.assert_array_equal(back, want)


def test_fitted_on_zeros_used_on_noise(worst):
    codec = FZCodec.fit(np.zeros((64, 64), "f4"), abs=1e-3)
    for scale in (1e-3, 1.0, 1e6, 1e30):
        want = (scale * np.random.default_rng(1).standard_normal((64, 64))).astype("f4")
        assert worst(codec.decode(codec.encode(want)), want) <= 1e-3


@settings(max_examples=40, deadline=None)
@given(
    sample=st.sampled_from(["zeros", "steps", "noise"]),
    data=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=300),
    bound=st.integers(0, 2**40),
)
def test_any_integers_after_any_sample(sample, data, bound):
    rng = np.random.default_rng(0)
    samples = {
        "zeros": np.zeros(500, "i8"),
        "steps": np.arange(500, dtype="i8") * 5,
        "noise": rng.integers(-(10**9), 10**9, 500),
    }
    want = np.array(data, "i8")
    shared = FZCodec(abs=bound, codebook="shared")
    shared.encode(samples[sample])
    try:
        fitted = FZCodec.fit(samples[sample], abs=bound)
    except ConfigError:  # coded without a book: the sample is too small for the bound
        fitted = shared
    for codec in (shared, fitted):
        got = codec.decode(codec.encode(want))
        assert max(abs(int(a) - int(b)) for a, b in zip(got, want, strict=False)) <= bound
