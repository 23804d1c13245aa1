// From values, or from a lattice, to bit planes in one pass over memory.
//
// A block of threads takes a tile of consecutive elements, a warp a part of it. Lattice values of
// neighbours along an axis are made anew from theirs, which the caches still hold; those along rows
// come from the lanes beside. Planes are gathered in shared memory until it is known, by looking
// back at the tiles before, where in the stream they go.
#include "fused_speed.cuh"

constexpr u32 ROOM = PART * 2;  // planes of a part: 32 for every 16 codes at the most
constexpr u32 REACH = 32;       // how far an outlier looks back for an inlier
constexpr u32 PLANE_BITS = 34;  // of a word of look-back; above them the units that are present

// Counters behind the words of the tiles.
constexpr u32 TICKETS = 0, OUTLIERS = 1, GAVE_UP = 2;

// Axes with a stride of 2 and more along which to difference: strides and spans.
struct Axes {
  u32 strides[3], spans[3];
};

// Most values are decided without going back through the decoder's: `t` is v / 2 bound, and what
// rounding to the narrowest type of v and of t can do is below SLIP |t|. Where the distance from the
// lattice and that are together less than `sure` (half a cell, and a margin for what else rounds),
// the decoder's value is within the bound. Where they are not, the full rule decides.
template <class T> struct Rounding;
template <> struct Rounding<float> {
  static constexpr double SLIP = 6.0e-08;  // 2**-24 is 5.96e-8
};
template <> struct Rounding<double> {
  static constexpr double SLIP = 1.7763568394002505e-15;  // 2**-49
};
// What 1.5 * 2**52 is added to is rounded to an integer, in the low bits of the sum.
constexpr double SHIFT = 6755399441055744.0;

template <class T> struct FromValues {
  typedef T Raw;
  static constexpr bool MARKS = true;
  const T *x;
  const u8 *forced;
  u32 has_forced;
  Cells cells;
  double sure;
  u64 *counters;

  __device__ T raw(u32 i) const { return x[i]; }

  // The lattice value of v, which is element i; false where `careful` has to find it.
  __device__ bool quick(T v, u32 i, u32 &q) const {
    double t = widen(v) * cells.inv;
    double shifted = t + SHIFT;
    q = static_cast<u32>(__double_as_longlong(shifted));
    bool inside = fabs(t - (shifted - SHIFT)) + fabs(t) * Rounding<T>::SLIP < sure;
    return inside && !is_minus_zero(v) && !(has_forced && forced[i]);
  }

  // Of element i; an outlier has that of the last inlier before it, in the order of memory.
  __device__ u32 careful(u32 i, bool &kept) const {
#pragma unroll 1
    for (u32 back = 0; back <= REACH && back <= i; back++) {
      bool here;
      double r = lattice_value(x[i - back], cells, here);
      here = here && !(has_forced && forced[i - back]);
      if (back == 0) kept = here;
      if (here) return static_cast<u32>(static_cast<i32>(r));
    }
    if (i > REACH) atomicOr(counters + GAVE_UP, 1ull);
    return 0;
  }
};

struct FromLattice {
  typedef u32 Raw;
  static constexpr bool MARKS = false;
  const u32 *values;
  __device__ u32 raw(u32 i) const { return values[i]; }
  __device__ bool quick(u32 v, u32, u32 &q) const {
    q = v;
    return true;
  }
  __device__ u32 careful(u32 i, bool &) const { return values[i]; }
};

// What a lattice value at `i` differs from those before it along the axes of `has`, in two steps:
// all loads first, so that they are on their way together.
template <u32 ND, class Load> struct Neighbours {
  typename Load::Raw v[1u << ND];

  __device__ static u32 place(u32 i, const Axes &axes, u32 subset) {
#pragma unroll
    for (u32 k = 0; k < ND; k++)
      if (subset >> k & 1) i -= axes.strides[k];
    return i;
  }
  __device__ static u32 with_sign(u32 q, u32 subset) { return __popc(subset) & 1 ? 0u - q : q; }

  __device__ Neighbours(const Load &load, u32 i, const Axes &axes, u32 has) {
#pragma unroll
    for (u32 subset = 0; subset < 1u << ND; subset++)
      v[subset] = load.raw(place(i, axes, subset & ~has ? 0 : subset));
  }
  __device__ u32 difference(const Load &load, u32 i, const Axes &axes, u32 has, bool &kept) const {
    u32 sum = 0, left = 0;
#pragma unroll
    for (u32 subset = 0; subset < 1u << ND; subset++) {
      bool there = !(subset & ~has);
      u32 q;
      bool known = load.quick(v[subset], place(i, axes, there ? subset : 0), q);
      if (there && known) sum += with_sign(q, subset);
      left |= static_cast<u32>(there && !known) << subset;
    }
    kept = true;
#pragma unroll 1
    for (; left; left &= left - 1) {
      u32 subset = __ffs(static_cast<i32>(left)) - 1;
      bool inlier = true;
      sum += with_sign(load.careful(place(i, axes, subset), inlier), subset);
      if (subset == 0) kept = inlier;
    }
    return sum;
  }
};

