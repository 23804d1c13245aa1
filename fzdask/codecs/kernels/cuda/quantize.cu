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

// Give outliers the lattice value of the last inlier before them, or 0 where there is none.
// `earlier[t]`: one more than the last tile before t that has an inlier, 0 where none has.
template <class Q>
__device__ void fill(Q *q, const u32 *mask, u64 n, const u32 *counts, const u32 *lasts,
                     const u64 *earlier) {
  if (counts[blockIdx.x] == 0) return;
  u64 base = static_cast<u64>(blockIdx.x) * TILE;
  SHARED(u32, words, WORDS);
  for (u32 w = threadIdx.x; w < WORDS; w += BLOCK)
    words[w] = base + w * 32 < n ? mask[base / 32 + w] : 0;
  __syncthreads();
  u64 tile = earlier[blockIdx.x];
  u64 carry = tile ? (tile - 1) * TILE + lasts[tile - 1] - 1 : 0;
  for (u32 k = 0; k < EACH; k++) {
    u32 at = k * BLOCK + threadIdx.x;
    u32 w = at / 32, bit = at % 32;
    if (base + at >= n || !(words[w] >> bit & 1)) continue;
    u32 inliers = ~words[w] & below_lane();
    while (!inliers && w > 0) inliers = ~words[--w];
    bool here = inliers != 0;
    u64 from = here ? base + w * 32 + 31 - __clz(static_cast<i32>(inliers)) : carry;
    q[base + at] = here || tile ? q[from] : Q(0);
  }
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
