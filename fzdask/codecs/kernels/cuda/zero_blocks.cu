// Elimination of blocks of zero bytes. A thread looks at a block of bytes, a tile of threads then
// copies what is kept of theirs, each thread every 256th byte.
#include "common.cuh"

constexpr u32 NONE = ~0u;

// Bytes of block b, of 2**log2 bytes; the last may be shorter.
__device__ inline u32 length_of(u64 b, u32 log2, u64 n) {
  u64 start = b << log2;
  return start < n ? static_cast<u32>(min(n - start, 1ull << log2)) : 0;
}

// A bit for each block that has a byte other than 0, and the bytes of those of each tile. `data` is
// aligned to four bytes.
KERNEL block_bits(const u8 *data, u64 n, u32 log2, u64 nbytes, u8 *bits, u32 *kept) {
  u64 b = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  u32 length = length_of(b, log2, n), some = 0, k = 0;
  const u8 *at = data + (b << log2);
  for (; k + 4 <= length; k += 4) some |= *reinterpret_cast<const u32 *>(at + k);
  for (; k < length; k++) some |= at[k];
  u32 flags = __ballot_sync(ALL, some != 0);
  u64 byte = (b - lane_of()) / 8 + lane_of();
  if (lane_of() < 4 && byte < nbytes) bits[byte] = static_cast<u8>(flags >> 8 * lane_of());
  u32 sum = block_sum(some ? length : 0);
  if (threadIdx.x == 0) kept[blockIdx.x] = sum;
}
EXPORT(block_bits)

// The bytes that a thread's block has in the kept ones: 0 if it is left out.
__device__ inline u32 kept_length(const u8 *bits, u64 nbytes, u64 b, u32 log2, u64 n) {
  return b / 8 < nbytes && (bits[b / 8] >> (b % 8) & 1) ? length_of(b, log2, n) : 0;
}

// `places`: kept bytes before each tile.
KERNEL keep_blocks(const u8 *data, u64 n, u32 log2, u64 nbytes, const u8 *bits, const u64 *places,
                   u8 *out) {
  SHARED(u32, sources, BLOCK);
  u64 b = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  u32 length = kept_length(bits, nbytes, b, log2, n), total;
  u32 place = block_exclusive(length, total);
  if (length) sources[place >> log2] = threadIdx.x;
  __syncthreads();
  const u8 *from = data + ((static_cast<u64>(blockIdx.x) * BLOCK) << log2);
  u8 *to = out + places[blockIdx.x];
  for (u32 k = threadIdx.x; k < total; k += BLOCK)
    to[k] = from[(sources[k >> log2] << log2) + (k & ((1u << log2) - 1))];
}
EXPORT(keep_blocks)

// Kept bytes of each tile; `bad` is set where a bit stands for no block.
KERNEL kept_sizes(const u8 *bits, u64 nbytes, u32 log2, u64 n, u32 *kept, u32 *bad) {
  u64 b = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  u32 length = kept_length(bits, nbytes, b, log2, n);
  if (b / 8 < nbytes && (bits[b / 8] >> (b % 8) & 1) && !length) atomicOr(bad, 1u);
  u32 sum = block_sum(length);
  if (threadIdx.x == 0) kept[blockIdx.x] = sum;
}
EXPORT(kept_sizes)

KERNEL put_blocks(const u8 *kept, u64 n, u32 log2, u64 nbytes, const u8 *bits, const u64 *places,
                  u8 *out) {
  SHARED(u32, sources, BLOCK);
  u64 first = static_cast<u64>(blockIdx.x) * BLOCK;
  u32 length = kept_length(bits, nbytes, first + threadIdx.x, log2, n), total;
  u32 place = block_exclusive(length, total);
  sources[threadIdx.x] = length ? place : NONE;
  __syncthreads();
  const u8 *from = kept + places[blockIdx.x];
  u64 start = first << log2;
  for (u32 k = threadIdx.x; k < BLOCK << log2 && start + k < n; k += BLOCK) {
    u32 source = sources[k >> log2];
    out[start + k] = source == NONE ? 0 : from[source + (k & ((1u << log2) - 1))];
  }
}
EXPORT(put_blocks)
