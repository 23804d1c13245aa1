"""Kernels compiled, or loaded, before a call has to wait for them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fzdask.codecs.api import decode, encode, pipeline_of
from fzdask.codecs.config import CodecConfig
from fzdask.codecs.prepare import is_numeric
from fzdask.codecs.presets import find_pipeline
from fzdask.errors import ConfigError
from fzdask.jit import KERNELS

__all__ = ["CompiledKernels", "compile_kernels"]

SIDE = 48
# Of a range of 1: a narrow lattice with mostly small differences, and one with large ones.
WIDE, NARROW = 1.1e-3, 1.1e-6


class CompiledKernels(NamedTuple):
    """What :func:`compile_kernels` did.

    Attributes
    ----------
    compiled, loaded : int
        Kernels that were compiled, and those that the folder held.
    seconds : float
        How long it took.
    folder : str
        Where their machine code is kept; empty where none can be.
    """

    compiled: int
    loaded: int
    seconds: float
    folder: str


def compile_kernels(pipeline: str = "default", dtype: DTypeLike = "float32") -> CompiledKernels:
    """Compile what a pipeline runs, so that no later call of this installation waits for it.

    Kernels are compiled on first use, which takes from some seconds to a minute for each pipeline
    and dtype, and kept in the folder that ``NUMBA_CACHE_DIR`` names, beside the package, or in
    the user's cache folder. This makes generated fields of each kind (smooth, masked, sparse)
    pass through both ways, within bounds of each kind that the pipeline takes.

    Parameters
    ----------
    pipeline : str
        A preset's name or a pipeline as text.
    dtype : dtype_like
        Of the arrays that will be compressed: floats, complex numbers or integers.

    Returns
    -------
    CompiledKernels

    Raises
    ------
    ConfigError
        No such pipeline, or a dtype of other values than numbers.

    Examples
    --------
    On each worker of a Dask cluster, or once where the workers share a folder:

    >>> client.run(fzdask.compile_kernels, "speed", "float64")  # doctest: +SKIP
    """
    start = time.perf_counter()
    kind = _numbers(dtype)
    find_pipeline(pipeline)
    present, loaded = _present()
    for config in _configs(pipeline, kind):
        for sample in _samples(kind):
            decode(encode(sample, config), config.codebook)
    now, now_loaded = _present()
    loaded = now_loaded - loaded
    return CompiledKernels(now - present - loaded, loaded, time.perf_counter() - start, _folder())


def _numbers(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        kind = np.dtype(dtype)
    except TypeError as error:
        raise ConfigError(
            f"compile_kernels: dtype={dtype!r} is no NumPy dtype: {error}."
        ) from error
    if not is_numeric(kind):
        raise ConfigError(
            f"compile_kernels: dtype={dtype!r} is none of a pipeline's; give float16 to float64, "
            "complex64, complex128 or an integer dtype (other arrays are kept bit for bit)."
        )
    return kind


def _configs(pipeline: str, dtype: np.dtype[Any]) -> Iterator[CodecConfig]:
    """Of each kind of bound that this pipeline takes."""
    whole = 1.0 if dtype.kind in "fc" else float(_scale(dtype))
    for given in (
        {"abs": WIDE * whole}, {"abs": NARROW * whole}, {"rel": WIDE}, {"rel": NARROW},
        {"abs": WIDE * whole, "codebook": "shared"},
        {"pw_rel": WIDE}, {"psnr": 60.1}, {"lossless": True},
    ):  # fmt: skip
        config = CodecConfig.from_mapping({"pipeline": pipeline, **given})
        try:
            pipeline_of(config, dtype)
        except ConfigError:  # a stage of it takes another kind
            continue
        yield config


def _scale(dtype: np.dtype[Any]) -> int:
    """Of the samples, which are between -2 and 2 for floats."""
    return int(np.iinfo(dtype).max) >> 3 if dtype.kind in "iu" else 1


def _samples(dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    x = np.linspace(0.0, 6.0, SIDE)
    smooth = np.sin(x)[:, None, None] * np.cos(x)[:, None] * np.sin(x + 1.0)
    rng = np.random.default_rng(0)
    noise = rng.normal(0.0, 0.25, smooth.shape).clip(-0.9, 0.9)
    sparse = np.where(rng.random(smooth.shape) < 0.02, noise, 0.0)
    masked = smooth + 0.4 * noise
    masked[:, :9] = 0.0
    if dtype.kind not in "iu":
        masked[:, -9:] = np.nan
    few = smooth[0, 0]  # sections of a few bytes are looked at otherwise
    for values in (smooth, masked, sparse, few):
        if dtype.kind in "iu":
            yield ((values + 2.0) * _scale(dtype)).astype(dtype)
        elif dtype.kind == "c":
            yield (values + 1j * np.roll(values, 1)).astype(dtype)
        else:
            yield values.astype(dtype)


def _present() -> tuple[int, int]:
    """Kernels of this process by what they take, and those of them that were loaded."""
    loaded = sum(sum(kernel.stats.cache_hits.values()) for kernel in KERNELS)
    return sum(len(kernel.signatures) for kernel in KERNELS), loaded


def _folder() -> str:
    folders = {kernel.stats.cache_path for kernel in KERNELS if kernel.stats.cache_path}
    return os.path.commonpath(folders) if folders else ""
