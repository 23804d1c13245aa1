// From a residual to an entropy-coder symbol: the alphabet of kernels/cpu/symbols.py.
#pragma once
#include "common.cuh"

constexpr u32 DIRECT_BITS = 9;
constexpr u32 DIRECT = 1u << DIRECT_BITS;
constexpr u32 SUB_BITS = 2;
constexpr u32 CLASSES = (64 - DIRECT_BITS) << SUB_BITS;
constexpr u32 RUN = DIRECT + CLASSES;
constexpr u32 RUNS = 16;
constexpr u32 ESCAPE = RUN + RUNS;
constexpr u32 ESCAPE_BITS = 10;
constexpr u32 ALPHABET = ESCAPE + 1;

__device__ inline u64 zigzag(u32 r) { return (r << 1) ^ (0u - (r >> 31)); }
__device__ inline u64 zigzag(u64 r) { return (r << 1) ^ (0ull - (r >> 63)); }
__device__ inline u64 unzigzag(u64 z) { return (z >> 1) ^ (0ull - (z & 1)); }

__device__ inline u32 exponent(u64 v) { return 63 - __clzll(static_cast<i64>(v)); }

__device__ inline u32 symbol_of(u64 z) {
  if (z < DIRECT) return static_cast<u32>(z);
  u32 e = exponent(z);
  u32 sub = static_cast<u32>(z >> (e - SUB_BITS)) & ((1u << SUB_BITS) - 1);
  return DIRECT + ((e - DIRECT_BITS) << SUB_BITS) + sub;
}

// How many raw bits follow a symbol.
__device__ inline u32 extra_bits(u32 symbol) {
  if (symbol < DIRECT) return 0;
  if (symbol < RUN) return ((symbol - DIRECT) >> SUB_BITS) + DIRECT_BITS - SUB_BITS;
  return symbol == ESCAPE ? ESCAPE_BITS : symbol - RUN;
}

// The smallest zigzagged residual of a class.
__device__ inline u64 class_base(u32 symbol) {
  u32 e = ((symbol - DIRECT) >> SUB_BITS) + DIRECT_BITS;
  u32 sub = (symbol - DIRECT) & ((1u << SUB_BITS) - 1);
  return static_cast<u64>((1u << SUB_BITS) + sub) << (e - SUB_BITS);
}
