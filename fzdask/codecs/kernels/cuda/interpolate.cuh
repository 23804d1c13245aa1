// The predictions of an interpolation, from values that lie in their places in a grid.
//
// A class reads its neighbours, at odd multiples of its level's strides, from classes that are
// there already. The order of every sum is that of kernels/cpu/interpolate_splines.py.
#pragma once
#include "floats.cuh"

constexpr u32 AXES = 4;

// A row of the table of classes: for each axis the length of the class, its step and the stride
// of the level's grid in the array, and how many even points there are; then where the class
// begins in the array and in the codes, and its number of points; and its steps and start in the
// user's array, whose axes may be in another order.
constexpr u32 LENGTH = 0, STEP = 4, STRIDE = 8, EVENS = 12;
constexpr u32 START = 16, CODES = 17, POINTS = 18, USER_STEP = 19, USER_START = 23, ROW = 24;

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

// Indices of point k of a class.
__device__ inline void indices_of(const i64 *row, i64 k, i64 *index) {
  if (row[POINTS] >> 32 == 0) {  // 64-bit division is slow
    u32 rest = static_cast<u32>(k);
#pragma unroll
    for (u32 d = AXES; d-- > 0;) {
      u32 length = static_cast<u32>(row[LENGTH + d]);
      index[d] = rest % length;
      rest /= length;
    }
    return;
  }
  u64 rest = static_cast<u64>(k);
#pragma unroll
  for (u32 d = AXES; d-- > 0;) {
    u64 length = static_cast<u64>(row[LENGTH + d]), above = rest / length;
    index[d] = static_cast<i64>(rest - above * length);
    rest = above;
  }
}

// Where such a point is; `step` and `start`: of which array.
__device__ inline i64 place_of(const i64 *row, u32 step, u32 start, const i64 *index) {
  i64 at = row[start];
#pragma unroll
  for (u32 d = 0; d < AXES; d++) at += index[d] * row[step + d];
  return at;
}

// How a class is predicted: the splines of the axes, two bits each, and their shares.
struct Mean {
  u32 splines;
  double shares[AXES];
};

template <class T>
__device__ double predict(const T *at, const i64 *row, const i64 *index, const Mean &mean) {
  double sum = 0.0;
#pragma unroll
  for (u32 d = 0; d < AXES; d++) {
    if (mean.shares[d] == 0.0) continue;
    Rule rule = rule_of(mean.splines >> (2 * d) & 3, static_cast<u64>(index[d]),
                        static_cast<u64>(row[EVENS + d]));
    sum = add_axis(sum, at, row[STRIDE + d], rule, mean.shares[d]);
  }
  return sum;
}

// What a prediction is taken for.
__device__ inline double usable(double prediction, double largest, u32 whole) {
  double p = whole ? rint(prediction) : prediction;
  return fabs(p) <= largest ? p : 0.0;
}
