"""Prediction: averages, rate models, patterns, errors and the margins chosen from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fzdask.errors import ConfigError
from fzdask.scheduling.averages import Average, LabelledAverages
from fzdask.scheduling.forecast_errors import ForecastErrors
from fzdask.scheduling.model import Busy, Task
from fzdask.scheduling.predict import PatternWatch, Predictor
from fzdask.scheduling.rates import Rate
from fzdask.scheduling.recorded import Recorded, Span

# -- averages -------------------------------------------------------------------------------


def test_average_follows_the_definition() -> None:
    a = Average(alpha=0.5, floor=10.0)
    assert math.isnan(a.mean)
    for value in (1.0, 2.0, 4.0):
        assert a.update(value)
    # 1, then (1 + 2) / 2, then half way to 4
    assert a.mean == 2.75


def test_isolated_outlier_is_rejected_and_counted() -> None:
    a = Average()
    for value in (1.0, 1.02, 0.98, 1.01):
        a.update(value)
    before = (a.mean, a.deviation)
    assert a.is_outlier(5.0)
    assert not a.update(5.0)
    assert (a.mean, a.deviation, a.rejected) == (*before, 1)
    assert a.update(1.0)


def test_a_new_level_is_accepted_after_three() -> None:
    a = Average(shift=3)
    for _ in range(10):
        a.update(1.0)
    assert [a.update(v) for v in (2.0, 2.2, 2.1)] == [False, False, True]
    assert a.mean == pytest.approx(2.1)
    assert (a.shifts, a.rejected) == (1, 0)


def test_outliers_on_both_sides_are_no_new_level() -> None:
    a = Average(shift=2)
    for _ in range(5):
        a.update(1.0)
    assert not any(a.update(v) for v in (2.0, 0.1, 2.0, 0.1))
    assert a.mean == 1.0


def test_steady_past_does_not_make_jitter_an_outlier() -> None:
    a = Average(floor=0.25)
    for _ in range(50):
        a.update(1.0)
    assert not a.is_outlier(1.2)
    assert a.is_outlier(1.3)


@given(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=60), st.floats(0.05, 1.0))
def test_average_stays_within_the_range_of_what_it_saw(values: list[float], alpha: float) -> None:
    a = Average(alpha=alpha)
    for v in values:
        a.update(v)
    slack = 1e-12
    assert min(values) - slack <= a.mean <= max(values) + slack


@pytest.mark.parametrize(
    "bad",
    [{"alpha": 0.0}, {"alpha": 1.5}, {"alpha": math.nan}, {"reject": 0.0}, {"floor": -1.0}],
)
def test_bad_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        LabelledAverages(**bad)


def test_nan_observation_is_refused() -> None:
    with pytest.raises(ConfigError, match="finite"):
        Average().update(math.nan)


# -- rate models ----------------------------------------------------------------------------


def test_rate_recovers_latency_and_bandwidth() -> None:
    r = Rate()
    for size in (10_000, 400_000, 1_000_000, 3_000_000):
        r.update(size, 2e-3 + size / 1e9)
    assert r.coefficients() == pytest.approx((2e-3, 1e-9))
    assert r.predict(2_000_000) == pytest.approx(4e-3)


def test_rate_with_one_size_is_proportional() -> None:
    r = Rate()
    r.update(1000, 1.0)
    r.update(1000, 3.0)
    assert r.coefficients() == pytest.approx((0.0, 2e-3), rel=1e-2)


@given(
    st.lists(st.tuples(st.floats(0.0, 1e9), st.floats(0.0, 100.0)), min_size=1, max_size=20),
    st.floats(0.0, 1e9),
)
def test_rate_never_predicts_negative(samples: list[tuple[float, float]], size: float) -> None:
    r = Rate()
    assert r.predict(size) is None
    for nbytes, seconds in samples:
        r.update(nbytes, seconds)
    predicted = r.predict(size)
    assert predicted is not None
    assert predicted >= 0.0


def test_rate_refuses_nonsense() -> None:
    for bad in ((-1, 1.0), (1, -1.0), (1, math.nan), (math.inf, 1.0)):
        with pytest.raises(ConfigError, match="Rate"):
            Rate().update(*bad)
    with pytest.raises(ConfigError, match="forget"):
        Rate(forget=0.0)


# -- errors and margins ---------------------------------------------------------------------


@given(
    st.lists(st.floats(0.1, 10.0), min_size=8, max_size=60),
    st.floats(0.05, 1.0),
    st.sampled_from(["longer", "shorter"]),
)
def test_margin_covers_the_share_asked_for(actual: list[float], coverage: float, side: str) -> None:
    e = ForecastErrors()
    for i, value in enumerate(actual):
        e.add(i, "write", "b", 1.0, value)
    m = e.margin("write", side=side, coverage=coverage, limit=math.inf)
    assert m >= 0.0
    # predicted is 1: relative errors are actual - 1, and the margin is one of them or zero
    errors = [v - 1.0 if side == "longer" else 1.0 - v for v in actual]
    assert sum(x <= m for x in errors) >= math.ceil(coverage * len(actual))


def test_margin_before_enough_errors_is_the_default() -> None:
    e = ForecastErrors()
    for i in range(7):
        e.add(i, "write", "b", 1.0, 9.0)
    assert e.margin("write", default=0.1) == 0.1
    e.add(7, "write", "b", 1.0, 9.0)
    assert e.margin("write", limit=1.0) == 1.0
    assert e.margin("write", side="shorter") == 0.0


def test_errors_keep_totals_beyond_the_details() -> None:
    e = ForecastErrors(keep=3)
    for i in range(10):
        e.add(i, "write", "b", 2.0, 3.0)
    (line,) = e.summary()
    assert (len(e), line.predictions, len(e.of("write"))) == (10, 10, 3)
    assert line.bias == pytest.approx(0.5)
    assert line.worst == pytest.approx(0.5)
    assert [m.iteration for m in e] == [7, 8, 9]
    assert "write" in str(e)
    assert "50.0%" in str(e)


def test_something_from_nothing_is_infinitely_wrong() -> None:
    e = ForecastErrors()
    e.add(0, "write", "b", 0.0, 1.0)
    e.add(0, "write", "b", 0.0, 0.0)
    assert [m.relative for m in e] == [math.inf, 0.0]


# -- patterns of iterations -----------------------------------------------------------------


def iteration(stretch: float = 1.0, labels: tuple[str, str] = ("hydro", "gravity")) -> Recorded:
    a, b = labels
    s = stretch
    return Recorded(
        (Span(a, 0.0, 0.2 * s), Span(b, 0.5 * s, 0.7 * s)),
        (Span("halo", 0.2 * s, 0.3 * s), Span("halo", 0.7 * s, 0.8 * s)),
        1.0 * s,
    )


def test_no_iteration_no_gating() -> None:
    f = Predictor().forecast()
    assert not f.gated
    assert "no iteration" in f.reason


def test_one_iteration_is_repeated() -> None:
    p = Predictor()
    p.record_iteration(iteration())
    f = p.forecast()
    assert f.gated
    assert f.reason == ""
    assert f.compute == iteration().compute
    assert f.length == 1.0
    for got, want in zip(f.background, iteration().background, strict=True):
        assert got.label == want.label
        assert got[1:] == pytest.approx(want[1:])
    assert isinstance(f.busy, Busy)


def test_background_work_follows_the_compute_work_that_launched_it() -> None:
    p = Predictor(alpha=1.0, tolerance=10.0)
    p.record_iteration(iteration())
    p.record_iteration(iteration(1.2))
    f = p.forecast()
    assert [s.start for s in f.background] == pytest.approx([0.24, 0.84])


def test_every_iteration_is_scored() -> None:
    p = Predictor()
    p.record_iteration(iteration())
    assert len(p.errors) == 0
    p.record_iteration(iteration(1.1))
    # 2 busy, 2 idle (none before the first span), 2 core durations, 1 length; the core tasks
    # follow at once upon what launches them
    assert len(p.errors) == 7
    (length,) = p.errors.of("iteration")
    assert (length.predicted, length.actual) == (1.0, 1.1)
    assert {m.quantity for m in p.errors} == {"busy", "idle", "core", "iteration"}
    assert "trusted" in str(p)


def test_changed_labels_stop_the_gating_until_they_settle() -> None:
    p = Predictor(settle=2)
    for _ in range(3):
        p.record_iteration(iteration())
    p.record_iteration(iteration(labels=("hydro", "chemistry")))
    f = p.forecast()
    assert not f.gated
    assert "sequence" in f.reason
    assert f.busy == Busy((), (), 1.0)
    p.record_iteration(iteration(labels=("hydro", "chemistry")))
    f = p.forecast()
    assert f.gated
    assert [s.label for s in f.compute] == ["hydro", "chemistry"]


def test_one_disturbed_iteration_costs_no_knowledge() -> None:
    p = Predictor(settle=2)
    for _ in range(5):
        p.record_iteration(iteration())
    p.record_iteration(iteration(3.0))
    assert not p.forecast().gated
    assert "mispredicted" in p.forecast().reason
    p.record_iteration(iteration())
    f = p.forecast()
    assert f.gated
    assert f.length == pytest.approx(1.0)


def test_a_lasting_change_of_timing_becomes_the_pattern() -> None:
    p = Predictor(settle=3)
    for _ in range(5):
        p.record_iteration(iteration())
    gated = []
    for _ in range(4):
        p.record_iteration(iteration(2.0))
        gated.append(p.forecast().gated)
    assert gated == [False, False, True, True]
    assert p.forecast().length == pytest.approx(2.0)


def test_kinds_are_learnt_apart() -> None:
    p = Predictor()
    p.record_iteration(iteration())
    p.record_iteration(iteration(4.0, ("regrid", "hydro")), kind="regrid")
    assert p.forecast().length == 1.0
    assert p.forecast("regrid").length == 4.0
    assert p.forecast().gated
    assert p.forecast("regrid").gated


def test_noise_is_averaged_out() -> None:
    rng = np.random.default_rng(5)
    p = Predictor(alpha=0.1)
    for _ in range(60):
        p.record_iteration(iteration(float(rng.lognormal(0, 0.05))))
    assert abs(p.forecast().length - 1.0) < 0.05
    assert 0.0 < p.forecast().margins.window < 0.1


def test_pattern_watch_notices_within_the_iteration() -> None:
    p = Predictor()
    p.record_iteration(iteration())
    f = p.forecast()
    w = PatternWatch(f)
    assert w.starts("compute", "hydro", 0.0)
    assert w.starts("background", "halo", 0.25)
    assert not w.starts("compute", "chemistry", 0.5)
    assert "instead of 'gravity'" in w.reason
    assert not w.starts("background", "halo", 0.7)

    late = PatternWatch(f)
    assert not late.starts("compute", "hydro", 0.3)
    assert "+0.3 s late" in late.reason

    shifted = PatternWatch(f)  # one delay of 0.2 s, carried along, is no break
    assert shifted.starts("compute", "hydro", 0.2)
    assert shifted.starts("compute", "gravity", 0.75)
    assert not shifted.starts("compute", "more", 0.9)
    assert "after the last" in shifted.reason

    assert not PatternWatch(Predictor().forecast()).starts("compute", "hydro", 0.0)


def test_recorded_from_a_trace() -> None:
    tasks = [
        Task("hydro", "compute", "w", 10.0, 10.2),
        Task("halo", "background", "w", 10.2, 10.3),
        Task("later", "compute", "w", 11.0, 11.5),
    ]
    r = Recorded.from_tasks(tasks, 10.0, 11.0)
    assert [s.label for s in r.compute] == ["hydro"]
    assert r.background[0].start == pytest.approx(0.2)
    assert r.seconds == 1.0
    with pytest.raises(ConfigError, match="several workers"):
        Recorded.from_tasks([*tasks, Task("x", "compute", "v", 10.0, 10.1)], 10.0, 11.0)


def test_recorded_refuses_overlap() -> None:
    with pytest.raises(ConfigError, match="sorted and disjoint"):
        Recorded((Span("a", 0.0, 1.0), Span("b", 0.5, 2.0)))


# -- blocks ---------------------------------------------------------------------------------


def test_unknown_block_without_any_past() -> None:
    p = Predictor()
    assert p.predict_block("rho/0", 1000) is None
    with pytest.raises(ConfigError, match="rho/0"):
        p.job("rho/0", 1000)


def test_block_from_its_own_past_then_field_then_all() -> None:
    p = Predictor()
    for k, size in enumerate((1_000_000, 2_000_000)):
        p.record_block(
            f"rho/{k}",
            field="rho",
            raw_nbytes=size,
            compress=0.01 + size * 1e-9,
            nbytes=size // 10,
            write=0.001 + size // 10 * 1e-8,
        )
    p.record_block("u/0", field="u", raw_nbytes=1_000_000, compress=0.5, nbytes=500_000, write=0.3)
    own = p.predict_block("rho/0", 1_000_000, "rho")
    assert own is not None
    assert (own.source, own.compress, own.nbytes) == ("label", 0.011, 100_000)
    new = p.predict_block("rho/9", 4_000_000, "rho")
    assert new is not None
    assert new.source == "field"
    assert new.compress == pytest.approx(0.014)
    assert new.nbytes == pytest.approx(400_000)
    assert new.write == pytest.approx(0.005)
    other = p.predict_block("v/0", 1_000_000, "v")
    assert other is not None
    assert other.source == "all"
    job = p.job("rho/9", 4_000_000, "rho")
    assert (job.field, job.nbytes, job.compress) == ("rho", 400_000, pytest.approx(0.014))


def test_block_of_another_size_is_not_predicted_from_its_past() -> None:
    p = Predictor()
    p.record_block("rho/0", raw_nbytes=1000, compress=1.0, nbytes=100, write=1.0)
    grown = p.predict_block("rho/0", 2000)
    assert grown is not None
    assert grown.source == "all"
    assert grown.compress == pytest.approx(2.0)
    p.record_block("rho/0", raw_nbytes=2000, compress=2.2, nbytes=200, write=2.0)
    again = p.predict_block("rho/0", 2000)
    assert again is not None
    assert (again.source, again.compress) == ("label", 2.2)


def test_block_errors_are_kept_apart_for_new_blocks() -> None:
    p = Predictor()
    for _ in range(12):
        p.record_block("rho/0", raw_nbytes=1000, compress=1.0, nbytes=100, write=1.0)
    for k in range(12):
        p.record_block(f"new/{k}", raw_nbytes=1000, compress=1.5, nbytes=100, write=1.0)
    assert len(p.errors.of("compress")) == 11
    assert len(p.errors.of("new compress")) == 12
    assert p.margins().compress == 0.0
    assert p.margins(new=True).compress > 0.1
    assert "new compress" in str(p)


@pytest.mark.parametrize("bad", [{"settle": 0}, {"tolerance": 0.0}, {"coverage": 0.0}, {"keep": 0}])
def test_predictor_refuses_bad_settings(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Predictor(**bad)  # type: ignore[arg-type]
