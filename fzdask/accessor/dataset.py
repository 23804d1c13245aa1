"""``ds.fz`` and ``da.fz``: bounds for the variables of xarray objects."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

from fzdask.accessor.keywords import BOUNDS, OPTIONS

if TYPE_CHECKING:
    import xarray as xr

    from fzdask.accessor.encoding import Options
    from fzdask.accessor.report import Report

__all__ = ["DataArrayAccessor", "DatasetAccessor"]


class DatasetAccessor:
    """Error bounds for a whole dataset: ``ds.fz``, once fzdask is imported.

    A bound is a keyword: a number for all fields, or a mapping from names to numbers. Numbers for
    all are for those that no mapping names, so ``abs={"t": 0.01}, rel=1e-3`` is 0.01 for ``t``
    and a thousandth of its range for every other field.

    Fields are floating-point and complex data variables. Coordinates, cell boundaries and what
    else CF attributes name as helpers, integers, flags, bools, dates and text stay exact; an
    integer data variable can be given a bound by its name.

    The bound holds for the values that a reader of the store sees, against those in this dataset.
    """

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def __repr__(self) -> str:
        return (
            f"<fz accessor of a dataset with {len(self._dataset.data_vars)} data variables: "
            "encoding(...), to_zarr(path, ...), report(other)>"
        )

    def encoding(
        self,
        *positional: Any,
        abs: float | Mapping[Hashable, float] | None = None,
        rel: float | Mapping[Hashable, float] | None = None,
        pw_rel: float | Mapping[Hashable, float] | None = None,
        psnr: float | Mapping[Hashable, float] | None = None,
        lossless: bool | Mapping[Hashable, bool] | None = None,
        preserve: Any = (),
        pipeline: Any = "default",
        codebook: Any = "own",
        **unknown: Any,
    ) -> dict[Hashable, dict[str, Any]]:
        """Encodings for ``ds.to_zarr(encoding=...)``, with a codec for every data variable.

        Guarantees that every finite value of a field comes back within its bound, when it is
        read with xarray; missing values stay missing and no other becomes so, unless it equals
        the fill value, which is missing with any codec. ``rel`` and
        ``psnr`` are resolved over the whole variable into one absolute bound, in one pass over
        all variables that need it, chunk by chunk where they are Dask arrays; NaN, infinities
        and fill values do not count.

        Chunks, shards and fill values of the variables' encodings are kept and fill values are
        preserved bit for bit. Compressors, filters and serializers are replaced. A variable with
        a bound is stored in its dtype in memory: ``scale_factor``, ``add_offset`` and ``dtype``
        are dropped, and a fill value in packed units becomes NaN.

        Parameters
        ----------
        abs : float or mapping, optional
            Absolute bound, in the unit of the values.
        rel : float or mapping, optional
            Bound relative to ``max - min`` of the whole variable.
        pw_rel : float or mapping, optional
            Bound relative to each value, below 1.
        psnr : float or mapping, optional
            Least PSNR of the whole variable in dB. It becomes the absolute bound that is always
            enough, so that the PSNR reached is some 5 dB higher.
        lossless : bool or mapping, optional
            Every bit comes back.
        preserve : float, iterable of float or mapping, optional
            Further values to keep bit for bit, as which no other comes back.
        pipeline : str, Pipeline or mapping, optional
            Preset or pipeline of the variables with a bound.
        codebook : str or mapping, optional
            As for :class:`fzdask.FZCodec`.

        Returns
        -------
        dict
            Complete encodings by variable; xarray leaves those without an entry as they are:
            coordinates, text, and without a bound for all whatever no mapping names.

        Raises
        ------
        ConfigError
            No bound, two bounds for all or for one variable, an unknown variable, a bound for
            one that cannot lose precision, or a fill value that is no real number.

        Warns
        -----
        UserWarning
            The range of a variable with ``rel`` or ``psnr`` ends at a customary fill value that
            neither its attributes nor its encoding name.

        Examples
        --------
        >>> import numpy as np, xarray as xr, fzdask
        >>> t = 250 + np.arange(600.0, dtype="f4").reshape(20, 30) / 10
        >>> ds = xr.Dataset({"t": (("y", "x"), t), "u": (("y", "x"), t - 280)})
        >>> encoding = ds.fz.encoding(abs={"t": 0.01}, rel=1e-3)
        >>> encoding["t"]["compressors"]
        FZCodec(abs=0.01)
        >>> round(encoding["u"]["compressors"].abs, 4)
        0.0599
        """
        from fzdask.accessor.bounds import asked_bounds
        from fzdask.accessor.encoding import Options, encodings
        from fzdask.accessor.messages import check_keywords
        from fzdask.codecs.config import refuse_positional
        from fzdask.errors import ConfigError

        who = "ds.fz.encoding"
        refuse_positional(positional, who)
        check_keywords(unknown, (*BOUNDS, *OPTIONS), who)
        given = {"abs": abs, "rel": rel, "pw_rel": pw_rel, "psnr": psnr, "lossless": lossless}
        asked = asked_bounds(given, self._dataset.variables, who)
        if not asked.named and asked.rest is None:
            raise ConfigError(
                f"{who}: no bound; give one of {', '.join(BOUNDS)}, for example rel=1e-3 for all "
                "fields or abs={'t': 0.01} for one."
            )
        options = Options(preserve, pipeline, codebook)
        return encodings(self._dataset, asked, options, who)

    def to_zarr(
        self,
        store: Any = None,
        *positional: Any,
        abs: float | Mapping[Hashable, float] | None = None,
        rel: float | Mapping[Hashable, float] | None = None,
        pw_rel: float | Mapping[Hashable, float] | None = None,
        psnr: float | Mapping[Hashable, float] | None = None,
        lossless: bool | Mapping[Hashable, bool] | None = None,
        preserve: Any = (),
        pipeline: Any = "default",
        codebook: Any = "own",
        encoding: Mapping[Hashable, Mapping[str, Any]] | None = None,
        **to_zarr_kwargs: Any,
    ) -> Any:
        """``ds.to_zarr(store, ...)`` within bounds.

        Guarantees what :meth:`encoding` does. Every chunk is written, unless
        ``write_empty_chunks=False`` is given: comparing them with the fill value first costs
        about as much as compressing them.

        Variables that the store has already (``append_dim``, ``region``, modes ``a`` and
        ``r+``) are compressed by the codec they were created with; bounds need not be given
        again, and where they are, the stored ones are checked against them.

        Parameters
        ----------
        store : path, URL or Zarr store
        abs, rel, pw_rel, psnr, lossless, preserve, pipeline, codebook
            As for :meth:`encoding`.
        encoding : mapping, optional
            Further encodings by variable (``chunks``, ``shards``, ``_FillValue`` ...); they win
            over those that the variables have. A variable with ``compressors`` in it goes by
            them, and not by a bound for all; its fill value is yours to list in ``preserve``.
        **to_zarr_kwargs
            ``mode``, ``region``, ``append_dim``, ``zarr_format``, ``consolidated``, ``compute``
            and whatever else ``Dataset.to_zarr`` takes. With ``compute=False`` ranges are
            computed at once, values later.

        Returns
        -------
        ZarrStore or dask.delayed.Delayed
            What ``ds.to_zarr`` returns.

        Raises
        ------
        ConfigError
            As :meth:`encoding`; an encoding that would change values beside the bound; a bound
            that a variable in the store does not keep.

        Warns
        -----
        UserWarning
            ``rel`` or ``psnr`` is asked of a part of a stored variable, and the absolute bound
            stored with it is wider than this part alone would have; or the codec of a stored
            variable does not preserve its fill value. And as :meth:`encoding`.
        """
        from fzdask.accessor.writing import write
        from fzdask.codecs.config import refuse_positional

        refuse_positional(positional, "ds.fz.to_zarr", "store, ")
        given = {"abs": abs, "rel": rel, "pw_rel": pw_rel, "psnr": psnr, "lossless": lossless}
        options = _options(preserve, pipeline, codebook)
        return write(self._dataset, store, given, options, encoding, to_zarr_kwargs)

    def report(self, other: Any, **open_kwargs: Any) -> Report:
        """What a stored copy keeps of this dataset: sizes, worst errors, bounds, PSNR.

        Guarantees that a bound is said to hold only if no value exceeds it, with errors
        recomputed in float64; chunk by chunk, all variables in one pass.

        Parameters
        ----------
        other : path, URL, Zarr store or xarray.Dataset
            The copy. A path or a store is opened with ``xarray.open_zarr``. Sizes are known for
            these, and for a dataset opened from a path. Where the codec has a bound relative to
            chunks (``FZCodec(rel=...)``, not written by this accessor), it must be the whole copy
            and no selection: its chunks are looked at one by one.
        **open_kwargs
            For ``xarray.open_zarr``, such as ``group=`` or ``decode_cf=False``.

        Returns
        -------
        Report
            A row per variable; prints as a table, and has ``ok`` and ``to_dict()``.

        Raises
        ------
        ConfigError
            The two have no variable in common, or one of another shape.
        """
        from fzdask.accessor.report import report

        return report(self._dataset, other, open_kwargs)


class DataArrayAccessor:
    """Error bounds for one array: ``da.fz``, once fzdask is imported; see `DatasetAccessor`.

    Bounds are numbers for this array, which may hold integers too.
    """

    def __init__(self, array: xr.DataArray) -> None:
        self._array = array

    def __repr__(self) -> str:
        return "<fz accessor of an array: encoding(...), to_zarr(path, ...), report(other)>"

    def encoding(
        self, *positional: Any, **bounds_and_options: Any
    ) -> dict[Hashable, dict[str, Any]]:
        """Encoding for ``da.to_zarr(encoding=...)``.

        Parameters
        ----------
        **bounds_and_options
            As for :meth:`DatasetAccessor.encoding`, all for this array.

        Raises
        ------
        ConfigError
            As there.
        """
        dataset, name = self._as_dataset()
        return DatasetAccessor(dataset).encoding(*positional, **_for_one(bounds_and_options, name))

    def to_zarr(self, store: Any = None, *positional: Any, **kwargs: Any) -> Any:
        """``da.to_zarr(store, ...)`` within a bound.

        Parameters
        ----------
        store : path, URL or Zarr store
        **kwargs
            As for :meth:`DatasetAccessor.to_zarr`.

        Raises
        ------
        ConfigError
            As there.
        """
        dataset, name = self._as_dataset()
        return DatasetAccessor(dataset).to_zarr(store, *positional, **_for_one(kwargs, name))

    def report(self, other: Any, **open_kwargs: Any) -> Report:
        """What a stored copy keeps of this array and its coordinates.

        Parameters
        ----------
        other : path, URL, Zarr store, xarray.DataArray or xarray.Dataset
            The copy.
        **open_kwargs
            As for :meth:`DatasetAccessor.report`.

        Raises
        ------
        ConfigError
            As there.
        """
        dataset, name = self._as_dataset()
        if hasattr(other, "to_dataset") and hasattr(other, "name"):
            other = other.to_dataset(name=name)
        return DatasetAccessor(dataset).report(other, **open_kwargs)

    def _as_dataset(self) -> tuple[xr.Dataset, Hashable]:
        """The dataset that ``da.to_zarr`` would write, which ``xarray.open_dataarray`` reads."""
        from xarray.backends.api import DATAARRAY_NAME, DATAARRAY_VARIABLE

        name = self._array.name
        if name is None:
            return self._array.to_dataset(name=DATAARRAY_VARIABLE), DATAARRAY_VARIABLE
        if name in self._array.coords or name in self._array.dims:
            dataset = self._array.to_dataset(name=DATAARRAY_VARIABLE)
            dataset.attrs[DATAARRAY_NAME] = name
            return dataset, DATAARRAY_VARIABLE
        return self._array.to_dataset(), name


def _options(preserve: Any, pipeline: Any, codebook: Any) -> Options:
    from fzdask.accessor.encoding import Options

    return Options(preserve, pipeline, codebook)


def _for_one(kwargs: Mapping[str, Any], name: Hashable) -> dict[str, Any]:
    """Bounds by the name of the variable, so that one that cannot have them is an error."""
    return {
        key: {name: value}
        if key in BOUNDS
        and value is not None
        and value is not False
        and not isinstance(value, Mapping)
        else value
        for key, value in kwargs.items()
    }
