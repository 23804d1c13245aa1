// Which axes are worth differencing: the coded size of a sample, for every subset of axes at once
// (kernels/cpu/sampling.py, sampling_twice.py and width_sampling.py say why; the numbers are the
// same).
#include "floats.cuh"
#include "symbols.cuh"

constexpr u32 MAX_AXES = 4;
constexpr u32 FRACTION = 8;
constexpr u64 TOGETHER = 4, MANY = 256;  // points that are neighbours in a sample of so many

// Strides of the axes, slowest first; as many as there are.
struct Shape {
  u64 strides[MAX_AXES];
  u32 nd;
};

// log2 in units of 2**-8, by repeated squaring.
__device__ inline u64 log2_fixed(u64 v) {
  u32 e = exponent(v);
  u64 mantissa = (v << 31) >> e, result = e;
  for (u32 k = 0; k < FRACTION; k++) {
    mantissa = (mantissa * mantissa) >> 31;
    result <<= 1;
    if (mantissa >> 32) {
      mantissa >>= 1;
      result |= 1;
    }
  }
  return result;
}

// The (k+1)-th number of the generator that spreads the sample, by squaring its step.
__device__ inline u64 random_at(u64 k) {
  u64 factor = 6364136223846793005ull, term = 1442695040888963407ull;
  u64 value = 1;
  for (k++; k; k >>= 1) {
    if (k & 1) value = value * factor + term;
    term *= factor + 1;
    factor *= factor;
  }
  return value;
}

// Point k of the sample: its symbol in every subset is counted, by one lane for each subset.
// `totals`: points used, then the raw bits of each subset; behind them, of how many fours of
// points all were used, and in how many of these all differences of each subset are 0.
template <class T>
__device__ void count_sample(const T *x, const u8 *forced, u32 has_forced, u64 n, Shape shape,
                             Cells c, u64 samples, u32 *counts, u64 *totals) {
  SHARED(u32, zeros, BLOCK);  // of the fours of this block, for each subset, and how many are used
  SHARED(u32, used, BLOCK);
  zeros[threadIdx.x] = used[threadIdx.x] = 0;
  __syncthreads();
  u64 id = static_cast<u64>(blockIdx.x) * BLOCK + threadIdx.x;
  u64 k = id >> shape.nd;
  u32 subsets = 1u << shape.nd, subset = static_cast<u32>(id) & (subsets - 1);
  bool usable = k < samples;
  u64 q = 0;
  if (usable) {
    u64 together = samples >= MANY ? TOGETHER : 1;
    u64 parts = (samples + together - 1) / together, part = k / together;
    u64 first = part * n / parts;
    u64 room = (part + 1) * n / parts - first;
    u64 at = first + (random_at(part) >> 33) % max(room, static_cast<u64>(1)) + k % together;
    at = min(at, n - 1);
    u64 rest = at;
#pragma unroll
    for (u32 a = 0; a < MAX_AXES; a++) {
      if (a >= shape.nd) break;
      u64 stride = shape.strides[a];
      if (rest < stride) at += stride;  // the first of its axis has none before it
      rest %= stride;
      if (subset >> a & 1) at -= stride;
    }
    double r = rint(widen(x[at]) * c.inv);
    usable = fabs(r) <= c.limit && !(has_forced && forced[at]) && !misses(x[at], c);
    q = usable ? static_cast<u64>(static_cast<i64>(r)) : 0;
  }
  u32 good = __ballot_sync(ALL, usable);
  u32 ours = (subsets < 32 ? (1u << subsets) - 1 : ALL) << (lane_of() & ~(subsets - 1));
#pragma unroll
  for (u32 a = 0; a < MAX_AXES; a++) {
    if (a >= shape.nd) break;
    u64 other = __shfl_xor_sync(ALL, q, static_cast<i32>(1u << a));
    if (subset >> a & 1) q = other - q;
  }
  u32 four = (threadIdx.x >> shape.nd) / TOGETHER * subsets + subset;
  if ((good & ours) == ours) {
    u32 s = symbol_of(zigzag(q));
    if (subset == 0) atomicAdd(&totals[0], 1ull);
    atomicAdd(&counts[subset * ALPHABET + s], 1u);
    atomicAdd(&totals[1 + subset], static_cast<u64>(extra_bits(s)));
    atomicAdd(&used[four], 1u);
    if (q == 0) atomicAdd(&zeros[four], 1u);
  }
  __syncthreads();
  if (samples < MANY || k % TOGETHER || used[four] < TOGETHER) return;
  if (subset == 0) atomicAdd(&totals[1 + subsets], 1ull);
  if (zeros[four] == TOGETHER) atomicAdd(&totals[2 + subsets + subset], 1ull);
}