// Where an element is in its spans.
template <u32 ND> struct Position {
  u32 at[ND + 1], row;
  __device__ Position(u32 i, const Axes &axes, u32 length) : row(length ? i % length : 0) {
#pragma unroll
    for (u32 k = 0; k < ND; k++) at[k] = i % axes.spans[k];
  }
  __device__ static u32 wrapped(u32 v, u32 span) {
    return span < 32 ? v % span : v >= span ? v - span : v;
  }
  __device__ void advance(const Axes &axes, u32 length) {
#pragma unroll
    for (u32 k = 0; k < ND; k++) at[k] = wrapped(at[k] + 32, axes.spans[k]);
    if (length) row = wrapped(row + 32, length);
  }
  // Axes along which there is an element before this one.
  __device__ u32 has(const Axes &axes) const {
    u32 flags = 0;
#pragma unroll
    for (u32 k = 0; k < ND; k++) flags |= static_cast<u32>(at[k] >= axes.strides[k]) << k;
    return flags;
  }
};

// Two blocks of codes, a lane each, as planes; returns how many, and the two width classes.
__device__ inline u32 put_planes(u32 code, u16 *room, u32 &classes) {
  u32 all = code;
#pragma unroll
  for (i32 d = 8; d; d >>= 1) all |= __shfl_xor_sync(ALL, all, d);
  u32 mine = class_of<u32>(32 - __clz(static_cast<i32>(all)));
  u32 low = __shfl_sync(ALL, mine, 0), high = __shfl_sync(ALL, mine, 16);
  classes = low | high << 4;
  u32 first = class_width<u32>(low), second = class_width<u32>(high);
  u32 own = 0;  // a lane stores the planes of its number
  for (u32 p = 0; p < max(first, second); p++) {
    u32 plane = __ballot_sync(ALL, static_cast<i32>(code >> p & 1));
    if (lane_of() == p) own = plane;
  }
  if (lane_of() < first) room[lane_of()] = static_cast<u16>(own);
  if (lane_of() < second) room[first + lane_of()] = static_cast<u16>(own >> 16);
  return first + second;
}

// What a warp found in its part of a tile.
struct Part {
  u32 planes, head, present, outliers;  // `head`: of the unit of the lane's number
};

// The planes of elements `first` to `end` go to `room`; `length`: of a row, 0 where rows are not
// differenced.
template <u32 ND, class Load>
__device__ Part encode_part(const Load &load, u32 first, u32 end, const Axes &axes, u32 length,
                            u16 *room, u32 *mask) {
  Part part{0, 0, 0, 0};
  if (first >= end) return part;
  u32 i = min(first + lane_of(), end - 1);
  Position<ND> position(i, axes, length);
  u32 before = 0;  // the difference along the other axes at the element in front, for the first lane
  if (lane_of() == 0 && position.row) {
    bool ignored;
    u32 has = position.has(axes);
    Neighbours<ND, Load> there(load, first - 1, axes, has);
    before = there.difference(load, first - 1, axes, has, ignored);
  }
  for (u32 unit = 0; unit < UNITS && first + unit * UNIT < end; unit++) {
    u32 head = 0;
    u32 start = first + unit * UNIT;
    Position<ND> next = position;
    next.advance(axes, length);
    u32 places[2] = {min(start + lane_of(), end - 1), min(start + 32 + lane_of(), end - 1)};
    // Behind the end the neighbours of the last element are loaded, which may not be there.
    bool inside[2] = {start + lane_of() < end, start + 32 + lane_of() < end};
    u32 has[2] = {inside[0] ? position.has(axes) : 0, inside[1] ? next.has(axes) : 0};
    Neighbours<ND, Load> there[2] = {{load, places[0], axes, has[0]},
                                     {load, places[1], axes, has[1]}};
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
      bool kept;
      u32 v = there[half].difference(load, places[half], axes, has[half], kept);
      u32 up = __shfl_up_sync(ALL, v, 1);
      if (lane_of() == 0) up = before;
      before = __shfl_sync(ALL, v, 31);
      u32 residual = (half ? next.row : position.row) ? v - up : v;
      if (Load::MARKS) {
        u32 missed = __ballot_sync(ALL, inside[half] && !kept);
        part.outliers += __popc(missed);
        if (lane_of() == 0 && start + half * 32 < end) mask[start / 32 + half] = missed;
      }
      u32 classes;
      part.planes += put_planes(inside[half] ? static_cast<u32>(zigzag(residual)) : 0,
                                room + part.planes, classes);
      head |= classes << 8 * half;
    }
    if (lane_of() == unit) part.head = head;
    part.present |= static_cast<u32>(head != 0) << unit;
    position = next;
    position.advance(axes, length);
  }
  return part;
}

