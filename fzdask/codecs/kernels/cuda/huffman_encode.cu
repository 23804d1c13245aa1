// Chunked Huffman coding: symbol counts, sizes of groups, and their words, staged in shared memory.
//
// A block codes a group, a tile of values at a time: bits of each value, their prefix sums, and
// every thread then writes its own bits. Words fill from their most significant bit.
#include "symbols.cuh"

constexpr u32 EACH = 8;
constexpr u32 TILE = BLOCK * EACH;
constexpr u32 PADDED = TILE + TILE / EACH;  // threads read strips of 8: a 9th keeps banks apart
constexpr u32 MAX_GROUP = 16384;
constexpr u32 MAX_LENGTH = 16;
constexpr u32 NO_CODE = 64;
constexpr u32 FREQUENT = 4;  // symbols counted in registers, where most counts go

// The most bits of one value: a code, an escaped symbol and the raw bits of the widest class.
template <class Q>
constexpr u32 WORST_BITS = MAX_LENGTH + ESCAPE_BITS + 8 * sizeof(Q) - 1 - SUB_BITS;

__device__ inline void clear(u32 *counts) {
  for (u32 s = threadIdx.x; s < ALPHABET; s += BLOCK) counts[s] = 0;
  __syncthreads();
}
__device__ inline void add_counts(const u32 *counts, u64 *out) {
  __syncthreads();
  for (u32 s = threadIdx.x; s < ALPHABET; s += BLOCK)
    if (counts[s]) atomicAdd(&out[s], static_cast<u64>(counts[s]));
}

template <class Q> __device__ void histogram(const Q *r, u64 n, u64 *out) {
  SHARED(u32, counts, ALPHABET);
  clear(counts);
  u32 own[FREQUENT] = {};
  for (u64 i = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x; i < n;
       i += static_cast<u64>(gridDim.x) * BLOCK) {
    u32 s = symbol_of(zigzag(r[i]));
#pragma unroll
    for (u32 k = 0; k < FREQUENT; k++) own[k] += s == k;
    if (s >= FREQUENT) atomicAdd(&counts[s], 1u);
  }
#pragma unroll
  for (u32 k = 0; k < FREQUENT; k++) {
    u32 sum = warp_inclusive(own[k]);
    if (lane_of() == 31 && sum) atomicAdd(&counts[k], sum);
  }
  add_counts(counts, out);
}

// Which values of a group are the run symbol, a bit each.
struct Runs {
  const u32 *bits;
  u32 count;  // values of the group
  __device__ bool at(u32 i) const { return bits[i / 32] >> (i % 32) & 1; }
  __device__ bool begins(u32 i) const { return at(i) && (i == 0 || !at(i - 1)); }
  // Length of the run that begins at i.
  __device__ u32 length(u32 i) const {
    u32 w = i / 32;
    u32 others = ~bits[w] & (ALL << (i % 32));
    while (!others && (w + 1) * 32 < count) others = ~bits[++w];
    u32 end = others ? w * 32 + __ffs(static_cast<i32>(others)) - 1 : count;
    return min(end, count) - i;
  }
};

template <class Q> __device__ void find_runs(const Q *r, u32 count, u32 mode, u32 *bits) {
  u32 rounded = (count + BLOCK - 1) / BLOCK * BLOCK;
  for (u32 i = threadIdx.x; i < rounded; i += BLOCK) {
    u32 word = __ballot_sync(ALL, i < count && zigzag(r[i]) == mode);
    if (lane_of() == 0) bits[i / 32] = word;
  }
  __syncthreads();
}

// Symbol counts of every so many-th group, runs of `mode` being run symbols.
template <class Q>
__device__ void run_histogram(const Q *r, u64 n, u32 group, u32 every, u32 mode, u64 *out) {
  SHARED(u32, counts, ALPHABET);
  SHARED(u32, bits, MAX_GROUP / 32);
  clear(counts);
  u64 start = static_cast<u64>(blockIdx.x) * every * group;
  u32 count = static_cast<u32>(min(static_cast<u64>(group), n - start));
  find_runs(r + start, count, mode, bits);
  Runs runs{bits, count};
  for (u32 i = threadIdx.x; i < count; i += BLOCK) {
    if (!runs.at(i))
      atomicAdd(&counts[symbol_of(zigzag(r[start + i]))], 1u);
    else if (runs.begins(i))
      atomicAdd(&counts[RUN + exponent(runs.length(i))], 1u);
  }
  add_counts(counts, out);
}

// What is coded in the place of a value; false where a run that began before it has it already.
template <class Q>
__device__ bool symbol_at(Q r, u32 i, i32 mode, const Runs &runs, u32 &symbol, u64 &raw) {
  raw = zigzag(r);
  symbol = symbol_of(raw);
  if (mode < 0 || !runs.at(i)) return true;
  if (!runs.begins(i)) return false;
  raw = runs.length(i);
  symbol = RUN + exponent(raw);
  return true;
}

// Codes are `code << 8 | length`; a symbol without one is escaped.
__device__ inline u32 bits_of(const u32 *codes, u32 symbol) {
  u32 length = codes[symbol] & 255;
  if (length == NO_CODE) length = (codes[ESCAPE] & 255) + ESCAPE_BITS;
  return length + extra_bits(symbol);
}

__device__ inline void load_codes(const u32 *codes, u32 *shared) {
  for (u32 s = threadIdx.x; s < ALPHABET; s += BLOCK) shared[s] = codes[s];
  __syncthreads();
}

