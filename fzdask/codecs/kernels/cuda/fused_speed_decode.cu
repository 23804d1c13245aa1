// From bit planes to residuals, summed along rows, or along rows and columns, on the way and, where
// no other axis is left, on to the decoder's values.
#include "fused_speed.cuh"

constexpr u32 MOST_ROW = 2048;  // of which sums along columns are kept for a plane

__device__ inline u32 planes_of(u32 head) {
  u32 planes = 0;
#pragma unroll
  for (u32 k = 0; k < BLOCKS; k++) planes += class_width<u32>(head >> (4 * k) & 15);
  return planes;
}

// Which units of a tile are present, a bit for each.
__device__ inline u64 units_of(const u8 *present, u64 nbytes, u64 tile) {
  u64 units = 0;
  for (u32 w = 0; w < WARPS && tile * WARPS + w < nbytes; w++)
    units |= static_cast<u64>(present[tile * WARPS + w]) << 8 * w;
  return units;
}

__device__ inline u32 count_bits(u64 v) {
  return __popc(static_cast<u32>(v)) + __popc(static_cast<u32>(v >> 32));
}

KERNEL tile_units(const u8 *present, u64 nbytes, u64 tiles, u32 *units) {
  u64 tile = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (tile < tiles) units[tile] = count_bits(units_of(present, nbytes, tile));
}
EXPORT(tile_units)

// `places`: units that are present before each tile. A warp for a tile.
KERNEL tile_planes(const u16 *heads, const u64 *places, u64 tiles, u32 *planes) {
  u64 tile = static_cast<u64>(blockIdx.x) * WARPS + warp_of();
  if (tile >= tiles) return;
  u32 sum = 0;
  for (u64 k = places[tile] + lane_of(); k < places[tile + 1]; k += 32) sum += planes_of(heads[k]);
  sum = warp_inclusive(sum);
  if (lane_of() == 31) planes[tile] = sum;
}
EXPORT(tile_planes)

struct Residuals {
  u32 *out;
  __device__ void put(u32 i, u32 sum) const { out[i] = sum; }
};
template <class T> struct Values {
  T *out;
  double step;
  __device__ void put(u32 i, u32 sum) const {
    narrow(static_cast<double>(static_cast<i32>(sum)) * step, out[i]);
  }
};

// Where the planes and width classes of a stream are, and of each tile its first ones.
struct Packed {
  const u16 *planes, *heads;
  const u8 *present;
  u64 nbytes;
  const u64 *unit_places, *plane_places;
};

// The residuals of a part of a tile, into shared memory. `heads` are those of its units, and
// `places` where their planes begin.
__device__ inline void unpack_part(const Packed &in, const u32 *heads, const u32 *places, u64 base,
                                   u32 *out) {
  for (u32 unit = 0; unit < UNITS; unit++) {
    u32 head = heads[unit];
    u64 at = base + places[unit];
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
      u32 first = class_width<u32>(head >> 8 * half & 15);
      u32 second = class_width<u32>(head >> (8 * half + 4) & 15);
      u32 own = 0;  // a lane holds the planes of its number
      if (lane_of() < first) own = in.planes[at + lane_of()];
      if (lane_of() < second) own |= static_cast<u32>(in.planes[at + first + lane_of()]) << 16;
      u32 code = 0;
      for (u32 p = 0; p < max(first, second); p++)
        code |= (__shfl_sync(ALL, own, static_cast<i32>(p)) >> lane_of() & 1) << p;
      at += first + second;
      out[unit * UNIT + 32 * half + lane_of()] = static_cast<u32>(unzigzag(code));
    }
  }
}