// Where a stream's sections go, and the words of look-back with the counters behind them.
struct Sections {
  u16 *planes, *heads;
  u8 *present;
  u64 *words;
  u32 *mask;
};

template <u32 ND, class Load>
__device__ void encode_tile(const Load &load, u32 n, const Axes &axes, u32 length, u64 *counters,
                            const Sections &out) {
  SHARED(u16, rooms, WARPS * ROOM);
  SHARED(u32, planes, WARPS);
  SHARED(u32, units, WARPS);
  SHARED(u64, bases, 1);
  u32 tile = take_ticket(counters + TICKETS);
  u32 first = tile * TILE + warp_of() * PART;
  u32 end = n;
  if (Load::MARKS) {  // all is thrown away if a tile before gave up
    u64 gave_up = lane_of() == 0 ? read_word(counters + GAVE_UP) : 0;
    end = __shfl_sync(ALL, gave_up, 0) ? 0 : n;
  }
  u16 *room = rooms + warp_of() * ROOM;
  Part part = encode_part<ND>(load, first, end, axes, length, room, out.mask);
  if (lane_of() == 0) {
    planes[warp_of()] = part.planes;
    units[warp_of()] = __popc(part.present);
    if (first < n) out.present[first / PART] = static_cast<u8>(part.present);
    if (part.outliers) atomicAdd(counters + OUTLIERS, static_cast<u64>(part.outliers));
  }
  __syncthreads();
  u32 planes_before = 0, units_before = 0;
  u64 own = 0;
  for (u32 w = 0; w < WARPS; w++) {
    if (w == warp_of()) {
      planes_before = static_cast<u32>(own & 0xffffffffu);
      units_before = static_cast<u32>(own >> PLANE_BITS);
    }
    own += static_cast<u64>(units[w]) << PLANE_BITS | planes[w];
  }
  if (warp_of() == 0) {
    u64 sum = sum_before(out.words, tile, own, tile == 0);
    if (lane_of() == 0) bases[0] = sum;
  }
  __syncthreads();
  u64 plane_at = (bases[0] & ((1ull << PLANE_BITS) - 1)) + planes_before;
  u64 unit_at = (bases[0] >> PLANE_BITS) + units_before;
  for (u32 p = lane_of(); p < part.planes; p += 32) out.planes[plane_at + p] = room[p];
  if (lane_of() < UNITS && part.head)
    out.heads[unit_at + __popc(part.present & below_lane())] = static_cast<u16>(part.head);
}

// A hint at how many blocks are enough keeps the compiler from spilling registers for more.
#define KERNEL_OF(blocks) extern "C" __global__ void __launch_bounds__(BLOCK, blocks)
#define KERNEL_0 KERNEL_OF(4)
#define KERNEL_1 KERNEL_OF(4)
#define KERNEL_2 KERNEL_OF(4)
#define KERNEL_3 KERNEL_OF(3)
#define AXES u32 s0, u32 s1, u32 s2, u32 p0, u32 p1, u32 p2, u32 length
#define OUT u64 *words, u64 *counters, u16 *planes, u16 *heads, u8 *present
#define VALUES(nd, t, T)                                                                         \
  KERNEL_##nd encode##nd##_##t(const T *x, const u8 *forced, u32 has_forced, u32 n, double inv,  \
                               double step, double bound, double limit, double sure, AXES,       \
                               u32 *mask, OUT) {                                                 \
    FromValues<T> load{x, forced, has_forced, {inv, step, bound, limit}, sure, counters};        \
    encode_tile<nd>(load, n, Axes{{s0, s1, s2}, {p0, p1, p2}}, length, counters,                 \
                    Sections{planes, heads, present, words, mask});                              \
  }                                                                                              \
  EXPORT(encode##nd##_##t)
#define LATTICE(nd)                                                                              \
  KERNEL_##nd encode##nd##_i4(const u32 *q, u32 n, AXES, OUT) {                                  \
    encode_tile<nd>(FromLattice{q}, n, Axes{{s0, s1, s2}, {p0, p1, p2}}, length, counters,       \
                    Sections{planes, heads, present, words, nullptr});                           \
  }                                                                                              \
  EXPORT(encode##nd##_i4)
#define ALL_OF(nd) VALUES(nd, f4, float) VALUES(nd, f8, double) LATTICE(nd)

ALL_OF(0)
ALL_OF(1)
ALL_OF(2)
ALL_OF(3)
