"""Whole chains: fused and unfused kernels give the same bytes, which are the specifications'."""

from __future__ import annotations

import huffman_spec
import lattice_spec
import lorenzo_spec
import numpy as np
import pytest
from exact import assert_guarantee

from fzdask.codecs.config import CodecConfig
from fzdask.codecs.kernels.cpu.tile_differences import TILE
from fzdask.codecs.pipeline import Pipeline
from fzdask.codecs.prepare import memory_order, prepare, restore_layout
from fzdask.codecs.stages.base import Known

CHAINS = [
    "quantize",
    "quantize | lorenzo",
    "quantize | huffman",
    "quantize | lorenzo | huffman",
    "quantize | lorenzo(axes=all) | huffman(group=256)",
    "quantize | lorenzo(axes=(0, 2)) | huffman(group=512)",
    "quantize | lorenzo(axes=()) | huffman",
    "quantize | lorenzo(axes=1) | lorenzo(axes=0) | huffman",
    "quantize | lorenzo | lorenzo | huffman",
    "quantize | lorenzo | huffman | zstd",
    "quantize | lorenzo | zstd(level=3) | zstd",
]
SHAPES = [(1,), (2047,), (TILE + 1,), (65, 65), (3, 2731), (33, 64), (5, 6, 71), (2, 3, 5, 7, 11)]
DTYPES = ["f2", "f4", "f8", "c8", "c16", "i1", "u2", "i4", "u8"]


def field(shape, dtype, odd=0.0):
    """A smooth field with noise; of floats, a share ``odd`` that no lattice holds."""
    rng = np.random.default_rng(len(shape))
    size = int(np.prod(shape))
    x = 40 * np.sin(np.arange(size) / 50) + rng.normal(size=size)
    if np.dtype(dtype).kind in "iu":
        return np.abs(x).astype(dtype).reshape(shape)
    x = x.astype(dtype)
    if x.dtype.kind == "c":
        x.imag = rng.normal(size=size).cumsum()
    where = rng.random(size) < odd
    x[where] = rng.choice([np.nan, np.inf, -0.0, 6e4], where.sum())
    return x.reshape(shape)


def both_ways(x, text, config):
    """Encode fused and unfused; returns what :func:`prepare` gave, the chain and the encoding."""
    chain = Pipeline.from_text(text)
    results = []
    for fused in (True, False):
        ready = prepare(x, memory_order(x), config)
        assert ready.job is not None
        run = Pipeline(chain.stages, fused=fused)
        results.append(run.encode(ready.data, ready.form, ready.job))
    (stages, entries, blobs), (stages_2, entries_2, blobs_2) = results
    assert stages == stages_2
    assert entries == entries_2
    assert [bytes(b) for b in blobs] == [bytes(b) for b in blobs_2]
    return ready, chain, results[0]


def decode(x, ready, chain, fused, encoding):
    stages, entries, blobs = encoding
    plain = Pipeline.from_entries(stages)
    assert [type(s) for s in plain.stages] == [type(s) for s in chain.stages]
    run = Pipeline(plain.stages, fused=fused)
    flat = run.decode(ready.form, stages, entries, blobs, Known())
    flat = flat.view(x.dtype.newbyteorder("<")).astype(x.dtype)
    return restore_layout(flat, x.shape, memory_order(x))


