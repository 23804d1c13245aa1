// Dual quantization onto an integer lattice, and back.
//
// A tile's outliers are a bit each; what the lattice holds in their place (the last inlier before
// them, in the order of memory) is filled in by a kernel of its own, once it is known across tiles.
#include "floats.cuh"

constexpr u32 EACH = 8;
constexpr u32 TILE = BLOCK * EACH;
constexpr u32 WORDS = TILE / 32;

// Quantize one tile; `value(i, kept)` gives the lattice integer of element i.
template <class Q, class Value>
__device__ void quantize_tile(u64 n, Q *q, u32 *mask, u32 *counts, u32 *lasts, u32 *markers,
                              Value value) {
  SHARED(u32, last, 1);
  SHARED(u32, outliers, 1);
  u64 base = static_cast<u64>(blockIdx.x) * TILE;
  if (threadIdx.x == 0) last[0] = outliers[0] = 0;
  __syncthreads();
  u32 newest = 0, missed = 0;
  for (u32 k = 0; k < EACH; k++) {
    u32 at = k * BLOCK + threadIdx.x;
    u64 i = base + at;
    bool kept = true;
    if (i < n) q[i] = value(i, kept);
    u32 flags = __ballot_sync(ALL, !kept);
    u32 inliers = __ballot_sync(ALL, kept && i < n);
    if (lane_of() == 0) {
      if (i < n) mask[i / 32] = flags;
      missed += __popc(flags);
      if (inliers) newest = at + 32 - __clz(static_cast<i32>(inliers));
    }
  }
  if (lane_of() == 0) {
    atomicMax(&last[0], newest);
    atomicAdd(&outliers[0], missed);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    counts[blockIdx.x] = outliers[0];
    lasts[blockIdx.x] = last[0];  // one more than its place in the tile; 0: none
    markers[blockIdx.x] = last[0] ? blockIdx.x + 1 : 0;
  }
}

template <class T, class Q>
__device__ void quantize_floats(const T *x, const u8 *forced, u32 has_forced, u64 n, Cells c, Q *q,
                                u32 *mask, u32 *counts, u32 *lasts, u32 *markers) {
  quantize_tile(n, q, mask, counts, lasts, markers, [=](u64 i, bool &kept) {
    double r = lattice_value(x[i], c, kept);
    kept = kept && !(has_forced && forced[i]);
    return static_cast<Q>(static_cast<i64>(r));
  });
}

// floor((x + bound) / (2 bound + 1)), exact in every bit.
template <class T, class Q>
__device__ void quantize_integers(const T *x, const u8 *forced, u32 has_forced, u64 n, i64 bound,
                                  Q *q, u32 *mask, u32 *counts, u32 *lasts, u32 *markers) {
  i64 width = 2 * bound + 1;
  quantize_tile(n, q, mask, counts, lasts, markers, [=](u64 i, bool &kept) {
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

#define FLOATS(t, T, w, Q)                                                                       \
  KERNEL quantize_##t##_##w(const T *x, const u8 *forced, u32 has_forced, u64 n, double inv,     \
                            double step, double bound, double limit, Q *q, u32 *mask,            \
                            u32 *counts, u32 *lasts, u32 *markers) {                             \
    quantize_floats<T, Q>(x, forced, has_forced, n, Cells{inv, step, bound, limit}, q, mask,     \
                          counts, lasts, markers);                                               \
  }                                                                                              \
  EXPORT(quantize_##t##_##w)                                                                     \
  KERNEL dequantize_##t##_##w(const Q *q, u64 n, double step, T *out) {                          \
    dequantize_floats<T, Q>(q, n, step, out);                                                    \
  }                                                                                              \
  EXPORT(dequantize_##t##_##w)
#define INTEGERS(t, T, w, Q)                                                                     \
  KERNEL quantize_##t##_##w(const T *x, const u8 *forced, u32 has_forced, u64 n, i64 bound,      \
                            Q *q, u32 *mask, u32 *counts, u32 *lasts, u32 *markers) {            \
    quantize_integers<T, Q>(x, forced, has_forced, n, bound, q, mask, counts, lasts, markers);   \
  }                                                                                              \
  EXPORT(quantize_##t##_##w)                                                                     \
  KERNEL dequantize_##t##_##w(const Q *q, u64 n, i64 bound, i64 low, i64 high, T *out) {         \
    dequantize_integers<T, Q>(q, n, bound, low, high, out);                                      \
  }                                                                                              \
  EXPORT(dequantize_##t##_##w)
#define BOTH(MAKE, t, T) MAKE(t, T, i4, i32) MAKE(t, T, i8, i64)
#define FILL(w, Q)                                                                               \
  KERNEL fill_##w(Q *q, const u32 *mask, u64 n, const u32 *counts, const u32 *lasts,             \
                  const u64 *earlier) {                                                          \
    fill(q, mask, n, counts, lasts, earlier);                                                    \
  }                                                                                              \
  EXPORT(fill_##w)

BOTH(FLOATS, f2, half_bits)
BOTH(FLOATS, f4, float)
BOTH(FLOATS, f8, double)
BOTH(INTEGERS, i1, i8)
BOTH(INTEGERS, i2, i16)
BOTH(INTEGERS, i4, i32)
BOTH(INTEGERS, i8, i64)
BOTH(INTEGERS, u1, u8)
BOTH(INTEGERS, u2, u16)
BOTH(INTEGERS, u4, u32)
BOTH(INTEGERS, u8, u64)
FILL(i4, i32)
FILL(i8, i64)
