"""What is known of blocks: averages by name, rate models for those never seen."""

from __future__ import annotations

from typing import Literal

from fzdask.scheduling.averages import LabelledAverages
from fzdask.scheduling.rates import Rate

__all__ = ["BlockModels", "Source"]

Source = Literal["label", "field", "all"]


class BlockModels:
    """Averages by block name, rate models by field and over all."""

    def __init__(self, settings: dict[str, float]) -> None:
        self._averages = LabelledAverages(**settings)
        self._sizes: dict[str, int] = {}
        # Keyed by field; the key for all blocks is None, that of blocks without a field too.
        self._ratio = LabelledAverages(**settings)
        self._compress: dict[str | None, Rate] = {}
        self._write: dict[str | None, Rate] = {}

    def learn(
        self,
        name: str,
        field: str | None,
        raw_nbytes: int,
        compress: float,
        nbytes: int,
        write: float,
    ) -> None:
        if self._sizes.get(name, raw_nbytes) != raw_nbytes:
            for what in ("compress", "nbytes", "write"):
                self._averages.forget((what, name))
        self._sizes[name] = raw_nbytes
        self._averages.update(("compress", name), compress)
        self._averages.update(("nbytes", name), nbytes)
        self._averages.update(("write", name), write)
        for key in {field, None}:
            if raw_nbytes:
                self._ratio.update(key, nbytes / raw_nbytes)
            self._compress.setdefault(key, Rate()).update(raw_nbytes, compress)
            self._write.setdefault(key, Rate()).update(nbytes, write)

    def expect(
        self, name: str, field: str | None, raw_nbytes: int
    ) -> tuple[float, float, float, Source] | None:
        if self._sizes.get(name) == raw_nbytes:
            compress, nbytes, write = (
                self._averages.get((what, name)) for what in ("compress", "nbytes", "write")
            )
            assert compress is not None
            assert nbytes is not None
            assert write is not None
            return compress, nbytes, write, "label"
        known = field is not None and field in self._compress
        key = field if known else None
        if key not in self._compress:
            return None
        size = (self._ratio.get(key) or 0.0) * raw_nbytes
        compress = self._compress[key].predict(raw_nbytes)
        write = self._write[key].predict(size)
        assert compress is not None
        assert write is not None
        return compress, size, write, "field" if known else "all"
