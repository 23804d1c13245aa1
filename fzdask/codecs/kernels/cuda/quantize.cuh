// One tile of quantization: a bit for each outlier, and what is filled in for them later.
#pragma once
#include "common.cuh"

constexpr u32 EACH = 8;
constexpr u32 TILE = BLOCK * EACH;
constexpr u32 WORDS = TILE / 32;

// Where outliers are: a bit for each element; of each tile how many, one more than the place of
// the last inlier in it (0: none), and then the tile's number plus one; and how many in all.
struct Marks {
  u32 *mask, *counts, *lasts, *markers;
  u64 *total;
};

// `value(i, kept)` gives the lattice integer of element i.
template <class Q, class Value>
__device__ void quantize_tile(u64 n, Q *q, const Marks &marks, Value value) {
  SHARED(u32, last, 1);
  SHARED(u32, outliers, 1);
  u64 base = static_cast<u64>(blockIdx.x) * TILE;
  if (threadIdx.x == 0) last[0] = outliers[0] = 0;
  __syncthreads();
  u32 newest = 0, missed = 0;
  for (u32 k = 0; k < EACH; k++) {
    u32 at = k * BLOCK + threadIdx.x;
    u64 i = base + at;
    bool kept = true;
    if (i < n) q[i] = value(i, kept);
    u32 flags = __ballot_sync(ALL, !kept);
    u32 inliers = __ballot_sync(ALL, kept && i < n);
    if (lane_of() == 0) {
      if (i < n) marks.mask[i / 32] = flags;
      missed += __popc(flags);
      if (inliers) newest = at + 32 - __clz(static_cast<i32>(inliers));
    }
  }
  if (lane_of() == 0) {
    atomicMax(&last[0], newest);
    atomicAdd(&outliers[0], missed);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    marks.counts[blockIdx.x] = outliers[0];
    if (outliers[0]) atomicAdd(marks.total, static_cast<u64>(outliers[0]));
    marks.lasts[blockIdx.x] = last[0];
    marks.markers[blockIdx.x] = last[0] ? blockIdx.x + 1 : 0;
  }
}
