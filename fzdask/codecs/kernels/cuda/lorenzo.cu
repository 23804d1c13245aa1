// Lorenzo residuals, and the lattice from them.
//
// An axis of a C-order array is a stride and a span (stride times length). The residual is the
// composition of first differences along axes, the inverse a prefix sum along each: all arithmetic
// is unsigned and wraps, so it is exact in any order.
#include "floats.cuh"

constexpr u32 EACH = 4;
constexpr u32 TILE = BLOCK * EACH;
constexpr u32 MAX_AXES = 4;
constexpr u32 AHEAD = 8;      // loads of a column that do not wait for each other
constexpr u32 ROW_AHEAD = 4;  // and of a row

// `leads`: elements at the start of a span that have no residual; twice the stride for an axis that
// is differenced for the second time.
struct Axes {
  u64 strides[MAX_AXES], spans[MAX_AXES], leads[MAX_AXES];
};

// One element from the lattice values at it and before it along the axes.
template <u32 ND, class Q> __device__ Q difference(const Q *q, u64 i, const Axes &axes, u32 has) {
  Q sum = 0;
#pragma unroll
  for (u32 subset = 0; subset < 1u << ND; subset++) {
    u64 at = i;
#pragma unroll
    for (u32 k = 0; k < ND; k++)
      if (subset >> k & 1) at -= axes.strides[k];
    if ((subset & ~has) == 0) sum += __popc(subset) & 1 ? Q(0) - q[at] : q[at];
  }
  return sum;
}

template <u32 ND, class Q> __device__ void forward(const Q *q, u64 n, const Axes &axes, Q *out) {
  SHARED(u64, starts, MAX_AXES);
  u64 base = static_cast<u64>(blockIdx.x) * TILE;
  if (threadIdx.x == 0) {
#pragma unroll
    for (u32 k = 0; k < ND; k++) starts[k] = base % axes.spans[k];
  }
  __syncthreads();
#pragma unroll
  for (u32 e = 0; e < EACH; e++) {
    u32 offset = e * BLOCK + threadIdx.x;
    if (base + offset >= n) return;
    u32 has = 0;  // axes along which there is an element before this one
#pragma unroll
    for (u32 k = 0; k < ND; k++) {
      u64 at = starts[k] + offset;
      // A span longer than a tile is left at most once in it; 64-bit division is slow.
      if (axes.spans[k] > TILE)
        at -= at >= axes.spans[k] ? axes.spans[k] : 0;
      else
        at = static_cast<u32>(at) % static_cast<u32>(axes.spans[k]);
      has |= static_cast<u32>(at >= axes.leads[k]) << k;
    }
    out[base + offset] = difference<ND>(q, base + offset, axes, has);
  }
}

// Where prefix sums go: back in their place or, along the last axis, on as the decoder's values.
template <class Q> struct InPlace {
  Q *data;
  __device__ void put(u64 i, Q sum) const { data[i] = sum; }
};
template <class Q, class T> struct Values;
template <class T> struct Values<u32, T> {
  T *out;
  double step;
  __device__ void put(u64 i, u32 sum) const {
    narrow(static_cast<double>(static_cast<i32>(sum)) * step, out[i]);
  }
};
template <class T> struct Values<u64, T> {
  T *out;
  double step;
  __device__ void put(u64 i, u64 sum) const {
    narrow(static_cast<double>(static_cast<i64>(sum)) * step, out[i]);
  }
};

// Prefix sums along one axis, of stride 32 or more: a thread walks a part of a column.
// Columns are numbered outer * stride + inner; parts of a column lie `part` steps apart, and the
// columns of two outer indices `pitch` elements.
__device__ inline bool column(u64 columns, u64 length, u64 stride, u64 pitch, u64 part, u64 &first,
                       u64 &last, u64 &id, u64 &base) {
  id = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  first = blockIdx.y * part;
  last = min(first + part, length);
  base = id / stride * pitch + id % stride;
  return id < columns;
}