// The same for no, first or second differences along each axis: one block for a point, a thread
// for a choice, whose digits in base 3 say how often each axis is differenced.
template <class T>
__device__ void count_orders(const T *x, const u8 *forced, u32 has_forced, u64 n, Shape shape,
                             Cells c, u64 samples, u32 *counts, u64 *totals) {
  SHARED(u64, q, BLOCK);
  SHARED(u32, unusable, 1);
  u64 k = blockIdx.x;
  u32 way = threadIdx.x, ways = 1;
  for (u32 a = 0; a < shape.nd; a++) ways *= 3;
  if (way == 0) unusable[0] = 0;
  __syncthreads();
  if (way < ways) {
    u64 first = k * n / samples;
    u64 room = (k + 1) * n / samples - first;
    u64 at = first + (random_at(k) >> 33) % max(room, static_cast<u64>(1));
    u64 rest = at;
    u32 digits = way;
#pragma unroll
    for (u32 a = 0; a < MAX_AXES; a++) {
      if (a >= shape.nd) break;
      u64 stride = shape.strides[a], coordinate = rest / stride;
      if (coordinate < 2) at += (2 - coordinate) * stride;
      rest %= stride;
      at -= digits % 3 * stride;
      digits /= 3;
    }
    double r = rint(widen(x[at]) * c.inv);
    bool usable = fabs(r) <= c.limit && !(has_forced && forced[at]) && !misses(x[at], c);
    q[way] = usable ? static_cast<u64>(static_cast<i64>(r)) : 0;
    if (!usable) atomicOr(&unusable[0], 1u);
  }
  __syncthreads();
  if (unusable[0]) return;
  u32 step = 1;
  for (u32 a = 0; a < shape.nd; a++, step *= 3) {
    u32 digit = way / step % 3;
    u64 mine = q[way], one = 0, two = 0;
    if (way < ways && digit == 1) one = q[way - step];
    if (way < ways && digit == 2) {
      one = q[way - step];
      two = q[way - 2 * step];
    }
    __syncthreads();
    if (way < ways && digit) q[way] = digit == 1 ? one - mine : mine + two - 2 * one;
    __syncthreads();
  }
  if (way >= ways) return;
  u32 s = symbol_of(zigzag(q[way]));
  if (way == 0) atomicAdd(&totals[0], 1ull);
  atomicAdd(&counts[way * ALPHABET + s], 1u);
  atomicAdd(&totals[1 + way], static_cast<u64>(extra_bits(s)));
}

// Bit planes that blocks of 16 residuals need: one block of threads for each, sixteen threads for
// a subset. `planes`: of each subset, and behind them how many blocks were looked at.
constexpr u32 NARROW = 16;
constexpr double NARROW_LIMIT = 1073741824.0;

template <class T>
__device__ void count_planes(const T *x, const u8 *forced, u32 has_forced, Shape shape, Cells c,
                             u64 first, u64 count, u64 blocks, u64 *planes) {
  SHARED(u32, q, BLOCK);
  SHARED(u32, unusable, 1);
  u32 subset = threadIdx.x / NARROW, subsets = 1u << shape.nd;
  if (threadIdx.x == 0) unusable[0] = 0;
  __syncthreads();
  if (subset < subsets) {
    u64 k = blockIdx.x, start = k * count / blocks;
    u64 room = (k + 1) * count / blocks - start;
    u64 at = (first + start + (random_at(k) >> 33) % room) * NARROW + threadIdx.x % NARROW;
#pragma unroll
    for (u32 a = 0; a < MAX_AXES; a++)
      if (subset >> a & 1) at -= shape.strides[a];
    double r = rint(widen(x[at]) * c.inv);
    bool usable = fabs(r) <= NARROW_LIMIT && !(has_forced && forced[at]) && !misses(x[at], c);
    q[threadIdx.x] = usable ? static_cast<u32>(static_cast<i32>(r)) : 0;
    if (!usable) atomicOr(&unusable[0], 1u);
  }
  __syncthreads();
  if (unusable[0]) return;
  for (u32 a = 0; a < shape.nd; a++) {
    bool far = subset < subsets && (subset >> a & 1);
    u32 near = far ? q[threadIdx.x - (NARROW << a)] : 0;
    __syncthreads();
    if (far) q[threadIdx.x] = near - q[threadIdx.x];
    __syncthreads();
  }
  u32 top = subset < subsets ? static_cast<u32>(zigzag(q[threadIdx.x])) : 0;
  for (u32 d = 1; d < NARROW; d <<= 1) top |= __shfl_xor_sync(ALL, top, static_cast<i32>(d));
  if (subset < subsets && threadIdx.x % NARROW == 0)
    atomicAdd(&planes[subset], static_cast<u64>(32 - __clz(static_cast<i32>(top))));
  if (threadIdx.x == 0) atomicAdd(&planes[subsets], 1ull);
}

