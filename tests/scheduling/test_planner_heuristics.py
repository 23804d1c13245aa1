"""The heuristics do what their definitions say, and Johnson's order is optimal where it must be."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from planner_cases import (
    MS,
    busies,
    instance_of,
    job_lists,
    place_slowly,
    random_problem,
)

from fzdask.scheduling.backfill import backfill, backfilled_generation, backfilled_johnson
from fzdask.scheduling.exact import brute_force
from fzdask.scheduling.improve import improve, multi_start, work_of
from fzdask.scheduling.johnson import (
    johnson_order,
    knapsack_order,
    perturbed_orders,
    starting_orders,
)
from fzdask.scheduling.kernels import flat_list, free_list
from fzdask.scheduling.kernels.schedule import FLAT_HOLES
from fzdask.scheduling.listing import (
    extended_johnson,
    generation_list,
    list_schedule,
    one_list_greedy,
    two_list_greedy,
)
from fzdask.scheduling.model import Busy, Job


@st.composite
def ordered_problems(draw, most=9):
    jobs = draw(job_lists(most))
    orders = [draw(st.permutations(range(len(jobs)))) for _ in range(2)]
    return jobs, draw(busies()), *(np.array(order, np.int64) for order in orders)


@given(job_lists(6, releases=False))
@settings(max_examples=150, deadline=None)
def test_johnson_is_optimal_without_busy_intervals(jobs):
    instance = instance_of(jobs, Busy())
    assert extended_johnson(instance).makespan == brute_force(instance).makespan


@given(job_lists(5, releases=False))
@settings(max_examples=25, deadline=None)
def test_johnson_is_optimal_by_permutations_alone(jobs):
    """Without `brute_force`: one order for both machines is enough there (Johnson 1954)."""
    best = min(
        max(s + round(jobs[j].write * 1e9) for j, s in enumerate(starts)) if jobs else 0
        for order in permutations(range(len(jobs)))
        for starts in [place_slowly(jobs, Busy(), order, order, False)[1]]
    )
    assert extended_johnson(instance_of(jobs, Busy())).makespan == best


def test_johnson_order_is_the_rule():
    compress = np.array([5, 1, 9, 3, 10, 4])
    write = np.array([2, 6, 7, 8, 4, 4])
    assert johnson_order(compress, write).tolist() == [1, 3, 5, 2, 4, 0]
    ties = np.array([2, 2, 2])
    assert johnson_order(ties, ties).tolist() == [0, 1, 2]
    assert johnson_order(ties + 1, ties).tolist() == [0, 1, 2]


def test_knapsack_order_is_by_value_per_weight():
    compress = np.array([4, 1, 0, 2])
    write = np.array([4, 3, 1, 2])
    assert knapsack_order(compress, write).tolist() == [2, 1, 0, 3]


@given(ordered_problems(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_placing_equals_the_slow_reference(problem, backfilling):
    jobs, busy, first, second = problem
    placed = (backfill if backfilling else list_schedule)(instance_of(jobs, busy), first, second)
    expected = place_slowly(jobs, busy, first.tolist(), second.tolist(), backfilling)
    assert [placed.compress_start.tolist(), placed.write_start.tolist()] == expected
    ends = [s + round(jobs[j].write * 1e9) for j, s in enumerate(expected[1])]
    assert placed.makespan == max(ends, default=0)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("intervals", [3, FLAT_HOLES + 20])
def test_flat_and_blocked_free_lists_equal_the_slow_reference(seed, intervals):
    jobs, busy = random_problem(seed, 100, intervals)
    order = np.random.default_rng(seed).permutation(len(jobs)).astype(np.int64)
    placed = backfill(instance_of(jobs, busy), order)
    expected = place_slowly(jobs, busy, order.tolist(), order.tolist(), True)
    assert [placed.compress_start.tolist(), placed.write_start.tolist()] == expected


@pytest.mark.parametrize("seed", range(8))
def test_the_blocked_list_equals_the_flat_one_through_many_splits_and_removals(seed):
    rng = np.random.default_rng(seed)
    holes = int(rng.integers(1, 3000))
    edges = np.cumsum(rng.integers(1, 60, 2 * holes))
    starts, ends = edges[::2].copy(), edges[1::2].copy()
    ends[-1] = free_list.FOREVER
    count = 4000
    ready = rng.integers(0, int(edges[-1]), count) * (seed % 2)
    duration = rng.integers(0, 40, count)
    blocked = free_list.make(starts, ends, count)
    flat_starts = np.concatenate([starts, np.zeros(count + 1, np.int64)])
    flat_ends = np.concatenate([ends, np.zeros(count + 1, np.int64)])
    left = holes
    for r, d in zip(ready.tolist(), duration.tolist(), strict=True):
        start, left, _ = flat_list.place(flat_starts, flat_ends, left, r, d)
        assert free_list.place(blocked, r, d) == start


@given(ordered_problems())
@settings(max_examples=100, deadline=None)
def test_backfilling_moves_no_task_placed_before(problem):
    """Planning only the first k jobs gives the same starts: later ones delay nobody."""
    jobs, busy, first, _ = problem
    whole = backfill(instance_of(jobs, busy), first)
    for k in range(len(jobs)):
        kept = first[:k]
        part = backfill(instance_of([jobs[j] for j in kept], busy), np.arange(k))
        assert part.compress_start.tolist() == whole.compress_start[kept].tolist()
        assert part.write_start.tolist() == whole.write_start[kept].tolist()


@given(ordered_problems())
@settings(max_examples=100, deadline=None)
def test_backfilling_without_releases_never_compresses_later_than_a_list(problem):
    jobs, busy, first, _ = problem
    jobs = [Job(j.name, j.compress, j.write) for j in jobs]
    instance = instance_of(jobs, busy)
    late = list_schedule(instance, first).compress_start
    assert np.all(backfill(instance, first).compress_start <= late)


def test_backfilling_uses_the_gap_that_a_list_leaves():
    busy = Busy([(2 * MS, 10 * MS)])
    jobs = [Job("long", 5 * MS, 1 * MS), Job("short", 2 * MS, 1 * MS)]
    order = np.array([0, 1])
    assert list_schedule(instance_of(jobs, busy), order).makespan == 18_000_000
    placed = backfill(instance_of(jobs, busy), order)
    assert placed.compress_start.tolist() == [10_000_000, 0]
    assert placed.makespan == 16_000_000


@given(job_lists(5, least=1), busies(3), st.booleans())
@settings(max_examples=60, deadline=None)
def test_greedy_lists_equal_insertion_by_the_slow_reference(jobs, busy, backfilling):
    instance = instance_of(jobs, busy)

    def ends(first, second):
        part = sorted(first)
        index = {j: i for i, j in enumerate(part)}
        rows = [jobs[j] for j in part]
        starts = place_slowly(
            rows, busy, [index[j] for j in first], [index[j] for j in second], backfilling
        )[1]
        return max(s + round(r.write * 1e9) for s, r in zip(starts, rows, strict=True))

    for two_lists, greedy in ((False, one_list_greedy), (True, two_list_greedy)):
        first, second = [], []
        for j in johnson_order(instance.compress, instance.write).tolist():
            tried = []
            for a in range(len(first), -1, -1):
                for b in range(len(first), -1, -1) if two_lists else [a]:
                    one, two = first.copy(), second.copy()
                    one.insert(a, j)
                    two.insert(b, j)
                    tried.append((ends(one, two), one, two))
            value, first, second = min(tried, key=lambda t: t[0])
        placed = greedy(instance, backfilling=backfilling)
        assert (placed.first.tolist(), placed.second.tolist()) == (first, second)
        assert placed.makespan == value


@given(job_lists(7, least=1), busies())
@settings(max_examples=60, deadline=None)
def test_two_lists_are_never_worse_than_their_own_last_insertion_and_count_their_plans(jobs, busy):
    instance = instance_of(jobs, busy)
    n = len(jobs)
    one = one_list_greedy(instance)
    two = two_list_greedy(instance)
    assert one.evaluations == n * (n + 1) // 2 + 1
    assert two.evaluations == n * (n + 1) * (2 * n + 1) // 6 + 1
    optimum = brute_force(instance).makespan
    assert one.makespan >= optimum
    assert two.makespan >= optimum


def test_a_greedy_list_without_budget_appends_in_johnsons_order():
    jobs, busy = random_problem(4, 30, 5)
    instance = instance_of(jobs, busy)
    cheap = one_list_greedy(instance, budget=0)
    assert cheap.makespan == extended_johnson(instance).makespan
    assert one_list_greedy(instance).makespan <= cheap.makespan


@given(job_lists(10), busies())
@example([Job("alone", MS, MS)], Busy())
@settings(max_examples=60, deadline=None)
def test_searches_never_lose_what_they_have_and_stop_at_their_target(jobs, busy):
    instance = instance_of(jobs, busy)
    simple = min(
        extended_johnson(instance).makespan,
        backfilled_johnson(instance).makespan,
    )
    start = multi_start(instance, budget=work_of(1e-4))
    assert start.makespan <= simple
    better = improve(instance, start, budget=work_of(1e-4))
    assert better.makespan <= start.makespan
    assert improve(instance, start, budget=work_of(1.0), target=start.makespan) is start
    assert sorted(better.first.tolist()) == list(range(len(jobs)))
    assert sorted(better.second.tolist()) == list(range(len(jobs)))


def test_local_search_finds_the_optimum_of_small_instances():
    for seed in range(6):
        jobs, busy = random_problem(2 * seed, 7, 4)
        instance = instance_of(jobs, busy)
        found = improve(instance, multi_start(instance, budget=0), budget=work_of(0.01))
        assert found.makespan == brute_force(instance).makespan


def test_work_bounds_the_search_and_more_of_it_evaluates_more():
    jobs, busy = random_problem(2, 60, 6)
    instance = instance_of(jobs, busy)
    start = multi_start(instance, budget=0)
    little = improve(instance, start, budget=work_of(0.001))
    more = improve(instance, start, budget=work_of(0.01))
    assert start.evaluations < little.evaluations < more.evaluations
    # One evaluation may be under way when the budget ends.
    assert little.work - start.work <= 1.1 * work_of(0.001)
    assert more.work - start.work <= 1.1 * work_of(0.01)


def test_starting_orders_are_permutations_and_perturbed_ones_repeat_by_seed():
    jobs, busy = random_problem(1, 40, 3)
    i = instance_of(jobs, busy)
    orders = [*starting_orders(i.compress, i.write, i.release).values()]
    some = [*perturbed_orders(i.compress, i.write, 6, seed=3)]
    again = [*perturbed_orders(i.compress, i.write, 6, seed=3)]
    for order in orders + some:
        assert sorted(order.tolist()) == list(range(40))
    assert all(np.array_equal(a, b) for a, b in zip(some, again, strict=True))
    assert len({tuple(order.tolist()) for order in some}) == 6


def test_generation_order_is_by_release():
    jobs = [Job("c", MS, MS, 2 * MS), Job("a", MS, MS), Job("b", MS, MS)]
    placed = generation_list(instance_of(jobs, Busy()))
    assert placed.first.tolist() == [1, 2, 0]
    assert backfilled_generation(instance_of(jobs, Busy())).makespan == placed.makespan
