// Types, and the reductions and scans of a warp and of a block, that all kernels build on.
//
// Blocks have BLOCK threads unless a kernel says otherwise. No arithmetic here or in the kernels
// depends on the order of threads: sums are of integers, atomics add, or, or take the largest.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char i8;
typedef short i16;
typedef int i32;
typedef long long i64;

#ifndef FZ_SHIM  // the tests compile these sources for a CPU, with macros of their own
#define SHARED(T, name, n) __shared__ T name[n]
#define EXPORT(name)
#endif
#define KERNEL extern "C" __global__ void __launch_bounds__(BLOCK)

constexpr u32 BLOCK = 256;
constexpr u32 WARPS = BLOCK / 32;
constexpr u32 ALL = 0xffffffffu;

__device__ inline u32 lane_of() { return threadIdx.x & 31; }
__device__ inline u32 warp_of() { return threadIdx.x >> 5; }
__device__ inline u32 below_lane() { return (1u << lane_of()) - 1; }

// Sum of the lanes up to and with this one.
template <class T> __device__ T warp_inclusive(T v) {
  for (u32 d = 1; d < 32; d <<= 1) {
    T other = __shfl_up_sync(ALL, v, d);
    if (lane_of() >= d) v += other;
  }
  return v;
}

// Sum of the threads before this one; all threads of the block take part. `total`: of the block.
template <class T> __device__ T block_exclusive(T v, T &total) {
  SHARED(T, sums, WARPS);
  T inclusive = warp_inclusive(v);
  __syncthreads();  // of a call before this one, all have read
  if (lane_of() == 31) sums[warp_of()] = inclusive;
  __syncthreads();
  T before = 0;
  total = 0;
  for (u32 w = 0; w < WARPS; w++) {
    if (w < warp_of()) before += sums[w];
    total += sums[w];
  }
  return before + inclusive - v;
}

template <class T> __device__ T block_sum(T v) {
  T total;
  block_exclusive(v, total);
  return total;
}
