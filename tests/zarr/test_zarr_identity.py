"""What an FZCodec is: keywords, immutability, equality, pickling, and the metadata it stores."""

from __future__ import annotations

import copy
import dataclasses
import importlib.metadata
import inspect
import json
import pickle

import numcodecs
import numpy as np
import pytest
import zarr.registry

from fzdask import ConfigError, FZArrayCodec, FZCodec
from fzdask.codecs.config import CodecConfig

CLASSES = (FZCodec, FZArrayCodec)
CONFIGURATIONS = (
    {"abs": 1e-3},
    {"rel": 0.1},
    {"lossless": True},
    {"abs": 0.5, "preserve": (-999.0, 1e20)},
    {"rel": 1e-4, "preserve": (9.96921e36,), "pipeline": "quantize | lorenzo | huffman"},
)

both = pytest.mark.parametrize("cls", CLASSES)
every = pytest.mark.parametrize("given", CONFIGURATIONS, ids=str)


@both
def test_takes_and_shows_every_configuration_field(cls):
    fields = {f.name: f for f in dataclasses.fields(CodecConfig)}
    keywords = {
        name: p.default
        for name, p in inspect.signature(cls).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }
    assert keywords == {name: f.default for name, f in fields.items()}
    assert [f.name for f in dataclasses.fields(cls)] == list(fields)


@both
@every
def test_attributes_repr_and_reconstruction(cls, given):
    codec = cls(**given)
    for name, field in CodecConfig.__dataclass_fields__.items():
        assert getattr(codec, name) == given.get(name, field.default)
    assert eval(repr(codec)) == codec
    assert repr(cls(abs=1e-3, preserve=-999.0)) == f"{cls.__name__}(abs=0.001, preserve=(-999.0,))"


@both
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "exactly one bound"),
        ({"abs": 1.0, "rel": 1.0}, "exactly one bound"),
        ({"abss": 1.0}, "did you mean 'abs'"),
        ({"abs": 1.0, "preserv": (0.0,)}, "did you mean 'preserve'"),
        ({"abs": -1.0}, "not negative"),
        ({"abs": float("nan")}, "finite"),
        ({"abs": 1.0, "pipeline": "defualt"}, "did you mean 'default'"),
    ],
    ids=str,
)
def test_wrong_keywords_are_refused_at_once(cls, given, message):
    with pytest.raises(ConfigError, match=message):
        cls(**given)


@both
def test_positional_bound_is_refused(cls):
    with pytest.raises(TypeError, match=rf"{cls.__name__}.*positional.*\(abs=0.001\) or"):
        cls(1e-3)


@both
def test_is_immutable(cls):
    codec = cls(abs=1e-3)
    for name in ("abs", "pipeline", "anything"):
        with pytest.raises(AttributeError, match=f"cannot assign to field '{name}'"):
            setattr(codec, name, 1.0)
    with pytest.raises(AttributeError, match="cannot delete"):
        del codec._config
    assert codec == cls(abs=1e-3)


@both
@every
def test_equality_hash_pickle_copy(cls, given):
    codec = cls(**given)
    for twin in (
        cls(**given),
        pickle.loads(pickle.dumps(codec)),
        copy.copy(codec),
        copy.deepcopy(codec),
        cls.from_dict(json.loads(json.dumps(codec.to_dict()))),
    ):
        assert twin == codec
        assert hash(twin) == hash(codec)
        assert type(twin) is cls
    others = [cls(**other) for other in CONFIGURATIONS if other != given]
    assert len({codec, *others}) == len(CONFIGURATIONS)
    assert codec != given
    assert codec != "fzdask"


@both
def test_dataclasses_replace_keeps_the_rest_and_checks(cls):
    codec = cls(abs=1e-3, preserve=-999.0)
    assert dataclasses.replace(codec, abs=0.5) == cls(abs=0.5, preserve=-999.0)
    assert dataclasses.replace(codec, abs=None, rel=0.5) == cls(rel=0.5, preserve=-999.0)
    with pytest.raises(ConfigError, match="exactly one bound"):
        dataclasses.replace(codec, rel=0.5)