// Sums along rows within a part, each from the beginning of its row or of the part. Returns the sum
// at the end; `start` is where in the part the first row begins that begins there (PART: none).
__device__ inline u32 sum_rows(u32 *data, u32 first, u32 length, u32 &start) {
  u32 carry = 0;
  u32 row = (first + lane_of()) % length;
  start = PART;
  for (u32 at = 0; at < PART; at += 32) {
    u32 begins = __ballot_sync(ALL, row == 0);
    u32 sum = warp_inclusive(data[at + lane_of()]);
    u32 mine = begins & (below_lane() | 1u << lane_of());
    u32 last = mine ? 31 - __clz(static_cast<i32>(mine)) : 0;
    u32 left = __shfl_sync(ALL, sum, static_cast<i32>(last ? last - 1 : 0));
    sum += mine ? (last ? 0u - left : 0u) : carry;
    data[at + lane_of()] = sum;
    carry = __shfl_sync(ALL, sum, 31);
    if (begins && start == PART) start = at + __ffs(static_cast<i32>(begins)) - 1;
    row += 32;
    row = length < 32 ? row % length : row >= length ? row - length : row;
  }
  return carry;
}

// Of the parts of a tile: what was summed since the last row that began before a warp's part or, for
// the last of them, in all; and whether a row began there.
struct Carry {
  u32 sum;
  bool begun;
};
__device__ inline Carry carry_before(const u32 *sums, const u32 *starts, u32 warp) {
  Carry carry{0, false};
  for (u32 w = 0; w < warp; w++) {
    bool begins = starts[w] < PART;
    carry.sum = begins ? sums[w] : carry.sum + sums[w];
    carry.begun |= begins;
  }
  return carry;
}

// Width classes of 64 units, of which `units` says which are present, and where their planes begin;
// returns how many planes there are. The first that is present has number `first`.
__device__ inline u32 place_units(const Packed &in, u64 units, u64 first, u32 *heads, u32 *places) {
  u32 head = 0, total, unit = threadIdx.x;
  if (unit < WARPS * UNITS && (units >> unit & 1))
    head = in.heads[first + count_bits(units & ((1ull << unit) - 1))];
  u32 place = block_exclusive(planes_of(head), total);
  if (unit < WARPS * UNITS) {
    heads[unit] = head;
    places[unit] = place;
  }
  __syncthreads();
  return total;
}

// A tile of consecutive elements; sums of rows that began in tiles before come by looking back.
template <class To>
__device__ void unpack_tile(const Packed &in, u32 n, u32 length, u64 *words, u64 *tickets,
                            const To &to) {
  SHARED(u32, data, TILE);
  SHARED(u32, heads, WARPS * UNITS);
  SHARED(u32, places, WARPS * UNITS);
  SHARED(u32, sums, WARPS);
  SHARED(u32, starts, WARPS);
  SHARED(u32, carried, 1);
  u32 tile = take_ticket(tickets);
  place_units(in, units_of(in.present, in.nbytes, tile), in.unit_places[tile], heads, places);
  u32 first = tile * TILE + warp_of() * PART;
  u32 *mine = data + warp_of() * PART;
  u32 own = warp_of() * UNITS;
  unpack_part(in, heads + own, places + own, in.plane_places[tile], mine);
  u32 added = 0, until = 0;  // what is added to elements of the part before this one
  if (length) {
    u32 sum = sum_rows(mine, first, length, until);
    if (lane_of() == 0) {
      sums[warp_of()] = sum;
      starts[warp_of()] = until;
    }
    __syncthreads();
    if (warp_of() == 0) {
      Carry all = carry_before(sums, starts, WARPS);
      u64 before = sum_before(words, tile, all.sum, all.begun || tile == 0);
      if (lane_of() == 0) carried[0] = static_cast<u32>(before);
    }
    __syncthreads();
    Carry carry = carry_before(sums, starts, warp_of());
    added = carry.sum + (carry.begun ? 0 : carried[0]);
  }
  for (u32 at = lane_of(); at < PART && first + at < n; at += 32)
    to.put(first + at, mine[at] + (at < until ? added : 0));
}

