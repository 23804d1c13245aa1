"""Application and compression on one core at once, as threads of an operating system.

While both have something to do, the compression gets SHARE / 1024 of the core and the
application the rest; alone, each gets all of it. What is done in any stretch of time adds up to
exactly that stretch.
"""

from __future__ import annotations

from fzdask.scheduling.kernels.borrowing import borrowing_njit
from fzdask.scheduling.kernels.replay_state import (
    APP,
    APP_TIMER,
    COMP_JOB,
    COMP_SLOT,
    COMPRESS_TIMER,
    LEFT,
    RUN_LEFT,
    RUNNING,
    SHARE,
    UPDATED,
)


@borrowing_njit
def settle(S, w, t):
    """Bring the work left of application and compression up to date."""
    me = S.workers[w]
    past = t - me[UPDATED]
    me[UPDATED] = t
    mine = past if me[APP] == RUNNING else 0
    j = me[COMP_JOB]
    if j >= 0:
        if mine > 0:
            mine = past * (1024 - S.rules[SHARE]) // 1024
        r = me[COMP_SLOT]
        S.jobs[r, w, j, LEFT] = max(0, S.jobs[r, w, j, LEFT] - (past - mine))
    me[RUN_LEFT] = max(0, me[RUN_LEFT] - mine)


@borrowing_njit
def reschedule(S, w, t):
    """Set the timers by the work left, at the present rates."""
    me = S.workers[w]
    running = me[APP] == RUNNING
    j = me[COMP_JOB]
    share = S.rules[SHARE]
    if running:
        left = me[RUN_LEFT]
        me[APP_TIMER] = t + (-(-left * 1024 // (1024 - share)) if j >= 0 else left)
    if j >= 0:
        left = S.jobs[me[COMP_SLOT], w, j, LEFT]
        me[COMPRESS_TIMER] = t + (-(-left * 1024 // share) if running else left)
