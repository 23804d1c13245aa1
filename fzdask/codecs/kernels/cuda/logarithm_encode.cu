// Integer logarithms of floats by their bits (kernels/cpu/logarithm.py has the same arithmetic).
//
// A value gives its logarithm unless it is 0 or an outlier; both are then given the logarithm
// before them, and outliers the sign before them too.
#include "logarithm.cuh"
#include "quantize.cuh"

// What may become of a value: `first` are the bits below which it is looked at by itself.
struct Care {
  i64 bound, shift, first;
  double rel;
};

constexpr u32 LOG_BITS = 40;
constexpr u32 OFFSET_BITS = 32;
// Two binary64 operations err by less: what is accepted keeps the bound exactly.
constexpr double ALMOST = 1.0 - 1.0 / (1ull << 50);

__device__ inline i64 logarithm(i64 a, const Layout &at, const i64 *table) {
  i64 one = 1;
  i64 e = a >> at.mantissa, m = a & ((one << at.mantissa) - 1);
  if (e == 0) {  // a denormal: as if its exponent had no end
    i64 lift = static_cast<i64>(at.mantissa) - (63 - __clzll(m));
    m = (m << lift) & ((one << at.mantissa) - 1);
    e = 1 - lift;
  }
  i64 octaves = (e - at.bias) * (one << at.scale);  // of either sign
  if (!at.smooth) return octaves + m;
  u32 rest = at.mantissa - CELLS_LOG2, kept = min(rest, OFFSET_BITS);
  i64 k = m >> rest;
  i64 offset = (m & ((one << rest) - 1)) >> (rest - kept);
  i64 log = table[k] + ((offset * (table[k + 1] - table[k])) >> kept);
  return octaves + (log >> (LOG_BITS - at.scale));
}

// A value in units of the smallest denormal, exact in binary64.
__device__ inline double in_smallest(i64 a, u32 mantissa) {
  i64 one = 1, e = a >> mantissa, m = a & ((one << mantissa) - 1);
  i64 whole = m + (e > 0 ? one << mantissa : 0);
  return ldexp(static_cast<double>(whole), static_cast<i32>(e > 1 ? e - 1 : 0));
}

// Whether all that the logarithm may become within its bound is near enough to the value.
__device__ inline bool stays_near(i64 a, i64 t, const Care &care, const Layout &at,
                                  const i64 *powers) {
  double x = in_smallest(a, at.mantissa);
  double low = in_smallest(power(t - care.bound, at, powers), at.mantissa);
  double high = in_smallest(power(t + care.bound, at, powers), at.mantissa);
  double allowed = care.rel * x * ALMOST;
  return x - low <= allowed && high - x <= allowed;
}

// `silent`: marks of zeros and outliers, which have no logarithm; `odd`: marks of outliers.
// `signs`, `zeros`: a bit for each value; `totals`: how many are negative, and how many 0.
template <class B, class L>
__device__ void encode(const B *bits, const u8 *forced, u32 has_forced, u64 n, const Layout &at,
                       const Care &care, const i64 *logs, const i64 *powers, L *out,
                       const Marks &silent, const Marks &odd, u32 *signs, u32 *zeros,
                       u64 *totals) {
  u64 sign = 1ull << at.top;
  i64 infinity = (2 * at.bias + 1) << at.mantissa;
  Tally silence, oddity;
  u32 negative = 0, none = 0;
  for (u32 k = 0; k < EACH; k++) {
    u32 place = k * BLOCK + threadIdx.x;
    u64 i = static_cast<u64>(blockIdx.x) * TILE + place;
    bool inside = i < n, kept = false, zero = false;
    u64 value = inside ? bits[i] : 0;
    i64 a = static_cast<i64>(value & (sign - 1)), t = 0;
    if (inside) {
      kept = a < infinity && !(has_forced && forced[i]);
      zero = kept && a == 0;
      if (kept && !zero) {
        t = logarithm(a, at, logs) - care.shift;
        if (a < care.first) kept = stays_near(a, t, care, at, powers);
      }
      out[i] = static_cast<L>(kept && !zero ? t : 0);
    }
    silence.note(silent, place, i, n, kept && !zero);
    oddity.note(odd, place, i, n, kept);
    u32 sign_word = __ballot_sync(ALL, kept && (value & sign));
    u32 zero_word = __ballot_sync(ALL, zero);
    if (lane_of() == 0 && inside) {
      signs[i / 32] = sign_word;
      zeros[i / 32] = zero_word;
      negative += __popc(sign_word);
      none += __popc(zero_word);
    }
  }
  silence.finish(silent);
  oddity.finish(odd);
  if (negative) atomicAdd(&totals[0], static_cast<u64>(negative));
  if (none) atomicAdd(&totals[1], static_cast<u64>(none));
}

// Outliers have the sign of the value before them that is none, or none.
KERNEL fill_signs(const u32 *mask, u64 n, const u32 *counts, const u32 *lasts, const u64 *earlier,
                  u32 *signs, u64 *totals) {
  for_outliers(mask, n, counts, lasts, earlier, [=](u64 i, u64 from, bool some) {
    // Bits of values that are no outliers do not change here.
    if (!some || !(signs[from / 32] >> (from % 32) & 1)) return;
    atomicOr(&signs[i / 32], 1u << (i % 32));
    atomicAdd(&totals[0], 1ull);
  });
}
EXPORT(fill_signs)

KERNEL fill_i4(i32 *t, const u32 *mask, u64 n, const u32 *counts, const u32 *lasts,
               const u64 *earlier) {
  fill(t, mask, n, counts, lasts, earlier);
}
EXPORT(fill_i4)
KERNEL fill_i8(i64 *t, const u32 *mask, u64 n, const u32 *counts, const u32 *lasts,
               const u64 *earlier) {
  fill(t, mask, n, counts, lasts, earlier);
}
EXPORT(fill_i8)

#define LOGARITHM(b, B, w, L)                                                                    \
  KERNEL encode_##b##_##w(const B *bits, const u8 *forced, u32 has_forced, u64 n, u32 top,       \
                          u32 mantissa, i64 bias, u32 scale, u32 smooth, i64 bound, i64 shift,   \
                          i64 first, double rel, const i64 *logs, const i64 *powers, L *out,     \
                          u32 *mask, u32 *counts, u32 *lasts, u32 *markers, u32 *odd_mask,       \
                          u32 *odd_counts, u32 *odd_lasts, u32 *odd_markers, u32 *signs,         \
                          u32 *zeros, u64 *totals) {                                             \
    encode(bits, forced, has_forced, n, Layout{top, mantissa, bias, scale, smooth},              \
           Care{bound, shift, first, rel}, logs, powers, out,                                    \
           Marks{mask, counts, lasts, markers, totals + 2},                                      \
           Marks{odd_mask, odd_counts, odd_lasts, odd_markers, totals + 3}, signs, zeros,        \
           totals);                                                                              \
  }                                                                                              \
  EXPORT(encode_##b##_##w)

LOGARITHM(u2, u16, i4, i32)
LOGARITHM(u4, u32, i4, i32)
LOGARITHM(u8, u64, i4, i32)
LOGARITHM(u2, u16, i8, i64)
LOGARITHM(u4, u32, i8, i64)
LOGARITHM(u8, u64, i8, i64)
