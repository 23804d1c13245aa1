// Fixed-length coding: a warp for a unit of four blocks of codes, which it writes as bit planes.
//
// Places are in planes: a plane is block / 8 bytes, and all planes are aligned to their size. The
// first codes of blocks that are kept apart have their own scan of bytes.
#include "fixed_length.cuh"
#include "symbols.cuh"

template <u32 SIZE> struct PlaneOf;
template <> struct PlaneOf<16> {
  typedef u16 type;
};
template <> struct PlaneOf<32> {
  typedef u32 type;
};
template <> struct PlaneOf<64> {
  typedef u64 type;
};

__device__ inline u32 bits_in(u64 v) { return 64 - __clzll(static_cast<i64>(v)); }

template <class C> __device__ C warp_or(C v) {
  for (u32 d = 16; d; d >>= 1) v |= __shfl_xor_sync(ALL, v, static_cast<i32>(d));
  return v;
}

// A lane's codes of a block of SIZE; with 64 there are two. Lanes behind a block of 16 have none.
// Integers that are no codes yet (`is_signed`) are zigzagged on the way.
template <u32 SIZE, class C> struct Codes {
  C low, high;
  __device__ Codes(const C *codes, u64 n, u64 start, u32 is_signed) : low(0), high(0) {
    u64 i = start + lane_of();
    if (lane_of() < SIZE && i < n) low = codes[i];
    if (SIZE == 64 && i + 32 < n) high = codes[i + 32];
    if (is_signed) {
      low = static_cast<C>(zigzag(low));
      high = static_cast<C>(zigzag(high));
    }
  }
};

// Width classes and, where first codes are apart, their bytes; planes and bytes of each unit.
template <u32 SIZE, class C>
__device__ void widths(const C *codes, u64 n, u32 is_signed, u64 units, u32 apart, u16 *heads,
                       u16 *lengths, u32 *planes, u32 *firsts, u32 *present) {
  u64 unit = static_cast<u64>(blockIdx.x) * WARPS + warp_of();
  if (unit >= units) return;
  u32 head = 0, length = 0, many = 0, bytes = 0;
#pragma unroll
  for (u32 k = 0; k < BLOCKS; k++) {
    Codes<SIZE, C> mine(codes, n, (unit * BLOCKS + k) * SIZE, is_signed);
    if (apart) {
      u32 count = (bits_in(__shfl_sync(ALL, mine.low, 0)) + 7) / 8;
      length |= count << (4 * k);
      bytes += count;
      if (lane_of() == 0) mine.low = 0;
    }
    u32 code = class_of<C>(bits_in(warp_or(static_cast<C>(mine.low | mine.high))));
    head |= code << (4 * k);
    many += class_width<C>(code);
  }
  if (lane_of()) return;
  heads[unit] = static_cast<u16>(head);
  lengths[unit] = static_cast<u16>(length);
  planes[unit] = many;
  firsts[unit] = bytes;
  present[unit] = (head | length) != 0;
}

template <u32 SIZE, class C>
__device__ void pack(const C *codes, u64 n, u32 is_signed, u64 units, u32 apart,
                     const u16 *heads, const u16 *lengths, const u64 *plane_places, const u64 *first_places,
                     const u64 *places, typename PlaneOf<SIZE>::type *planes, u8 *firsts,
                     u16 *kept) {
  typedef typename PlaneOf<SIZE>::type Plane;
  u64 unit = static_cast<u64>(blockIdx.x) * WARPS + warp_of();
  if (unit >= units) return;
  u32 head = heads[unit], length = lengths[unit];
  if (!(head | length)) return;
  u64 at = plane_places[unit], first_at = first_places[unit];
  if (lane_of() == 0) {
    u16 *entry = kept + places[unit] * (apart ? 2 : 1);
    entry[0] = static_cast<u16>(head);
    if (apart) entry[1] = static_cast<u16>(length);
  }
  for (u32 k = 0; k < BLOCKS; k++) {
    Codes<SIZE, C> mine(codes, n, (unit * BLOCKS + k) * SIZE, is_signed);
    if (apart) {
      C first = __shfl_sync(ALL, mine.low, 0);
      u32 count = length >> (4 * k) & 15;
      if (lane_of() < count) firsts[first_at + lane_of()] = static_cast<u8>(first >> 8 * lane_of());
      first_at += count;
      if (lane_of() == 0) mine.low = 0;
    }
    u32 width = class_width<C>(head >> (4 * k) & 15);
    for (u32 start = 0; start < width; start += 32) {
      Plane own = 0;  // a lane stores the plane of its number
      u32 end = min(width - start, 32u);
      for (u32 p = 0; p < end; p++) {
        u64 plane = __ballot_sync(ALL, static_cast<i32>(mine.low >> (start + p) & 1));
        if (SIZE == 64)
          plane |= static_cast<u64>(
                       __ballot_sync(ALL, static_cast<i32>(mine.high >> (start + p) & 1)))
                   << 32;
        if (lane_of() == p) own = static_cast<Plane>(plane);
      }
      if (lane_of() < end) planes[at + start + lane_of()] = own;
    }
    at += width;
  }
}

// 1 for each unit that is present.
KERNEL unit_flags(const u8 *present, u64 units, u32 *flags) {
  u64 unit = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (unit < units) flags[unit] = present[unit / 8] >> (unit % 8) & 1;
}
EXPORT(unit_flags)

