"""Devices of these tests, and the check that nothing is left running."""

from __future__ import annotations

import threading

import pytest

from fzdask.codecs.flow import SimulatedDevice


@pytest.fixture
def device():
    """A device whose streams run at once."""
    simulated = SimulatedDevice()
    yield simulated
    simulated.close()


@pytest.fixture(autouse=True)
def nothing_left_running():
    """Every thread that a test has started has ended when the test has."""
    before = set(threading.enumerate())
    yield
    left = [t.name for t in set(threading.enumerate()) - before if t.name.startswith("fzdask")]
    assert [name for name in left if name != "fzdask simulated"] == []
