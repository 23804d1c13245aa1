"""What a codec is to Zarr and numcodecs: keywords, equality, hash, pickle, stored metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numcodecs.abc import Codec as NumcodecsCodec

from fzdask.codecs.api import pipeline_of
from fzdask.codecs.config import CodecConfig, refuse_positional
from fzdask.errors import ConfigError

__all__ = ["CodecJSON", "ConfiguredCodec"]


@NumcodecsCodec.register
class CodecJSON(dict[str, Any]):
    """Zarr v3 metadata of a codec that Zarr's v2 metadata writer also understands.

    Zarr turns codecs into JSON by calling ``to_dict`` for either format. For format 3 the
    result is written as it is (``{"name": ..., "configuration": {...}}``). For format 2 Zarr
    then asks the result, if it looks like a numcodecs codec, for its ``get_config``. So this
    dictionary looks like one; it encodes nothing.
    """

    codec_id: ClassVar[str] = "fzdask"

    def get_config(self) -> dict[str, Any]:
        """Return the numcodecs form, ``{"id": ..., **configuration}``."""
        return {"id": self["name"], **self["configuration"]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> CodecJSON:
        """Build from the numcodecs form (inverse of `get_config`)."""
        rest = dict(config)
        return cls(name=rest.pop("id"), configuration=rest)

    def encode(self, buf: Any) -> Any:
        """Refuse: this is a codec's metadata, not the codec."""
        raise TypeError(f"{dict(self)!r} is metadata, not a codec: use FZCodec.from_dict(...)")

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Refuse: this is a codec's metadata, not the codec."""
        raise TypeError(f"{dict(self)!r} is metadata, not a codec: use FZCodec.from_dict(...)")


@dataclass(frozen=True, init=False, eq=False, repr=False)
class ConfiguredCodec:
    """A codec that is nothing but its configuration: immutable, comparable, hashable, picklable.

    Built by a user, the configuration is checked at once. Read from stored metadata (`from_dict`,
    `from_config`, unpickling), a configuration that this version does not understand, such as a
    bound added later, makes a codec that decodes (streams describe themselves), keeps the
    unknown keys when the metadata is written again, and refuses to encode.

    A dataclass, because Zarr's codecs are: `dataclasses.replace` and Dask's names of tasks see
    the fields of whatever inherits from one.

    Attributes
    ----------
    abs, rel : float or None
        The absolute bound, in the unit of the data, or the one relative to the chunk's range.
    pw_rel, psnr : float or None
        The bound relative to each value, or the least PSNR of a chunk in dB.
    lossless : bool
        Whether every bit comes back.
    preserve : tuple of float
        Values kept bit for bit and left out of ranges.
    pipeline : str
        Preset or pipeline in text form.
    codebook : str
        ``own``, ``shared`` or a fitted codebook.
    """

    abs: float | None
    rel: float | None
    pw_rel: float | None
    psnr: float | None
    lossless: bool
    preserve: tuple[float, ...]
    pipeline: str
    codebook: str

    codec_id: ClassVar[str]
    if TYPE_CHECKING:  # attributes, but not fields
        _config: CodecConfig | None  # the fields, checked; None if this version cannot read them
        _stored: dict[str, Any]  # the same as plain JSON values
        _problem: str  # why this version cannot read them

    def __init__(
        self,
        *positional: Any,
        abs: float | None = None,
        rel: float | None = None,
        pw_rel: float | None = None,
        psnr: float | None = None,
        lossless: bool = False,
        preserve: Any = (),
        pipeline: str = "default",
        codebook: str = "own",
        **unknown: Any,
    ) -> None:
        refuse_positional(positional, type(self).__name__)
        given = dict(
            abs=abs, rel=rel, pw_rel=pw_rel, psnr=psnr, lossless=lossless, preserve=preserve,
            pipeline=pipeline, codebook=codebook, **unknown,
        )  # fmt: skip
        config = _understood(given)
        self._set(config, config.to_dict())

    def _set(self, config: CodecConfig | None, stored: dict[str, Any], problem: str = "") -> None:
        for name, field in CodecConfig.__dataclass_fields__.items():
            value = stored.get(name, field.default) if config is None else getattr(config, name)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_config", config)
        object.__setattr__(self, "_stored", stored)
        object.__setattr__(self, "_problem", problem)

    @property
    def can_encode(self) -> bool:
        """Whether this version of fzdask understands the whole configuration."""
        return self._config is not None

    @property
    def _decoding_codebook(self) -> str:
        # A stream says itself whether it needs a fitted one; anything newer it cannot need.
        return self.codebook if isinstance(self.codebook, str) else "own"

    def _encoding_config(self) -> CodecConfig:
        if self._config is None:
            raise ConfigError(
                f"{self!r} cannot encode: {self._problem} It was built from stored metadata or "
                "from a dictionary and still decodes. If a newer fzdask wrote it, upgrade "
                "fzdask; if the key is misspelt, mend it."
            )
        return self._config

    @classmethod
    def _from_stored(cls, stored: Mapping[str, Any]) -> Self:
        """Build from stored keywords; what is not understood only takes away encoding."""
        self = cls.__new__(cls)
        try:
            config = _understood(stored)
        except (ConfigError, TypeError) as error:  # TypeError: a value of an unexpected JSON type
            self._set(None, dict(stored), str(error))
        else:
            self._set(config, config.to_dict())
        return self

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Build from Zarr v3 metadata, ``{"name": ..., "configuration": {...}}``.

        Raises
        ------
        ConfigError
            The name is that of another codec.
        """
        # Zarr allows a bare name for a codec without configuration.
        metadata: Mapping[str, Any] = {"name": data} if isinstance(data, str) else data
        name = metadata.get("name")
        if name not in (cls.codec_id, f"numcodecs.{cls.codec_id}"):
            raise ConfigError(
                f"{cls.__name__}.from_dict: name is {name!r}, but this codec's is {cls.codec_id!r}."
            )
        stored = dict(metadata.get("configuration") or {})
        stored.pop("id", None)  # Zarr's v2-to-v3 migration leaves the numcodecs identifier in
        return cls._from_stored(stored)

    def to_dict(self) -> dict[str, Any]:
        """Return the Zarr v3 metadata as plain JSON values; what equals its default is left out."""
        return CodecJSON(name=self.codec_id, configuration=dict(self._stored))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._from_stored, (self._stored,)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConfiguredCodec) or type(other) is not type(self):
            return NotImplemented
        return (self._config, self._hashable()) == (other._config, other._hashable())

    def __hash__(self) -> int:
        return hash((type(self), self._config, self._hashable()))

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        return type(self).__name__, self._stored

    def _hashable(self) -> str:
        # The configuration says it all, except where it could not be understood.
        return "" if self._config is not None else repr(sorted(self._stored.items()))

    def __repr__(self) -> str:
        name = type(self).__name__
        if self._config is None:
            return f"{name}.from_dict({dict(self.to_dict())!r})"
        shown = {k: tuple(v) if isinstance(v, list) else v for k, v in self._stored.items()}
        return f"{name}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"


def _understood(given: Mapping[str, Any]) -> CodecConfig:
    """Return the configuration, or raise: also for a pipeline, and not at the first chunk only."""
    config = CodecConfig.from_mapping(given)
    pipeline_of(config, np.dtype("f8"))
    return config
