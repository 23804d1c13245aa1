"""Check a plan or an executed run against the model, independently of how it was made.

Nothing here uses the planner's arrays or kernels: sets of `Task` records, sorted lists and
Python's integers only.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from fzdask.scheduling.model import Interval, Job, Machine, Storage, Task, Worker, to_ns
from fzdask.scheduling.plan_record import Plan

__all__ = ["check_backfilling", "check_plan", "check_tasks"]

Span = tuple[int, int]


def check_plan(plan: Plan) -> list[str]:
    """Everything that is wrong with a plan; empty if it is valid.

    Checks `check_tasks`, `check_backfilling`, and that the plan's own figures (makespan, lower
    bound, idle time) agree with its tasks.
    """
    wrong = check_tasks(plan.tasks, plan.jobs, plan.workers, plan.storage)
    wrong += check_backfilling(plan)
    last = max((to_ns(task.end) for task in plan.tasks), default=0)
    if last != plan.makespan_ns:
        wrong.append(f"the last task ends at {last} ns, the makespan is {plan.makespan_ns} ns")
    if plan.lower_bound_ns > plan.makespan_ns:
        wrong.append(f"the lower bound {plan.lower_bound_ns} ns exceeds the makespan {last} ns")
    end = max(last, to_ns(plan.iteration))
    for machine in ("compute", "background"):
        free = end * len(plan.workers)
        for worker in plan.workers:
            free -= sum(min(e, end) - min(s, end) for s, e in _spans(worker, machine))
        used = sum(to_ns(t.end) - to_ns(t.start) for t in plan.tasks if t.machine == machine)
        if free - used != to_ns(plan.idle[machine]):
            wrong.append(f"{machine}: idle time is {free - used} ns, not {plan.idle[machine]} s")
    return wrong


def check_tasks(
    tasks: Iterable[Task],
    jobs: Sequence[Job],
    workers: Sequence[Worker],
    storage: Storage | None = None,
) -> list[str]:
    """Everything in which tasks break the model; empty if they keep it.

    Every job is compressed and written once, for as long as it says, both on one worker that may
    take it; no compression starts before the release, no write before the compression has ended;
    tasks overlap neither each other nor a busy interval on their machine; writes draw no more
    than the storage bandwidth.
    """
    wrong: list[str] = []
    by_job: dict[tuple[str, str], list[Task]] = defaultdict(list)
    on: dict[tuple[str, Machine], list[tuple[int, int, str]]] = defaultdict(list)
    for task in tasks:
        by_job[task.job, task.machine].append(task)
        if to_ns(task.end) > to_ns(task.start):
            on[task.worker, task.machine].append((to_ns(task.start), to_ns(task.end), task.job))
    known = {job.name for job in jobs}
    wrong += [f"task of an unknown job {name!r}" for name, _ in by_job if name not in known]
    at = {worker.name: worker for worker in workers}
    draws: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for job in jobs:
        first = by_job.get((job.name, "compute"), [])
        second = by_job.get((job.name, "background"), [])
        if len(first) != 1 or len(second) != 1:
            wrong.append(f"{job.name}: {len(first)} compressions and {len(second)} writes")
            continue
        wrong += _check_job(job, first[0], second[0], at, storage)
        if storage is not None and job.nbytes and second[0].worker in at:
            start, end = to_ns(second[0].start), to_ns(second[0].end)
            key = "" if storage.shared == "all" else at[second[0].worker].node
            draws[key].append((start, end, -(-job.nbytes * 10**9 // (end - start))))
    for (name, machine), spans in on.items():
        if name not in at:
            wrong.append(f"tasks on an unknown worker {name!r}")
            continue
        busy = [(s, e, "busy interval") for s, e in _spans(at[name], machine)]
        wrong += _check_overlaps(sorted(spans + busy), f"{name}/{machine}")
    if storage is not None:
        for key, writes in draws.items():
            wrong += _check_draw(writes, int(storage.bandwidth), key or "storage")
    return wrong


def _check_job(
    job: Job, first: Task, second: Task, at: dict[str, Worker], storage: Storage | None
) -> list[str]:
    wrong = []
    compress = to_ns(first.end) - to_ns(first.start)
    write = to_ns(second.end) - to_ns(second.start)
    least = to_ns(job.write)
    if storage is not None:
        least = max(least, -(-job.nbytes * 10**9 // int(storage.bandwidth)))
    if compress != to_ns(job.compress):
        wrong.append(f"{job.name}: compressed for {compress} ns, not {to_ns(job.compress)} ns")
    if write != least:
        wrong.append(f"{job.name}: written for {write} ns, not {least} ns")
    if to_ns(first.start) < to_ns(job.release):
        wrong.append(f"{job.name}: compression starts at {first.start} s, before its release")
    if to_ns(second.start) < to_ns(first.end):
        wrong.append(f"{job.name}: write starts at {second.start} s, before it is compressed")
    if first.worker != second.worker:
        wrong.append(f"{job.name}: compressed on {first.worker!r}, written on {second.worker!r}")
    if job.worker is not None and first.worker != job.worker:
        wrong.append(f"{job.name}: on worker {first.worker!r} instead of {job.worker!r}")
    if job.node is not None and first.worker in at and at[first.worker].node != job.node:
        wrong.append(f"{job.name}: on node {at[first.worker].node!r} instead of {job.node!r}")
    return wrong


def _spans(worker: Worker, machine: Machine | str) -> list[Span]:
    busy: Sequence[Interval] = getattr(worker.busy, machine)
    spans = [(to_ns(start), to_ns(end)) for start, end in busy]
    return [(start, end) for start, end in spans if end > start]


def _check_overlaps(spans: list[tuple[int, int, str]], where: str) -> list[str]:
    wrong = []
    for (_, end, one), (start, _, other) in pairwise(spans):
        if start < end:
            wrong.append(f"{where}: {other} starts at {start} ns, before {one} ends at {end} ns")
    return wrong


def _check_draw(writes: list[tuple[int, int, int]], capacity: int, where: str) -> list[str]:
    """Sum the rates at every start and end; ends first, since a write is over at its end."""
    events = sorted([(s, 1, r) for s, _, r in writes] + [(e, 0, -r) for _, e, r in writes])
    level = 0
    for time, _, rate in events:
        level += rate
        if level > capacity:
            return [f"{where}: writes draw {level} bytes/s of {capacity} at {time} ns"]
    return []


def check_backfilling(plan: Plan) -> list[str]:
    """Every task whose start is not the one that its turn gives it; empty if there is none.

    Tasks are taken in the order in which they were placed. Each must start in the earliest idle
    interval that holds it beside the busy intervals and the tasks placed before it (without
    backfilling: the earliest after those), and those must be where they ended up: so none of
    them was moved for it. Plans with a shared storage are not checked: there a start depends on
    the writes of other workers as well.
    """
    if plan.storage is not None:
        return []
    wrong = []
    for w, worker in enumerate(plan.workers):
        mine = [j for j in range(len(plan.jobs)) if plan.worker_of[j] == w]
        both = (
            ("compute", plan.compress_rank, plan.compress_start_ns, plan.compress_end_ns),
            ("background", plan.write_rank, plan.write_start_ns, plan.write_end_ns),
        )
        for machine, rank, starts, ends in both:
            placed = sorted(_spans(worker, machine))
            after = 0
            for j in sorted(mine, key=lambda j: int(rank[j])):
                start, end = int(starts[j]), int(ends[j])
                if machine == "compute":
                    ready = to_ns(plan.jobs[j].release)
                else:
                    ready = int(plan.compress_end_ns[j])
                if end > start and not plan.backfilled[w]:
                    ready = max(ready, after)
                due = _earliest(placed, ready, end - start)
                if start != due:
                    wrong.append(
                        f"{plan.jobs[j].name}: starts at {start} ns on {worker.name}/{machine}; "
                        f"beside what was placed before it, it can start at {due} ns"
                    )
                if end > start:
                    insort(placed, (start, end))
                    after = end
    return wrong


def _earliest(taken: list[Span], ready: int, duration: int) -> int:
    """Earliest start from `ready` on, beside sorted disjoint spans."""
    if duration == 0:
        return ready
    time = ready
    begin = max(0, bisect_left(taken, (ready, ready)) - 1)
    for start, end in taken[begin:]:
        if end <= time:
            continue
        if start - time >= duration:
            break
        time = max(time, end)
    return time
