// From values to the codes of an interpolation: one launch for each class of each level; and the
// values that the host asks for where it chooses splines, weights and axes.
#include "interpolate.cuh"

constexpr double CODE_LIMIT = 1073741824.0;  // codes fit 32 bits and stay there when zigzagged

struct Cell {
  double width, inv, bound, largest;
  u32 whole;
};

__device__ inline void set_bit(u32 *mask, u64 i) { atomicOr(&mask[i / 32], 1u << (i % 32)); }

// Whether two numbers are farther apart than the bound, or one of them is NaN; not rounded, as in
// kernels/cpu/interpolate_classes.py.
__device__ inline bool beyond(double v, double y, double bound) {
  double difference = v - y;
  double distance = fabs(difference);
  if (distance != bound) return !(distance < bound);
  double moved = difference - v;
  double rest = (v - (difference - moved)) - (y + moved);
  return difference > 0 ? rest > 0 : difference < 0 && rest < 0;
}

template <class T>
__device__ void encode_class(const T *x, const i64 *row, const Mean &mean, const Cell &cell,
                             T *decoded, i32 *codes, u32 *mask) {
  i64 k = static_cast<i64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (k >= row[POINTS]) return;
  i64 index[AXES];
  indices_of(row, k, index);
  i64 at = place_of(row, STEP, START, index);
  double p = usable(predict(decoded + at, row, index, mean), cell.largest, cell.whole);
  double v = widen(x[at]);
  double r = rint((v - p) * cell.inv);
  r = fabs(r) <= CODE_LIMIT ? r : 0.0;  // NaN is not, so that the conversion is defined
  i32 code = static_cast<i32>(r);
  T y;
  narrow(p + r * cell.width, y);
  if (beyond(v, widen(y), cell.bound)) {
    narrow(p, y);
    code = 0;
    set_bit(mask, static_cast<u64>(place_of(row, USER_STEP, USER_START, index)));
  }
  decoded[at] = y;
  codes[row[CODES] + k] = code;
}

// A bit for each value that must come back bit for bit; `some` is set where there is one.
template <class T>
__device__ void find_special(const T *x, const u8 *forced, u32 has_forced, u64 n, u32 *mask,
                             u32 *some) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  bool special = false;
  if (i < n) {
    bool finite = fabs(widen(x[i])) <= 1.7976931348623157e308;
    special = !finite || is_minus_zero(x[i]) || (has_forced && forced[i]);
  }
  u32 flags = __ballot_sync(ALL, special);
  if (lane_of() || i >= n) return;
  mask[i / 32] = flags;
  if (flags) atomicOr(some, 1u);
}

template <class T> __device__ void mask_special(const T *x, const u32 *mask, u64 n, T *out) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i >= n) return;
  out[i] = x[i];
  if (mask[i / 32] >> (i % 32) & 1) narrow(__longlong_as_double(0x7ff8000000000000ll), out[i]);
}

// Values of some classes, which lie one after the other for who asks.
template <class T, class Place>
__device__ void read_values(const T *from, const i64 *rows, u32 classes, const Place *places, u64 n,
                            T *values) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i >= n) return;
  narrow(0.0, values[i]);
  for (u32 c = 0; c < classes; c++) {
    const i64 *row = rows + c * ROW;
    i64 k = static_cast<i64>(places[i]) - row[CODES];
    if (k < 0 || k >= row[POINTS]) continue;
    i64 index[AXES];
    indices_of(row, k, index);
    values[i] = from[place_of(row, STEP, START, index)];
    return;
  }
}

KERNEL set_bits(const u64 *places, u64 n, u32 *mask) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i < n) set_bit(mask, places[i]);
}
EXPORT(set_bits)

#define INTERPOLATE(t, T)                                                                        \
  KERNEL encode_class_##t(const T *x, const i64 *rows, u32 which, u32 splines, double s0,        \
                          double s1, double s2, double s3, double width, double inv,             \
                          double bound, double largest, u32 whole, T *decoded, i32 *codes,       \
                          u32 *mask) {                                                           \
    encode_class(x, rows + which * ROW, Mean{splines, {s0, s1, s2, s3}},                         \
                 Cell{width, inv, bound, largest, whole}, decoded, codes, mask);                 \
  }                                                                                              \
  EXPORT(encode_class_##t)                                                                       \
  KERNEL find_special_##t(const T *x, const u8 *forced, u32 has_forced, u64 n, u32 *mask,        \
                          u32 *some) {                                                           \
    find_special(x, forced, has_forced, n, mask, some);                                          \
  }                                                                                              \
  EXPORT(find_special_##t)                                                                       \
  KERNEL mask_special_##t(const T *x, const u32 *mask, u64 n, T *out) {                          \
    mask_special(x, mask, n, out);                                                               \
  }                                                                                              \
  EXPORT(mask_special_##t)
#define READ(t, T, p, Place)                                                                     \
  KERNEL read_values_##t##_##p(const T *from, const i64 *rows, u32 first, u32 classes,           \
                               const Place *places, u64 n, T *values) {                          \
    read_values(from, rows + first * ROW, classes, places, n, values);                           \
  }                                                                                              \
  EXPORT(read_values_##t##_##p)

INTERPOLATE(f4, float)
INTERPOLATE(f8, double)
READ(f4, float, u4, u32)
READ(f4, float, u8, u64)
READ(f8, double, u4, u32)
READ(f8, double, u8, u64)