// Bits of one symbol that occurs so often, in units of 2**-8 bit.
__device__ inline u64 entropy(u64 whole, u64 part) {
  return part ? part * (log2_fixed(whole) - log2_fixed(part)) + 184 : 0;
}

// One block for each of `ways`: entropy and raw bits in units of 2**-8 bit; 0 if nothing was taken.
KERNEL sample_costs(const u32 *counts, const u64 *totals, u32 ways, u64 *costs) {
  u64 fours = totals[1 + ways], quiet = totals[2 + ways + blockIdx.x], cost = 0;
  u64 whole = totals[0] - TOGETHER * quiet;
  for (u32 s = threadIdx.x; s < ALPHABET; s += BLOCK) {
    u64 count = counts[blockIdx.x * ALPHABET + s];
    if (s == 0) {
      count -= TOGETHER * quiet;
      cost += entropy(fours, quiet) + entropy(fours, fours - quiet);
    }
    cost += entropy(whole, count);
  }
  cost = block_sum(cost);
  if (threadIdx.x == 0) costs[blockIdx.x] = cost + (totals[1 + blockIdx.x] << FRACTION);
}
EXPORT(sample_costs)

#define SAMPLE(t, T)                                                                             \
  KERNEL count_sample_##t(const T *x, const u8 *forced, u32 has_forced, u64 n, u32 nd, u64 s0,   \
                          u64 s1, u64 s2, u64 s3, double inv, double step, double bound,         \
                          double limit, u64 samples, u32 *counts, u64 *totals) {                 \
    count_sample(x, forced, has_forced, n, Shape{{s0, s1, s2, s3}, nd},                          \
                 Cells{inv, step, bound, limit}, samples, counts, totals);                       \
  }                                                                                              \
  EXPORT(count_sample_##t)
#define ORDERS(t, T)                                                                             \
  KERNEL count_orders_##t(const T *x, const u8 *forced, u32 has_forced, u64 n, u32 nd, u64 s0,   \
                          u64 s1, u64 s2, u64 s3, double inv, double step, double bound,         \
                          double limit, u64 samples, u32 *counts, u64 *totals) {                 \
    count_orders(x, forced, has_forced, n, Shape{{s0, s1, s2, s3}, nd},                          \
                 Cells{inv, step, bound, limit}, samples, counts, totals);                       \
  }                                                                                              \
  EXPORT(count_orders_##t)
#define PLANES(t, T)                                                                             \
  KERNEL count_planes_##t(const T *x, const u8 *forced, u32 has_forced, u32 nd, u64 s0, u64 s1,  \
                          u64 s2, u64 s3, double inv, double step, double bound, u64 first,      \
                          u64 count, u64 blocks, u64 *planes) {                                  \
    count_planes(x, forced, has_forced, Shape{{s0, s1, s2, s3}, nd},                             \
                 Cells{inv, step, bound, 0.0}, first, count, blocks, planes);                    \
  }                                                                                              \
  EXPORT(count_planes_##t)
#define ALL_SAMPLES(t, T) SAMPLE(t, T) ORDERS(t, T) PLANES(t, T)

ALL_SAMPLES(f2, half_bits)
ALL_SAMPLES(f4, float)
ALL_SAMPLES(f8, double)
ALL_SAMPLES(i4, i32)
ALL_SAMPLES(i8, i64)
