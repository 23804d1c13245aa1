"""Geometric means over fields, fzdask against each peer, and the figures to reach."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.peer_run import Measurement

__all__ = ["TARGETS", "Check", "Contest", "Summary", "check_targets", "contests", "summaries"]


@dataclass(frozen=True, slots=True)
class Summary:
    """One codec under one bound, over all fields that it took.

    Ratio and speeds (GB/s of the original) are geometric means; PSNR is an arithmetic mean of
    the fields with some error (NaN where none has).
    """

    rel: float
    codec: str
    fields: int
    failed: int
    ratio: float
    compress: float
    decompress: float
    psnr: float
    max_error_over_bound: float
    violations: int
    fields_violated: int
    exact_changed: int


@dataclass(frozen=True, slots=True)
class Contest:
    """A preset of fzdask over a peer, on the fields that both took: above 1, fzdask is better.

    `ratio`, `compress` and `decompress` are geometric means of the quotients per field;
    `worst` is the smallest quotient of ratios and `worst_field` where it is; `smaller` is the share
    of fields whose ratio is higher.
    """

    rel: float
    preset: str
    peer: str
    fields: int
    ratio: float
    compress: float
    decompress: float
    worst: float
    worst_field: str
    smaller: float


@dataclass(frozen=True, slots=True)
class Check:
    """One figure to reach: what is wanted, what was measured (None where it was not).

    `measured` is the mean over all fields and bounds of the run, geometric where that of the figure
    is; `least` is the figure at the bound `least_at`, at which it is least.
    """

    figure: str
    wanted: str
    measured: float | None
    reached: bool | None
    least: float | None = None
    least_at: float | None = None


#: (preset, peer, attribute of the contest, least value).
TARGETS = (
    ("speed", "memcpy", "compress", 0.25),
    ("speed", "sz3", "compress", 40.0),
    ("speed", "memcpy", "decompress", 0.3),
    ("speed", "zfp", "smaller", 0.9),
    ("default", "sz3", "compress", 20.0),
    ("default", "sz3", "decompress", 8.0),
    ("default", "sz", "ratio", 1.02),
    ("quality", "sz3", "compress", 4.0),
    ("quality", "sz3", "decompress", 2.0),
    ("quality", "sz3", "ratio", 1.06),
    ("quality", "sz3", "worst", 0.97),
)


def geometric_mean(values: Iterable[float]) -> float:
    """NaN for no values; 0 where one of them is."""
    given = list(values)
    if not given:
        return math.nan
    return 0.0 if min(given) <= 0 else statistics.geometric_mean(given)


#: What each attribute is called, and how the figures of several bounds are put together.
FIGURES: dict[str, tuple[str, Callable[[Sequence[float]], float]]] = {
    "ratio": ("ratio", geometric_mean),
    "compress": ("compress speed", geometric_mean),
    "decompress": ("decompress speed", geometric_mean),
    "worst": ("ratio, worst field,", min),
    "smaller": ("share of fields smaller", statistics.fmean),
}


def summaries(results: Sequence[Measurement]) -> list[Summary]:
    """One line per bound and codec, in the order in which they were measured."""
    made = []
    for rel, codec in dict.fromkeys((r.rel, r.codec) for r in results):
        rows = [r for r in results if r.rel == rel and r.codec == codec]
        done = [r for r in rows if r.failed is None]
        noisy = [r.psnr for r in done if r.psnr is not None and math.isfinite(r.psnr)]
        made.append(
            Summary(
                rel=rel,
                codec=codec,
                fields=len(done),
                failed=len(rows) - len(done),
                ratio=geometric_mean(r.ratio for r in done),
                compress=geometric_mean(r.compress for r in done),
                decompress=geometric_mean(r.decompress for r in done),
                psnr=statistics.fmean(noisy) if noisy else math.nan,
                max_error_over_bound=max((r.max_error_over_bound for r in done), default=math.nan),
                violations=sum(r.violations for r in done),
                fields_violated=sum(r.violations > 0 for r in done),
                exact_changed=sum(r.exact_changed for r in done),
            )
        )
    return made


def contests(results: Sequence[Measurement]) -> list[Contest]:
    """Every preset of fzdask against every other codec, bound by bound."""
    by_key = {(r.rel, r.codec, r.field): r for r in results if r.failed is None}
    codecs = list(dict.fromkeys(r.codec for r in results))
    fields = list(dict.fromkeys(r.field for r in results))
    made = []
    for rel in dict.fromkeys(r.rel for r in results):
        for preset in (c for c in codecs if c.startswith("fzdask:")):
            for peer in (c for c in codecs if not c.startswith("fzdask:")):
                pairs = [
                    (by_key[rel, preset, f], by_key[rel, peer, f])
                    for f in fields
                    if (rel, preset, f) in by_key and (rel, peer, f) in by_key
                ]
                if pairs:
                    made.append(_contest(rel, preset, peer, pairs))
    return made


def _contest(
    rel: float, preset: str, peer: str, pairs: Sequence[tuple[Measurement, Measurement]]
) -> Contest:
    worst, worst_field = min((a.ratio / b.ratio, a.field) for a, b in pairs)
    return Contest(
        rel=rel,
        preset=preset,
        peer=peer,
        fields=len(pairs),
        ratio=geometric_mean(a.ratio / b.ratio for a, b in pairs),
        compress=geometric_mean(a.compress / b.compress for a, b in pairs),
        decompress=geometric_mean(a.decompress / b.decompress for a, b in pairs),
        worst=worst,
        worst_field=worst_field,
        smaller=statistics.fmean(a.ratio > b.ratio for a, b in pairs),
    )


def check_targets(results: Sequence[Measurement]) -> list[Check]:
    """The figures to reach of the presets; those not measured in this run say so."""
    held = contests(results)
    checks = []
    for preset, peer, attribute, wanted in TARGETS:
        name, mean = FIGURES[attribute]
        figure = f"{preset}: {name} over {peer}"
        found = {
            c.rel: getattr(c, attribute)
            for c in held
            if (c.preset, c.peer) == (f"fzdask:{preset}", peer)
        }
        if not found:
            checks.append(Check(figure, f"at least {wanted:g}", None, None))
            continue
        measured = mean(list(found.values()))
        least_at = min(found, key=found.__getitem__)
        reached = bool(measured >= wanted)
        checks.append(
            Check(figure, f"at least {wanted:g}", measured, reached, found[least_at], least_at)
        )
    broken = broken_promises(results)
    checks.append(
        Check("violations of fzdask, all fields and bounds", "0", float(broken), broken == 0)
    )
    return checks


def broken_promises(results: Sequence[Measurement]) -> int:
    """Values of fzdask outside the bound, exact values changed, and fields that it failed on."""
    own = [r for r in results if r.codec.startswith("fzdask:")]
    return sum(
        1 if r.failed is not None else (r.violations or 0) + (r.exact_changed or 0) for r in own
    )
