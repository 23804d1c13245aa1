// Sums over the tiles before one, in the one pass that makes them (decoupled look-back: Merrill and
// Garland 2016).
//
// A tile's word holds its own sum or, once that is known, the sum up to and with it, and which of
// the two in its highest bits. A word is written and read whole, so that nothing else needs to be
// ordered. Tiles are numbered by a ticket: those before one have begun, whatever order blocks have.
#pragma once
#include "common.cuh"

constexpr u64 OWN = 1ull << 62, UP_TO = 2ull << 62, SUM = OWN - 1;

__device__ inline u64 read_word(const u64 *word) {
  return *static_cast<const volatile u64 *>(word);
}
__device__ inline void write_word(u64 *word, u64 value) {
  *static_cast<volatile u64 *>(word) = value;
}

// The number of the tile that this block is to do; all threads take part.
__device__ inline u32 take_ticket(u64 *tickets) {
  SHARED(u32, taken, 1);
  if (threadIdx.x == 0) taken[0] = static_cast<u32>(atomicAdd(tickets, 1ull));
  __syncthreads();
  return taken[0];
}

// The sum of the tiles before this one, of which `own` is the sum; all lanes of one warp take part.
// `words` were zeros. With `whole`, a tile before which sums begin anew: `own` is the sum up to it.
__device__ inline u64 sum_before(u64 *words, u32 tile, u64 own, bool whole) {
  if (lane_of() == 0) write_word(words + tile, (whole ? UP_TO : OWN) | own);
  u64 before = 0;
  for (u64 end = tile; end > 0; end -= min(end, 32ull)) {
    bool some = lane_of() < end;  // the first lane looks at the nearest tile
    const u64 *at = words + (some ? end - 1 - lane_of() : 0);
    u64 word = UP_TO;
    do {
      if (some) word = read_word(at);
    } while (__any_sync(ALL, word < OWN));
    u32 known = __ballot_sync(ALL, some && (word & UP_TO));
    u32 last = known ? __ffs(static_cast<i32>(known)) - 1 : 31;
    u64 part = some && lane_of() <= last ? word & SUM : 0;
    for (u32 d = 16; d; d >>= 1) part += __shfl_xor_sync(ALL, part, static_cast<i32>(d));
    before += part;
    if (known) break;
  }
  if (!whole && lane_of() == 0) write_word(words + tile, UP_TO | ((before + own) & SUM));
  return before & SUM;
}
