"""The page on GPUs says what is so."""

import re
from pathlib import Path

from fzdask.codecs.device.back_ends import BACK_ENDS
from fzdask.codecs.device.stages import device_stages
from fzdask.codecs.stages.base import ArrayStage
from fzdask.codecs.stages.registry import built_in

PAGE = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text()


def test_the_stages_named_there_are_those_with_kernels():
    row = next(line for line in PAGE.splitlines() if line.startswith("| `quantize`"))
    with_kernels = {
        name
        for name, stage in built_in().items()
        if issubclass(stage, ArrayStage) and device_stages([stage()])
    }
    assert set(re.findall(r"`(\w+)`", row.split("|")[1])) == with_kernels


def test_the_back_ends_named_there_are_those_with_kernels():
    row = next(line for line in PAGE.splitlines() if line.startswith("| of the back ends"))
    named = re.findall(r"`(\w+)`", row.partition(", of sections")[0])
    assert set(named) == {stage.name for stage in BACK_ENDS}


def test_the_example_imports_what_there_is():
    block = re.search(r"```py\n(.*?)```", PAGE, re.DOTALL)[1]
    imports = [line for line in block.splitlines() if line.startswith("from fzdask")]
    assert len(imports) == 3
    for line in imports:
        exec(line, {})
