// Dual quantization of floats onto an integer lattice, and back.
//
// What the lattice holds in the place of outliers (the last inlier before them, in the order of
// memory) is filled in by a kernel of its own, once it is known across tiles.
#include "floats.cuh"
#include "quantize.cuh"

template <class T, class Q>
__device__ void quantize_floats(const T *x, const u8 *forced, u32 has_forced, u64 n, Cells c, Q *q,
                                const Marks &marks) {
  quantize_tile(n, q, marks, [=](u64 i, bool &kept) {
    double r = lattice_value(x[i], c, kept);
    kept = kept && !(has_forced && forced[i]);
    return static_cast<Q>(static_cast<i64>(r));
  });
}

template <class T, class Q>
__device__ void dequantize_floats(const Q *q, u64 n, double step, T *out) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i < n) narrow(static_cast<double>(q[i]) * step, out[i]);
}

#define FLOATS(t, T, w, Q)                                                                       \
  KERNEL quantize_##t##_##w(const T *x, const u8 *forced, u32 has_forced, u64 n, double inv,     \
                            double step, double bound, double limit, Q *q, u32 *mask,            \
                            u32 *counts, u32 *lasts, u32 *markers, u64 *total) {                 \
    quantize_floats<T, Q>(x, forced, has_forced, n, Cells{inv, step, bound, limit}, q,           \
                          Marks{mask, counts, lasts, markers, total});                           \
  }                                                                                              \
  EXPORT(quantize_##t##_##w)                                                                     \
  KERNEL dequantize_##t##_##w(const Q *q, u64 n, double step, T *out) {                          \
    dequantize_floats<T, Q>(q, n, step, out);                                                    \
  }                                                                                              \
  EXPORT(dequantize_##t##_##w)
#define LATTICE(w, Q)                                                                            \
  FLOATS(f2, half_bits, w, Q)                                                                    \
  FLOATS(f4, float, w, Q)                                                                        \
  FLOATS(f8, double, w, Q)                                                                       \
  KERNEL fill_##w(Q *q, const u32 *mask, u64 n, const u32 *counts, const u32 *lasts,             \
                  const u64 *earlier) {                                                          \
    fill(q, mask, n, counts, lasts, earlier);                                                    \
  }                                                                                              \
  EXPORT(fill_##w)

LATTICE(i4, i32)
LATTICE(i8, i64)
