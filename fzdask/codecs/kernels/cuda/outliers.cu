// Outliers of a lattice: compacted by scans, and put back.
//
// The stream's runs (elements to leave, outliers that follow) are found from the flags as places
// where a run begins and ends; their variable-length integers (LEB128) are sized, scanned, written.
#include "common.cuh"

constexpr u32 TILE_WORDS = BLOCK;  // of 32 flags each

struct Word {
  u32 flags, begins, ends;
};

// A run begins at a flag without one before it and ends at a flag without one behind it.
__device__ inline Word word_at(const u32 *mask, u64 words, u64 w) {
  if (w >= words) return {0, 0, 0};
  u32 flags = mask[w];
  u32 before = w ? mask[w - 1] >> 31 : 0;
  u32 behind = w + 1 < words ? mask[w + 1] & 1 : 0;
  return {flags, flags & ~(flags << 1 | before), flags & ~(flags >> 1 | behind << 31)};
}

KERNEL outlier_counts(const u32 *mask, u64 words, u32 *values, u32 *runs) {
  Word w = word_at(mask, words, static_cast<u64>(blockIdx.x) * TILE_WORDS + threadIdx.x);
  u32 flags = block_sum(static_cast<u32>(__popc(w.flags)));
  u32 begins = block_sum(static_cast<u32>(__popc(w.begins)));
  if (threadIdx.x == 0) {
    values[blockIdx.x] = flags;
    runs[blockIdx.x] = begins;
  }
}
EXPORT(outlier_counts)

// `values_before`, `runs_before`: of the tiles before each.
template <class T>
__device__ void take(const T *bits, const u32 *mask, u64 words, const u64 *values_before,
                     const u64 *runs_before, T *values, u64 *begins, u64 *ends) {
  SHARED(u32, flags, TILE_WORDS);
  SHARED(u32, starts, TILE_WORDS);
  SHARED(u32, stops, TILE_WORDS);
  SHARED(u32, value_at, TILE_WORDS);
  SHARED(u32, run_at, TILE_WORDS);
  u64 first = static_cast<u64>(blockIdx.x) * TILE_WORDS;
  Word w = word_at(mask, words, first + threadIdx.x);
  u32 total;
  flags[threadIdx.x] = w.flags;
  starts[threadIdx.x] = w.begins;
  stops[threadIdx.x] = w.ends;
  value_at[threadIdx.x] = block_exclusive(static_cast<u32>(__popc(w.flags)), total);
  run_at[threadIdx.x] = block_exclusive(static_cast<u32>(__popc(w.begins)), total);
  __syncthreads();
  u64 value_base = values_before[blockIdx.x], run_base = runs_before[blockIdx.x];
  u32 below = below_lane(), mine = 1u << lane_of();
  for (u32 k = warp_of(); k < TILE_WORDS; k += WARPS) {  // a warp for a word, a lane for a flag
    if (!(flags[k] & mine)) continue;
    u64 i = (first + k) * 32 + lane_of();
    values[value_base + value_at[k] + __popc(flags[k] & below)] = bits[i];
    u64 run = run_base + run_at[k] + __popc(starts[k] & below);
    if (starts[k] & mine) begins[run] = i;
    if (stops[k] & mine) ends[run - 1 + (starts[k] & mine ? 1 : 0)] = i;
  }
}

__device__ inline u32 varint_size(u64 v) {
  u32 size = 1;
  while (v >>= 7) size++;
  return size;
}
__device__ inline u64 put_varint(u8 *out, u64 at, u64 v) {
  for (; v >= 128; v >>= 7) out[at++] = static_cast<u8>(v | 128);
  out[at++] = static_cast<u8>(v);
  return at;
}
__device__ inline u64 gap_before(const u64 *begins, const u64 *ends, u64 k) {
  return k ? begins[k] - ends[k - 1] - 1 : begins[0];
}

KERNEL run_sizes(const u64 *begins, const u64 *ends, u64 runs, u32 *sizes) {
  u64 k = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (k >= runs) return;
  sizes[k] = varint_size(gap_before(begins, ends, k)) + varint_size(ends[k] - begins[k] + 1);
}
EXPORT(run_sizes)

KERNEL write_runs(const u64 *begins, const u64 *ends, u64 runs, const u64 *places, u8 *out) {
  u64 k = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (k >= runs) return;
  u64 at = put_varint(out, places[k], gap_before(begins, ends, k));
  put_varint(out, at, ends[k] - begins[k] + 1);
}
EXPORT(write_runs)

// 1 for each byte that ends a number.
KERNEL number_ends(const u8 *bytes, u64 n, u32 *ends) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i < n) ends[i] = bytes[i] < 128;
}
EXPORT(number_ends)

// The numbers, gaps and lengths apart; `bad` is set where one is too long, too large or 0.
KERNEL read_runs(const u8 *bytes, u64 n, const u64 *index, u64 most, u64 *gaps, u64 *lengths,
                 u32 *bad) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i >= n || bytes[i] >= 128) return;
  u64 v = bytes[i], j = i;
  u32 size = 1;
  while (j > 0 && bytes[j - 1] >= 128 && size <= 9) {
    v = v << 7 | (bytes[--j] & 127);
    size++;
  }
  u64 k = index[i];
  if (size > 9 || v > most || (k % 2 && v == 0)) atomicOr(bad, 1u);
  u64 *to = k % 2 ? lengths : gaps;
  to[k / 2] = min(v, most);
}
EXPORT(read_runs)

// `gap_sums`, `length_sums`: of the runs before each. A value finds its run by bisection.
template <class T>
__device__ void put(const T *values, u64 count, const u64 *gap_sums, const u64 *length_sums,
                    u64 runs, u64 n, T *out) {
  u64 v = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (v >= count) return;
  u64 low = 0, high = runs;  // the run is in [low, high)
  while (high - low > 1) {
    u64 middle = low + (high - low) / 2;
    if (length_sums[middle] <= v)
      low = middle;
    else
      high = middle;
  }
  u64 i = gap_sums[low + 1] + v;
  if (i < n) out[i] = values[v];
}

#define MOVE(t, T)                                                                               \
  KERNEL take_##t(const T *bits, const u32 *mask, u64 words, const u64 *values_before,           \
                  const u64 *runs_before, T *values, u64 *begins, u64 *ends) {                   \
    take(bits, mask, words, values_before, runs_before, values, begins, ends);                   \
  }                                                                                              \
  EXPORT(take_##t)                                                                               \
  KERNEL put_##t(const T *values, u64 count, const u64 *gap_sums, const u64 *length_sums,        \
                 u64 runs, u64 n, T *out) {                                                      \
    put(values, count, gap_sums, length_sums, runs, n, out);                                     \
  }                                                                                              \
  EXPORT(put_##t)

MOVE(u1, u8)
MOVE(u2, u16)
MOVE(u4, u32)
MOVE(u8, u64)
