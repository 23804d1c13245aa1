"""`zero_blocks` and `zero_bytes` give what their specifications say, and refuse the rest."""

from __future__ import annotations

import numpy as np
import pytest
from zero_blocks_spec import zero_blocks
from zero_bytes_spec import zero_bytes

from fzdask.codecs.stages.zero_blocks import SIZES, ZeroBlocks
from fzdask.codecs.stages.zero_bytes import ZeroBytes
from fzdask.errors import ConfigError, FormatError


def sparse(size, share, seed=0):
    """Bytes of which this share, in stretches, is not 0."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, size).astype("u1")
    return np.where(np.repeat(rng.random(size // 20 + 1), 20)[:size] < share, x, 0).astype("u1")


BACK_ENDS = [(ZeroBlocks(b), lambda d, b=b: zero_blocks(d, b)) for b in SIZES]
BACK_ENDS.append((ZeroBytes(), zero_bytes))


@pytest.mark.parametrize(("stage", "spec"), BACK_ENDS, ids=lambda v: str(v)[:20])
@pytest.mark.parametrize("size", [1, 7, 64, 65, 511, 513, 4095, 5000])
def test_bytes_are_as_specified_and_come_back(stage, spec, size):
    read = type(stage)()  # decoding needs no options
    for share in (0, 0.1, 0.5, 1):
        data = sparse(size, share)
        expected = spec(data.tobytes())
        packed = stage.compress(data)
        if packed is None:
            assert len(expected) >= size
        else:
            assert packed == expected
            assert len(packed) < size
        given = np.frombuffer(expected, np.uint8)
        read.check(given, size)
        np.testing.assert_array_equal(read.decompress(given, size), data)


@pytest.mark.parametrize("stage", [ZeroBlocks(), ZeroBytes()], ids=str)
@pytest.mark.parametrize("size", [60, 3000])
def test_other_sizes_are_refused(stage, size):
    packed = np.frombuffer(stage.compress(sparse(size, 0.1, 1)), np.uint8)
    for data in (packed[:-1], np.append(packed, np.uint8(1))):
        with pytest.raises(FormatError, match="do not hold"):
            stage.decompress(data, size)
    with pytest.raises(FormatError, match="do not hold"):
        stage.decompress(packed[:0], size)


@pytest.mark.parametrize("stage", [ZeroBlocks(), ZeroBytes()], ids=str)
def test_any_bytes_are_read_or_refused(stage):
    rng = np.random.default_rng(2)
    refused = 0
    for size in rng.integers(1, 900, 300):
        data = rng.integers(0, 256, rng.integers(0, 200)).astype("u1")
        if data.size and isinstance(stage, ZeroBlocks):
            data[0] = rng.integers(0, 10)
        try:
            assert stage.decompress(data, int(size)).size == size
        except FormatError:
            refused += 1
    assert refused > 0


def test_nothing_else_is_a_block():
    for block in (0, 2, 24, 512, 16.0, True):
        with pytest.raises(ConfigError, match="must be one of"):
            ZeroBlocks(block)
