"""Making steps visible: at once, or when every process that writes the store has reached them."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from fzdask.insitu.catalog import Catalog
from fzdask.insitu.failures import InSituError
from fzdask.insitu.ranks import POLL, Ranks, layout_hash
from fzdask.insitu.stores import Keys

__all__ = ["Publisher", "StoredWrite"]


class StoredWrite(NamedTuple):
    """One write whose blocks are stored: its number, and the coordinates by dimension."""

    number: int
    coordinates: Mapping[str, Mapping[str, Any]]


class Publisher:
    """Moves the step index, in order, and never past something that is not stored.

    Parameters
    ----------
    catalog : Catalog
        Metadata; guarded by `lock`.
    keys : Keys
        The store.
    ranks : Ranks
        Who else writes it.
    """

    def __init__(self, catalog: Catalog, keys: Keys, ranks: Ranks) -> None:
        self.catalog = catalog
        self.lock = threading.RLock()
        self._keys = keys
        self._ranks = ranks
        self._stored = 0
        self._published = 0
        self._visible = {dim: len(axis.steps) for dim, axis in catalog.axes.items()}
        self._waiting: deque[StoredWrite] = deque()
        self._layouts: dict[int, int] = {}
        self._behind: list[int] = []
        self._changed = threading.Condition()
        self._stop = False
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        if ranks.first and not ranks.alone:
            self._thread = threading.Thread(target=self._watch, name="fzdask-ranks", daemon=True)
            self._thread.start()

    def stored(self, write: StoredWrite) -> None:
        """Everything of a write is stored by this process. Called in order.

        Raises
        ------
        InSituError
            An earlier write failed: making this one visible would leave a hole.
        """
        if write.number != self._stored:
            raise InSituError(
                f"write {self._stored} failed, so write {write.number} is not made visible: steps "
                "are visible without gaps or not at all"
            )
        if self._ranks.alone:
            self._publish(write)
        elif self._ranks.first:
            with self.lock:
                self._layouts[write.number + 1] = layout_hash(
                    self.catalog.documents, self.catalog.step_dims
                )
            with self._changed:
                self._waiting.append(write)
                self._changed.notify_all()
        else:
            with self.lock:
                layout = layout_hash(self.catalog.documents, self.catalog.step_dims)
            self.catalog.ownership.check()  # counts of the next run have the same keys
            self._ranks.announce(self._keys, write.number + 1, layout)
        self._stored = write.number + 1

    @property
    def visible_steps(self) -> dict[str, list[int]]:
        """Steps that readers can see, for each step dimension."""
        with self.lock:
            return {
                dim: [int(step) for step in self.catalog.axes[dim].steps[:count]]
                for dim, count in self._visible.items()
            }

    def barrier(self, timeout: float, *, patient: bool) -> None:
        """Wait until everything stored by this process is visible (rank 0), or announced.

        Parameters
        ----------
        timeout : float
            Seconds.
        patient : bool
            They begin anew with every step that becomes visible: others may be slow.

        Raises
        ------
        TimeoutError
            Other processes are behind; the message names them.
        InSituError
            Watching them failed.
        """
        if self._thread is None:
            return
        with self._changed:
            while True:
                before = self._published

                def moved_on(before: int = before) -> bool:
                    done = not self._waiting or self._error is not None
                    return done or (patient and self._published > before)

                if not self._changed.wait_for(moved_on, timeout):
                    break
                if not self._waiting or self._error:
                    break
            if self._error is not None:
                raise InSituError(f"Steps cannot be made visible: {self._error}") from self._error
            if self._waiting:
                raise TimeoutError(
                    f"InSituWriter: after {timeout:g} s, rank(s) {self._behind} have stored "
                    f"{self._published} of {self._stored} writes; steps become visible once all "
                    "processes have stored them. Are they running, and writing the same steps?"
                )

    def end(self) -> None:
        """Stop watching."""
        with self._changed:
            self._stop = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _publish(self, write: StoredWrite) -> None:
        with self.lock:
            for dim, coordinates in write.coordinates.items():
                self.catalog.append(dim, coordinates)
            rendered = self.catalog.rendered(tuple(write.coordinates))
        # Without the lock, which the simulation's thread takes in every write. Only one thread
        # publishes, so what is stored last is the newest.
        if self._keys.replaces:
            self.catalog.store(rendered)
            with self.lock:
                for dim in write.coordinates:
                    self._visible[dim] = self._visible.get(dim, 0) + 1
        self._published = write.number + 1

    def _watch(self) -> None:
        """Rank 0, with others: publish what all have stored."""
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._stop or self._waiting)
                    if self._stop:
                        return
                count, self._behind = self._ranks.completed(self._keys, self._layouts)
                if count <= self._published:
                    time.sleep(POLL)
                    continue
                while self._waiting and self._waiting[0].number < count:
                    self._publish(self._waiting[0])
                    self._layouts.pop(self._published - 1, None)
                    with self._changed:
                        self._waiting.popleft()
                        self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def check(self) -> None:
        """Raise what stopped the watching, if anything did."""
        if self._error is not None:
            raise InSituError(f"Steps cannot be made visible: {self._error}") from self._error