@pytest.mark.parametrize("text", CHAINS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_chain_and_dtype(text, dtype):
    for odd in (0.0, 0.05):
        x = field((19, 7, 33), dtype, odd)
        ready, chain, encoding = both_ways(x, text, CodecConfig(abs=1.0))
        for fused in (True, False):
            assert_guarantee(x, decode(x, ready, chain, fused, encoding), 1.0)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("order", "CF")
def test_every_shape(shape, order):
    for dtype in ("f4", "f8"):
        for odd in (0.0, 0.05):
            x = np.asarray(field(shape, dtype, odd), order=order)
            config = CodecConfig(abs=0.01, preserve=(6e4, float(x.flat[0])))
            ready, chain, encoding = both_ways(x, "quantize | lorenzo | huffman", config)
            for fused in (True, False):
                y = decode(x, ready, chain, fused, encoding)
                assert_guarantee(x, y, 0.01, config.preserve)


@pytest.mark.parametrize("place", [0, TILE + 5, 3 * TILE - 1])
@pytest.mark.parametrize("kind", ["abs", "rel"])  # of which the latter knows the range beforehand
def test_one_value_beyond_a_lattice_of_32_bits(place, kind):
    """Wherever it is found, all values go to the wide lattice, as without fusion."""
    x = field((3 * TILE,), "f8")
    x[place] = 2.0**40
    config = CodecConfig(abs=0.01) if kind == "abs" else CodecConfig(rel=0.01 / 2.0**41)
    ready, chain, encoding = both_ways(x, "quantize | lorenzo | huffman", config)
    assert encoding[0][0].params == b"\x08"
    for fused in (True, False):
        assert_guarantee(x, decode(x, ready, chain, fused, encoding), 0.01)


@pytest.mark.parametrize("bound", [1e-30, 1e-12, 1e-3, 1.0, 1e9])
def test_every_lattice_width_and_symbol_width(bound):
    for dtype in ("f4", "f8"):
        x = field((40, 70), dtype, 0.01)
        x[3, 5] = 1e30
        ready, chain, encoding = both_ways(
            x, "quantize | lorenzo | huffman", CodecConfig(abs=bound)
        )
        for fused in (True, False):
            assert_guarantee(x, decode(x, ready, chain, fused, encoding), bound)


@pytest.mark.parametrize("axes", ["(2,)", "(0, 2)", "(0, 1)", "all"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_residuals_beyond_16_bits_in_some_tiles(axes, dtype):
    """Sums of a tile go on from the one before, whichever way each was decoded."""
    x = field((9, 31, 4 * TILE // 248), dtype)
    for place in (3, TILE - 1, TILE, 3 * TILE + 70):
        x.flat[place] = 2000.0
    chain = f"quantize | lorenzo(axes={axes}) | huffman"
    ready, chain, encoding = both_ways(x, chain, CodecConfig(abs=0.01))
    unfused, fused = (decode(x, ready, chain, way, encoding) for way in (False, True))
    assert unfused.tobytes() == fused.tobytes()
    assert_guarantee(x, fused, 0.01)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sections_are_what_the_specifications_give_one_after_the_other(dtype):
    x = field((37, 61), dtype, 0.03)
    text = "quantize | lorenzo | huffman"
    ready, _, (stages, entries, blobs) = both_ways(x, text, CodecConfig(abs=1.0))
    forced = ready.job.forced
    flags = forced.astype(bool) if forced.size else np.zeros(ready.data.size, bool)
    if ready.data.dtype.kind == "f":
        first = lattice_spec.quantize_floats(ready.data, ready.job.bits, ready.form.bound, flags)
    else:
        first = lattice_spec.quantize_integers(ready.data, int(ready.form.bound), flags)
    params, lattice, sections = first
    expected = {(0, k + 1): v for k, v in enumerate(sections.values())}
    mask = stages[1].params[0]
    residual = lorenzo_spec.residual(lattice, ready.form.shape, mask)
    mode = int.from_bytes(stages[2].params[1:], "little") if len(stages[2].params) > 1 else -1
    coded_params, main, sides = huffman_spec.encode(residual, 4096, mode)
    expected |= {(2, 0): main, (2, 1): sides["codebook"], (2, 2): sides["group_sizes"]}
    assert [s.params for s in stages] == [params, bytes([mask]), coded_params]
    got = {(e.stage, e.number): bytes(b) for e, b in zip(entries, blobs, strict=True)}
    assert got == expected
