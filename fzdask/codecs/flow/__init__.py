"""Task flow: tasks that say what they read and write, run on host threads and device streams.

The manner is that of CUDASTF (Augonnet et al. 2024): dependencies, copies and ordering are
inferred from the declarations; the results are those of sequential execution.
"""

from fzdask.codecs.flow.data import Data
from fzdask.codecs.flow.device import Device
from fzdask.codecs.flow.executor import Flow
from fzdask.codecs.flow.simulated import SimulatedDevice
from fzdask.codecs.flow.task import FlowCancelled, FlowError, Task
from fzdask.codecs.flow.timeline import Span, Timeline

__all__ = [
    "Data",
    "Device",
    "Flow",
    "FlowCancelled",
    "FlowError",
    "SimulatedDevice",
    "Span",
    "Task",
    "Timeline",
]
