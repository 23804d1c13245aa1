"""Completing snapshots: in order, and each exactly once, whether stored or failed."""

from __future__ import annotations

import time

from fzdask.insitu.block import Snapshot
from fzdask.insitu.failures import CancelledDumpError, InSituError
from fzdask.insitu.state import InHand, State

__all__ = ["complete_stored", "drop", "fail", "fail_all"]


def complete_stored(state: State) -> None:
    """Complete, oldest first, the snapshots whose blocks are all stored. I/O thread only.

    A snapshot that is stored before an older one waits for it: what `on_stored` makes visible
    grows without gaps.
    """
    while True:
        with state.lock:
            if not state.snapshots or state.snapshots[0].left:
                return
            snapshot = state.snapshots[0]
            on_stored = snapshot.on_stored
            state.in_hand = InHand(snapshot, "making it visible")
        began = time.perf_counter()
        try:
            if on_stored is not None:
                on_stored()
        except BaseException as error:
            fail(state, snapshot, error, "making it visible")
            continue
        state.records.add("publish", snapshot.name, None, began, time.perf_counter())
        with state.lock:
            if snapshot.dropped:  # cancelled meanwhile; its future says so
                continue
            state.retire(snapshot, None)
        snapshot.future.set_result(None)


def fail(state: State, snapshot: Snapshot, error: BaseException, doing: str) -> None:
    """A snapshot failed: drop the rest of it, and give its future the error with its cause."""
    failure = InSituError(f"Snapshot {snapshot.name!r} failed while {doing}: {error!r}")
    failure.__cause__ = error
    _end(state, snapshot, failure)


def drop(state: State, snapshot: Snapshot) -> bool:
    """Cancel a snapshot; False if it is complete already."""
    return _end(state, snapshot, CancelledDumpError(f"Snapshot {snapshot.name!r} was cancelled"))


def fail_all(state: State, error: BaseException) -> None:
    """A thread of the engine died: fail whatever is outstanding, refuse whatever comes."""
    with state.lock:
        lost = state.break_down(error)
    for snapshot in lost:
        failure = InSituError(
            f"Snapshot {snapshot.name!r}: a background thread of the engine died: {error!r}"
        )
        failure.__cause__ = error
        snapshot.future.set_exception(failure)


def _end(state: State, snapshot: Snapshot, failure: InSituError) -> bool:
    with state.lock:
        if snapshot not in state.snapshots:
            return False
        state.retire(snapshot, failure)
    snapshot.future.set_exception(failure)
    return True