// Which of the 64 units from one on are present.
__device__ inline u64 units_from(const u8 *present, u64 nbytes, u64 unit) {
  u64 byte = unit / 8, units = 0;
  u32 shift = static_cast<u32>(unit % 8);
  for (u32 k = 0; k < 8 && byte + k < nbytes; k++)
    units |= static_cast<u64>(present[byte + k]) << 8 * k;
  if (shift == 0) return units;
  u64 last = byte + 8 < nbytes ? present[byte + 8] : 0;
  return units >> shift | last << (64 - shift);
}

// A whole plane of rows, a step of as many of them at a time as fit a tile: sums along columns go
// from step to step in shared memory. Rows are whole units, and no longer than MOST_ROW.
template <class To>
__device__ void unpack_plane(const Packed &in, u32 length, u32 plane, const To &to) {
  SHARED(u32, data, TILE);
  SHARED(u32, columns, MOST_ROW);
  SHARED(u32, heads, WARPS * UNITS);
  SHARED(u32, places, WARPS * UNITS);
  SHARED(u32, sums, WARPS);
  SHARED(u32, starts, WARPS);
  u32 first = blockIdx.x * plane, unit = first / UNIT, tile = first / TILE;
  // Planes before it: those of the tiles before, and of the units between.
  u64 units = units_of(in.present, in.nbytes, tile) & ((1ull << (unit % (TILE / UNIT))) - 1);
  u64 unit_at = in.unit_places[tile], plane_at = in.plane_places[tile];
  plane_at += place_units(in, units, unit_at, heads, places);
  unit_at += count_bits(units);
  for (u32 c = threadIdx.x; c < length; c += BLOCK) columns[c] = 0;
  u32 *mine = data + warp_of() * PART;
  u32 own = warp_of() * UNITS, step = TILE / length * length;
  for (u32 at = 0; at < plane; at += step) {
    u32 many = min(step, plane - at), count = many / UNIT;
    units = units_from(in.present, in.nbytes, unit);
    if (count < 64) units &= (1ull << count) - 1;
    u32 total = place_units(in, units, unit_at, heads, places);
    unpack_part(in, heads + own, places + own, plane_at, mine);
    u32 until, sum = sum_rows(mine, warp_of() * PART, length, until);
    if (lane_of() == 0) {
      sums[warp_of()] = sum;
      starts[warp_of()] = until;
    }
    __syncthreads();
    u32 added = carry_before(sums, starts, warp_of()).sum;
    for (u32 k = lane_of(); k < until; k += 32) mine[k] += added;
    __syncthreads();
    for (u32 c = threadIdx.x; c < length; c += BLOCK) {
      u32 column = columns[c];
      for (u32 k = c; k < many; k += length) {
        column += data[k];
        to.put(first + at + k, column);
      }
      columns[c] = column;
    }
    unit += count;
    unit_at += count_bits(units);
    plane_at += total;
  }
}

#define UNPACK(t, To, T, STEP, ...)                                                              \
  KERNEL unpack_##t(const u16 *planes, const u16 *heads, const u8 *present, u64 nbytes,          \
                    const u64 *unit_places, const u64 *plane_places, u32 n, u32 length,          \
                    u64 *words, u64 *tickets STEP, T *out) {                                     \
    unpack_tile(Packed{planes, heads, present, nbytes, unit_places, plane_places}, n, length,    \
                words, tickets, To{__VA_ARGS__});                                                \
  }                                                                                              \
  EXPORT(unpack_##t)                                                                             \
  KERNEL unpack_planes_##t(const u16 *planes, const u16 *heads, const u8 *present, u64 nbytes,   \
                           const u64 *unit_places, const u64 *plane_places, u32 length,          \
                           u32 plane STEP, T *out) {                                             \
    unpack_plane(Packed{planes, heads, present, nbytes, unit_places, plane_places}, length,      \
                 plane, To{__VA_ARGS__});                                                        \
  }                                                                                              \
  EXPORT(unpack_planes_##t)
#define NO_STEP
#define STEP , double step

UNPACK(i4, Residuals, u32, NO_STEP, out)
UNPACK(f4, Values<float>, float, STEP, out, step)
UNPACK(f8, Values<double>, double, STEP, out, step)
