"""FZCodec as a plain codec for NumPy arrays: the numcodecs protocol."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fzdask import ConfigError, FZCodec, UnsupportedDtypeError

CODEC = FZCodec(abs=0.01)

ARRAYS = {
    "C": lambda a: a,
    "F": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "reversed": lambda a: a[::-1, ::-1],
    "big-endian": lambda a: a.astype(">f4"),
    "float64": lambda a: a.astype("f8"),
    "float16": lambda a: a.astype("f2"),
    "0-d": lambda a: a[3, 4],
    "empty": lambda a: a[:0],
    "1-D": lambda a: a.ravel(),
    "5-D": lambda a: a[:32, :24].reshape(4, 8, 2, 3, 4),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_shape_dtype_order_and_bound(field, worst, name):
    x = np.asarray(ARRAYS[name](field))
    x.flags.writeable = False
    y = CODEC.decode(CODEC.encode(x))
    assert y.dtype == x.dtype
    assert worst(y, x) <= 0.01
    if name in ("C", "F", "big-endian"):
        assert y.flags.f_contiguous == x.flags.f_contiguous


EXACT = {
    "bool": np.array([[True, False], [False, True]]),
    "datetime64": np.array(["2020-01-01", "NaT"], "M8[ns]"),
    "timedelta64": np.array([1, -2], "m8[s]"),
    "unicode": np.array(["a", "äöü"]),
    "bytes": np.array([b"a", b"bcd"]),
    "int64": np.array([2**63 - 1, -(2**63)]),
    "structured": np.array([(1, 2.5), (3, 4.5)], [("n", "i4"), ("v", "f8")]),
    "nan payload": np.array([0x7FC00001, 0xFFC12345], "u4").view("f4"),
    "infinities": np.array([np.inf, -np.inf, 0.0, -0.0], "f4"),
}


@pytest.mark.parametrize("name", EXACT)
def test_what_cannot_be_approximated_comes_back_bit_for_bit(name):
    x = EXACT[name]
    y = CODEC.decode(CODEC.encode(x))
    assert y.dtype == x.dtype
    assert y.shape == x.shape
    assert y.tobytes() == x.tobytes()


def test_complex_parts_keep_the_bound(field):
    x = (field + 1j * field[::-1]).astype("c8")
    y = CODEC.decode(CODEC.encode(x))
    assert y.dtype == x.dtype
    for part in ("real", "imag"):
        error = getattr(y, part).astype("f8") - getattr(x, part).astype("f8")
        assert np.abs(error).max() <= 0.01


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, np.asarray])
@pytest.mark.parametrize("codec", [FZCodec(abs=50.0), FZCodec(rel=0.5)], ids=repr)
def test_bytes_are_lossless_under_any_bound(kind, codec):
    text = b"variable-length text, made bytes by another codec\0"
    buffer = np.frombuffer(text, "u1") if kind is np.asarray else kind(text)
    decoded = codec.decode(codec.encode(buffer))
    assert decoded.dtype == np.uint8
    assert decoded.tobytes() == text


@pytest.mark.parametrize("dtype", [object, np.dtypes.StringDType()], ids=str)
def test_pointers_are_refused_with_the_remedy(dtype):
    with pytest.raises(UnsupportedDtypeError, match="VLenUTF8"):
        CODEC.encode(np.array(["a", "b"], dtype=dtype))


@pytest.mark.parametrize("value", [[1.0, 2.0], "text", 3, None, [(b"", None)]], ids=repr)
@pytest.mark.parametrize("method", ["encode", "decode"])
def test_what_is_no_array_is_refused_and_never_a_forgotten_coroutine(value, method):
    with pytest.raises(TypeError, match="takes an array or a buffer"):
        getattr(CODEC, method)(value)


def test_array_likes_and_scalars(field, worst):
    import xarray as xr

    assert worst(CODEC.decode(CODEC.encode(xr.DataArray(field))), field) <= 0.01
    assert worst(CODEC.decode(CODEC.encode(np.float32(2.5))), np.float32(2.5)) <= 0.01


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda s: np.frombuffer(s, "u1")])
def test_decode_takes_any_buffer(field, worst, wrap):
    assert worst(CODEC.decode(wrap(CODEC.encode(field))), field) <= 0.01


OUTS = {
    "same": lambda x: np.empty_like(x),
    "other order": lambda x: np.empty(x.shape, x.dtype, order="C" if x.flags.fnc else "F"),
    "other byte order": lambda x: np.empty(x.shape, x.dtype.newbyteorder(">")),
    "strided": lambda x: np.empty((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)[..., ::2],
    "flat": lambda x: np.empty(x.size, x.dtype),
    "bytes": lambda x: np.empty(x.nbytes, "u1"),
    "bytearray": lambda x: bytearray(x.nbytes),
}


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("name", OUTS)
def test_out_receives_the_values(field, name, order):
    x = np.asarray(field, order=order)
    stream = CODEC.encode(x)
    want = CODEC.decode(stream)
    out = OUTS[name](x)
    assert CODEC.decode(stream, out=out) is out
    if name in ("flat", "bytes", "bytearray"):  # memory order, as Zarr v2 reads it
        got = np.frombuffer(out, x.dtype).reshape(x.shape, order=order)
    else:
        got = out
    np.testing.assert_array_equal(got, want)


BAD_OUTS = {
    "too small": lambda x: np.empty(x.size - 1, x.dtype),
    "too large": lambda x: np.empty((x.shape[0] + 1, x.shape[1]), x.dtype),
    "transposed shape": lambda x: np.empty(x.shape[::-1], x.dtype),
    "same size, other dtype": lambda x: np.empty(x.shape, "i4"),
    "wider dtype": lambda x: np.empty(x.shape, "f8"),
    "read-only bytes": lambda x: bytes(x.nbytes),
    "short bytearray": lambda x: bytearray(x.nbytes - 1),
}


@pytest.mark.parametrize("name", BAD_OUTS)
def test_out_that_does_not_fit_is_refused_and_left_alone(field, name):
    out = BAD_OUTS[name](field)
    before = bytes(memoryview(out).cast("B")) if isinstance(out, np.ndarray) else bytes(out)
    with pytest.raises(ConfigError, match=r"out .*stream holds shape \(37, 29\), dtype float32"):
        CODEC.decode(CODEC.encode(field), out=out)
    after = bytes(memoryview(out).cast("B")) if isinstance(out, np.ndarray) else bytes(out)
    assert after == before


def test_preserved_values_come_back_bit_for_bit(field, worst):
    x = field.copy()
    x[::5, ::3] = -999.0
    y = FZCodec(rel=1e-3, preserve=-999.0).decode(FZCodec(rel=1e-3, preserve=-999.0).encode(x))
    kept = x != -999.0
    np.testing.assert_array_equal(y == -999.0, ~kept)
    span = float(x[kept].max()) - float(x[kept].min())
    assert worst(y[kept], x[kept]) <= 1e-3 * span


def test_ten_threads_share_one_codec(field, worst):
    fields = [field + np.float32(i) for i in range(40)]
    serial = [CODEC.encode(x) for x in fields]
    with ThreadPoolExecutor(10) as pool:
        streams = list(pool.map(CODEC.encode, fields))
        decoded = list(pool.map(CODEC.decode, streams))
    assert [bytes(s) for s in streams] == [bytes(s) for s in serial]
    assert max(worst(y, x) for x, y in zip(fields, decoded, strict=True)) <= 0.01
