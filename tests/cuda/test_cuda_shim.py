"""The stand-in for a device notices what would go wrong on one."""

import numpy as np
import pytest
from shim import ORDERS, ShimModule

SOURCES = r"""
#define KERNEL extern "C" __global__ void
KERNEL reverse(int *a, int wait) {
  SHARED(int, all, 64);
  all[threadIdx.x] = a[threadIdx.x];
  if (wait) __syncthreads();
  a[threadIdx.x] = all[63 - threadIdx.x];
}
EXPORT(reverse)
KERNEL lanes_missing(int *a) {
  if (threadIdx.x < 16) a[threadIdx.x] = __shfl_sync(0xffffffffu, a[threadIdx.x], 0);
}
EXPORT(lanes_missing)
KERNEL barrier_missing(int *a) {
  if (threadIdx.x < 32) __syncthreads();
  a[0] = 1;
}
EXPORT(barrier_missing)
KERNEL takes(const double *x, unsigned short n, double *out) { out[0] = x[0] * n; }
EXPORT(takes)
KERNEL stale(int *a) {  // reads shared memory that nobody wrote in this block
  SHARED(int, kept, 1);
  a[blockIdx.x] = kept[0];
  kept[0] = 7;
}
EXPORT(stale)
KERNEL collectives(unsigned *out) {
  unsigned t = threadIdx.x, lane = t & 31;
  out[t] = __ballot_sync(~0u, lane % 3 == 0) ^ __shfl_xor_sync(~0u, t, 5) << 1 ^
           __shfl_up_sync(~0u, t, 2) << 9 ^ __shfl_down_sync(~0u, t, 3) << 17 ^
           __match_any_sync(~0u, lane / 5);
}
EXPORT(collectives)
"""
FIRST = (0, 0)


@pytest.fixture(scope="module")
def kernels(shim_folder):
    return ShimModule(SOURCES, shim_folder)


def test_a_missing_barrier_gives_a_wrong_answer(kernels):
    for order in range(len(ORDERS)):
        right, wrong = np.arange(64, dtype=np.int32), np.arange(64, dtype=np.int32)
        kernels.launch("reverse", (1,), (64,), (right, np.int32(1)), (order, 0))
        kernels.launch("reverse", (1,), (64,), (wrong, np.int32(0)), (order, 0))
        assert np.array_equal(right, np.arange(64)[::-1])
        assert not np.array_equal(wrong, right)


def test_a_collective_that_lanes_miss_is_an_error(kernels):
    with pytest.raises(RuntimeError, match=r"lanes_missing: block .* warp collective never"):
        kernels.launch("lanes_missing", (1,), (32,), (np.zeros(32, np.int32),), FIRST)


def test_a_barrier_that_threads_miss_is_an_error(kernels):
    with pytest.raises(RuntimeError, match="other threads of the block have returned"):
        kernels.launch("barrier_missing", (1,), (64,), (np.zeros(1, np.int32),), FIRST)


def test_arguments_of_another_size_are_refused(kernels):
    x, out = np.full(1, 2.5), np.zeros(1)
    kernels.launch("takes", (1,), (1,), (x, np.uint16(3), out), FIRST)
    assert out[0] == 7.5
    for args in (
        (x, np.uint32(3), out),
        (x, 3, out),
        (x.astype("f4"), np.uint16(3), out),
        (np.ones((4, 4))[:, 0], np.uint16(3), out),
        (x, np.uint16(3)),
    ):
        with pytest.raises(TypeError, match="takes"):
            kernels.launch("takes", (1,), (1,), args, FIRST)


def test_shared_memory_is_poisoned_for_every_block(kernels):
    seen = np.zeros(5, np.int32)
    kernels.launch("stale", (5,), (1,), (seen,), FIRST)
    assert (seen.view(np.uint32) == 0xCDCDCDCD).all()


def test_collectives_are_those_of_cuda(kernels):
    t = np.arange(96, dtype=np.uint32)
    lane, base = t % 32, t // 32 * 32
    ballot = np.uint32(sum(1 << k for k in range(0, 32, 3)))
    match = np.array([sum(1 << int(k) for k in range(32) if k // 5 == v // 5) for v in lane], "u4")
    up, down = np.where(lane >= 2, t - 2, t), np.where(lane + 3 < 32, t + 3, t)
    want = ballot ^ (base + (lane ^ 5)) << 1 ^ up << 9 ^ down << 17 ^ match
    for order in range(len(ORDERS)):
        out = np.zeros(96, np.uint32)
        kernels.launch("collectives", (1,), (96,), (out,), (order, 0))
        assert np.array_equal(out, want.astype(np.uint32))


def test_a_grid_that_cuda_would_refuse_is_refused(kernels):
    args = (np.zeros(1, np.int32),)
    for grid in ((0,), (1, 65536), (2**31,)):
        with pytest.raises(ValueError, match="grid"):
            kernels.launch("stale", grid, (1,), args, FIRST)
    with pytest.raises(RuntimeError, match="2048 threads"):
        kernels.launch("stale", (1,), (2048,), args, FIRST)
