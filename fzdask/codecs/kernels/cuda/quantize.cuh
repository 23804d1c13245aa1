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

// What a thread gathers of its tile's marks; the whole warp takes part, the first lane keeps them.
struct Tally {
  u32 newest, missed;
  __device__ Tally() : newest(0), missed(0) {}

  // Element `at` of the tile is element i of the array.
  __device__ void note(const Marks &marks, u32 at, u64 i, u64 n, bool kept) {
    u32 flags = __ballot_sync(ALL, i < n && !kept);
    u32 inliers = __ballot_sync(ALL, i < n && kept);
    if (lane_of()) return;
    if (i < n) marks.mask[i / 32] = flags;
    missed += __popc(flags);
    if (inliers) newest = at + 32 - __clz(static_cast<i32>(inliers));
  }

  __device__ void finish(const Marks &marks) {
    SHARED(u32, last, 1);
    SHARED(u32, outliers, 1);
    __syncthreads();  // of a call before this one, all have read
    if (threadIdx.x == 0) last[0] = outliers[0] = 0;
    __syncthreads();
    if (lane_of() == 0) {
      atomicMax(&last[0], newest);
      atomicAdd(&outliers[0], missed);
    }
    __syncthreads();
    if (threadIdx.x) return;
    marks.counts[blockIdx.x] = outliers[0];
    if (outliers[0]) atomicAdd(marks.total, static_cast<u64>(outliers[0]));
    marks.lasts[blockIdx.x] = last[0];
    marks.markers[blockIdx.x] = last[0] ? blockIdx.x + 1 : 0;
  }
};

// `value(i, kept)` gives the lattice integer of element i.
template <class Q, class Value>
__device__ void quantize_tile(u64 n, Q *q, const Marks &marks, Value value) {
  Tally tally;
  for (u32 k = 0; k < EACH; k++) {
    u32 at = k * BLOCK + threadIdx.x;
    u64 i = static_cast<u64>(blockIdx.x) * TILE + at;
    bool kept = true;
    if (i < n) q[i] = value(i, kept);
    tally.note(marks, at, i, n, kept);
  }
  tally.finish(marks);
}

// Where the last inlier before an outlier is; false where there is none. `earlier`: one more than
// the last tile before this one that has an inlier, 0 where none has.
__device__ inline bool last_inlier(const u32 *words, u32 at, u64 base, const u32 *lasts,
                                   u64 earlier, u64 &from) {
  u32 w = at / 32;
  u32 inliers = ~words[w] & ((1u << (at % 32)) - 1);
  while (!inliers && w > 0) inliers = ~words[--w];
  if (inliers)
    from = base + w * 32 + 31 - __clz(static_cast<i32>(inliers));
  else if (earlier)
    from = (earlier - 1) * TILE + lasts[earlier - 1] - 1;
  return inliers || earlier;
}

// Call `put(i, from, some)` for each outlier of a tile, with the last inlier before it if some.
template <class Put>
__device__ void for_outliers(const u32 *mask, u64 n, const u32 *counts, const u32 *lasts,
                             const u64 *earlier, Put put) {
  if (counts[blockIdx.x] == 0) return;
  u64 base = static_cast<u64>(blockIdx.x) * TILE;
  SHARED(u32, words, WORDS);
  for (u32 w = threadIdx.x; w < WORDS; w += BLOCK)
    words[w] = base + w * 32 < n ? mask[base / 32 + w] : 0;
  __syncthreads();
  for (u32 k = 0; k < EACH; k++) {
    u32 at = k * BLOCK + threadIdx.x;
    if (base + at >= n || !(words[at / 32] >> (at % 32) & 1)) continue;
    u64 from = 0;
    bool some = last_inlier(words, at, base, lasts, earlier[blockIdx.x], from);
    put(base + at, from, some);
  }
}

// Give outliers the lattice value of the last inlier before them, or 0 where there is none.
template <class Q>
__device__ void fill(Q *q, const u32 *mask, u64 n, const u32 *counts, const u32 *lasts,
                     const u64 *earlier) {
  for_outliers(mask, n, counts, lasts, earlier,
               [=](u64 i, u64 from, bool some) { q[i] = some ? q[from] : Q(0); });
}
