"""The gate: may compression run now?"""

from __future__ import annotations

from typing import Literal, get_args

from fzdask.errors import ConfigError
from fzdask.insitu.host_watch import POLL, HostWatch

__all__ = ["Gate", "Windows"]

Windows = Literal["auto", "marked", "watched", "priority", "always"]

LEAST_NEED = 0.25e-3
"""Seconds: what is expected to take less than this is started while a window is open, however
soon it may close. A notification takes about a third of it to wake a thread."""

OVERSTAY = 0.25
"""A window still open after so much more than its expected length is not the one expected."""


class Gate:
    """Open while the simulation leaves its thread idle.

    Parameters
    ----------
    windows : {"auto", "marked", "watched", "priority", "always"}
        How idle time is known. ``marked``: from windows that the simulation marks. ``watched``:
        from the processor time of its thread. ``auto``: marked from the first mark on, watched
        until then. ``always``: never closed. ``priority``: never closed, and left to the
        operating system, with a compression thread of idle priority.

    Raises
    ------
    ConfigError
        Another word, or ``watched`` on a platform that cannot.
    """

    def __init__(self, windows: Windows, watch: HostWatch | None = None) -> None:
        if windows not in get_args(Windows):
            raise ConfigError(
                f"Engine: windows={windows!r} must be one of "
                f"{', '.join(map(repr, get_args(Windows)))}"
            )
        self.watch = watch or HostWatch()
        if windows == "watched" and not self.watch.available:
            raise ConfigError(
                "Engine: windows='watched' needs the processor time of another thread, which this "
                "platform does not tell; mark windows with idle(), or use windows='priority'"
            )
        self.windows = windows
        self.marked = windows == "marked"
        self.is_open = False
        self._depth = 0
        self._closes: float | None = None
        self._gives_up = 0.0

    @property
    def lowers_priority(self) -> bool:
        """Whether the compression thread should run at idle priority."""
        # "auto" starts with watching; where that is impossible priority is what is left.
        unknown = self.windows == "auto" and not self.watch.available
        return self.windows == "priority" or unknown

    def open(self, now: float, closes: float | None) -> bool:
        """A window opens, expected to close at `closes`; False if it was open already."""
        self._depth += 1
        if self._depth > 1:
            return False
        if self.windows == "auto":
            self.marked = True
        self._closes = closes
        self._gives_up = 0.0 if closes is None else closes + OVERSTAY * (closes - now)
        self.is_open = True
        return True

    def close(self) -> bool:
        """The window closes; False if an outer one is still open."""
        self._depth -= 1
        if self._depth:
            return False
        self.is_open = False
        self._closes = None
        return True

    def allows(self, now: float, need: float = 0.0) -> bool:
        """Whether something that is expected to take `need` seconds may start."""
        if self.windows in ("always", "priority"):
            return True
        if self.marked:
            if not self.is_open:
                return False
            closes = self._closes
            if closes is None or need <= LEAST_NEED or now + need <= closes:
                return True
            return now > self._gives_up
        return not self.watch.available or self.watch.is_idle()

    def patience(self, now: float) -> float | None:
        """Seconds after which to ask again; None: not before a window opens."""
        if self.windows in ("always", "priority") or not self.marked:
            return POLL
        if self.is_open and self._closes is not None:
            return max(POLL, self._gives_up - now)
        return None
