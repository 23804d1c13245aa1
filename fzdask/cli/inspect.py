"""``fzdask inspect``: what a stream or a Zarr store holds, at which bound and ratio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fzdask.cli.checking import damaged_chunks
from fzdask.cli.console import CommandError, mebibytes, output
from fzdask.cli.files import input_kind, naming

if TYPE_CHECKING:
    import zarr

__all__ = ["inspect"]


def inspect(
    source: Annotated[Path, typer.Argument(metavar="FILE", help=".fz or .zarr")],
    check: Annotated[
        bool,
        typer.Option("--check", help="Decode everything, and name the chunks that are damaged."),
    ] = False,
) -> None:
    """Show pipeline, bound, ratio and sections of a stream, or of the arrays of a Zarr store.

    --check decodes every chunk, whatever its codecs. What fzdask has written it vouches for: its
    streams have checksums. The exit status is 2 if a chunk is damaged.
    """
    if input_kind(source, (".fz", ".zarr")) == ".fz":
        import fzdask

        with naming(source):
            stream = source.read_bytes()
            _print(str(fzdask.inspect(stream)))
            if check:
                fzdask.decompress(stream)
                _print("checked: intact")
        return
    arrays = _arrays(source)
    if not arrays:
        raise CommandError(f"{source}: no array in it.")
    for index, (name, array) in enumerate(arrays):
        if index:
            _print("")
        _print(_describe(name, array))
        with naming(source / array.path):
            detail = _first_chunk(source, array)
        if detail:
            _print(detail)
    if check:
        _check(source, arrays)


def _check(source: Path, arrays: list[tuple[str, zarr.Array[Any]]]) -> None:
    damaged, seen = damaged_chunks(source, arrays)
    if damaged:
        shown = "".join(f"\n  {line}" for line in damaged)
        raise CommandError(
            f"{source}: {len(damaged)} of {seen} chunks cannot be read; all others can:{shown}"
        )
    _print(f"checked: {seen} chunks, all intact")


def _print(text: str) -> None:
    output().print(text, markup=False, soft_wrap=True)


def _arrays(source: Path) -> list[tuple[str, zarr.Array[Any]]]:
    """Arrays below ``source`` by path, in the order of their names."""
    import zarr

    try:
        node = zarr.open(source, mode="r")
        if isinstance(node, zarr.Array):
            return [(source.name, node)]
        members = node.members(max_depth=None)
    except Exception as error:  # readers raise every kind; the user needs the file's name
        reason = f"{type(error).__name__}: {error}"
        raise CommandError(f"{source}: cannot be read as .zarr: {reason}") from error
    return sorted((name, found) for name, found in members if isinstance(found, zarr.Array))


def _codecs(array: zarr.Array[Any]) -> list[Any]:
    """Codecs of an array from first to last, without the plain bytes serializer."""
    from zarr.codecs import BytesCodec

    serializer = () if array.metadata.zarr_format == 2 else (array.serializer,)
    chain = (*array.filters, *serializer, *array.compressors)
    return [codec for codec in chain if not isinstance(codec, BytesCodec)]


def _describe(name: str, array: zarr.Array[Any]) -> str:
    stored = array.nbytes_stored()
    ratio = f"{array.nbytes / stored:.2f}" if stored else "none"
    lines = [
        f"{name}: shape {array.shape}, {array.dtype}, chunks {array.chunks}"
        + (f", shards {array.shards}" if array.shards is not None else ""),
        f"  stored {mebibytes(stored)} of {mebibytes(array.nbytes)}, ratio {ratio}",
        f"  codecs {', '.join(repr(codec) for codec in _codecs(array)) or 'none'}",
    ]
    return "\n".join(lines)


def _first_chunk(source: Path, array: zarr.Array[Any]) -> str:
    """Sections of the first stored chunk, where it is one fzdask stream; else an empty text."""
    import fzdask

    codecs = _codecs(array)
    if not codecs or not isinstance(codecs[-1], fzdask.FZCodec | fzdask.FZArrayCodec):
        return ""
    if array.shards is not None:
        return "  chunks lie inside shards: their streams are not shown"
    key = array.metadata.encode_chunk_key((0,) * array.ndim)
    file = source / array.path / key
    if not file.is_file():
        return "  first chunk: not stored (all fill value)"
    text = str(fzdask.inspect(file.read_bytes()))
    return "  first chunk:\n" + "\n".join(f"    {line}" for line in text.splitlines())