// The next values of a column, 0 behind its end: they are on their way together.
template <class Q>
__device__ void load_ahead(const Q *at, u64 k, u64 last, u64 stride, Q *v) {
#pragma unroll
  for (u32 a = 0; a < AHEAD; a++) v[a] = k + a < last ? at[(k + a) * stride] : 0;
}

// Sums of the parts, as an array (outer, parts, stride).
template <class Q>
__device__ void column_sums(const Q *data, u64 columns, u64 length, u64 stride, u64 pitch,
                            u64 part, Q *sums) {
  u64 first, last, id, base;
  if (!column(columns, length, stride, pitch, part, first, last, id, base)) return;
  Q sum = 0, v[AHEAD];
  for (u64 k = first; k < last; k += AHEAD) {
    load_ahead(data + base, k, last, stride, v);
#pragma unroll
    for (u32 a = 0; a < AHEAD; a++) sum += v[a];
  }
  sums[(id / stride * gridDim.y + blockIdx.y) * stride + id % stride] = sum;
}

// `sums`: prefix sums of the sums of the parts, where there is more than one part.
template <class Q, class To>
__device__ void column_scan(const Q *data, u64 columns, u64 length, u64 stride, u64 pitch,
                            u64 part, const Q *sums, To to) {
  u64 first, last, id, base;
  if (!column(columns, length, stride, pitch, part, first, last, id, base)) return;
  Q sum = 0, v[AHEAD];
  if (blockIdx.y) sum = sums[(id / stride * gridDim.y + blockIdx.y - 1) * stride + id % stride];
  for (u64 k = first; k < last; k += AHEAD) {
    load_ahead(data + base, k, last, stride, v);
#pragma unroll
    for (u32 a = 0; a < AHEAD; a++) {
      sum += v[a];
      if (k + a < last) to.put(base + (k + a) * stride, sum);
    }
  }
}

// The same for strides below 32: a warp walks a part of a row of `span` elements, as many whole
// steps at a time as fit it. Rows are numbered by outer index; parts lie `part` elements apart.
struct OnlySums {};  // of a row's parts, nothing for each element

template <class Q, class To> __device__ void put_sum(const To &to, u64 i, Q sum) { to.put(i, sum); }
template <class Q> __device__ void put_sum(const OnlySums &, u64, Q) {}

template <class Q, class To>
__device__ Q walk_row(const Q *data, u64 base, u32 stride, u64 first, u64 last, Q total,
                      const To &to) {
  u32 lane = lane_of(), width = 32 / stride * stride;
  for (u64 start = first; start < last; start += ROW_AHEAD * width) {
    Q v[ROW_AHEAD];
#pragma unroll
    for (u32 a = 0; a < ROW_AHEAD; a++) {
      u64 i = start + a * width + lane;
      v[a] = lane < width && i < last ? data[base + i] : 0;
    }
#pragma unroll
    for (u32 a = 0; a < ROW_AHEAD; a++) {
      for (u32 d = stride; d < width; d <<= 1) {
        Q other = __shfl_up_sync(ALL, v[a], d);
        if (lane >= d && lane < width) v[a] += other;
      }
      u64 i = start + a * width + lane;
      if (lane < width && i < last) put_sum(to, base + i, static_cast<Q>(v[a] + total));
      // Of the lane's residue class so far.
      total += __shfl_sync(ALL, v[a], static_cast<i32>(width - stride + lane % stride));
    }
  }
  return total;
}

__device__ inline bool find_row(u64 count, u64 span, u32 stride, u64 part, u64 &row, u64 &first,
                                u64 &last, u64 &place) {
  row = static_cast<u64>(blockIdx.x) * WARPS + warp_of();
  first = blockIdx.y * part;
  last = min(first + part, span);
  place = (row * gridDim.y + blockIdx.y) * stride;
  return row < count;
}

