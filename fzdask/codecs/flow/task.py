"""Tasks, their states, and the errors of a flow."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from fzdask.codecs.flow.data import Data, Instance, Place
from fzdask.errors import FZError

if TYPE_CHECKING:
    from fzdask.codecs.flow.lanes import Lane

__all__ = ["FlowCancelled", "FlowError", "State", "Task"]

Kind = Literal["task", "upload", "download"]


class FlowError(FZError, RuntimeError):
    """A flow was used against its rules: read before written, used after it was closed, ..."""


class FlowCancelled(FlowError):  # noqa: N818  (the field's word, as in CancelledError)
    """The flow was cancelled before this task ran."""


class State(enum.Enum):
    """Life of a task; the last three are final."""

    WAITING = enum.auto()
    READY = enum.auto()
    RUNNING = enum.auto()
    LAUNCHED = enum.auto()
    """On the device's stream; nobody knows yet whether it ran."""
    COMPLETE = enum.auto()
    FAILED = enum.auto()
    DROPPED = enum.auto()

    @property
    def final(self) -> bool:
        return self in (State.COMPLETE, State.FAILED, State.DROPPED)


class Task:
    """One call of a function on instances of data, or one copy between places.

    Attributes
    ----------
    name : str
    tag : object
        What it belongs to (the number of a chunk, say), for timelines and messages.
    state : State
    error : BaseException or None
        Why it failed.
    """

    __slots__ = (
        "__weakref__",
        "began",
        "error",
        "event",
        "fired",
        "function",
        "incomplete",
        "inputs",
        "kept",
        "kind",
        "lane",
        "name",
        "nbytes",
        "outputs",
        "place",
        "sequence",
        "spoiled",
        "state",
        "successors",
        "tag",
        "unlaunched",
        "updates",
        "waits",
    )

    def __init__(
        self,
        function: Callable[..., Any] | None,
        name: str,
        place: Place,
        *,
        kind: Kind = "task",
        tag: Any = None,
    ) -> None:
        self.function = function
        self.name = name
        self.place: Place = place
        self.kind: Kind = kind
        self.tag = tag
        self.sequence = -1
        self.state = State.WAITING
        self.error: BaseException | None = None
        self.inputs: list[Instance] = []
        self.outputs: list[Instance] = []
        self.updates: list[int] = []
        """For each output the input that it is an update of, or -1."""
        self.successors: list[Task] = []
        self.unlaunched = 0
        """Predecessors that must still be complete (both on the device: launched) to start."""
        self.incomplete = 0
        """Predecessors that must still be complete before this task can be."""
        self.waits: list[Task] = []
        """Launched predecessors whose events the stream waits for."""
        self.lane: Lane | None = None
        self.event: Any = None
        self.began: Any = None
        self.fired = False
        self.kept: Any = None
        """What must outlive the work on the stream."""
        self.nbytes = 0
        """Moved by a copy."""
        self.spoiled = False
        """Whether a predecessor failed after this task was launched."""

    @property
    def on_stream(self) -> bool:
        """Whether it is put on a stream, so that followers on streams need not wait for it."""
        return self.place == "device" or self.kind != "task"

    @property
    def launched(self) -> bool:
        """Whether it is on its stream, with an event to wait for."""
        return self.state is State.LAUNCHED

    @property
    def done(self) -> bool:
        """Whether it is complete, failed or dropped."""
        return self.state.final

    def set_outputs(self, result: Any) -> None:
        """Put what the function returned into the instances that the task writes.

        Raises
        ------
        FlowError
            Another number of values than the task declared to write.
        """
        if len(self.outputs) == 1:
            values: tuple[Any, ...] = (result,)
        elif isinstance(result, tuple):
            values = result
        else:
            values = () if result is None else (result,)
        if result is None and self.updates and min(self.updates) >= 0:
            values = (None,) * len(self.outputs)  # all were updated in place
        if len(values) != len(self.outputs):
            raise FlowError(
                f"flow: task {self.name!r} returned {len(values)} values but declares "
                f"{len(self.outputs)} writes; return one for each, in their order, as a tuple."
            )
        for output, value, source in zip(self.outputs, values, self.updates, strict=True):
            in_place = value is None and source >= 0
            output.value = self.inputs[source].value if in_place else value

    def forget(self) -> list[Any]:
        """Let go of what is not needed once the task is done.

        Returns
        -------
        list
            The last references, perhaps, to large buffers: the caller drops it where that may
            take its time.
        """
        last = [self.function, self.inputs, self.outputs, self.kept]
        for instance in self.inputs:
            instance.readers.discard(self)
        self.function = None
        self.inputs = []
        self.outputs = []
        self.successors = []
        self.waits = []
        self.kept = None
        self.lane = None
        self.event = None
        self.began = None
        return last

    def __repr__(self) -> str:
        tag = "" if self.tag is None else f", tag={self.tag!r}"
        return f"Task({self.name!r}, {self.state.name.lower()}, at {self.place}{tag})"


def check_data(task: str, role: str, data: Any, flow: Any) -> tuple[Data, ...]:
    """The declared data as a tuple, or an error that says what is wrong with them."""
    given = (data,) if isinstance(data, Data) else tuple(data)
    for item in given:
        if not isinstance(item, Data):
            raise FlowError(
                f"flow: {role}= of task {task!r} holds a {type(item).__name__}; "
                "wrap values with flow.data(value)."
            )
        if item.flow is not flow:
            raise FlowError(f"flow: {item!r} in {role}= of task {task!r} is of another flow.")
    return given
