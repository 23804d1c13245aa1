// From integer logarithms back to the bits of floats, in integers only.
#include "logarithm.cuh"

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
