"""fzdask's presets against SZ3, SZ, ZFP, SPERR, Blosc and zstd: one command, one run, one core.

    python benchmarks/peers.py --fields FOLDER --bounds 1e-2 1e-3 1e-4 --json peers.json

What is measured, and how it is kept fair: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # run as a script, only this folder is on the path
    sys.path.insert(0, str(ROOT))

from benchmarks.one_core import pin_to_one_core  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.peer_codecs import Codec
    from benchmarks.peer_fields import Field

__all__ = ["main"]

DEFAULT_FIELDS = ROOT.parent / "shared" / "data"
DEFAULT_BOUNDS = (1e-2, 1e-3, 1e-4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; 1 where fzdask broke a bound or failed on a field, else 0."""
    options = _parser().parse_args(arguments)
    cpu = None if options.no_pin else pin_to_one_core()

    # Imported only now, so that thread pools see the limits set above.
    from benchmarks import peer_report
    from benchmarks.console import wide_console
    from benchmarks.peer_run import measure_all
    from benchmarks.peer_summary import broken_promises

    console = wide_console()
    try:
        codecs = _codecs(options.presets, options.peers, console)
        fields = _fields(options)
    except (ValueError, FileNotFoundError) as mistake:
        console.print(f"[red]{mistake}[/]", highlight=False)
        return 2
    total = sum(f.array.nbytes for f in fields) / 1e6
    console.print(f"{len(fields)} fields, {total:.1f} MB, on CPU {cpu}", highlight=False)
    results = _with_progress(console, measure_all, fields, codecs, options)
    peer_report.print_report(console, results, per_field=options.per_field)
    if options.json:
        about = peer_report.environment(cpu)
        about["fields"] = {f.name: list(f.notes) for f in fields}
        about |= {"repeat": options.repeat, "clock": options.clock}
        peer_report.write_json(options.json, peer_report.to_json(results, about))
    return 1 if broken_promises(results) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="peers.py", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--fields", type=Path, help="folder of .npy files (default: ../shared/data, if there)")
    add("--generated", action="store_true", help="use generated fields, whatever is there")
    add("--values", type=int, default=1 << 20, help="values in each generated field")
    add("--kinds", choices=("float", "int", "all"), default="float", help="dtypes of the files")
    add("--min-mb", type=float, default=1.0, help="leave out smaller files (1e6 bytes)")
    add("--bounds", type=float, nargs="+", default=DEFAULT_BOUNDS, help="relative to the range")
    add("--presets", nargs="+", default=("default",), help="pipelines of fzdask")
    add("--peers", nargs="*", default=None, help="default: all; none to leave them out")
    add("--repeat", type=int, default=5, help="rounds; speeds are medians over them")
    add("--clock", choices=("wall", "cpu"), default="wall", help="cpu: for a machine not idle")
    add("--json", type=Path, help="also write every measurement to this file")
    add("--per-field", action="store_true", help="also a table of the ratio on each field")
    add("--no-pin", action="store_true", help="do not limit the run to one CPU")
    return parser


def _codecs(presets: Sequence[str], peers: Sequence[str] | None, console) -> list[Codec]:
    from benchmarks.peer_codecs import PEERS, Unsupported, fzdask_codec, peer_codec

    codecs = [fzdask_codec(preset) for preset in presets]
    for name in PEERS if peers is None else peers:
        try:
            codecs.append(peer_codec(name))
        except Unsupported as reason:
            console.print(f"[yellow]{name} left out:[/] {reason}", highlight=False)
    return codecs


def _fields(options: argparse.Namespace) -> list[Field]:
    from benchmarks.peer_fields import generated_fields, load_fields

    folder = options.fields or DEFAULT_FIELDS
    if options.generated or (options.fields is None and not folder.is_dir()):
        return generated_fields(options.values)
    return load_fields(folder, kinds=options.kinds, min_mb=options.min_mb)


def _with_progress(console, measure_all, fields, codecs, options):
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, refresh_per_second=2) as bar:
        task = bar.add_task("", total=len(fields) * len(options.bounds))
        started = False

        def advance(text: str) -> None:
            nonlocal started
            bar.update(task, description=text, advance=1 if started else 0)
            started = True

        return measure_all(
            fields,
            codecs,
            options.bounds,
            repeat=options.repeat,
            clock=options.clock,
            progress=advance,
        )


if __name__ == "__main__":
    sys.exit(main())
