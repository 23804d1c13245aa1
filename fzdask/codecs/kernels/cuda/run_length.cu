// Run-length coding: where pieces begin follows from few bytes around each place; their sizes and a
// prefix sum then say where they go.
#include "common.cuh"

constexpr u32 EACH = 8;
constexpr u32 SHORTEST = 4;  // of a run
constexpr u32 AROUND = 3;    // bytes on each side that decide what a byte belongs to

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

// For eight bytes a thread: a bit for each that belongs to a run, and for each at which a piece
// begins: a run, or bytes between runs. `pieces`: how many in each tile.
KERNEL find_pieces(const u8 *data, u64 n, u8 *run_bits, u8 *begin_bits, u32 *pieces) {
  u64 first = (static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x) * EACH;
  u32 equal = 0;  // bit k: byte first + k - AROUND is that before it
  u32 runs = 0, begins = 0;
  if (first < n) {
    for (u32 k = 0; k < EACH + 2 * AROUND; k++) {
      u64 i = first + k;  // AROUND more than the place
      if (i > AROUND && i - AROUND < n)
        equal |= static_cast<u32>(data[i - AROUND] == data[i - AROUND - 1]) << k;
    }
    u32 three = equal & equal >> 1 & equal >> 2;  // a run begins one before, or is going on
    u32 covered = three | three << 1 | three << 2;
    covered |= covered >> 1;  // bit k: byte first + k - AROUND is in a run
    u32 inside = n - first < EACH ? (1u << (n - first)) - 1 : (1u << EACH) - 1;
    runs = covered >> AROUND & inside;
    u32 run_before = covered >> (AROUND - 1);
    begins = ((runs & ~(equal >> AROUND)) | (~runs & run_before)) & inside;
    if (first == 0) begins |= 1;
    run_bits[first / EACH] = static_cast<u8>(runs);
    begin_bits[first / EACH] = static_cast<u8>(begins);
  }
  u32 sum = block_sum(static_cast<u32>(__popc(begins)));
  if (threadIdx.x == 0) pieces[blockIdx.x] = sum;
}
EXPORT(find_pieces)

// `places`: pieces before each tile. `begins` gets one entry more than there are: n.
KERNEL list_pieces(const u8 *begin_bits, u64 n, const u64 *places, u64 *begins) {
  u64 first = (static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x) * EACH;
  u32 flags = first < n ? begin_bits[first / EACH] : 0, total;
  u64 at = places[blockIdx.x] + block_exclusive(static_cast<u32>(__popc(flags)), total);
  for (u32 k = 0; k < EACH; k++)
    if (flags >> k & 1) begins[at++] = first + k;
  if (first < n && n - first <= EACH) begins[at] = n;
}
EXPORT(list_pieces)

struct Piece {
  u64 begin, length;
  bool run;
  __device__ u64 head() const { return run ? (length - SHORTEST) << 1 | 1 : (length - 1) << 1; }
  __device__ u64 payload() const { return run ? 1 : length; }
};
__device__ inline Piece piece_at(const u64 *begins, const u8 *run_bits, u64 k) {
  u64 begin = begins[k];
  return {begin, begins[k + 1] - begin, (run_bits[begin / EACH] >> (begin % EACH) & 1) != 0};
}

KERNEL piece_sizes(const u64 *begins, const u8 *run_bits, u64 pieces, u64 *sizes) {
  u64 k = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (k >= pieces) return;
  Piece p = piece_at(begins, run_bits, k);
  sizes[k] = varint_size(p.head()) + p.payload();
}
EXPORT(piece_sizes)

// Whether every piece, its head taken for the longest that its length could have, fits the room.
KERNEL check_room(const u64 *begins, const u8 *run_bits, u64 pieces, const u64 *places, u64 room,
                  u32 *bad) {
  u64 k = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (k >= pieces) return;
  Piece p = piece_at(begins, run_bits, k);
  if (places[k] + varint_size(p.length << 1) + p.payload() > room) atomicOr(bad, 1u);
}
EXPORT(check_room)

// Heads, and the bytes of runs. `places`: bytes before each piece.
KERNEL put_heads(const u8 *data, const u64 *begins, const u8 *run_bits, u64 pieces,
                 const u64 *places, u8 *out) {
  u64 k = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  if (k >= pieces) return;
  Piece p = piece_at(begins, run_bits, k);
  u64 at = put_varint(out, places[k], p.head());
  if (p.run) out[at] = data[p.begin];
}
EXPORT(put_heads)

// The bytes between runs. `tiles`: pieces before each tile.
KERNEL put_plain(const u8 *data, u64 n, const u8 *run_bits, const u8 *begin_bits, const u64 *tiles,
                 const u64 *begins, const u64 *places, u8 *out) {
  u64 first = (static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x) * EACH;
  u32 flags = first < n ? begin_bits[first / EACH] : 0, total;
  u64 next = tiles[blockIdx.x] + block_exclusive(static_cast<u32>(__popc(flags)), total);
  if (first >= n) return;
  u32 runs = run_bits[first / EACH];
  u64 to = 0;  // of byte 0, in the stretch that a byte belongs to
  for (u32 k = 0; k < EACH && first + k < n; k++) {
    bool begun = flags >> k & 1;
    next += begun;
    if (runs >> k & 1) continue;
    if (begun || k == 0) {
      Piece p = piece_at(begins, run_bits, next - 1);
      to = places[next - 1] + varint_size(p.head()) - p.begin;
    }
    out[to + first + k] = data[first + k];
  }
}
EXPORT(put_plain)

// Bytes from pieces: where each begins in the output, and where its bytes, or the one that it
// repeats, are in the data (times two, plus one for a run). A thread finds its piece by bisection.
KERNEL expand(const u8 *data, const u64 *begins, const u64 *sources, u64 pieces, u64 n, u8 *out) {
  SHARED(u8, all, BLOCK * EACH);
  u64 base = static_cast<u64>(blockIdx.x) * BLOCK * EACH, first = base + threadIdx.x * EACH;
  u64 low = 0, high = pieces;  // the piece is in [low, high)
  while (first < n && high - low > 1) {
    u64 middle = low + (high - low) / 2;
    if (begins[middle] <= first)
      low = middle;
    else
      high = middle;
  }
  for (u32 k = 0; k < EACH && first + k < n; k++) {
    while (low + 1 < pieces && begins[low + 1] <= first + k) low++;
    u64 source = sources[low];
    all[threadIdx.x * EACH + k] = data[(source >> 1) + (source & 1 ? 0 : first + k - begins[low])];
  }
  __syncthreads();
  for (u32 k = threadIdx.x; k < BLOCK * EACH && base + k < n; k += BLOCK) out[base + k] = all[k];
}
EXPORT(expand)
