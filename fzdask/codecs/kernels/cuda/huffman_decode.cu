// Chunked Huffman decoding: a lane decodes a group; values pass through shared memory, so that
// those of one group leave together.
#include "symbols.cuh"

constexpr u32 TABLE_BITS = 11;
constexpr u32 LONG_CODE = 0xffff;
constexpr u32 MAX_LENGTH = 16;
constexpr u32 SLOW_BASE = MAX_LENGTH + 1;
constexpr u32 SLOW_ORDER = 2 * MAX_LENGTH + 2;
constexpr u32 SLOW_SIZE = SLOW_ORDER + ALPHABET;
constexpr u32 EACH = 16;           // values that a lane decodes between two stores
constexpr u32 THREADS = 128;       // fewer than elsewhere: groups are few

// Bits of a payload from a word on; zeros behind its end.
struct Reader {
  const u32 *words;
  u64 next, end, pending;
  u32 have;
  __device__ Reader(const u32 *words, u64 start, u64 end)
      : words(words), next(start), end(end), pending(0), have(0) {
    fill();
    fill();
  }
  __device__ void fill() {
    u32 word = next < end ? __ldg(words + next) : 0;
    pending |= static_cast<u64>(word) << (32 - have);
    next++;
    have += 32;
  }
  __device__ u32 peek(u32 width) const { return static_cast<u32>(pending >> (64 - width)); }
  __device__ void skip(u32 width) {
    pending <<= width;
    have -= width;
    if (have <= 32) fill();  // 33 bits at least, whatever is taken next
  }
  __device__ u32 take(u32 width) {  // 1 to 32
    u32 value = peek(width);
    skip(width);
    return value;
  }
  // The word behind the last one that a bit was taken of.
  __device__ u64 word() const { return (next * 32 - have + 31) / 32; }
};

struct Tables {
  const u16 *fast;
  const i32 *slow;
};

// The next symbol, or a number that is none.
__device__ inline u32 next_symbol(Reader &in, const Tables &t) {
  u32 entry = t.fast[in.peek(TABLE_BITS)];
  u32 length = entry & 15, symbol = entry >> 4;
  if (entry == LONG_CODE) {
    i32 prefix = static_cast<i32>(in.peek(MAX_LENGTH));
    length = TABLE_BITS + 1;
    while (length <= MAX_LENGTH && prefix >= t.slow[length]) length++;
    if (length > MAX_LENGTH) return ALPHABET;
    symbol = static_cast<u32>(
        t.slow[SLOW_ORDER + t.slow[SLOW_BASE + length] + (prefix >> (MAX_LENGTH - length))]);
  }
  in.skip(length);
  if (symbol != ESCAPE) return symbol;
  symbol = in.take(ESCAPE_BITS);
  return symbol < RUN ? symbol : ALPHABET;
}

__device__ inline u64 raw_bits(Reader &in, u32 width) {
  u64 raw = 0;
  if (width > 32) {
    raw = static_cast<u64>(in.take(width - 32)) << 32;
    width = 32;
  }
  return width ? raw | in.take(width) : raw;
}

// `starts`: word at which each group begins, and the number of words. `bad` is set where a group
// is no code or does not end where the next one begins; its values are then anything.
template <class Q>
__device__ void decode(const u32 *words, const u64 *starts, u64 groups, u64 n, u32 group, i32 mode,
                       const u16 *fast_table, const i32 *slow_table, u32 slow_size, Q *out,
                       u32 *bad) {
  SHARED(u16, fast, 1 << TABLE_BITS);
  SHARED(i32, slow, SLOW_SIZE);
  SHARED(Q, staged, THREADS * (EACH + 1));
  for (u32 k = threadIdx.x; k < 1 << TABLE_BITS; k += THREADS) fast[k] = fast_table[k];
  for (u32 k = threadIdx.x; k < slow_size; k += THREADS) slow[k] = slow_table[k];
  __syncthreads();
  u64 g = static_cast<u64>(blockIdx.x) * THREADS + threadIdx.x;
  u64 first = g * group;
  u32 count = g < groups ? static_cast<u32>(min(static_cast<u64>(group), n - first)) : 0;
  Reader in(words, g < groups ? starts[g] : 0, starts[groups]);
  Tables tables{fast, slow};
  u32 row = (threadIdx.x & ~31u) * (EACH + 1);
  u64 warp_first = first - static_cast<u64>(lane_of()) * group;
  bool wrong = false;
  u32 run = 0;
  for (u32 done = 0; done < group; done += EACH) {
#pragma unroll 1
    for (u32 k = 0; k < EACH && done + k < count && !wrong; k++) {
      u64 z = static_cast<u64>(mode);
      if (run) {
        run--;
      } else {
        u32 symbol = next_symbol(in, tables);
        if (symbol < DIRECT) {
          z = symbol;
        } else if (symbol < RUN) {
          z = class_base(symbol) | raw_bits(in, extra_bits(symbol));
        } else if (symbol < ESCAPE) {
          u32 width = symbol - RUN;
          u64 length = (1ull << width) + raw_bits(in, width);
          wrong = mode < 0 || length > count - done - k;
          run = static_cast<u32>(length) - 1;
        } else {
          wrong = true;
        }
      }
      staged[row + lane_of() * (EACH + 1) + k] = static_cast<Q>(unzigzag(z));
    }
    __syncwarp();
    for (u32 at = lane_of(); at < 32 * EACH; at += 32) {  // half a warp for a group
      u32 lane = at / EACH, k = at % EACH;
      u64 i = warp_first + static_cast<u64>(lane) * group + done + k;
      if (done + k < group && i < n) out[i] = staged[row + lane * (EACH + 1) + k];
    }
    __syncwarp();
  }
  if (g < groups && (wrong || in.word() != starts[g + 1])) atomicOr(bad, 1u);
}

#define DECODE(w, Q)                                                                             \
  extern "C" __global__ void __launch_bounds__(THREADS, 8)                                        \
      decode_##w(const u32 *words, const u64 *starts, u64 groups, u64 n, u32 group, i32 mode,    \
                 const u16 *fast, const i32 *slow, u32 slow_size, Q *out, u32 *bad) {            \
    decode(words, starts, groups, n, group, mode, fast, slow, slow_size, out, bad);              \
  }                                                                                              \
  EXPORT(decode_##w)

DECODE(i4, u32)
DECODE(i8, u64)
