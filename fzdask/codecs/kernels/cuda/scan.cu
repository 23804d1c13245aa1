// Exclusive prefix sums and running maxima of any length, in the tiles of a reduce-then-scan.
#include "common.cuh"

constexpr u32 EACH = 4;
constexpr u32 TILE = BLOCK * EACH;
// Sums stop here, so that those of hostile sizes are too large instead of wrong.
constexpr u64 MOST = 1ull << 62;

struct Sum {
  __device__ static u64 join(u64 a, u64 b) { return min(a + b, MOST); }
};
struct Max {
  __device__ static u64 join(u64 a, u64 b) { return max(a, b); }
};

template <class Op> __device__ u64 warp_scan(u64 v) {
  for (u32 d = 1; d < 32; d <<= 1) {
    u64 other = __shfl_up_sync(ALL, v, d);
    if (lane_of() >= d) v = Op::join(other, v);
  }
  return v;
}

// Of the values before this thread's, and of all the block's.
template <class Op> __device__ u64 block_scan(u64 v, u64 &total) {
  SHARED(u64, parts, WARPS);
  u64 inclusive = warp_scan<Op>(v);
  u64 before = __shfl_up_sync(ALL, inclusive, 1);
  if (lane_of() == 0) before = 0;
  if (lane_of() == 31) parts[warp_of()] = inclusive;
  __syncthreads();
  u64 left = 0;
  total = 0;
  for (u32 w = 0; w < WARPS; w++) {
    if (w < warp_of()) left = Op::join(left, parts[w]);
    total = Op::join(total, parts[w]);
  }
  return Op::join(left, before);
}

template <class Op, class T> __device__ u64 take(const T *in, u64 n, u64 first, u64 *each) {
  u64 all = 0;
  for (u32 k = 0; k < EACH; k++) {
    each[k] = first + k < n ? min(static_cast<u64>(in[first + k]), MOST) : 0;
    all = Op::join(all, each[k]);
  }
  return all;
}

template <class Op, class T> __device__ void reduce_tiles(const T *in, u64 n, u64 *tiles) {
  u64 each[EACH], total;
  u64 first = static_cast<u64>(blockIdx.x) * TILE + threadIdx.x * EACH;
  block_scan<Op>(take<Op>(in, n, first, each), total);
  if (threadIdx.x == 0) tiles[blockIdx.x] = total;
}

// `out` has n + 1 entries; the last is the total.
template <class Op, class T>
__device__ void scan_tiles(const T *in, u64 n, const u64 *before, u64 *out) {
  u64 each[EACH], total;
  u64 first = static_cast<u64>(blockIdx.x) * TILE + threadIdx.x * EACH;
  u64 all = take<Op>(in, n, first, each);
  u64 running = Op::join(before[blockIdx.x], block_scan<Op>(all, total));
  for (u32 k = 0; k < EACH; k++) {
    if (first + k >= n) break;
    out[first + k] = running;
    running = Op::join(running, each[k]);
    if (first + k == n - 1) out[n] = running;
  }
}

#define SCAN(op, Op, t, T)                                                                   \
  KERNEL reduce_##op##_##t(const T *in, u64 n, u64 *tiles) { reduce_tiles<Op>(in, n, tiles); } \
  EXPORT(reduce_##op##_##t)                                                                  \
  KERNEL scan_##op##_##t(const T *in, u64 n, const u64 *before, u64 *out) {                  \
    scan_tiles<Op>(in, n, before, out);                                                      \
  }                                                                                          \
  EXPORT(scan_##op##_##t)

SCAN(sum, Sum, u2, u16)
SCAN(sum, Sum, u4, u32)
SCAN(sum, Sum, u8, u64)
SCAN(max, Max, u4, u32)
SCAN(max, Max, u8, u64)
