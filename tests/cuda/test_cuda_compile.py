"""The kernels compile for sm_80 and sm_90 without spilling; no device is needed for that."""

import device_compilers
import pytest

from fzdask.codecs.kernels.cuda.sources import modules, source

COMPILE = device_compilers.find()
needs_compiler = pytest.mark.skipif(
    COMPILE is None, reason="neither nvcc nor the wheel nvidia-cuda-nvrtc is on this machine"
)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("module", modules())
def test_kernels_compile_without_spilling(module, architecture, tmp_path):
    used = device_compilers.resources(COMPILE(source(module), architecture, tmp_path))
    assert len(used) == source(module).count("\nKERNEL ") + made_by_macros(module, len(used))
    assert all(spilled == 0 for _, spilled in used.values()), used
    # 256 threads with up to 128 registers still give two blocks on every multiprocessor.
    assert max(registers for registers, _ in used.values()) <= 128


def made_by_macros(module, found):
    """Kernels beyond those written out; there are some, or the report was not understood."""
    assert found > 0
    return found - source(module).count("\nKERNEL ")


@needs_compiler
def test_a_kernel_that_spills_is_noticed(tmp_path):
    text = """extern "C" __global__ void __launch_bounds__(1024, 2) spills(double *x) {
  double a[64];
#pragma unroll
  for (int k = 0; k < 64; k++) a[k] = x[k * 1024 + threadIdx.x];
  __syncthreads();
#pragma unroll
  for (int k = 0; k < 64; k++) x[k * 1024 + threadIdx.x] = a[k] * a[63 - k] + a[(k * 7) & 63];
}
"""
    registers, spilled = device_compilers.resources(COMPILE(text, "sm_90", tmp_path))["spills"]
    assert registers <= 32
    assert spilled > 0
