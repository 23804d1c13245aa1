"""Which stages run on a device: the same streams as the CPU's, decided by the same code."""

from __future__ import annotations

from collections.abc import Sequence

from fzdask.codecs.device.base import DeviceStage
from fzdask.codecs.device.bit_stages import (
    BitshuffleOnDevice,
    FixedLengthOnDevice,
    NegabinaryOnDevice,
    SignMagnitudeOnDevice,
    ZigzagOnDevice,
)
from fzdask.codecs.device.default_stages import (
    HuffmanOnDevice,
    LorenzoOnDevice,
    QuantizeOnDevice,
)
from fzdask.codecs.device.difference_stage import DifferenceOnDevice
from fzdask.codecs.device.fusion import DeviceFusion
from fzdask.codecs.device.interpolate_stage import InterpolateOnDevice
from fzdask.codecs.device.logarithm_stage import LogarithmOnDevice
from fzdask.codecs.device.speed_fusion import SpeedOnDevice
from fzdask.codecs.stages.base import ArrayStage, Stage

__all__ = ["device_stages", "fusion_at", "fusion_until"]

_KINDS: tuple[type[DeviceStage], ...] = (
    QuantizeOnDevice,
    LorenzoOnDevice,
    DifferenceOnDevice,
    HuffmanOnDevice,
    ZigzagOnDevice,
    NegabinaryOnDevice,
    SignMagnitudeOnDevice,
    FixedLengthOnDevice,
    BitshuffleOnDevice,
    InterpolateOnDevice,
    LogarithmOnDevice,
)
_BY_STAGE: dict[type[Stage], DeviceStage] = {kind.of: kind() for kind in _KINDS}
_FUSIONS: tuple[DeviceFusion, ...] = (SpeedOnDevice(),)


def device_stages(chain: Sequence[ArrayStage]) -> list[DeviceStage] | None:
    """The stages of a chain on a device, or None if one of them has no kernels for it there."""
    found = [_BY_STAGE[type(stage)] for stage in chain if type(stage) in _BY_STAGE]
    return found if len(found) == len(chain) else None


def fusion_at(chain: Sequence[ArrayStage], at: int) -> tuple[DeviceFusion, int] | None:
    """The fusion of the stages of a chain from a place on, and of how many."""
    for fusion in _FUSIONS:
        for kinds in fusion.chains:
            if tuple(type(stage) for stage in chain[at : at + len(kinds)]) == kinds:
                return fusion, len(kinds)
    return None


def fusion_until(chain: Sequence[ArrayStage], end: int) -> tuple[DeviceFusion, int] | None:
    """The fusion of the stages of a chain before a place, and of how many."""
    for at in range(end):
        found = fusion_at(chain, at)
        if found is not None and at + found[1] == end:
            return found
    return None