def test_bytes_and_array_codec_are_twins_but_not_equal():
    codec = FZCodec(abs=1e-3, preserve=-999.0)
    assert codec.serializer == FZArrayCodec(abs=1e-3, preserve=-999.0)
    assert codec != codec.serializer


@every
def test_numcodecs_configuration_round_trips_as_json(given):
    codec = FZCodec(**given)
    config = json.loads(json.dumps(codec.get_config()))
    assert config.pop("id") == "fzdask"
    assert FZCodec.from_config(config) == codec
    assert FZCodec.from_config({"id": "fzdask", **config}) == codec
    assert numcodecs.get_codec({"id": "fzdask", **config}) == codec


def test_numpy_scalars_become_plain_json_values():
    codec = FZCodec(abs=np.float32(0.25), preserve=[np.float32(-999), np.int16(-1)])
    stored = {"abs": 0.25, "preserve": [-999.0, -1]}
    assert codec.to_dict() == {"name": "fzdask", "configuration": stored}
    assert codec.get_config() == {"id": "fzdask", **stored}
    assert {type(codec.abs), *map(type, codec.preserve)} <= {float, int}


def test_metadata_dictionary_is_not_mistaken_for_a_working_codec():
    metadata = FZCodec(abs=1.0).to_dict()
    assert type(metadata).from_config(metadata.get_config()) == metadata
    for method in (metadata.encode, metadata.decode):
        with pytest.raises(TypeError, match="is metadata"):
            method(b"")


def test_foreign_metadata_is_refused():
    with pytest.raises(ConfigError, match="'zstd'"):
        FZCodec.from_dict({"name": "zstd", "configuration": {"level": 1}})
    with pytest.raises(ConfigError, match="'zlib'"):
        FZCodec.from_config({"id": "zlib", "level": 1})


def test_is_a_codec_for_numcodecs_and_for_zarr():
    codec = FZCodec(abs=1.0)
    assert isinstance(codec, numcodecs.abc.Codec)
    assert isinstance(codec, zarr.abc.codec.BytesBytesCodec)
    assert isinstance(codec.serializer, zarr.abc.codec.ArrayBytesCodec)
    assert zarr.registry.get_codec_class("fzdask") is FZCodec
    assert zarr.registry.get_codec_class("fzdask.array") is FZArrayCodec


def test_entry_points_announce_the_codec_in_both_groups():
    def loaded(group):
        points = importlib.metadata.entry_points(group=group)
        return {p.name: p.load() for p in points if p.name.startswith("fzdask")}

    assert loaded("numcodecs.codecs") == {"fzdask": FZCodec}
    assert loaded("zarr.codecs") == {"fzdask": FZCodec, "fzdask.array": FZArrayCodec}


NEWER = {"pw_rel": 0.01, "books": {"kind": "shared"}}


@both
@pytest.mark.parametrize(
    "stored",
    [
        NEWER,
        {"abs": 0.5, **NEWER},
        {"abs": 0.5, "preserve": None},
        {"abs": 0.5, "pipeline": "later"},
        {},
    ],
    ids=str,
)
def test_metadata_of_a_newer_version_decodes_and_is_kept_but_does_not_encode(cls, stored):
    metadata = {"name": cls.codec_id, "configuration": stored}
    codec = cls.from_dict(metadata)
    assert not codec.can_encode
    assert codec.to_dict() == metadata
    assert codec.abs == stored.get("abs")
    assert codec.rel is None
    assert not codec.preserve
    twin = pickle.loads(pickle.dumps(codec))
    assert twin == codec
    assert hash(twin) == hash(codec)
    assert eval(repr(codec)) == codec
    assert codec != cls(abs=0.5)
    with pytest.raises(ConfigError, match="still decodes"):
        codec._encoding_config()
    if cls is FZCodec:
        x = np.linspace(0, 1, 10)
        np.testing.assert_array_equal(codec.decode(FZCodec(lossless=True).encode(x)), x)
        with pytest.raises(ConfigError, match="upgrade"):
            codec.encode(x)


@pytest.mark.parametrize("metadata", ["fzdask", {"name": "fzdask"}], ids=str)
def test_name_without_configuration_decodes(metadata):
    assert not FZCodec.from_dict(metadata).can_encode
