"""What each way of choosing codebooks promises about bytes."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from fzdask import FZCodec
from fzdask.codecs import shared_codebooks

SCRIPT = """
import hashlib, json, sys
import numpy as np
from fzdask import FZCodec
codec = FZCodec.from_config(json.loads(sys.argv[1]))
chunks = [np.sin(np.arange(20000.0) * k).reshape(100, 200) for k in (0.01, 0.3, 0.0)]
for chunk in chunks:
    print(hashlib.sha256(codec.encode(chunk)).hexdigest())
"""


def chunks():
    return [np.sin(np.arange(20000.0) * k).reshape(100, 200) for k in (0.01, 0.3, 0.0)]


def digests(codec, order=(0, 1, 2)):
    some = chunks()
    got = {k: hashlib.sha256(codec.encode(some[k])).hexdigest() for k in order}
    return [got[k] for k in sorted(got)]


def test_own_and_fitted_give_the_same_bytes_in_any_process_and_order(in_new_process):
    own = FZCodec(abs=1e-3)
    fitted = FZCodec.fit(chunks()[1], abs=1e-3)
    for codec in (own, fitted):
        first = digests(codec)
        assert digests(codec, (2, 0, 1, 0)) == first
        FZCodec(abs=1e-3, codebook="shared").encode(chunks()[0])  # another way's history
        assert digests(codec) == first
        assert in_new_process(SCRIPT, json.dumps(codec.get_config())).split() == first


def test_fitting_is_reproducible(in_new_process):
    sample = chunks()[1]
    codec = FZCodec.fit(sample, rel=1e-4)
    FZCodec(rel=1e-4, codebook="shared").encode(chunks()[0])
    assert FZCodec.fit(sample, rel=1e-4) == codec
    script = (
        "import numpy as np; from fzdask import FZCodec;"
        "x = np.sin(np.arange(20000.0) * 0.3).reshape(100, 200);"
        "print(FZCodec.fit(x, rel=1e-4).codebook)"
    )
    assert in_new_process(script).strip() == codec.codebook


def test_shared_repeats_where_the_history_does():
    codec = FZCodec(abs=1e-3, codebook="shared")
    first = digests(codec)
    shared_codebooks._registry.clear()
    assert digests(codec) == first


def test_shared_may_give_other_bytes_for_the_same_chunk():
    """Or nothing would be shared; whoever needs equal bytes takes ``own``."""
    rng = np.random.default_rng(0)
    some = [3 * np.rint(rng.standard_normal(1 << 18).astype("f4")) for _ in range(2)]
    codec = FZCodec(abs=0.1, codebook="shared")
    alone = codec.encode(some[1])
    shared_codebooks._registry.clear()
    codec.encode(some[0])
    after = codec.encode(some[1])
    assert after != alone
    np.testing.assert_array_equal(codec.decode(after), codec.decode(alone))
