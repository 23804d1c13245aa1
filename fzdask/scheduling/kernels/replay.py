"""Discrete-event replay of iterations with dumps: events of the application and of its threads.

One event per change on a thread; slices are not simulated one by one, only the one in which the
application asks for the thread. At equal times an application's step comes before the end of a
compression, that before the end of a background task, that before timed starts; workers in the
order of their index. After each event the application proceeds as far as it can, then the
background thread and then the compression take up work. docs/simulator.md has the rules in words.
"""

from __future__ import annotations

from fzdask.scheduling.kernels.borrowing import borrowing_njit
from fzdask.scheduling.kernels.processor_sharing import reschedule, settle
from fzdask.scheduling.kernels.replay_pick import pick_compression, pick_write
from fzdask.scheduling.kernels.replay_state import (
    APP,
    APP_TIMER,
    ARG,
    ARRIVAL,
    ARRIVED,
    ASKED,
    AT_BARRIER,
    BACK_JOB,
    BACK_KIND,
    BACK_SLOT,
    BACK_START,
    BACK_TIMER,
    CLASS,
    CODE,
    COMP_JOB,
    COMP_SLOT,
    COMPRESS_TIMER,
    COMPRESSING,
    CORE,
    CORE_PENDING,
    DONE,
    DUE,
    DUMP_PENDING,
    GROUP,
    IDLE,
    INF,
    ITERATION,
    JOBS,
    LAUNCH,
    LAUNCHED,
    LEFT,
    LOG_COMPRESS,
    LOG_CORE,
    LOG_RUN,
    LOG_WRITE,
    LOGGED,
    LOST_CORE,
    LOST_DUMP,
    LOST_THREAD,
    NEED,
    OP_START,
    OPEN,
    PC,
    PENDING,
    PIECE,
    PROCEEDS,
    READY,
    READY_JOBS,
    RELEASE,
    RELEASED,
    RUN,
    RUN_LEFT,
    RUNNING,
    SERVED,
    SHARE,
    SLICE,
    SYNC,
    THREAD_TAKEN,
    TO_RUN,
    TOOK,
    UNRELEASED,
    WAIT,
    WAKE_TIMER,
    WHICH,
    WINDOW,
    WINDOW_END,
    WRITE,
    WRITE_TIME,
    WRITING,
)
from fzdask.scheduling.kernels.shared_storage import change_writes, next_to_end
from fzdask.scheduling.kernels.timers import first_timer, set_timer

ARRIVED_ALL, DEADLOCK, LOG_FULL = 0, 1, 2


@borrowing_njit
def _note(count, log_what, log_when, kind, w, snapshot, what, start, end):
    """Add an entry to the log, if there is one; empty ones are left out."""
    i = count[LOGGED]
    if i < log_when.shape[0] and end > start:
        log_what[i, 0] = kind
        log_what[i, 1] = w
        log_what[i, 2] = snapshot
        log_what[i, 3] = what
        log_when[i, 0] = start
        log_when[i, 1] = end
        count[LOGGED] = i + 1


@borrowing_njit
def _dump_is_due(S, w):
    """Whether a snapshot that has to be complete at the end of this iteration is not."""
    for r in range(S.snapshots.shape[0]):
        if S.snapshots[r, DUE] <= S.count[ITERATION] and S.shots[r, w, OPEN] > 0:
            return True
    return False


