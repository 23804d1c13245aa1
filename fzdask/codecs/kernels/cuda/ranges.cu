// Range of an array over what is finite and not forced; flags of values to keep bit for bit.
#include "floats.cuh"

constexpr u32 AHEAD = 4;  // loads that do not wait for each other

// Blocks take tiles in turn and leave one pair each; the host takes the least and the greatest.
template <class R, class Get>
__device__ void block_range(u64 n, R low, R high, R *lows, R *highs, Get get) {
  u64 step = static_cast<u64>(gridDim.x) * BLOCK;
  for (u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x; i < n; i += AHEAD * step) {
    R v[AHEAD];
    bool counts[AHEAD];
#pragma unroll
    for (u32 a = 0; a < AHEAD; a++)  // behind the end the last one again
      counts[a] = get(min(i + a * step, n - 1), v[a]);
#pragma unroll
    for (u32 a = 0; a < AHEAD; a++) {
      low = counts[a] && v[a] < low ? v[a] : low;
      high = counts[a] && v[a] > high ? v[a] : high;
    }
  }
  for (u32 d = 16; d; d >>= 1) {
    R other = __shfl_xor_sync(ALL, low, static_cast<int>(d));
    low = other < low ? other : low;
    other = __shfl_xor_sync(ALL, high, static_cast<int>(d));
    high = other > high ? other : high;
  }
  SHARED(R, all_lows, WARPS);
  SHARED(R, all_highs, WARPS);
  if (lane_of() == 0) {
    all_lows[warp_of()] = low;
    all_highs[warp_of()] = high;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    for (u32 w = 1; w < WARPS; w++) {
      low = all_lows[w] < low ? all_lows[w] : low;
      high = all_highs[w] > high ? all_highs[w] : high;
    }
    lows[blockIdx.x] = low;
    highs[blockIdx.x] = high;
  }
}

template <class T>
__device__ void float_range(const T *x, const u8 *forced, u32 has_forced, u64 n, double *lows,
                            double *highs) {
  double infinity = __longlong_as_double(0x7ff0000000000000ll);
  block_range<double>(n, infinity, -infinity, lows, highs, [=](u64 i, double &v) {
    v = widen(x[i]);
    return fabs(v) < infinity && !(has_forced && forced[i]);
  });
}

template <class T, class R>
__device__ void integer_range(const T *x, const u8 *forced, u32 has_forced, u64 n, R least,
                              R greatest, R *lows, R *highs) {
  block_range<R>(n, greatest, least, lows, highs, [=](u64 i, R &v) {
    v = x[i];
    return !(has_forced && forced[i]);
  });
}

#define FLOAT_RANGE(t, T)                                                                        \
  KERNEL range_##t(const T *x, const u8 *forced, u32 has_forced, u64 n, double *lows,            \
                   double *highs) {                                                              \
    float_range(x, forced, has_forced, n, lows, highs);                                          \
  }                                                                                              \
  EXPORT(range_##t)
#define INTEGER_RANGE(t, T, R, least, greatest)                                                  \
  KERNEL range_##t(const T *x, const u8 *forced, u32 has_forced, u64 n, R *lows, R *highs) {     \
    integer_range<T, R>(x, forced, has_forced, n, least, greatest, lows, highs);                 \
  }                                                                                              \
  EXPORT(range_##t)

constexpr i64 I64_MAX = 0x7fffffffffffffffll;
FLOAT_RANGE(f2, half_bits)
FLOAT_RANGE(f4, float)
FLOAT_RANGE(f8, double)
INTEGER_RANGE(i1, i8, i64, -I64_MAX - 1, I64_MAX)
INTEGER_RANGE(i2, i16, i64, -I64_MAX - 1, I64_MAX)
INTEGER_RANGE(i4, i32, i64, -I64_MAX - 1, I64_MAX)
INTEGER_RANGE(i8, i64, i64, -I64_MAX - 1, I64_MAX)
INTEGER_RANGE(u1, u8, i64, -I64_MAX - 1, I64_MAX)
INTEGER_RANGE(u2, u16, i64, -I64_MAX - 1, I64_MAX)
INTEGER_RANGE(u4, u32, i64, -I64_MAX - 1, I64_MAX)
INTEGER_RANGE(u8, u64, u64, 0ull, ~0ull)

__device__ inline bool inside(double x, double low, double high) { return low <= x && x <= high; }
__device__ inline bool inside(float x, float low, float high) { return low <= x && x <= high; }
__device__ inline bool inside(half_bits x, half_bits low, half_bits high) {
  return inside(widen(x), widen(low), widen(high));
}
// Integers of either sign travel as unsigned ones.
template <class T> __device__ bool inside(T x, T low, T high) {
  return static_cast<T>(x - low) <= static_cast<T>(high - low);
}

// Flag what lies between two values, or is one of them (0.0 and -0.0 are equal). `parts` is 2 for
// complex numbers: the imaginary part is to lie between two others, and both parts are flagged.
template <class T>
__device__ void preserve(const T *x, u64 n, u32 parts, T low, T high, T below, T above, u8 *flags) {
  u64 i = (static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x) * parts;
  if (i >= n) return;
  if (inside(x[i], low, high) && (parts == 1 || inside(x[i + 1], below, above)))
    for (u32 k = 0; k < parts; k++) flags[i + k] = 1;
}

// A part of a complex number beside NaN or infinity is no finite value either.
template <class T> __device__ void flag_pairs(const T *x, u64 n, u8 *flags) {
  u64 i = (static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x) * 2;
  if (i >= n) return;
  double infinity = __longlong_as_double(0x7ff0000000000000ll);
  if (!(fabs(widen(x[i])) < infinity && fabs(widen(x[i + 1])) < infinity))
    flags[i] = flags[i + 1] = 1;
}

#define PRESERVE(t, T)                                                                           \
  KERNEL preserve_##t(const T *x, u64 n, u32 parts, T low, T high, T below, T above,             \
                      u8 *flags) {                                                               \
    preserve(x, n, parts, low, high, below, above, flags);                                       \
  }                                                                                              \
  EXPORT(preserve_##t)
#define PAIRS(t, T)                                                                              \
  KERNEL flag_pairs_##t(const T *x, u64 n, u8 *flags) { flag_pairs(x, n, flags); }               \
  EXPORT(flag_pairs_##t)

PRESERVE(f2, half_bits)
PRESERVE(f4, float)
PRESERVE(f8, double)
PRESERVE(i1, u8)
PRESERVE(i2, u16)
PRESERVE(i4, u32)
PRESERVE(i8, u64)
PAIRS(f4, float)
PAIRS(f8, double)