// The same flags as a bit field.
KERNEL unit_bits(const u32 *flags, u64 units, u8 *present) {
  u64 byte = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (byte * 8 >= units) return;
  u32 bits = 0;
  for (u32 k = 0; k < 8 && byte * 8 + k < units; k++) bits |= flags[byte * 8 + k] << k;
  present[byte] = static_cast<u8>(bits);
}
EXPORT(unit_bits)

// Planes and bytes of first codes of each unit, from its entries; `bad` is set where a first code
// would have more bytes than a code.
template <class C>
__device__ void unit_sizes(const u16 *kept, const u32 *flags, const u64 *places, u64 units,
                           u32 apart, u32 *planes, u32 *firsts, u32 *bad) {
  u64 unit = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (unit >= units) return;
  u32 many = 0, bytes = 0;
  if (flags[unit]) {
    const u16 *entry = kept + places[unit] * (apart ? 2 : 1);
    for (u32 k = 0; k < BLOCKS; k++) {
      many += class_width<C>(entry[0] >> (4 * k) & 15);
      u32 count = apart ? entry[1] >> (4 * k) & 15 : 0;
      if (count > sizeof(C)) atomicOr(bad, 1u);
      bytes += count;
    }
  }
  planes[unit] = many;
  firsts[unit] = bytes;
}

// Sizes have been checked: every plane and first code that an entry names is there.
template <u32 SIZE, class C>
__device__ void unpack(const typename PlaneOf<SIZE>::type *planes, const u8 *firsts,
                       const u16 *kept, const u32 *flags, const u64 *places,
                       const u64 *plane_places, const u64 *first_places, u64 n, u32 is_signed,
                       u64 units, u32 apart, C *codes) {
  u64 unit = static_cast<u64>(blockIdx.x) * WARPS + warp_of();
  if (unit >= units) return;
  u32 head = 0, length = 0;
  if (flags[unit]) {
    const u16 *entry = kept + places[unit] * (apart ? 2 : 1);
    head = entry[0];
    length = apart ? entry[1] : 0;
  }
  u64 at = plane_places[unit], first_at = first_places[unit];
  for (u32 k = 0; k < BLOCKS; k++) {
    u32 width = class_width<C>(head >> (4 * k) & 15);
    C low = 0, high = 0;
    for (u32 start = 0; start < width; start += 32) {
      u32 end = min(width - start, 32u);
      u64 own = lane_of() < end ? planes[at + start + lane_of()] : 0;
      for (u32 p = 0; p < end; p++) {
        u64 plane = __shfl_sync(ALL, own, static_cast<i32>(p));
        low |= static_cast<C>(plane >> lane_of() & 1) << (start + p);
        if (SIZE == 64) high |= static_cast<C>(plane >> (lane_of() + 32) & 1) << (start + p);
      }
    }
    at += width;
    u32 count = length >> (4 * k) & 15;
    if (count && lane_of() == 0) {
      low = 0;
      for (u32 j = 0; j < count; j++) low |= static_cast<C>(firsts[first_at + j]) << (8 * j);
    }
    first_at += count;
    if (is_signed) {
      low = static_cast<C>(unzigzag(low));
      high = static_cast<C>(unzigzag(high));
    }
    u64 i = (unit * BLOCKS + k) * SIZE + lane_of();
    if (lane_of() < SIZE && i < n) codes[i] = low;
    if (SIZE == 64 && i + 32 < n) codes[i + 32] = high;
  }
}

#define CODER(size, P, w, C)                                                                     \
  KERNEL widths_##size##_##w(const C *codes, u64 n, u32 is_signed, u64 units, u32 apart,         \
                             u16 *heads, u16 *lengths, u32 *planes, u32 *firsts,                 \
                             u32 *present) {                                                     \
    widths<size, C>(codes, n, is_signed, units, apart, heads, lengths, planes, firsts, present); \
  }                                                                                              \
  EXPORT(widths_##size##_##w)                                                                    \
  KERNEL pack_##size##_##w(const C *codes, u64 n, u32 is_signed, u64 units, u32 apart,           \
                           const u16 *heads, const u16 *lengths, const u64 *plane_places,        \
                           const u64 *first_places, const u64 *places, P *planes, u8 *firsts,    \
                           u16 *kept) {                                                          \
    pack<size, C>(codes, n, is_signed, units, apart, heads, lengths, plane_places, first_places, \
                  places, planes, firsts, kept);                                                 \
  }                                                                                              \
  EXPORT(pack_##size##_##w)                                                                      \
  KERNEL unpack_##size##_##w(const P *planes, const u8 *firsts, const u16 *kept,                 \
                             const u32 *flags, const u64 *places, const u64 *plane_places,       \
                             const u64 *first_places, u64 n, u32 is_signed, u64 units,           \
                             u32 apart, C *codes) {                                              \
    unpack<size, C>(planes, firsts, kept, flags, places, plane_places, first_places, n,          \
                    is_signed, units, apart, codes);                                             \
  }                                                                                              \
  EXPORT(unpack_##size##_##w)
#define CODERS(w, C)                                                                             \
  CODER(16, u16, w, C) CODER(32, u32, w, C) CODER(64, u64, w, C)                                 \
  KERNEL unit_sizes_##w(const u16 *kept, const u32 *flags, const u64 *places, u64 units,         \
                        u32 apart, u32 *planes, u32 *firsts, u32 *bad) {                         \
    unit_sizes<C>(kept, flags, places, units, apart, planes, firsts, bad);                       \
  }                                                                                              \
  EXPORT(unit_sizes_##w)

CODERS(u4, u32)
CODERS(u8, u64)
