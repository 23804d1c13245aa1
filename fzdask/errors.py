"""The errors that fzdask raises on purpose; each names who, what, the rule and the remedy."""

from __future__ import annotations

__all__ = ["ConfigError", "DeviceError", "FZError", "FormatError", "UnsupportedDtypeError"]


class FZError(Exception):
    """Base of every error that fzdask raises on purpose."""


class ConfigError(FZError, ValueError):
    """A codec, pipeline or plan was asked for something contradictory or unknown."""


class DeviceError(FZError, RuntimeError):
    """A GPU was asked for, but there is none, or what drives it is not installed."""


class UnsupportedDtypeError(FZError, TypeError):
    """The array's dtype has no byte representation that a stream can carry (for example object)."""


class FormatError(FZError, ValueError):
    """A stream is truncated, damaged, hostile or written by an unknown version.

    Raised before anything large is allocated; data decoded without this error is intact.
    """
