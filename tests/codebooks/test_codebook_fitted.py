"""Fitted codecs: the book is in the configuration, and streams only name it."""

from __future__ import annotations

import copy
import json
import pickle

import numcodecs
import numpy as np
import pytest

import fzdask
from fzdask import FZCodec
from fzdask.codecs.codebooks import Codebook
from fzdask.codecs.zarr_array_codec import FZArrayCodec
from fzdask.errors import ConfigError, FormatError


@pytest.fixture
def fitted(waves):
    return FZCodec.fit(waves(0), abs=0.5)


@pytest.fixture
def other(waves):
    return FZCodec.fit(waves(0, noise=40.0), abs=0.5)


def book_of(codec) -> Codebook:
    return Codebook.from_text(codec.codebook)


def test_streams_are_smaller_without_the_book():
    rng = np.random.default_rng(0)
    own = FZCodec(abs=0.5)
    fitted = FZCodec.fit(20 * rng.standard_normal((1024, 128)), abs=0.5)
    for _ in range(5):
        chunk = 20 * rng.standard_normal((64, 128))
        assert len(fitted.encode(chunk)) < len(own.encode(chunk))


def test_never_larger_than_own_before_the_back_end(waves):
    pipeline = "quantize | lorenzo | huffman"
    codec = FZCodec.fit(waves(0), abs=0.5, pipeline=pipeline)
    own = FZCodec(abs=0.5, pipeline=pipeline)
    for noise in (0.0, 0.2, 3.0, 40.0, 900.0):
        for k in range(3):
            chunk = waves(k, noise)
            assert len(codec.encode(chunk)) <= len(own.encode(chunk))


def test_a_chunk_too_unlike_brings_its_own_book(fitted, waves):
    stream = fitted.encode(waves(0, noise=4000.0))
    chunk = waves(0, noise=4000.0)
    assert np.abs(fzdask.decompress(stream).astype("f8") - chunk).max() <= 0.5


def test_a_missing_book_is_named(fitted, waves):
    stream = fitted.encode(waves(1))
    name = book_of(fitted).name.hex()
    with pytest.raises(FormatError, match=f"needs codebook {name}.*holds none") as error:
        fzdask.decompress(stream)
    assert "codebook='fitted:" in str(error.value)
    with pytest.raises(FormatError, match="holds none"):
        FZCodec(abs=0.5).decode(stream)
    chunk = waves(1).astype("f8")
    got = fzdask.decompress(stream, codebook=fitted.codebook)
    assert np.abs(got.astype("f8") - chunk).max() <= 0.5


def test_a_wrong_book_is_named_with_the_right_one(fitted, other, waves):
    stream = fitted.encode(waves(1))
    wants, holds = book_of(fitted).name.hex(), book_of(other).name.hex()
    assert wants != holds
    with pytest.raises(FormatError, match=f"needs codebook {wants}.*holds {holds}"):
        other.decode(stream)


def test_own_and_shared_streams_need_no_book_but_take_one(fitted, waves):
    for way in ("own", "shared"):
        stream = FZCodec(abs=0.5, codebook=way).encode(waves(2))
        np.testing.assert_array_equal(fitted.decode(stream), fzdask.decompress(stream))


def test_a_fitted_codec_decodes_whatever_bound_it_has(fitted, waves):
    again = FZCodec(rel=1e-3, codebook=fitted.codebook)
    stream = fitted.encode(waves(3))
    np.testing.assert_array_equal(again.decode(stream), fitted.decode(stream))


def test_identity(fitted, other, waves):
    same = FZCodec.fit(waves(0), abs=0.5)
    assert same == fitted
    assert hash(same) == hash(fitted)
    assert fitted not in (other, FZCodec(abs=0.5), FZCodec(abs=0.5, codebook="shared"))
    for again in (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        eval(repr(fitted), {"FZCodec": FZCodec}),
        FZCodec.from_config(json.loads(json.dumps(fitted.get_config()))),
        numcodecs.get_codec(fitted.get_config()),
        FZCodec.from_dict(json.loads(json.dumps(fitted.to_dict()))),
    ):
        assert again == fitted
        assert hash(again) == hash(fitted)
        stream = fitted.encode(waves(4))
        assert again.encode(waves(4)) == stream
        np.testing.assert_array_equal(again.decode(stream), fitted.decode(stream))


def test_the_array_twin_keeps_the_book(fitted):
    twin = fitted.serializer
    assert isinstance(twin, FZArrayCodec)
    assert twin.codebook == fitted.codebook


def test_text_of_a_book_round_trips(fitted):
    book = book_of(fitted)
    assert Codebook.from_text(book.text).packed == book.packed
    assert len(fitted.codebook) < 500


@pytest.mark.parametrize(
    "text",
    [
        "fitted:",
        "fitted:-:",
        "fitted:-:AAAA",
        "fitted:-:!!!!",
        "fitted:x:AAAA",
        "fitted:600:AAAA",
        "fitted:-2:AAAA",
        "fitted:-",
        "fitted:-:A:B",
        "fitted:\N{GREEK SMALL LETTER PI}:AAAA",
    ],
)
def test_damaged_books_are_refused(text, waves):
    with pytest.raises(ConfigError, match=r"codebook=.*FZCodec\.fit gave"):
        FZCodec(abs=0.5, codebook=text).encode(waves(0))
    with pytest.raises(ConfigError, match=r"codebook=.*FZCodec\.fit gave"):
        fzdask.decompress(fzdask.compress(waves(0), abs=0.5), codebook=text)


def test_every_damaged_text_is_refused_or_another_book(fitted, other, waves):
    """A book that lost a letter never decodes to wrong data."""
    stream = fitted.encode(waves(1))
    want = fitted.decode(stream)
    text = fitted.codebook
    for k in range(len(text)):
        damaged = text[:k] + ("A" if text[k] != "A" else "B") + text[k + 1 :]
        try:
            got = fzdask.decompress(stream, codebook=damaged)
        except (ConfigError, FormatError):
            continue
        np.testing.assert_array_equal(got, want)  # base64 leaves bits over at its end


def test_names_of_codebooks_are_checked(fitted, waves):
    for wrong in ("none", "", "Own", "fit", "shared "):
        with pytest.raises(ConfigError, match="'own', 'shared'"):
            FZCodec(abs=0.5, codebook=wrong)


@pytest.mark.parametrize(
    ("sample", "config"),
    [
        (np.zeros((0, 3), "f4"), {"abs": 0.5}),
        (np.array(["a", "b"]), {"abs": 0.5}),
        (np.ones(500, bool), {"abs": 0.5}),
        (np.arange(500.0), {"lossless": True}),
        (np.arange(500.0), {"abs": 0.5, "pipeline": "quantize | lorenzo | zstd"}),
        (np.arange(500.0), {"abs": 0.5, "pipeline": "shuffle | zstd"}),
    ],
)
def test_samples_without_a_book_are_refused(sample, config):
    with pytest.raises(ConfigError, match=r"FZCodec\.fit: .* use no Huffman codebook"):
        FZCodec.fit(sample, **config)


def test_wrong_configurations_are_refused():
    with pytest.raises(ConfigError, match="exactly one bound"):
        FZCodec.fit(np.arange(500.0))
    with pytest.raises(ConfigError, match="FZCodec has no parameter 'bas'"):
        FZCodec.fit(np.arange(500.0), bas=0.5)


def test_fit_makes_the_codebook_itself():
    with pytest.raises(ConfigError, match="leave codebook= out"):
        FZCodec.fit(np.zeros(5000), abs=1.0, codebook="shared")
