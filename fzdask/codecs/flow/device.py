"""What the executor asks of an accelerator: streams, events and copies; nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from numpy.typing import NDArray

__all__ = ["Device"]


class Device(ABC):
    """Streams run what is put on them in order; an event fires when its stream reaches it.

    Implementations are thread-safe. No method but :meth:`synchronize`, :meth:`stage` and
    :meth:`close` may keep the host waiting.
    """

    @abstractmethod
    def take_stream(self) -> Any:
        """A stream that nobody else uses."""

    @abstractmethod
    def return_stream(self, stream: Any) -> None:
        """Hand back an idle stream of :meth:`take_stream`, to be used again."""

    @abstractmethod
    def on(self, stream: Any) -> AbstractContextManager[Any]:
        """Within it, what this thread launches and allocates belongs to the stream."""

    @abstractmethod
    def record(self, stream: Any) -> Any:
        """An event that fires when all that is on the stream now is done."""

    @abstractmethod
    def wait(self, stream: Any, event: Any) -> None:
        """Make the stream, not the host, wait for the event."""

    @abstractmethod
    def arrival(self) -> Any | None:
        """An event after all that this thread has launched by itself, on its current stream.

        None where there is no such stream.
        """

    @abstractmethod
    def synchronize(self, event: Any) -> None:
        """Make the host wait for the event; raises what went wrong on the device before it."""

    @abstractmethod
    def when(self, event: Any) -> float:
        """When an event that has fired did so, in seconds of ``time.perf_counter``."""

    @abstractmethod
    def owns(self, value: Any) -> bool:
        """Whether the value is an array in the device's memory."""

    @abstractmethod
    def stage(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array in pinned memory, from where it can be copied without the host: a copy, or
        itself if it lies there. Fortran order is kept, any other becomes C order."""

    @abstractmethod
    def upload(self, staged: NDArray[Any], stream: Any) -> Any:
        """A new device array; its copying is put on the stream.

        The caller keeps ``staged`` until an event recorded after it has fired.
        """

    @abstractmethod
    def download(self, array: Any, stream: Any) -> NDArray[Any]:
        """A new pinned host array; its copying is put on the stream.

        The caller keeps both arrays until an event recorded after it has fired.
        """

    @abstractmethod
    def close(self) -> None:
        """Wait for all streams and give them up."""