@borrowing_njit
def _application(S, w, t):
    """Let the application proceed until it has to wait for time, a thread or a task."""
    me = S.workers[w]
    c = me[CLASS]
    while True:
        o = me[PC]
        op = S.program[c, o, CODE]
        length = S.duration[w, o]
        if op == LAUNCH:
            me[LAUNCHED] += 1
        elif op == NEED:
            if me[SERVED] <= S.program[c, o, ARG]:
                me[APP] = CORE_PENDING
                me[ASKED] = t
                return
        elif op == RUN and length > 0:
            if S.rules[SHARE] == 0 and me[COMP_JOB] >= 0:
                me[APP] = THREAD_TAKEN
                me[ASKED] = t
                cut = S.rules[SLICE]
                if cut >= 0:
                    stop = t
                    if cut > 0:
                        stop = me[PIECE] + -(-(t - me[PIECE]) // cut) * cut
                    me[COMPRESS_TIMER] = min(me[COMPRESS_TIMER], stop)
                return
            me[APP] = RUNNING
            me[OP_START] = t
            me[APP_TIMER] = t + length
            if S.rules[SHARE] > 0:
                me[RUN_LEFT] = length
                reschedule(S, w, t)
            return
        elif op == WAIT and length > 0:
            me[APP] = WINDOW
            me[OP_START] = t
            me[APP_TIMER] = t + length
            window = S.program[c, o, TO_RUN]
            me[WINDOW_END] = INF if window >= INF else t + window
            return
        elif op not in (RUN, WAIT):  # END
            me[ASKED] = t
            if _dump_is_due(S, w):
                me[APP] = DUMP_PENDING
                return
            me[APP] = AT_BARRIER
            me[ARRIVAL] = t
            S.count[ARRIVED] += 1
            return
        me[PC] = o + 1


@borrowing_njit
def _compressed(S, r, w, j):
    """A compression is over: the write is ready, or the job done if there is none."""
    if S.jobs[r, w, j, WRITE_TIME] == 0:
        S.status[r, w, j] = DONE
        S.shots[r, w, OPEN] -= 1
    else:
        S.status[r, w, j] = READY
        S.shots[r, w, READY_JOBS] += 1


@borrowing_njit
def _on_application(S, w, t):
    """The operation in progress is over."""
    me = S.workers[w]
    me[APP_TIMER] = INF
    if me[APP] == RUNNING:
        o = me[PC]
        if S.rules[SHARE] > 0:
            settle(S, w, t)
            if me[RUN_LEFT] > 0:
                reschedule(S, w, t)
                return
            me[LOST_THREAD] += t - me[OP_START] - S.duration[w, o]
        which = S.program[me[CLASS], o, ARG]
        it = S.count[ITERATION]
        _note(S.count, S.log_what, S.log_when, LOG_RUN, w, it, which, me[OP_START], t)
        me[APP] = PROCEEDS
        if S.rules[SHARE] > 0:
            reschedule(S, w, t)
    me[APP] = PROCEEDS
    me[PC] += 1


@borrowing_njit
def _on_compression(S, w, t):
    """The compression in progress is over, or gives way."""
    me = S.workers[w]
    r = me[COMP_SLOT]
    j = me[COMP_JOB]
    me[COMPRESS_TIMER] = INF
    if S.rules[SHARE] > 0:
        settle(S, w, t)
        if S.jobs[r, w, j, LEFT] > 0:
            reschedule(S, w, t)
            return
    else:
        S.jobs[r, w, j, LEFT] -= t - me[PIECE]
    which = S.snapshots[r, WHICH]
    _note(S.count, S.log_what, S.log_when, LOG_COMPRESS, w, which, j, me[PIECE], t)
    me[COMP_JOB] = -1
    if S.jobs[r, w, j, LEFT] > 0:
        S.status[r, w, j] = PENDING  # HEAD1 has not gone past its rank: it stays first in line
    else:
        _compressed(S, r, w, j)
    if S.rules[SHARE] > 0:
        reschedule(S, w, t)
    if me[APP] == THREAD_TAKEN:
        me[LOST_THREAD] += t - me[ASKED]
        me[APP] = PROCEEDS


@borrowing_njit
def _on_background(S, w, t):
    """The core task or write in progress is over."""
    me = S.workers[w]
    me[BACK_TIMER] = INF
    kind = me[BACK_KIND]
    me[BACK_KIND] = IDLE
    if kind == CORE:
        i = me[SERVED]
        me[SERVED] += 1
        it = S.count[ITERATION]
        _note(S.count, S.log_what, S.log_when, LOG_CORE, w, it, i, me[BACK_START], t)
        if me[APP] == CORE_PENDING and me[SERVED] > S.program[me[CLASS], me[PC], ARG]:
            me[LOST_CORE] += t - me[ASKED]
            me[APP] = PROCEEDS
    else:
        r = me[BACK_SLOT]
        j = me[BACK_JOB]
        S.jobs[r, w, j, TOOK] = t - me[BACK_START]
        S.status[r, w, j] = DONE
        S.shots[r, w, OPEN] -= 1
        which = S.snapshots[r, WHICH]
        _note(S.count, S.log_what, S.log_when, LOG_WRITE, w, which, j, me[BACK_START], t)


@borrowing_njit
def _on_wake(S, w, t):
    """Timed starts. Jobs with nothing to compress are ready once released, without a thread."""
    me = S.workers[w]
    me[WAKE_TIMER] = INF
    c = me[CLASS]
    for r in range(S.snapshots.shape[0]):
        if S.shots[r, w, OPEN] == 0:
            continue
        for j in range(S.classes[c, JOBS]):
            if S.status[r, w, j] == UNRELEASED:
                at = S.snapshots[r, RELEASED] + S.plans[r, c, j, RELEASE]
                if at <= t:
                    _compressed(S, r, w, j)
                else:
                    me[WAKE_TIMER] = min(me[WAKE_TIMER], at)


@borrowing_njit
def _start_background(S, w, t):
    """Start the next core task, or else the next write if the rules allow one now."""
    me = S.workers[w]
    if me[BACK_KIND] != IDLE:
        return
    if me[LAUNCHED] > me[SERVED]:
        me[BACK_KIND] = CORE
        me[BACK_START] = t
        me[BACK_TIMER] = t + S.core[w, me[SERVED]]
        return
    if S.rules[SYNC] != 0 and me[APP] != DUMP_PENDING:
        return
    r, j = pick_write(S, w, t)
    if j < 0:
        return
    S.status[r, w, j] = WRITING
    S.shots[r, w, READY_JOBS] -= 1
    me[BACK_KIND] = WRITE
    me[BACK_SLOT] = r
    me[BACK_JOB] = j
    me[BACK_START] = t
    g = me[GROUP]
    length = S.jobs[r, w, j, WRITE_TIME]
    draws = S.draws[r, w, j]
    if g < 0 or draws == 0.0:
        me[BACK_TIMER] = t + length
    else:
        end = change_writes(S.groups, S.fluid, S.ends, g, w, t, length, draws)
        set_timer(S.timers, S.workers.shape[0] + g, end)


@borrowing_njit
def _start_compression(S, w, t):
    """Start the next compression if the rules allow one now."""
    me = S.workers[w]
    if me[COMP_JOB] >= 0:
        return
    sharing = S.rules[SHARE] > 0
    if not sharing and me[APP] in (RUNNING, THREAD_TAKEN):
        return
    # One thing at a time: compress, write, compress, ...
    if S.rules[SYNC] != 0 and (me[APP] != DUMP_PENDING or me[BACK_KIND] != IDLE):
        return
    r, j = pick_compression(S, w, t)
    if j < 0:
        return
    S.status[r, w, j] = COMPRESSING
    if sharing:
        settle(S, w, t)
    me[COMP_SLOT] = r
    me[COMP_JOB] = j
    me[PIECE] = t
    me[COMPRESS_TIMER] = t + S.jobs[r, w, j, LEFT]
    if sharing:
        reschedule(S, w, t)


@borrowing_njit
def _on_event(S, w, t):
    """The earliest event of a worker, at time t, and all that follows from it at once."""
    me = S.workers[w]
    if me[APP_TIMER] == t:
        _on_application(S, w, t)
    elif me[COMPRESS_TIMER] == t:
        _on_compression(S, w, t)
    elif me[BACK_TIMER] == t:
        _on_background(S, w, t)
    else:
        _on_wake(S, w, t)
    if me[APP] == DUMP_PENDING and not _dump_is_due(S, w):
        me[LOST_DUMP] += t - me[ASKED]
        me[APP] = PROCEEDS
    if me[APP] == PROCEEDS:
        if S.rules[SHARE] > 0:
            settle(S, w, t)
        _application(S, w, t)
    _start_background(S, w, t)
    _start_compression(S, w, t)
    first = min(
        min(me[APP_TIMER], me[COMPRESS_TIMER]),
        min(me[BACK_TIMER], me[WAKE_TIMER]),
    )
    set_timer(S.timers, w, first)


@borrowing_njit
def run(S):
    """Process events until all workers are at the barrier; ARRIVED_ALL, DEADLOCK or LOG_FULL."""
    n = S.workers.shape[0]
    room = S.log_when.shape[0]
    while S.count[ARRIVED] < n:
        if room > 0 and S.count[LOGGED] + 1 > room:
            return LOG_FULL
        t = S.timers[0]
        if t >= INF:
            return DEADLOCK
        w = first_timer(S.timers)
        if w >= n:  # a write on shared storage is over
            g = w - n
            w = next_to_end(S.groups, S.ends, g)
            draws = S.draws[S.workers[w, BACK_SLOT], w, S.workers[w, BACK_JOB]]
            end = change_writes(S.groups, S.fluid, S.ends, g, w, t, -1, draws)
            set_timer(S.timers, n + g, end)
            S.workers[w, BACK_TIMER] = t
            if S.workers[w, APP_TIMER] == t or S.workers[w, COMPRESS_TIMER] == t:
                set_timer(S.timers, w, t)  # comes after those, as its own event
                continue
        _on_event(S, w, t)
    return ARRIVED_ALL


@borrowing_njit
def begin(S, t):
    """Let all workers start the iteration in S.count[ITERATION] at time t."""
    S.count[ARRIVED] = 0
    for w in range(S.workers.shape[0]):
        me = S.workers[w]
        me[APP] = PROCEEDS
        me[PC] = 0
        me[LAUNCHED] = 0
        me[SERVED] = 0
        me[WAKE_TIMER] = t
        set_timer(S.timers, w, t)
