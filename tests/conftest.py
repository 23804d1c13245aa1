"""What holds for every test: it leaves the process able to be interrupted."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator

import pytest


def _interrupt_handlers() -> tuple[object, bytes]:
    """Python's handler of SIGINT, and the system's: compiled libraries change that one only."""
    system = b""
    if os.name == "posix":
        action = ctypes.create_string_buffer(1024)  # a struct sigaction, and room to spare
        assert ctypes.CDLL(None).sigaction(int(signal.SIGINT), None, action) == 0
        system = action.raw[: ctypes.sizeof(ctypes.c_void_p)]  # its first member is the handler
    return signal.getsignal(signal.SIGINT), system


@pytest.fixture(autouse=True)
def _leaves_the_interrupt_handler() -> Iterator[None]:
    """Fail a test after which an interrupt does something else than before.

    Without this a later test that raises an interrupt ends the whole test run, far from the cause.
    """
    before = _interrupt_handlers()
    yield
    after = _interrupt_handlers()
    assert after == before, "this test, or a library called in it, left another SIGINT handler"
