// From integer logarithms back to the bits of floats, in integers only.
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

__device__ inline bool bit_of(const u8 *bits, u64 i) { return bits[i / 8] >> (i % 8) & 1; }

// `signs` and `zeros` count only where there are any; else all are `negative`, and all or none 0.
template <class L, class B>
__device__ void decode(const L *t, u64 n, const Layout &layout, const i64 *table, const u8 *signs,
                       u32 has_signs, u32 negative, const u8 *zeros, u32 has_zeros, u32 all_zero,
                       B *out) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i >= n) return;
  bool zero = all_zero || (has_zeros && bit_of(zeros, i));
  u64 bits = zero ? 0 : static_cast<u64>(power(t[i], layout, table));
  u64 sign = has_signs ? bit_of(signs, i) : 0;
  out[i] = static_cast<B>(bits | (sign | negative) << layout.top);
}

#define LOGARITHM(w, L, b, B)                                                                    \
  KERNEL decode_##w##_##b(const L *t, u64 n, u32 top, u32 mantissa, i64 bias, u32 scale,         \
                          u32 smooth, const i64 *table, const u8 *signs, u32 has_signs,          \
                          u32 negative, const u8 *zeros, u32 has_zeros, u32 all_zero, B *out) {  \
    decode(t, n, Layout{top, mantissa, bias, scale, smooth}, table, signs, has_signs, negative,  \
           zeros, has_zeros, all_zero, out);                                                     \
  }                                                                                              \
  EXPORT(decode_##w##_##b)

LOGARITHM(i4, i32, u2, u16)
LOGARITHM(i4, i32, u4, u32)
LOGARITHM(i4, i32, u8, u64)
LOGARITHM(i8, i64, u2, u16)
LOGARITHM(i8, i64, u4, u32)
LOGARITHM(i8, i64, u8, u64)