template <class Q>
__device__ void row_sums(const Q *data, u64 count, u64 span, u32 stride, u64 pitch, u64 part,
                         Q *sums) {
  u64 row, first, last, place;
  if (!find_row(count, span, stride, part, row, first, last, place)) return;
  Q total = walk_row(data, row * pitch, stride, first, last, static_cast<Q>(0), OnlySums{});
  if (lane_of() < stride) sums[place + lane_of()] = total;
}

template <class Q, class To>
__device__ void row_scan(const Q *data, u64 count, u64 span, u32 stride, u64 pitch, u64 part,
                         const Q *sums, To to) {
  u64 row, first, last, place;
  if (!find_row(count, span, stride, part, row, first, last, place)) return;
  Q carry = 0;
  if (blockIdx.y) carry = sums[place - stride + lane_of() % stride];
  walk_row(data, row * pitch, stride, first, last, carry, to);
}

#define FORWARD(nd, w, Q)                                                                        \
  KERNEL forward##nd##_##w(const Q *q, u64 n, u64 s0, u64 s1, u64 s2, u64 s3, u64 p0, u64 p1,    \
                           u64 p2, u64 p3, u64 l0, u64 l1, u64 l2, u64 l3, Q *out) {             \
    forward<nd, Q>(q, n, Axes{{s0, s1, s2, s3}, {p0, p1, p2, p3}, {l0, l1, l2, l3}}, out);       \
  }                                                                                              \
  EXPORT(forward##nd##_##w)
#define INVERSE(w, Q)                                                                            \
  KERNEL column_sums_##w(const Q *data, u64 columns, u64 length, u64 stride, u64 pitch,          \
                         u64 part, Q *sums) {                                                    \
    column_sums(data, columns, length, stride, pitch, part, sums);                               \
  }                                                                                              \
  EXPORT(column_sums_##w)                                                                        \
  KERNEL column_scan_##w(Q *data, u64 columns, u64 length, u64 stride, u64 pitch, u64 part,      \
                         const Q *sums) {                                                        \
    column_scan(data, columns, length, stride, pitch, part, sums, InPlace<Q>{data});             \
  }                                                                                              \
  EXPORT(column_scan_##w)                                                                        \
  KERNEL row_sums_##w(const Q *data, u64 count, u64 span, u32 stride, u64 pitch, u64 part,       \
                      Q *sums) {                                                                 \
    row_sums(data, count, span, stride, pitch, part, sums);                                      \
  }                                                                                              \
  EXPORT(row_sums_##w)                                                                           \
  KERNEL row_scan_##w(Q *data, u64 count, u64 span, u32 stride, u64 pitch, u64 part,             \
                      const Q *sums) {                                                           \
    row_scan(data, count, span, stride, pitch, part, sums, InPlace<Q>{data});                    \
  }                                                                                              \
  EXPORT(row_scan_##w)
#define VALUES(w, Q, t, T)                                                                       \
  KERNEL column_values_##w##_##t(const Q *data, u64 columns, u64 length, u64 stride, u64 pitch,  \
                                 u64 part, const Q *sums, double step, T *out) {                 \
    column_scan(data, columns, length, stride, pitch, part, sums, Values<Q, T>{out, step});      \
  }                                                                                              \
  EXPORT(column_values_##w##_##t)                                                                \
  KERNEL row_values_##w##_##t(const Q *data, u64 count, u64 span, u32 stride, u64 pitch,         \
                              u64 part, const Q *sums, double step, T *out) {                    \
    row_scan(data, count, span, stride, pitch, part, sums, Values<Q, T>{out, step});             \
  }                                                                                              \
  EXPORT(row_values_##w##_##t)
#define LATTICE(w, Q) \
  FORWARD(1, w, Q) FORWARD(2, w, Q) FORWARD(3, w, Q) FORWARD(4, w, Q) INVERSE(w, Q) \
  VALUES(w, Q, f2, half_bits) VALUES(w, Q, f4, float) VALUES(w, Q, f8, double)

LATTICE(i4, u32)
LATTICE(i8, u64)
