"""Gantt charts show every bar where it belongs, mark the overhead, and escape what they quote."""

from __future__ import annotations

import re
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from planner_cases import random_problem

from fzdask.errors import ConfigError
from fzdask.scheduling import Busy, Job, Task, Worker, gantt_html, plan
from fzdask.scheduling.gantt_chart import Bar, Iteration, chart_of, time_unit

BUSY = Busy([(1.0, 3.0)], [(0.0, 1.5)], length=4.0)
JOBS = [Job("rho/0", 1.0, 2.0, field="rho"), Job("T/0", 1.0, 1.0, field="T")]


@pytest.fixture
def made():
    return plan(JOBS, BUSY)


def test_a_chart_has_every_interval_once(made):
    chart = chart_of(made)
    assert chart.lanes == [("0", "compute"), ("0", "background")]
    assert sorted(chart.bars, key=lambda b: (b.lane, b.start)) == [
        Bar(0, 0.0, 1.0, "compress", "rho/0", "rho"),
        Bar(0, 1.0, 3.0, "busy", "compute", None),
        Bar(0, 3.0, 4.0, "compress", "T/0", "T"),
        Bar(1, 0.0, 1.5, "busy", "background", None),
        Bar(1, 1.5, 3.5, "write", "rho/0", "rho"),
        Bar(1, 4.0, 5.0, "write", "T/0", "T"),
    ]
    assert chart.iterations == [Iteration(4.0, 5.0)]
    assert chart.fields == ["rho", "T"]
    assert len(set(chart.colours.values())) == 2
    assert "overhead 25.00 %" in chart.title


def test_a_chart_of_a_run_knows_the_simulations_own_tasks_and_its_iterations():
    tasks = (
        Task("compute 0", "compute", "w", 0.0, 1.0),
        Task("core 0", "background", "w", 1.0, 2.0),
        Task("a", "compute", "w", 1.0, 1.5),
        Task("a", "background", "w", 2.0, 2.5),
        Task("nothing", "background", "w", 2.5, 2.5),
    )
    run = SimpleNamespace(
        tasks=tasks, durations_ns=np.array([2_500_000_000]), base_ns=np.array([2_000_000_000])
    )
    chart = chart_of(run, title="a run")
    assert [bar.kind for bar in chart.bars] == ["busy", "busy", "compress", "write"]
    assert chart.iterations == [Iteration(2.0, 2.5)]
    assert chart.fields == ["jobs"]
    plain = chart_of(tasks, [Worker("w", Busy([(3.0, 4.0)]))])
    assert plain.iterations == []
    assert plain.end == 4.0
    assert chart_of(tasks, [Worker("v", Busy([(3.0, 4.0)]))], only=["v"]).lanes == [
        ("v", "compute"),
        ("v", "background"),
    ]


def test_a_chart_of_nothing_says_so():
    with pytest.raises(ConfigError, match="nothing to show"):
        chart_of([])
    with pytest.raises(ConfigError, match="trace=True"):
        chart_of(SimpleNamespace(tasks=(), durations_ns=[1], base_ns=[1]))


def test_a_traced_simulation_can_be_drawn():
    simulator = pytest.importorskip("fzdask.scheduling.simulator")
    jobs, busy = random_problem(0, 8, 3)
    run = simulator.simulate(jobs, busy, policy="fzdask", iterations=3, trace=True)
    chart = chart_of(run)
    assert len(chart.iterations) == 3
    assert chart.iterations[-1].end >= max(bar.end for bar in chart.bars) - 1e-9
    assert {bar.job for bar in chart.bars if bar.kind != "busy"} == {job.name for job in jobs}


@pytest.mark.parametrize(("seconds", "unit"), [(2.0, "s"), (0.5, "ms"), (1e-3, "ms"), (9e-4, "µs")])
def test_units(seconds, unit):
    factor, name = time_unit(seconds)
    assert name == unit
    assert seconds * factor >= 0.9


def svg_of(html):
    return ET.fromstring(re.search(r"<svg.*?</svg>", html, re.S).group(0))


def test_html_has_every_bar_in_place(made):
    html = gantt_html(made)
    assert html == made._repr_html_()
    shapes = [e for e in svg_of(html).iter("rect") if "data-j" in e.attrib]
    spans = sorted(
        (e.get("data-j"), float(e.get("x")) / 2e5, float(e.get("width")) / 2e5) for e in shapes
    )
    assert spans == [("0", 0.0, 1.0), ("0", 1.5, 2.0), ("1", 3.0, 1.0), ("1", 4.0, 1.0)]
    late = [e for e in svg_of(html).iter("rect") if e.get("fill-opacity")]
    assert [(float(e.get("x")), float(e.get("width"))) for e in late] == [(8e5, 2e5)]
    assert "overhead" in html
    assert "http" not in html  # stands alone: loads nothing


def test_html_escapes_names_of_jobs_fields_and_workers():
    evil = "</script><img src=x>&\"'"
    made = plan(
        [Job(evil, 1.0, 1.0, field=evil), Job("b", 1.0, 1.0, field="b", worker="v")],
        [Worker(evil), Worker("v")],
    )
    html = gantt_html(made, title=evil)
    assert "<img" not in html.replace("<\\/script><img", "")
    assert html.count("</script>") == 1
    svg_of(html)


def test_html_of_two_plans_has_two_identifiers(made):
    other = plan(JOBS[:1], BUSY)
    idents = {re.search(r'<div id="(\w+)"', gantt_html(p)).group(1) for p in (made, other)}
    assert len(idents) == 2
    assert gantt_html(made) == gantt_html(made)


@pytest.fixture
def agg():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    yield
    matplotlib.pyplot.close("all")


@pytest.mark.usefixtures("agg")
def test_the_picture_shows_bars_ends_and_overhead(made, tmp_path):
    from fzdask.scheduling import plot_gantt

    ax = plot_gantt(made)
    words = {text.get_text().strip() for text in ax.texts}
    assert {"iteration ends", "overhead +25.00 %", "0"} <= words
    assert [label.get_text() for label in ax.get_yticklabels()] == ["compute", "background"]
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["rho", "T", "simulation's own work"]
    drawn = {
        (round(path.vertices[:, 0].min(), 9), round(path.vertices[:, 0].max(), 9))
        for collection in ax.collections
        for path in collection.get_paths()
    }
    assert {(0.0, 1.0), (1.5, 3.5), (3.0, 4.0), (4.0, 5.0), (1.0, 3.0), (0.0, 1.5)} <= drawn
    target = tmp_path / "plan.png"
    ax.figure.savefig(target)
    assert target.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.usefixtures("agg")
def test_the_picture_of_several_workers_names_them_and_draws_into_given_axes():
    import matplotlib.pyplot as plt

    from fzdask.scheduling import plot_gantt

    _, ax = plt.subplots()
    made = plan(JOBS, [Worker("left", BUSY), Worker("right", BUSY)])
    assert plot_gantt(made, ax=ax, title="two", labels=False) is ax
    words = {text.get_text() for text in ax.texts}
    assert {"left", "right"} <= words
    assert ax.get_title(loc="left") == "two"
    assert len(ax.get_yticks()) == 4


def test_without_matplotlib_the_error_names_the_remedy(made, monkeypatch):
    import sys

    from fzdask.scheduling import plot_gantt

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ConfigError, match=r"fzdask\[plot\]"):
        plot_gantt(made)
