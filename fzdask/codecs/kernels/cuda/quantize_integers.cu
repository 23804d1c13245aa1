// Quantization of integers onto a lattice of odd width, and back, exact in every bit.
#include "quantize.cuh"

// floor((x + bound) / (2 bound + 1)).
template <class T, class Q>
__device__ void quantize_integers(const T *x, const u8 *forced, u32 has_forced, u64 n, i64 bound,
                                  Q *q, const Marks &marks) {
  i64 width = 2 * bound + 1;
  quantize_tile(n, q, marks, [=](u64 i, bool &kept) {
    kept = !(has_forced && forced[i]);
    i64 v = static_cast<i64>(x[i]);
    if (bound == 0) return static_cast<Q>(v);
    i64 low = v / width, rest = v % width;
    if (rest < 0) {
      low--;
      rest += width;
    }
    return static_cast<Q>(low + (rest > bound));
  });
}

// q (2 bound + 1), clipped to the dtype's range (which only brings it nearer).
template <class T, class Q>
__device__ void dequantize_integers(const Q *q, u64 n, i64 bound, i64 low, i64 high, T *out) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i >= n) return;
  i64 v = q[i];
  if (bound) {  // a hostile product may wrap around
    v = static_cast<i64>(static_cast<u64>(v) * static_cast<u64>(2 * bound + 1));
    v = min(max(v, low), high);
  }
  out[i] = static_cast<T>(v);
}

#define INTEGERS(t, T, w, Q)                                                                     \
  KERNEL quantize_##t##_##w(const T *x, const u8 *forced, u32 has_forced, u64 n, i64 bound,      \
                            Q *q, u32 *mask, u32 *counts, u32 *lasts, u32 *markers,              \
                            u64 *total) {                                                        \
    quantize_integers<T, Q>(x, forced, has_forced, n, bound, q,                                  \
                            Marks{mask, counts, lasts, markers, total});                         \
  }                                                                                              \
  EXPORT(quantize_##t##_##w)                                                                     \
  KERNEL dequantize_##t##_##w(const Q *q, u64 n, i64 bound, i64 low, i64 high, T *out) {         \
    dequantize_integers<T, Q>(q, n, bound, low, high, out);                                      \
  }                                                                                              \
  EXPORT(dequantize_##t##_##w)
#define BOTH(t, T) INTEGERS(t, T, i4, i32) INTEGERS(t, T, i8, i64)

BOTH(i1, i8)
BOTH(i2, i16)
BOTH(i4, i32)
BOTH(i8, i64)
BOTH(u1, u8)
BOTH(u2, u16)
BOTH(u4, u32)
BOTH(u8, u64)
