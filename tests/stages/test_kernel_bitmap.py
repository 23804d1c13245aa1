"""Coded bitmaps are those of their specification, come back, and are short where they should."""

from __future__ import annotations

import bitmap_spec
import numpy as np
import pytest

from fzdask.codecs.kernels.cpu import bitmap

NONE = np.zeros(0, np.uint64)


def words_of(bits):
    words = np.zeros(len(bits) // 64 + 2, np.uint64)
    packed = np.packbits(np.array(bits, np.uint8), bitorder="little")
    words.view(np.uint8)[: packed.size] = packed
    return words[: (len(bits) + 63) // 64 + 1]


def encoded(bits, row, plane, hint=None):
    hints = NONE if hint is None else words_of(hint)
    out = np.empty(4 * len(bits) + 200, np.uint8)
    used = bitmap.encode(words_of(bits), hints, len(bits), row, plane, out)
    return out[:used].copy(), hints


def cases():
    rng = np.random.default_rng(0)
    for k in range(150):
        n = int(rng.integers(1, 300))
        row = int(rng.choice([0, 2, 3, 15, 16, 17, 18, 40]))
        plane = int(row * rng.integers(2, 5)) if k % 3 == 0 else 0
        bits = (rng.random(n) < rng.choice([0.0, 0.02, 0.5, 0.98, 1.0])).astype(int)
        if k % 2:
            bits = np.repeat(bits, rng.integers(2, 40))[:n]
        hint = rng.integers(0, 2, n).tolist() if k % 5 == 0 else None
        yield bits.tolist(), row, plane, hint


def test_equal_the_specification_and_come_back():
    for bits, row, plane, hint in cases():
        data, hints = encoded(bits, row, plane, hint)
        assert bytes(data) == bitmap_spec.encode(bits, row, plane, hint)
        assert bitmap_spec.decode(bytes(data), len(bits), row, plane, hint) == bits
        words = np.zeros_like(words_of(bits))
        assert bitmap.decode(data, hints, len(bits), row, plane, words)
        np.testing.assert_array_equal(words, words_of(bits))
        longer = np.append(data, np.uint8(0))
        assert not bitmap.decode(longer, hints, len(bits), row, plane, np.zeros_like(words))


def test_any_bytes_decode_to_some_bits():
    rng = np.random.default_rng(1)
    for n, row, plane in ((1, 0, 0), (64, 8, 0), (500, 7, 70), (1000, 33, 99)):
        for size in (0, 1, 9, 200):
            data = np.frombuffer(rng.bytes(size), np.uint8)
            words = np.zeros((n + 63) // 64 + 1, np.uint64)
            fits = bitmap.decode(data, NONE, n, row, plane, words)
            got = np.unpackbits(words.view(np.uint8), bitorder="little")
            assert not got[n:].any()
            if fits:
                assert bitmap_spec.decode(bytes(data), n, row, plane) == got[:n].tolist()


def test_too_little_room_is_told():
    bits = np.random.default_rng(2).integers(0, 2, 4000)
    out = np.empty(400, np.uint8)
    assert bitmap.encode(words_of(bits), NONE, 4000, 63, 0, out) == -1


@pytest.mark.parametrize(("shape", "least"), [((100_000,), 50), ((300, 400), 20)])
def test_masks_of_fields_are_short(shape, least):
    """Against the bits as they are: borders of a smooth field cost, its insides do not."""
    grid = np.meshgrid(*[np.linspace(0, 9, n) for n in shape], indexing="ij")
    bits = (np.sin(sum(grid)) < 0).reshape(-1)
    row = shape[-1] if len(shape) > 1 else 0
    data, _ = encoded(bits, row, 0)
    assert data.size * least < bits.size // 8
