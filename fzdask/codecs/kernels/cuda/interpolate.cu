// From the codes of an interpolation to values: one launch for each class of each level.
#include "interpolate.cuh"

template <class T>
__device__ T value_of(double prediction, i32 code, double cell, double largest, u32 whole) {
  T y;
  narrow(usable(prediction, largest, whole) + static_cast<double>(code) * cell, y);
  return y;
}

// The coarsest grid, each value predicted by the one before it: a thread goes through it.
template <class T>
__device__ void coarsest(const i32 *codes, const i64 *row, double cell, double largest, u32 whole,
                         T *out) {
  double before = 0.0;
  for (i64 k = 0; k < row[POINTS]; k++) {
    i64 index[AXES];
    indices_of(row, k, index);
    i64 at = place_of(row, STEP, START, index);
    out[at] = value_of<T>(before, codes[k], cell, largest, whole);
    before = widen(out[at]);
  }
}

template <class T>
__device__ void decode_class(const i32 *codes, const i64 *row, const Mean &mean, double cell,
                             double largest, u32 whole, T *out) {
  i64 k = static_cast<i64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (k >= row[POINTS]) return;
  i64 index[AXES];
  indices_of(row, k, index);
  T *at = out + place_of(row, STEP, START, index);
  *at = value_of<T>(predict(at, row, index, mean), codes[row[CODES] + k], cell, largest, whole);
}

#define INTERPOLATE(t, T)                                                                        \
  KERNEL coarsest_##t(const i32 *codes, const i64 *row, double cell, double largest, u32 whole,  \
                      T *out) {                                                                  \
    if (blockIdx.x == 0 && threadIdx.x == 0) coarsest(codes, row, cell, largest, whole, out);    \
  }                                                                                              \
  EXPORT(coarsest_##t)                                                                           \
  KERNEL decode_class_##t(const i32 *codes, const i64 *rows, u32 which, u32 splines, double s0,  \
                          double s1, double s2, double s3, double cell, double largest,          \
                          u32 whole, T *out) {                                                   \
    decode_class(codes, rows + which * ROW, Mean{splines, {s0, s1, s2, s3}}, cell, largest,      \
                 whole, out);                                                                    \
  }                                                                                              \
  EXPORT(decode_class_##t)

INTERPOLATE(f4, float)
INTERPOLATE(f8, double)
