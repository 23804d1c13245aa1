// Elimination of zero bytes, or of repeated bytes: a thread for eight bytes and their byte of bits.
#include "common.cuh"

constexpr u32 EACH = 8;
constexpr u32 TILE = BLOCK * EACH;

// A bit for each byte to keep: one other than 0 or, with `repeats`, than the byte before it (0
// before the first). `kept`: how many in each tile.
KERNEL byte_bits(const u8 *data, u64 n, u32 repeats, u8 *bits, u32 *kept) {
  u64 first = (static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x) * EACH;
  u32 flags = 0;
  u8 before = repeats && first && first < n ? data[first - 1] : 0;
  for (u32 k = 0; k < EACH && first + k < n; k++) {
    u8 v = data[first + k];
    flags |= static_cast<u32>(v != before) << k;
    if (repeats) before = v;
  }
  if (first < n) bits[first / EACH] = static_cast<u8>(flags);
  u32 sum = block_sum(static_cast<u32>(__popc(flags)));
  if (threadIdx.x == 0) kept[blockIdx.x] = sum;
}
EXPORT(byte_bits)

// `places`: kept bytes before each tile.
KERNEL keep_bytes(const u8 *data, u64 n, const u8 *bits, const u64 *places, u8 *out) {
  SHARED(u8, kept, TILE);
  u64 first = (static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x) * EACH;
  u32 flags = first < n ? bits[first / EACH] : 0, total;
  u32 at = block_exclusive(static_cast<u32>(__popc(flags)), total);
  for (u32 k = 0; k < EACH; k++)
    if (flags >> k & 1) kept[at++] = data[first + k];
  __syncthreads();
  for (u32 k = threadIdx.x; k < total; k += BLOCK) out[places[blockIdx.x] + k] = kept[k];
}
EXPORT(keep_bytes)

// Bits of each tile of a level of n bytes; `bad` is set where there are some of no byte.
KERNEL count_bits(const u8 *bits, u64 n, u32 *kept, u32 *bad) {
  u64 first = (static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x) * EACH;
  u32 flags = first < n ? bits[first / EACH] : 0;
  if (first < n && n - first < EACH && flags >> (n - first)) atomicOr(bad, 1u);
  u32 sum = block_sum(static_cast<u32>(__popc(flags)));
  if (threadIdx.x == 0) kept[blockIdx.x] = sum;
}
EXPORT(count_bits)

KERNEL put_bytes(const u8 *bits, u64 n, const u8 *kept, const u64 *places, u32 repeats, u8 *out) {
  SHARED(u8, all, TILE);
  u64 base = static_cast<u64>(blockIdx.x) * TILE, first = base + threadIdx.x * EACH;
  u32 flags = first < n ? bits[first / EACH] : 0, total;
  u64 at = places[blockIdx.x] + block_exclusive(static_cast<u32>(__popc(flags)), total);
  u8 v = repeats && first < n && at ? kept[at - 1] : 0;
  for (u32 k = 0; k < EACH; k++) {
    if (flags >> k & 1)
      v = kept[at++];
    else if (!repeats)
      v = 0;
    all[threadIdx.x * EACH + k] = v;
  }
  __syncthreads();
  for (u32 k = threadIdx.x; k < TILE && base + k < n; k += BLOCK) out[base + k] = all[k];
}
EXPORT(put_bytes)
