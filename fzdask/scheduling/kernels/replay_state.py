"""The arrays that the replay works on, and the codes in them. Times are int64 nanoseconds.

Records are rows of a few arrays, not one array per field: fewer arguments to compile for, and
the record of a worker or a job lies in one place in memory.

Index letters: w worker, c class (workers of a class share programs, forecasts and plans),
r slot of a snapshot (snapshot s lives in slot s % slots), j job, k rank in an order,
o operation of a program, g storage group.
"""

from __future__ import annotations

from collections import namedtuple

INF = 1 << 62

# Operations of an application's program (one iteration, one worker).
RUN, WAIT, LAUNCH, NEED, END = range(5)

# What the application of a worker is doing; it never stays in PROCEEDS between events.
RUNNING, WINDOW, THREAD_TAKEN, CORE_PENDING, DUMP_PENDING, AT_BARRIER, PROCEEDS = range(7)

# Progress of a job; UNRELEASED are those that need no compression, until their release.
UNRELEASED, PENDING, COMPRESSING, READY, WRITING, DONE = range(6)

# What a background thread is doing.
IDLE, CORE, WRITE = range(3)

# Rules of a policy.
SYNC, GATE_COMPRESS, GATE_WRITE, SKIP, TIMETABLE, SLICE, SHARE, N_RULES = range(8)

# Counters: iteration, workers at the barrier, entries in the log.
ITERATION, ARRIVED, LOGGED, N_COUNTERS = range(4)

# Kinds of log entry: (kind, worker, snapshot or iteration, job, busy interval or core task).
LOG_RUN, LOG_CORE, LOG_COMPRESS, LOG_WRITE = range(4)

# program[c, o]: operation, its argument, whether no RUN follows, and from the start of the
# operation the expected time to the end of the window, to the next launch, to the end.
CODE, ARG, TAIL, TO_RUN, TO_CORE, TO_END, N_PROGRAM = range(7)

# classes[c]: number of jobs, expected time from the start of an iteration to its first launch.
JOBS, TO_FIRST, N_CLASS = range(3)

# snapshots[r]: iteration at whose end it has to be complete, when it was released, which it is.
DUE, RELEASED, WHICH, N_SNAPSHOT = range(4)

# workers[w]: class, state and position of the application, start of its operation, since when
# it waits, expected end of its window; work left of a RUN and when that was brought up to date
# (processor sharing); core tasks launched and served; time lost; arrival; timers; the
# compression and the background task in progress; storage group.
CLASS, APP, PC, OP_START, ASKED, WINDOW_END, RUN_LEFT, UPDATED = range(8)
LAUNCHED, SERVED, LOST_THREAD, LOST_CORE, LOST_DUMP, ARRIVAL = range(8, 14)
APP_TIMER, COMPRESS_TIMER, BACK_TIMER, WAKE_TIMER = range(14, 18)
COMP_SLOT, COMP_JOB, PIECE = range(18, 21)
BACK_KIND, BACK_SLOT, BACK_JOB, BACK_START, GROUP, N_WORKER = range(21, 27)

# jobs[r, w, j]: compression left, length of the write, how long the write took.
LEFT, WRITE_TIME, TOOK, N_JOB = range(4)

# plans[r, c, k or j]: job at rank k of the two orders; planned starts, release and expected
# durations of job j.
ORDER1, ORDER2, START1, START2, RELEASE, EXPECT_COMPRESS, EXPECT_WRITE, N_PLAN = range(8)

# shots[r, w]: jobs not done, jobs ready to be written, ranks below which nothing is to start.
OPEN, READY_JOBS, HEAD1, HEAD2, N_SHOT = range(5)

# groups[g]: its first worker, writes in progress, when its clock was last set.
FIRST, WRITES, CLOCK_SET, N_GROUP = range(4)

# fluid[g]: bandwidth in bytes per ns, sum of what its writes would draw, service given to each
# so far (ns at full speed), service per ns now.
BANDWIDTH, DRAWN, CLOCK, RATE, N_FLUID = range(5)

State = namedtuple(
    "State",
    [
        "rules",
        "count",
        "program",
        "classes",
        "snapshots",
        "workers",
        "duration",  # [w, o] of RUN and WAIT in this iteration
        "core",  # [w, core task]
        "jobs",
        "status",  # [r, w, j] progress, int8
        "draws",  # [r, w, j] bytes per ns of a write, float
        "plans",
        "shots",
        "groups",
        "fluid",
        "ends",  # tournament tree over CLOCK values at which writes end
        "timers",  # tournament tree over workers, then groups
        "log_what",  # [entry, 4]
        "log_when",  # [entry, 2] start, end
    ],
)
