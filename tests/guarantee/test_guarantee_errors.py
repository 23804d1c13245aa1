"""Every refusal names who refuses, what was given, the rule and the remedy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import fzdask
from fzdask import ConfigError, FormatError, FZCodec, Pipeline, UnsupportedDtypeError
from fzdask.codecs.config import CodecConfig

X = np.linspace(0, 1, 300, dtype="f4")

CONFIGURATIONS = {
    "no bound": ({}, ["FZCodec", "exactly one bound", "got none", "FZCodec(abs=1e-3)"]),
    "None": ({"abs": None}, ["FZCodec", "got none", "FZCodec(abs=1e-3)"]),
    "two bounds": ({"abs": 1, "rel": 1}, ["got abs and rel", "exactly one"]),
    "two with 0": ({"abs": 0, "rel": 0.0}, ["got abs and rel", "exactly one"]),
    "bound and lossless": ({"rel": 1, "lossless": True}, ["got rel and lossless"]),
    "all": ({"abs": 1, "rel": 1, "lossless": True}, ["got abs and rel and lossless"]),
    "negative": ({"abs": -1}, ["FZCodec", "abs=-1", "not negative", "lossless=True"]),
    "negative rel": ({"rel": -1e-300}, ["FZCodec", "rel=-1e-300", "not negative"]),
    "NaN": ({"abs": np.nan}, ["FZCodec", "abs=nan", "finite", "lossless=True"]),
    "infinity": ({"rel": np.inf}, ["FZCodec", "rel=inf", "finite", "lossless=True"]),
    "bool": ({"abs": True}, ["FZCodec", "abs", "real number", "True", "abs=1e-3"]),
    "numpy bool": ({"rel": np.True_}, ["FZCodec", "rel", "real number", "rel=1e-3"]),
    "text": ({"abs": "1e-3"}, ["FZCodec", "abs", "real number", "'1e-3'", "abs=1e-3"]),
    "PSNR as text": ({"psnr": "60"}, ["FZCodec", "psnr", "'60'", "psnr=60"]),
    "complex": ({"abs": 1j}, ["FZCodec", "abs", "real number", "1j"]),
    "array": ({"abs": np.ones(2)}, ["FZCodec", "abs", "real number", "array"]),
    "lossless=1": ({"lossless": 1}, ["FZCodec", "lossless", "True or False", "got 1"]),
    "misspelt": ({"asb": 1}, ["FZCodec", "no parameter 'asb'", "did you mean 'abs'"]),
    "longer": ({"relative": 1}, ["no parameter 'relative'", "did you mean 'rel'"]),
    "preserv": ({"abs": 1, "preserv": 1}, ["no parameter 'preserv'", "did you mean 'preserve'"]),
    "like none": ({"xyzzy": 1}, ["no parameter 'xyzzy'", "Valid ones: abs, rel, pw_rel"]),
    "preserve text": ({"abs": 1, "preserve": ("a",)}, ["preserve", "real numbers", "'a'"]),
    "preserve bool": ({"abs": 1, "preserve": (True,)}, ["preserve", "real numbers", "True"]),
    "pipeline None": ({"abs": 1, "pipeline": None}, ["FZCodec", "pipeline=None", "preset"]),
    "pipeline list": ({"abs": 1, "pipeline": ["quantize"]}, ["pipeline=['quantize']", "text"]),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configuration(name):
    given, parts = CONFIGURATIONS[name]
    for make in (CodecConfig.from_mapping, lambda kw: FZCodec(**kw)):
        with pytest.raises(ConfigError) as caught:
            make(given)
        for part in parts:
            assert part in str(caught.value)


PIPELINES = {
    "defualt": ["no preset 'defualt'", "did you mean 'default'", "stages: quantize"],
    "unheard": ["no preset 'unheard'", "Presets: default"],
    "": ["cannot read ''", "name(option=value)"],
    "quantize | ": ["cannot read ''", "'quantize | '", "joined by '|'"],
    "quantize huffman": ["cannot read 'quantize huffman'", "joined by '|'"],
    "quantise | huffman": ["no stage 'quantise'", "did you mean 'quantize'"],
    "quantize | hufman": ["no stage 'hufman'", "did you mean 'huffman'"],
    "quantize | zip": ["no stage 'zip'", "Known: quantize, lorenzo"],
    "zstd": ["'zstd' takes bytes", "the input gives array", "takes array: quantize"],
    "lorenzo | quantize": ["'lorenzo' takes lattice", "the input gives array"],
    "quantize | quantize": ["'quantize' takes array", "'quantize' gives lattice", "lorenzo"],
    "quantize | huffman | huffman": ["'huffman' takes lattice", "gives bytes", "zstd"],
    "quantize | zstd | lorenzo": ["'lorenzo' takes lattice", "'zstd' gives bytes"],
    "quantize | shuffle": ["'shuffle' takes array", "takes lattice: lorenzo, huffman, zstd"],
    "shuffle | zstd(levle=3)": ["'zstd' has no option 'levle'", "did you mean 'level'"],
    "shuffle(level=3)": ["'shuffle' has no option 'level'", "Valid ones: none"],
    "shuffle | zstd(name=3)": ["'zstd' has no option 'name'", "Valid ones: level"],
    "shuffle | zstd(3)": ["options '3' of 'zstd'", "option=value"],
    "shuffle | zstd(level=3": ["cannot read 'zstd(level=3'"],
    "shuffle | zstd(level=)": ["options 'level=' of 'zstd'"],
    "shuffle | zstd(level=1)(2)": ["zstd", "brackets do not match"],
    "shuffle | zstd(level=exit())": ["options 'level=exit()' of 'zstd'"],
    "shuffle | zstd(level=0)": ["zstd", "level=0", "from 1 to 22"],
    "shuffle | zstd(level=23)": ["zstd", "level=23", "from 1 to 22"],
    "shuffle | zstd(level=True)": ["zstd", "level=True", "whole number"],
    "shuffle | zstd(level=1.5)": ["zstd", "level=1.5", "whole number"],
    "quantize | huffman(group=100)": ["huffman", "group=100", "power of two", "256 to 16384"],
    "quantize | huffman(group=128)": ["huffman", "group=128", "power of two"],
    "quantize | huffman(group=32768)": ["huffman", "group=32768", "power of two"],
    "quantize | huffman(group=big)": ["huffman", "group='big'", "power of two"],
    "quantize | lorenzo(axes=4)": [
        "lorenzo",
        "axes=(4,)",
        "'auto', 'narrow', 'all' or numbers from 0 to 3",
    ],
    "quantize | lorenzo(axes=-1)": ["lorenzo", "axes=(-1,)", "numbers from 0 to 3"],
    "quantize | lorenzo(axes=1.5)": ["lorenzo", "axes=(1.5,)", "numbers from 0 to 3"],
    "quantize | lorenzo(axes=(0, True))": ["lorenzo", "axes=(0, True)", "as in axes=(0, 2)"],
    "quantize | lorenzo(axes=some)": ["lorenzo", "axes='some'", "'auto', 'narrow', 'all'"],
    "quantize | lorenzo(axes={})": ["lorenzo", "axes=({},)", "'auto', 'narrow', 'all'"],
}


@pytest.mark.parametrize("text", PIPELINES)
def test_pipeline(text):
    with pytest.raises(ConfigError) as caught:
        fzdask.compress(X, abs=1e-3, pipeline=text)
    for part in PIPELINES[text]:
        assert part in str(caught.value)


def test_pipeline_of_what_is_no_stage():
    for stages in ([None], [Pipeline], [3]):
        with pytest.raises(ConfigError, match=r"is no stage; known: quantize, lorenzo"):
            Pipeline(stages)
    with pytest.raises(ConfigError, match="no stages; for example 'quantize"):
        Pipeline([])


@pytest.mark.parametrize(
    "text",
    [
        "quantize",
        "shuffle | zstd(level=22)",
        "quantize | lorenzo(axes=all) | huffman(group=256) | zstd(level=3) | zstd",
        "quantize | lorenzo(axes=(0, 2)) | lorenzo(axes=()) | huffman",
        " quantize|lorenzo ( axes = 1 )\n| huffman ",
    ],
)
def test_text_of_a_pipeline_reads_back(text):
    chain = Pipeline.from_text(text)
    assert Pipeline.from_text(str(chain)) == chain
    assert hash(Pipeline.from_text(str(chain))) == hash(chain)
    assert FZCodec(abs=1, pipeline=chain) == FZCodec(abs=1, pipeline=str(chain))


@pytest.mark.parametrize("among", [tuple, frozenset, list])
def test_an_equal_configuration_before_does_not_make_a_wrong_one_right(among):
    stream = fzdask.compress(X, abs=1e-3, preserve=among([1]))
    for value in (True, np.True_):
        with pytest.raises(ConfigError, match="preserve takes real numbers"):
            fzdask.compress(X, abs=1e-3, preserve=among([value]))
    assert fzdask.compress(X, abs=1e-3, preserve=among([1])) == stream


def test_a_bound_without_its_kind_is_refused():
    with pytest.raises(TypeError, match=r"by its kind: fzdask.compress\(array, abs=0.001\) or"):
        fzdask.compress(X, 1e-3)
    with pytest.raises(TypeError, match=r"fzdask.compress\(array, rel=0.001\)"):
        fzdask.compress(X, X, abs=1)


def test_a_dataset_is_refused_with_the_remedy():
    dataset = xr.Dataset({"t": ("x", X.ravel())})
    for call in (fzdask.compress, fzdask.tune):
        with pytest.raises(ConfigError, match=r"ds\['t'\].*ds.fz.to_zarr"):
            call(dataset, abs=1e-3)
    assert fzdask.compress(dataset["t"], abs=1e-3) == fzdask.compress(X.ravel(), abs=1e-3)


def test_masked_arrays_are_refused_with_the_remedy():
    for masked in (np.ma.masked_less(X, 0.5), np.ma.array([1.0, 2.0]), np.ma.masked):
        with pytest.raises(ConfigError) as caught:
            fzdask.compress(masked, abs=1e-3)
        for part in ("masked array", "array.filled(value)", "preserve=(value,)"):
            assert part in str(caught.value)


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, "a", None], object),
        np.zeros(3, [("number", "f4"), ("name", "O")]),
        np.array(["a", "b"], np.dtypes.StringDType()),
        None,
    ],
    ids=["object", "field", "StringDType", "None"],
)
def test_python_objects_are_refused_with_the_remedy(array):
    for config in ({"abs": 1.0}, {"lossless": True}):
        with pytest.raises(UnsupportedDtypeError) as caught:
            fzdask.compress(array, **config)
        for part in ("fzdask", "dtype", "Python objects", "array.astype('S')"):
            assert part in str(caught.value)


@pytest.mark.parametrize("name", ["field.npy", Path("field.npy")], ids=repr)
def test_the_name_of_a_file_is_not_taken_for_its_content(name):
    for call in (fzdask.compress, fzdask.explain, fzdask.tune):
        with pytest.raises(ConfigError, match=r"numpy.load\('field.npy'\)"):
            call(name, abs=1.0)
    for read in (fzdask.decompress, fzdask.inspect):
        with pytest.raises(FormatError, match=r"Path\('field.npy'\).read_bytes\(\)"):
            read(name)
    text = np.array("field.npy")
    assert fzdask.decompress(fzdask.compress(text, abs=1.0)) == text
    assert fzdask.decompress(fzdask.compress(text[()], abs=1.0)) == text


def test_overlapping_fields_are_refused_with_the_remedy():
    dtype = np.dtype({"names": ["a", "b"], "formats": ["<i4", "<i4"], "offsets": [4, 0]})
    with pytest.raises(UnsupportedDtypeError, match="Store its fields as separate arrays"):
        fzdask.compress(np.zeros(3, dtype), abs=1.0)


@pytest.mark.parametrize("stream", [None, "text", 3, pytest.param(object(), id="object")], ids=repr)
def test_what_is_no_buffer_is_no_stream(stream):
    for read in (fzdask.decompress, fzdask.inspect):
        with pytest.raises(FormatError, match=f"contiguous buffer, not {type(stream).__name__}"):
            read(stream)


def test_every_error_is_of_one_family():
    for kind in (ConfigError, FormatError, UnsupportedDtypeError):
        assert issubclass(kind, fzdask.FZError)
    assert issubclass(ConfigError, ValueError)
    assert issubclass(FormatError, ValueError)
    assert issubclass(UnsupportedDtypeError, TypeError)
