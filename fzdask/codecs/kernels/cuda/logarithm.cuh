// The layout of integer logarithms, and the way back from them.
#pragma once
#include "common.cuh"

constexpr u32 CELLS_LOG2 = 10;
constexpr u32 EXP_BITS = 52;

// How logarithms are laid out: number of the sign bit, mantissa bits, exponent field of 1, log2 of
// the units to the octave, whether the table is used.
struct Layout {
  u32 top, mantissa;
  i64 bias;
  u32 scale, smooth;
};

// Bits of the value of a logarithm, rounded towards 0; at most the greatest finite one.
__device__ inline i64 power(i64 t, const Layout &at, const i64 *table) {
  i64 one = 1;
  i64 e = (t >> at.scale) + at.bias;
  i64 m = t & ((one << at.scale) - 1);
  if (e > 2 * at.bias) return ((2 * at.bias + 1) << at.mantissa) - 1;
  if (at.smooth) {
    u32 rest = at.scale - CELLS_LOG2;
    i64 k = m >> rest, low = m & ((one << rest) - 1);
    m = table[k] + ((low * (table[k + 1] - table[k])) >> rest) - (one << EXP_BITS);
    m >>= EXP_BITS - at.mantissa;
  }
  if (e > 0) return (e << at.mantissa) | m;
  return ((one << at.mantissa) | m) >> (1 - e < 63 ? 1 - e : 63);
}
