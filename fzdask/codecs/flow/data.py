"""Logical data: one value with a name, wherever its current instances lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from fzdask.codecs.flow.task import Task

__all__ = ["PLACES", "Data", "Instance", "Place", "map_arrays", "nbytes_of"]

Place = Literal["host", "device"]
PLACES: tuple[Place, ...] = ("host", "device")


class Instance:
    """A value of a logical datum at one place.

    Attributes
    ----------
    place : "host" or "device"
    value : object
        Set when ``writer`` has run (at a device: when it was launched).
    writer : Task or None
        The task or copy that gives the value, until it is complete.
    readers : set of Task
        Tasks and copies that use the value and are not complete.
    arrival : event or None
        After which a value that came from outside may be used on a stream.
    """

    __slots__ = ("arrival", "place", "readers", "value", "writer")

    def __init__(self, place: Place, value: Any = None, writer: Task | None = None) -> None:
        self.place: Place = place
        self.value = value
        self.writer = writer
        self.readers: set[Task] = set()
        self.arrival: Any = None


class Data:
    """A logical datum of a flow; made by :meth:`Flow.data`.

    It stands for one value at each point of the program, of which there may be an instance on the
    host and one on the device. A value is an array, any other object, or arrays and objects in
    tuples, lists, dicts and dataclasses. Values that no task can ask for any more are dropped:
    when the last task that uses them is complete, on the device as well.
    """

    __slots__ = ("__weakref__", "flow", "instances", "name")

    def __init__(self, flow: Any, name: str) -> None:
        self.flow = flow
        self.name = name
        self.instances: dict[Place, Instance] = {}

    def __repr__(self) -> str:
        return f"Data({self.name!r}, at {' and '.join(self.instances) or 'no place yet'})"


def map_arrays(value: Any, is_array: Callable[[Any], bool], change: Callable[[Any], Any]) -> Any:
    """The value with its arrays changed, in tuples, lists, dicts and dataclasses too.

    What holds no such array is returned as it is, not copied.
    """
    if is_array(value):
        return change(value)
    if isinstance(value, tuple | list):
        items = [map_arrays(item, is_array, change) for item in value]
        if all(a is b for a, b in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {key: map_arrays(item, is_array, change) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for field in dataclasses.fields(value):
            old = getattr(value, field.name)
            new = map_arrays(old, is_array, change)
            if new is not old:
                changed[field.name] = new
        return dataclasses.replace(value, **changed) if changed else value
    return value


def nbytes_of(value: Any, is_array: Callable[[Any], bool]) -> int:
    """Bytes of the arrays in a value."""
    total = 0

    def add(array: Any) -> Any:
        nonlocal total
        total += int(array.nbytes)
        return array

    map_arrays(value, is_array, add)
    return total


def is_host_array(value: Any) -> bool:
    """Whether a copy to the device moves it: a NumPy array of plain values."""
    return isinstance(value, np.ndarray) and not value.dtype.hasobject
