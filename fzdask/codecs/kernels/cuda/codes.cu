// Signed integers as unsigned codes of the same width, and the bit planes of blocks of elements.
#include "symbols.cuh"

template <class Q> __device__ void zigzag_all(const Q *in, u64 n, Q *out) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i < n) out[i] = static_cast<Q>(zigzag(in[i]));
}
template <class Q> __device__ void unzigzag_all(const Q *in, u64 n, Q *out) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i < n) out[i] = static_cast<Q>(unzigzag(in[i]));
}

#define ZIGZAG(w, Q)                                                                             \
  KERNEL zigzag_##w(const Q *in, u64 n, Q *out) { zigzag_all(in, n, out); }                      \
  EXPORT(zigzag_##w)                                                                             \
  KERNEL unzigzag_##w(const Q *in, u64 n, Q *out) { unzigzag_all(in, n, out); }                  \
  EXPORT(unzigzag_##w)

ZIGZAG(i4, u32)
ZIGZAG(i8, u64)

// Bit j of byte i becomes bit i of byte j (Warren, Hacker's Delight, section 7-3).
__device__ inline u64 transpose_8x8(u64 x) {
  u64 t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AAull;
  x = x ^ t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCCull;
  x = x ^ t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0ull;
  return x ^ t ^ (t << 28);
}

// Eight elements and one of their bytes: a thread for each such group, the groups of one byte of
// a block side by side.
struct Place {
  u64 first, base;  // element, and byte of the planes at which the block begins
  u64 plane, group;
  u32 some, byte;  // elements of the group, and which of their bytes
};

__device__ inline bool find_place(u64 n, u32 size, u64 block, Place &p) {
  u64 id = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  u64 groups = block / 8;  // of a whole block
  u64 number = id / (groups * size), within = id % (groups * size);
  u64 start = number * block;
  if (start >= n) return false;
  u64 count = min(block, n - start);
  p.plane = (count + 7) / 8;
  p.byte = static_cast<u32>(within / p.plane);
  if (p.byte >= size) return false;
  p.group = within % p.plane;
  p.first = start + 8 * p.group;
  p.some = static_cast<u32>(min(static_cast<u64>(8), start + count - p.first));
  p.base = number * block * size;
  return true;
}

KERNEL bitshuffle(const u8 *in, u64 n, u32 size, u64 block, u8 *out) {
  Place p;
  if (!find_place(n, size, block, p)) return;
  u64 x = 0;
  for (u32 j = 0; j < p.some; j++)
    x |= static_cast<u64>(in[(p.first + j) * size + p.byte]) << (8 * j);
  x = transpose_8x8(x);
  for (u32 k = 0; k < 8; k++)
    out[p.base + (8 * p.byte + k) * p.plane + p.group] = static_cast<u8>(x >> (8 * k));
}
EXPORT(bitshuffle)

KERNEL bitunshuffle(const u8 *in, u64 n, u32 size, u64 block, u8 *out) {
  Place p;
  if (!find_place(n, size, block, p)) return;
  u64 x = 0;
  for (u32 k = 0; k < 8; k++)
    x |= static_cast<u64>(in[p.base + (8 * p.byte + k) * p.plane + p.group]) << (8 * k);
  x = transpose_8x8(x);
  for (u32 j = 0; j < p.some; j++)
    out[(p.first + j) * size + p.byte] = static_cast<u8>(x >> (8 * j));
}
EXPORT(bitunshuffle)
