// From the codes of an interpolation to values: one launch for each class of each level.
//
// Values lie in their places in the whole array from the start; a class reads its neighbours, at
// odd multiples of its level's strides, from classes that are there already. The order of every
// sum is that of kernels/cpu/interpolate_splines.py.
#include "floats.cuh"

constexpr u32 AXES = 4;

// A row of the table of classes: for each axis the length of the class, its step and the stride
// of the level's grid in the array, how many even points there are, the spline; then where the
// class begins in the array and in the codes, its number of points, and its odd axes.
constexpr u32 LENGTH = 0, STEP = 4, STRIDE = 8, EVENS = 12, SPLINE = 16;
constexpr u32 START = 20, CODES = 21, POINTS = 22, ODD = 23, ROW = 24;

constexpr u32 LINEAR = 0, NATURAL = 2, SEXTIC = 3;

// Weights of the even points next to an odd one, and how many of them are on its left.
struct Rule {
  u32 taps, left;
  double weights[6];
};

__device__ inline Rule rule_of(u32 spline, u64 j, u64 evens) {
  u64 right = evens - 1 - j, left = j + 1;
  if (right == 0) {
    if (left > 1) return {2, 2, {-0.5, 1.5}};
    return {1, 1, {1.0}};
  }
  if (spline == LINEAR || (right == 1 && left == 1)) return {2, 1, {0.5, 0.5}};
  if (right == 1) return {3, 2, {-0.125, 0.75, 0.375}};
  if (left == 1) return {3, 1, {0.375, 0.75, -0.125}};
  if (spline == NATURAL) return {4, 2, {-0.075, 0.575, 0.575, -0.075}};
  if (spline == SEXTIC && right > 2 && left > 2)
    return {6, 3, {3.0 / 256, -25.0 / 256, 150.0 / 256, 150.0 / 256, -25.0 / 256, 3.0 / 256}};
  return {4, 2, {-0.0625, 0.5625, 0.5625, -0.0625}};
}

// Add the prediction along one axis: neighbours in pairs, then one that is left.
template <class T>
__device__ double add_axis(double sum, const T *at, i64 stride, const Rule &rule, double share) {
  const T *s = at + (1 - 2 * static_cast<i64>(rule.left)) * stride;
#pragma unroll
  for (u32 t = 0; t < 6; t += 2) {
    if (t + 1 < rule.taps) {
      double c0 = rule.weights[t] * share, c1 = rule.weights[t + 1] * share;
      sum += c0 * widen(s[2 * static_cast<i64>(t) * stride]) +
             c1 * widen(s[2 * static_cast<i64>(t + 1) * stride]);
    } else if (t < rule.taps) {
      sum += (rule.weights[t] * share) * widen(s[2 * static_cast<i64>(t) * stride]);
    }
  }
  return sum;
}

template <class T>
__device__ T value_of(double prediction, i32 code, double cell, double largest, u32 whole) {
  double p = whole ? rint(prediction) : prediction;
  p = fabs(p) <= largest ? p : 0.0;
  T y;
  narrow(p + static_cast<double>(code) * cell, y);
  return y;
}

// The coarsest grid, each value predicted by the one before it: a thread goes through it.
template <class T>
__device__ void coarsest(const i32 *codes, const i64 *row, double cell, double largest, u32 whole,
                         T *out) {
  double before = 0.0;
  for (i64 k = 0; k < row[POINTS]; k++) {
    i64 rest = k, at = 0;
    for (u32 d = AXES; d-- > 0;) {
      at += rest % row[LENGTH + d] * row[STEP + d];
      rest /= row[LENGTH + d];
    }
    out[at] = value_of<T>(before, codes[k], cell, largest, whole);
    before = widen(out[at]);
  }
}

template <class T>
__device__ void decode_class(const i32 *codes, const i64 *row, const double *shares, double cell,
                             double largest, u32 whole, T *out) {
  i64 k = static_cast<i64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (k >= row[POINTS]) return;
  i64 index[AXES], rest = k;
#pragma unroll
  for (u32 d = AXES; d-- > 0;) {
    index[d] = rest % row[LENGTH + d];
    rest /= row[LENGTH + d];
  }
  T *at = out + row[START];
#pragma unroll
  for (u32 d = 0; d < AXES; d++) at += index[d] * row[STEP + d];
  double sum = 0.0;
#pragma unroll
  for (u32 d = 0; d < AXES; d++) {
    if (shares[d] == 0.0) continue;
    Rule rule = rule_of(static_cast<u32>(row[SPLINE + d]), static_cast<u64>(index[d]),
                        static_cast<u64>(row[EVENS + d]));
    sum = add_axis(sum, at, row[STRIDE + d], rule, shares[d]);
  }
  *at = value_of<T>(sum, codes[row[CODES] + k], cell, largest, whole);
}

#define INTERPOLATE(t, T)                                                                        \
  KERNEL coarsest_##t(const i32 *codes, const i64 *row, double cell, double largest, u32 whole,  \
                      T *out) {                                                                  \
    if (blockIdx.x == 0 && threadIdx.x == 0) coarsest(codes, row, cell, largest, whole, out);    \
  }                                                                                              \
  EXPORT(coarsest_##t)                                                                           \
  KERNEL decode_class_##t(const i32 *codes, const i64 *rows, const double *shares, u32 which,    \
                          double cell, double largest, u32 whole, T *out) {                      \
    decode_class(codes, rows + which * ROW, shares + which * AXES, cell, largest, whole, out);   \
  }                                                                                              \
  EXPORT(decode_class_##t)

INTERPOLATE(f4, float)
INTERPOLATE(f8, double)