// Words of every group, as the stream has them and for the scan.
template <class Q>
__device__ void group_sizes(const Q *r, u64 n, u32 group, i32 mode, const u32 *all_codes,
                            u16 *sizes) {
  SHARED(u32, codes, ALPHABET);
  SHARED(u32, run_bits, MAX_GROUP / 32);
  load_codes(all_codes, codes);
  u64 start = static_cast<u64>(blockIdx.x) * group;
  u32 count = static_cast<u32>(min(static_cast<u64>(group), n - start));
  Runs runs{run_bits, count};
  if (mode >= 0) find_runs(r + start, count, static_cast<u32>(mode), run_bits);
  u32 bits = 0, symbol;
  u64 raw;
  for (u32 i = threadIdx.x; i < count; i += BLOCK)
    if (symbol_at(r[start + i], i, mode, runs, symbol, raw)) bits += bits_of(codes, symbol);
  bits = block_sum(bits);
  if (threadIdx.x == 0) sizes[blockIdx.x] = static_cast<u16>((bits + 31) / 32);
}

// Puts bits into words that are zero where nobody has written; neighbours share words.
struct Writer {
  u32 *words;
  u32 filled;
  u64 pending;
  __device__ Writer(u32 *words, u32 bit) : words(words + bit / 32), filled(bit % 32), pending(0) {}
  __device__ void put(u64 value, u32 width) {  // at most 32 bits
    if (!width) return;
    pending |= value << (64 - filled - width);
    filled += width;
    if (filled < 32) return;
    atomicOr(words++, static_cast<u32>(pending >> 32));
    pending <<= 32;
    filled -= 32;
  }
  __device__ void put_code(u32 packed) { put(packed >> 8, packed & 255); }
  __device__ void put_symbol(const u32 *codes, u32 symbol, u64 raw) {
    if ((codes[symbol] & 255) == NO_CODE) {
      put_code(codes[ESCAPE]);
      put(symbol, ESCAPE_BITS);
    } else {
      put_code(codes[symbol]);
    }
    u32 extra = extra_bits(symbol);
    if (extra > 32) {
      put(raw >> 32 & ((1ull << (extra - 32)) - 1), extra - 32);
      extra = 32;
    }
    put(raw & ((1ull << extra) - 1), extra);
  }
  __device__ void finish() {
    if (filled) atomicOr(words, static_cast<u32>(pending >> 32));
  }
};

// `places`: word at which each group begins.
template <class Q>
__device__ void encode(const Q *r, u64 n, u32 group, i32 mode, const u32 *all_codes,
                       const u64 *places, u32 *out) {
  constexpr u32 ROOM = TILE * WORST_BITS<Q> / 32 + 2;
  SHARED(u32, codes, ALPHABET);
  SHARED(u32, run_bits, MAX_GROUP / 32);
  SHARED(Q, staged, PADDED);
  SHARED(u32, words, ROOM);
  u64 start = static_cast<u64>(blockIdx.x) * group;
  u32 count = static_cast<u32>(min(static_cast<u64>(group), n - start));
  for (u32 w = threadIdx.x; w < ROOM; w += BLOCK) words[w] = 0;
  load_codes(all_codes, codes);
  Runs runs{run_bits, count};
  if (mode >= 0) find_runs(r + start, count, static_cast<u32>(mode), run_bits);
  u64 place = places[blockIdx.x];
  u32 base = 0;  // bits of the word that the tile before left unfinished
  for (u32 first = 0; first < count; first += TILE) {
    for (u32 at = threadIdx.x; at < TILE && first + at < count; at += BLOCK)
      staged[at + at / EACH] = r[start + first + at];
    __syncthreads();
    u32 mine = threadIdx.x * EACH, bits = 0, symbol, total;
    u64 raw;
    for (u32 k = 0; k < EACH && first + mine + k < count; k++)
      if (symbol_at(staged[mine + threadIdx.x + k], first + mine + k, mode, runs, symbol, raw))
        bits += bits_of(codes, symbol);
    u32 before = block_exclusive(bits, total);
    Writer writer(words, base + before);
    for (u32 k = 0; k < EACH && first + mine + k < count; k++)
      if (symbol_at(staged[mine + threadIdx.x + k], first + mine + k, mode, runs, symbol, raw))
        writer.put_symbol(codes, symbol, raw);
    writer.finish();
    __syncthreads();
    u32 end = base + total, whole = end / 32;
    bool last = first + TILE >= count;
    u32 ready = last ? (end + 31) / 32 : whole;
    u32 rest = words[whole];
    for (u32 w = threadIdx.x; w < ready; w += BLOCK) out[place + w] = words[w];
    __syncthreads();
    for (u32 w = threadIdx.x; w <= whole; w += BLOCK) words[w] = w ? 0 : rest;
    __syncthreads();
    place += whole;
    base = end % 32;
  }
}

#define LATTICE(w, Q)                                                                            \
  KERNEL histogram_##w(const Q *r, u64 n, u64 *out) { histogram(r, n, out); }                    \
  EXPORT(histogram_##w)                                                                          \
  KERNEL run_histogram_##w(const Q *r, u64 n, u32 group, u32 every, u32 mode, u64 *out) {        \
    run_histogram(r, n, group, every, mode, out);                                                \
  }                                                                                              \
  EXPORT(run_histogram_##w)                                                                      \
  KERNEL group_sizes_##w(const Q *r, u64 n, u32 group, i32 mode, const u32 *codes, u16 *sizes) { \
    group_sizes(r, n, group, mode, codes, sizes);                                                \
  }                                                                                              \
  EXPORT(group_sizes_##w)                                                                        \
  KERNEL encode_##w(const Q *r, u64 n, u32 group, i32 mode, const u32 *codes,                    \
                    const u64 *places, u32 *out) {                                               \
    encode(r, n, group, mode, codes, places, out);                                               \
  }                                                                                              \
  EXPORT(encode_##w)

LATTICE(i4, u32)
LATTICE(i8, u64)
