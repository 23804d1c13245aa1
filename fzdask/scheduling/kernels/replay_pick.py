"""Which compression or write of a worker comes next: the part of the replay that is the policy."""

from __future__ import annotations

from fzdask.scheduling.kernels.borrowing import borrowing_njit
from fzdask.scheduling.kernels.replay_state import (
    APP,
    AT_BARRIER,
    CLASS,
    CORE_PENDING,
    DONE,
    DUE,
    DUMP_PENDING,
    EXPECT_COMPRESS,
    EXPECT_WRITE,
    GATE_COMPRESS,
    GATE_WRITE,
    HEAD1,
    HEAD2,
    INF,
    ITERATION,
    JOBS,
    OP_START,
    OPEN,
    ORDER1,
    ORDER2,
    PC,
    PENDING,
    READY,
    READY_JOBS,
    RELEASE,
    RELEASED,
    SHARE,
    SKIP,
    SLICE,
    START1,
    START2,
    TAIL,
    THREAD_TAKEN,
    TIMETABLE,
    TO_CORE,
    TO_END,
    TO_FIRST,
    WAKE_TIMER,
    WINDOW,
    WINDOW_END,
    WRITING,
)


@borrowing_njit
def compression_limit(rules, program, me, t, due):
    """Time by which a compression started now should end, so as not to delay the application."""
    if rules[GATE_COMPRESS] == 0 or rules[SLICE] >= 0 or rules[SHARE] > 0:
        return INF
    app = me[APP]
    if due and app == DUMP_PENDING:
        return INF
    # Past the last compute work, a snapshot that is due holds the iteration open anyway.
    if app == WINDOW:
        if due and program[me[CLASS], me[PC], TAIL]:
            return INF
        return me[WINDOW_END]
    if app == CORE_PENDING and due and program[me[CLASS], me[PC], TAIL]:
        return INF
    return t


@borrowing_njit
def write_limit(rules, program, classes, me, t, due):
    """Time by which a write started now should end: the next core task's expected launch."""
    if rules[GATE_WRITE] == 0:
        return INF
    c = me[CLASS]
    app = me[APP]
    first = classes[c, TO_FIRST]
    if app in (DUMP_PENDING, AT_BARRIER):
        return INF if due or first >= INF else t + first
    at = t if app in (THREAD_TAKEN, CORE_PENDING) else me[OP_START]
    o = me[PC]
    ahead = program[c, o, TO_CORE]
    if ahead < INF:
        return at + ahead
    end = program[c, o, TO_END]
    if due or end >= INF or first >= INF:
        return INF
    return at + end + first


@borrowing_njit
def pick_compression(S, w, t):
    """(slot, job) of the compression to start now, or job -1; sets the timer to ask again."""
    me = S.workers[w]
    c = me[CLASS]
    n = S.classes[c, JOBS]
    slots = S.snapshots.shape[0]
    now = S.count[ITERATION]
    timetable = S.rules[TIMETABLE] != 0
    skip = S.rules[SKIP] != 0
    for s in range(max(0, now - slots + 1), now + 1):
        r = s % slots
        shot = S.shots[r, w]
        if shot[OPEN] == 0:
            continue
        released = S.snapshots[r, RELEASED]
        limit = compression_limit(S.rules, S.program, me, t, S.snapshots[r, DUE] <= now)
        k = shot[HEAD1]
        while k < n and S.status[r, w, S.plans[r, c, k, ORDER1]] != PENDING:
            k += 1
        shot[HEAD1] = k
        while k < n:
            j = S.plans[r, c, k, ORDER1]
            k += 1
            if S.status[r, w, j] != PENDING:
                continue
            at = released + S.plans[r, c, j, RELEASE]
            if timetable:
                at = max(at, released + S.plans[r, c, j, START1])
            if at > t:
                me[WAKE_TIMER] = min(me[WAKE_TIMER], at)
            elif limit >= INF or t + S.plans[r, c, j, EXPECT_COMPRESS] <= limit:
                return r, j
            if timetable or not skip:
                return 0, -1
    return 0, -1


@borrowing_njit
def pick_write(S, w, t):
    """(slot, job) of the write to start now, or job -1; sets the timer to ask again."""
    me = S.workers[w]
    c = me[CLASS]
    n = S.classes[c, JOBS]
    slots = S.snapshots.shape[0]
    now = S.count[ITERATION]
    timetable = S.rules[TIMETABLE] != 0
    skip = S.rules[SKIP] != 0
    for s in range(max(0, now - slots + 1), now + 1):
        r = s % slots
        shot = S.shots[r, w]
        if shot[READY_JOBS] == 0:
            continue
        limit = write_limit(S.rules, S.program, S.classes, me, t, S.snapshots[r, DUE] <= now)
        k = shot[HEAD2]
        while k < n and S.status[r, w, S.plans[r, c, k, ORDER2]] in (WRITING, DONE):
            k += 1
        shot[HEAD2] = k
        while k < n:
            j = S.plans[r, c, k, ORDER2]
            k += 1
            status = S.status[r, w, j]
            if status in (WRITING, DONE):
                continue
            if status != READY:
                if timetable:  # the next write in line is yet to be compressed
                    return 0, -1
                continue
            at = t
            if timetable:
                at = S.snapshots[r, RELEASED] + S.plans[r, c, j, START2]
            if at > t:
                me[WAKE_TIMER] = min(me[WAKE_TIMER], at)
            elif limit >= INF or t + S.plans[r, c, j, EXPECT_WRITE] <= limit:
                return r, j
            if timetable or not skip:
                return 0, -1
    return 0, -1
