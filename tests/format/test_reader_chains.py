"""The second reader undoes chains beside those of the presets, on arrays in odd corners."""

from __future__ import annotations

import numpy as np
import pytest
from format_cases import field, with_outliers
from reader import MalformedError, read
from stream_parts import Parts

import fzdask

CHAINS = (
    "wavelet | rans(contexts=16) | zstd",
    "wavelet(step=4.0) | zigzag | golomb_rice | deflate",
    "constant(block=8, share=0.0) | wavelet | huffman | run_length",
    "transpose | quantize | difference(order=2) | negabinary | bitshuffle(block=64) | zero_bytes",
    "quantize | binning(levels=3) | fixed_length | zero_blocks | lz4",
    "constant(block=8, share=0.0) | quantize | binning(levels=3) | context_mixing",
    "transpose | shuffle | zstd",
)
ARRAYS = {
    "floats": field((9, 10, 20), "f4"),
    "odd values": with_outliers(700, 0.1).reshape(10, 70),
    "fortran": np.asfortranarray(field((8, 30), "f8")),
    "halves": field((13, 20), "f2"),
    "complex": field((5, 40), "c8"),
    "integers": field((12, 25), ">i2"),
    "one value": field((1, 1), "f4"),
}


@pytest.mark.parametrize("chain", CHAINS)
def test_reader_equals_the_library(chain):
    assert_read(chain, {"abs": 0.5})


def assert_read(chain, bound, without=()):
    for name in ARRAYS.keys() - set(without):
        stream = fzdask.compress(ARRAYS[name], **bound, pipeline=chain)
        decoded, again = fzdask.decompress(stream), read(stream)
        assert (again.dtype, again.shape) == (decoded.dtype, decoded.shape), name
        assert again.flags.f_contiguous == decoded.flags.f_contiguous, name
        assert again.tobytes() == decoded.tobytes(), name


BEHIND_A_LOGARITHM = (
    "smallest | zstd",
    "interpolate | rans(contexts=16)",
    "constant(block=8, share=0.0) | quantize | huffman",
    "wavelet | zigzag | fixed_length",
    "transpose | logarithm | quantize | context_mixing",
)


@pytest.mark.parametrize("chain", BEHIND_A_LOGARITHM)
def test_pointwise_bounds_before_any_chain(chain):
    assert_read(chain, {"pw_rel": 0.02}, without=("integers",))


@pytest.mark.parametrize("chain", CHAINS[:3])
def test_sections_cut_short_are_refused(chain):
    """With checksums right, so that the stage itself must notice."""
    parts = Parts.of(fzdask.compress(ARRAYS["odd values"], abs=0.5, pipeline=chain))
    plain = parts
    for k in range(len(parts.raw)):
        plain = plain.apply(k, 0)
    assert read(plain.join()).size == 700
    corrections = 3  # a list of any length: without its last one it is a list as well
    for k, data in enumerate(parts.raw):
        if parts.header.sections[k].number == corrections:
            continue
        with pytest.raises(MalformedError):
            read(plain.with_raw(k, data[:-1]).join())
