// Signed integers as unsigned codes of the same width, and the bit planes of blocks of elements.
#include "symbols.cuh"

// The codes of kernels/cpu: zigzag, base -2, and sign and magnitude (the lowest integer, whose
// magnitude has no room, is the sign alone).
struct Zigzag {
  template <class Q> __device__ static Q forward(Q v) { return static_cast<Q>(zigzag(v)); }
  template <class Q> __device__ static Q inverse(Q c) { return static_cast<Q>(unzigzag(c)); }
};
struct Negabinary {
  template <class Q> __device__ static Q forward(Q v) {
    Q odd = static_cast<Q>(0xAAAAAAAAAAAAAAAAull);
    return (v + odd) ^ odd;
  }
  template <class Q> __device__ static Q inverse(Q c) {
    Q odd = static_cast<Q>(0xAAAAAAAAAAAAAAAAull);
    return (c ^ odd) - odd;
  }
};
struct SignMagnitude {
  template <class Q> __device__ static Q forward(Q v) {
    Q top = static_cast<Q>(1) << (8 * sizeof(Q) - 1);
    return v & top ? top | ((0 - v) & (top - 1)) : v;
  }
  template <class Q> __device__ static Q inverse(Q c) {
    Q top = static_cast<Q>(1) << (8 * sizeof(Q) - 1), magnitude = c & (top - 1);
    if (!(c & top)) return magnitude;
    return 0 - (magnitude ? magnitude : top);
  }
};

template <class Code, class Q> __device__ void forward(const Q *in, u64 n, Q *out) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i < n) out[i] = Code::forward(in[i]);
}
template <class Code, class Q> __device__ void inverse(const Q *in, u64 n, Q *out) {
  u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (i < n) out[i] = Code::inverse(in[i]);
}

#define CODE(name, Code, w, Q)                                                                   \
  KERNEL name##_##w(const Q *in, u64 n, Q *out) { forward<Code>(in, n, out); }                   \
  EXPORT(name##_##w)                                                                             \
  KERNEL un##name##_##w(const Q *in, u64 n, Q *out) { inverse<Code>(in, n, out); }               \
  EXPORT(un##name##_##w)
#define CODES(w, Q)                                                                              \
  CODE(zigzag, Zigzag, w, Q)                                                                     \
  CODE(negabinary, Negabinary, w, Q)                                                             \
  CODE(sign_magnitude, SignMagnitude, w, Q)

CODES(i4, u32)
CODES(i8, u64)

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
