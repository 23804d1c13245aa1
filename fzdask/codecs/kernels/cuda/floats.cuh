// Floating-point values as the decoder makes them: half precision by bit arithmetic, so that no
// compiler's idea of it can differ.
#pragma once
#include "common.cuh"

struct half_bits {
  u16 bits;
};

__device__ inline float half_to_float(u16 h) {
  u32 sign = static_cast<u32>(h & 0x8000u) << 16;
  u32 exponent = h >> 10 & 31, mantissa = h & 0x3ffu;
  if (exponent == 31) return __uint_as_float(sign | 0x7f800000u | mantissa << 13);
  if (exponent) return __uint_as_float(sign | (exponent + 112) << 23 | mantissa << 13);
  float tiny = static_cast<float>(mantissa) * 5.9604644775390625e-08f;  // 2**-24, exact
  return sign ? -tiny : tiny;
}

// Round to nearest, ties to even; beyond the largest half to infinity.
__device__ inline u16 float_to_half(float f) {
  u32 x = __float_as_uint(f);
  u32 sign = x >> 16 & 0x8000u, rest = x & 0x7fffffffu;
  if (rest > 0x7f800000u) return static_cast<u16>(sign | 0x7e00u | (rest >> 13 & 0x1ffu));
  if (rest >= 0x477ff000u) return static_cast<u16>(sign | 0x7c00u);
  if (rest >= 0x38800000u) {  // a normal half
    u32 r = rest - 0x38000000u;
    return static_cast<u16>(sign | ((r + 0xfffu + (r >> 13 & 1)) >> 13));
  }
  if (rest < 0x33000000u) return static_cast<u16>(sign);
  u32 shift = 126 - (rest >> 23);  // of a subnormal, 14 to 24
  u32 mantissa = (rest & 0x7fffffu) | 0x800000u;
  u32 kept = mantissa >> shift, left = mantissa & ((1u << shift) - 1), middle = 1u << (shift - 1);
  kept += left > middle || (left == middle && (kept & 1));
  return static_cast<u16>(sign | kept);
}

__device__ inline double widen(half_bits x) { return half_to_float(x.bits); }
__device__ inline double widen(float x) { return x; }
__device__ inline double widen(double x) { return x; }
// Lattices look like values to whoever samples them.
__device__ inline double widen(i32 x) { return x; }
__device__ inline double widen(i64 x) { return static_cast<double>(x); }

__device__ inline bool is_minus_zero(half_bits x) { return x.bits == 0x8000u; }
__device__ inline bool is_minus_zero(float x) { return __float_as_uint(x) == 0x80000000u; }
__device__ inline bool is_minus_zero(double x) {
  return static_cast<u64>(__double_as_longlong(x)) == 1ull << 63;
}

__device__ inline void narrow(double y, half_bits &out) {
  out.bits = float_to_half(static_cast<float>(y));
}
__device__ inline void narrow(double y, float &out) { out = static_cast<float>(y); }
__device__ inline void narrow(double y, double &out) { out = y; }

// The lattice of one bound.
struct Cells {
  double inv, step, bound, limit;
};

// rint(x / 2 bound), or 0 where that is no lattice value; `kept`: the decoder's own value of it is
// within the bound, and x is not -0.0.
template <class T> __device__ double lattice_value(T x, const Cells &c, bool &kept) {
  double v = widen(x);
  double r = rint(v * c.inv);
  bool inside = fabs(r) <= c.limit;  // false for NaN, so that the conversion below is defined
  r = inside ? r : 0.0;
  T y;
  narrow(r * c.step, y);
  kept = inside && fabs(v - widen(y)) <= c.bound && !is_minus_zero(x);
  return r;
}

// Halves travel as float32 on the CPU: a value must be within the bound there too.
template <> __device__ inline double lattice_value(half_bits x, const Cells &c, bool &kept) {
  double v = widen(x);
  double r = rint(v * c.inv);
  bool inside = fabs(r) <= c.limit;
  r = inside ? r : 0.0;
  float single = static_cast<float>(r * c.step);
  double halved = half_to_float(float_to_half(single));
  kept = inside && fabs(v - static_cast<double>(single)) <= c.bound &&
         fabs(v - halved) <= c.bound && !is_minus_zero(x);
  return r;
}

// Whether a half would miss the bound for a reason that the lattice of float32 does not see.
template <class T> __device__ bool misses(T, const Cells &) { return false; }
template <> __device__ inline bool misses(half_bits x, const Cells &c) {
  double v = widen(x);
  float single = static_cast<float>(rint(v * c.inv) * c.step);
  return !(fabs(v - static_cast<double>(half_to_float(float_to_half(single)))) <= c.bound);
}
