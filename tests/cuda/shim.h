// Runs CUDA C++ kernels on a CPU, for tests: one fiber per CUDA thread, blocks one after the other.
//
// Modelled: __syncthreads, warp collectives (every lane of the mask must arrive), shared memory
// (heap blocks of their own, so that ASan sees overruns; poisoned for each block), atomics, several
// orders of warps and blocks. Not modelled: weak memory, and the speed of anything.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define FZ_SHIM 1
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __restrict__

struct uint3 {
  unsigned x, y, z;
};

namespace shim {

enum State : uint8_t { RUNS, AT_BARRIER, IN_WARP, DONE };
enum Order { FORWARD, BACKWARD, SHUFFLED };

#ifdef __SANITIZE_ADDRESS__
constexpr size_t STACK = 128 * 1024;
#else
constexpr size_t STACK = 32 * 1024;
#endif

struct Fiber {
#if defined(__x86_64__)
  void *sp;
#else
  ucontext_t context;
#endif
  State state;
  uint3 tid;
  unsigned lin, lane, mask;
  uint64_t slot;
  void *fake_stack;
};

struct Block {
  std::vector<Fiber> fibers;
  char *stacks;
  std::vector<std::vector<unsigned char>> shared;
  Fiber main;
  uint3 bid, bdim, gdim;
  void (*body)(void *);
  void *arg;
  Order order;
  bool strict;
};

inline Fiber *cur = nullptr;
inline Block *blk = nullptr;
inline char error[512];
inline const void *main_stack = nullptr;
inline size_t main_stack_size = 0;

#if defined(__x86_64__)
extern "C" void shim_switch(void **from, void *to);
__asm__(".text\n.weak shim_switch\n.type shim_switch,@function\nshim_switch:\n"
        " pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
        " movq %rsp,(%rdi)\n movq %rsi,%rsp\n"
        " popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbx\n popq %rbp\n ret\n");
#endif

inline void swap(Fiber &from, Fiber &to) {
#if defined(__x86_64__)
  shim_switch(&from.sp, to.sp);
#else
  swapcontext(&from.context, &to.context);
#endif
}

inline void to_main(State state) {
  Fiber *me = cur;
  me->state = state;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(state == DONE ? nullptr : &me->fake_stack, main_stack,
                                 main_stack_size);
#endif
  swap(*me, blk->main);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(me->fake_stack, nullptr, nullptr);
#endif
}

inline void resume(Block &b, unsigned i) {
  cur = &b.fibers[i];
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&b.main.fake_stack, b.stacks + i * STACK, STACK);
#endif
  swap(b.main, *cur);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(b.main.fake_stack, nullptr, nullptr);
#endif
}

inline void entry() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &main_stack, &main_stack_size);
#endif
  blk->body(blk->arg);
  to_main(DONE);
  __builtin_trap();
}

// The launch ends with an error that the caller reads; the fibers are left where they are.
[[noreturn]] inline void die(const char *what) {
  std::snprintf(error, sizeof error, "block (%u,%u,%u), thread %u: %s", blk->bid.x, blk->bid.y,
                blk->bid.z, cur ? cur->lin : 0, what);
  for (;;) to_main(DONE);
}

// For as many threads as a block can have; touched only as far as they are used.
inline char *all_stacks() {
  static std::unique_ptr<char[]> stacks(new char[1024 * STACK]);
  return stacks.get();
}

inline void prepare(Block &b, unsigned i) {
  char *low = b.stacks + i * STACK;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(low, STACK);  // of the fiber that was here before
#endif
#if defined(__x86_64__)
  char *top = reinterpret_cast<char *>(reinterpret_cast<uintptr_t>(low + STACK) & ~uintptr_t(15));
  void **s = reinterpret_cast<void **>(top);
  *--s = nullptr;
  *--s = reinterpret_cast<void *>(entry);
  for (int k = 0; k < 6; k++) *--s = nullptr;
  b.fibers[i].sp = s;
#else
  getcontext(&b.fibers[i].context);
  b.fibers[i].context.uc_stack.ss_sp = low;
  b.fibers[i].context.uc_stack.ss_size = STACK;
  makecontext(&b.fibers[i].context, entry, 0);
#endif
}

// Let the lanes of every mask whose lanes have all arrived go on.
inline bool release(Block &b, unsigned lo, unsigned hi) {
  bool some = false;
  for (unsigned i = lo; i < hi; i++) {
    if (b.fibers[i].state != IN_WARP) continue;
    unsigned mask = b.fibers[i].mask;
    bool all = true;
    for (unsigned l = 0; l < 32 && all; l++)
      if (mask >> l & 1)
        all = lo + l < hi && b.fibers[lo + l].state == IN_WARP && b.fibers[lo + l].mask == mask;
    if (!all) continue;
    for (unsigned l = 0; l < 32; l++)
      if (mask >> l & 1) b.fibers[lo + l].state = RUNS;
    some = true;
  }
  return some;
}

inline void run_block(Block &b) {
  unsigned n = b.fibers.size(), warps = (n + 31) / 32;
  std::vector<unsigned> turn(warps);
  for (unsigned i = 0; i < warps; i++) turn[i] = b.order == BACKWARD ? warps - 1 - i : i;
  uint32_t random = 2654435761u * (b.bid.x + 1);
  for (;;) {
    if (b.order == SHUFFLED)
      for (unsigned i = warps; i > 1; i--) {
        random = random * 1664525u + 1013904223u;
        std::swap(turn[i - 1], turn[(random >> 8) % i]);
      }
    for (unsigned w : turn) {
      unsigned lo = w * 32, hi = std::min(n, lo + 32);
      do {
        for (unsigned k = lo; k < hi; k++) {
          unsigned i = b.order == BACKWARD ? hi - 1 - (k - lo) : k;
          if (b.fibers[i].state == RUNS) resume(b, i);
          if (error[0]) return;
        }
      } while (release(b, lo, hi));
    }
    unsigned done = 0, waiting = 0;
    for (auto &f : b.fibers) {
      done += f.state == DONE;
      waiting += f.state == IN_WARP;
    }
    if (done == n) return;
    cur = nullptr;
    if (waiting || (done && b.strict)) {
      for (auto &f : b.fibers)
        if (f.state == (waiting ? IN_WARP : AT_BARRIER)) cur = &f;
      std::snprintf(error, sizeof error, "block (%u,%u,%u), thread %u (mask %08x): %s", b.bid.x,
                    b.bid.y, b.bid.z, cur->lin, cur->mask,
                    waiting ? "a warp collective never completed; a lane of its mask exited or "
                              "waits elsewhere"
                            : "__syncthreads, but other threads of the block have returned");
      return;
    }
    for (auto &f : b.fibers)
      if (f.state == AT_BARRIER) f.state = RUNS;
  }
}

template <class F> int launch_blocks(const unsigned *dims, const int *how, F body) {
  uint64_t blocks = uint64_t(dims[0]) * dims[1] * dims[2];
  unsigned threads = dims[3] * dims[4] * dims[5];
  error[0] = 0;
  if (!threads || threads > 1024 || !blocks) {
    std::snprintf(error, sizeof error, "%llu blocks of %u threads", (unsigned long long)blocks,
                  threads);
    return 1;
  }
  Block b;
  b.fibers.resize(threads);
  b.stacks = all_stacks();
  b.gdim = {dims[0], dims[1], dims[2]};
  b.bdim = {dims[3], dims[4], dims[5]};
  b.body = [](void *p) { (*static_cast<F *>(p))(); };
  b.arg = &body;
  b.order = Order(how[0]);
  b.strict = true;
  blk = &b;
  for (uint64_t k = 0; k < blocks && !error[0]; k++) {
    uint64_t q = how[1] ? blocks - 1 - k : k;
    b.bid = {unsigned(q % dims[0]), unsigned(q / dims[0] % dims[1]),
             unsigned(q / dims[0] / dims[1])};
    for (auto &s : b.shared) std::fill(s.begin(), s.end(), 0xCD);
    for (unsigned i = 0; i < threads; i++) {
      Fiber &f = b.fibers[i];
      f.state = RUNS;
      f.lin = i;
      f.lane = i & 31;
      f.mask = 0;
      f.fake_stack = nullptr;
      f.tid = {i % dims[3], i / dims[3] % dims[4], i / dims[3] / dims[4]};
      prepare(b, i);
    }
    run_block(b);
  }
  blk = nullptr;
  return error[0] != 0;
}

template <class... A, size_t... I>
int launch_with(void (*k)(A...), const unsigned *dims, const int *how, void **a,
                std::index_sequence<I...>) {
  return launch_blocks(dims, how, [=] { k(*static_cast<std::remove_reference_t<A> *>(a[I])...); });
}
template <class... A>
int launch(void (*k)(A...), const unsigned *dims, const int *how, void **a) {
  return launch_with(k, dims, how, a, std::index_sequence_for<A...>{});
}

// What a kernel takes: for a pointer minus the size of what it points to, else the size.
template <class A> constexpr int kind() {
  if constexpr (std::is_pointer_v<A>)
    return -int(sizeof(std::remove_pointer_t<A>));
  else
    return int(sizeof(A));
}
template <class... A> int kinds(void (*)(A...), int *out) {
  int all[] = {kind<A>()..., 0};
  std::copy(all, all + sizeof...(A), out);
  return sizeof...(A);
}

inline int next_slot = 0;
template <class T, class Tag> T &shared(Tag) {
  static const size_t slot = next_slot++;  // one for each place in the source and instantiation
  auto &all = blk->shared;
  if (all.size() <= slot) all.resize(slot + 1);
  if (all[slot].empty()) all[slot].assign(sizeof(T), 0xCD);
  return *reinterpret_cast<T *>(all[slot].data());
}

inline void meet(unsigned mask) {
  if (!(mask >> cur->lane & 1)) die("a lane that is not in its own mask");
  cur->mask = mask;
  to_main(IN_WARP);
}
template <class T> T exchange(unsigned mask, T value, unsigned source) {
  static_assert(sizeof(T) <= 8, "values of up to 64 bits");
  Fiber *me = cur;
  unsigned base = me->lin & ~31u;
  me->slot = 0;
  std::memcpy(&me->slot, &value, sizeof value);
  meet(mask);
  T result = value;
  if (base + source < blk->fibers.size())
    std::memcpy(&result, &blk->fibers[base + source].slot, sizeof result);
  meet(mask);
  return result;
}
}  // namespace shim

#define threadIdx (shim::cur->tid)
#define blockIdx (shim::blk->bid)
#define blockDim (shim::blk->bdim)
#define gridDim (shim::blk->gdim)
#define SHARED(T, name, n) T(&name)[n] = shim::shared<T[n]>([] {})
#define EXPORT(k)                                                                          \
  extern "C" int launch_##k(const unsigned *dims, const int *how, void **a) {              \
    return shim::launch(k, dims, how, a);                                                  \
  }                                                                                        \
  extern "C" int kinds_##k(int *out) { return shim::kinds(k, out); }
extern "C" inline __attribute__((used)) const char *shim_error() { return shim::error; }

static inline void __syncthreads() { shim::to_main(shim::AT_BARRIER); }
static inline void __syncwarp(unsigned mask = 0xffffffffu) { shim::meet(mask); }
template <class T> T __shfl_sync(unsigned m, T v, int source) {
  return shim::exchange(m, v, source & 31);
}
template <class T> T __shfl_up_sync(unsigned m, T v, unsigned d) {
  unsigned l = shim::cur->lane;
  return shim::exchange(m, v, l >= d ? l - d : l);
}
template <class T> T __shfl_down_sync(unsigned m, T v, unsigned d) {
  unsigned l = shim::cur->lane;
  return shim::exchange(m, v, l + d < 32 ? l + d : l);
}
template <class T> T __shfl_xor_sync(unsigned m, T v, int x) {
  return shim::exchange(m, v, shim::cur->lane ^ x);
}
static inline unsigned __ballot_sync(unsigned m, int p) {
  shim::Fiber *me = shim::cur;
  unsigned base = me->lin & ~31u, result = 0;
  me->slot = p != 0;
  shim::meet(m);
  for (int l = 0; l < 32; l++)
    if (m >> l & 1) result |= unsigned(shim::blk->fibers[base + l].slot) << l;
  shim::meet(m);
  return result;
}
template <class T> unsigned __match_any_sync(unsigned m, T v) {
  shim::Fiber *me = shim::cur;
  unsigned base = me->lin & ~31u, result = 0;
  me->slot = 0;
  std::memcpy(&me->slot, &v, sizeof v);
  shim::meet(m);
  for (int l = 0; l < 32; l++)
    if ((m >> l & 1) && shim::blk->fibers[base + l].slot == me->slot) result |= 1u << l;
  shim::meet(m);
  return result;
}
static inline int __any_sync(unsigned m, int p) { return __ballot_sync(m, p) != 0; }
static inline int __all_sync(unsigned m, int p) { return __ballot_sync(m, p) == m; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
template <class To, class From> To shim_bits(From v) {
  To r;
  std::memcpy(&r, &v, sizeof r);
  return r;
}
static inline unsigned __float_as_uint(float f) { return shim_bits<unsigned>(f); }
static inline float __uint_as_float(unsigned u) { return shim_bits<float>(u); }
static inline long long __double_as_longlong(double d) { return shim_bits<long long>(d); }
static inline double __longlong_as_double(long long u) { return shim_bits<double>(u); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
template <class T> static inline T __ldg(const T *p) { return *p; }
#define FZ_ATOMICS(T)                                                            \
  static inline T atomicAdd(T *p, T v) { T old = *p; *p = old + v; return old; } \
  static inline T atomicOr(T *p, T v) { T old = *p; *p = old | v; return old; }  \
  static inline T atomicMax(T *p, T v) { T old = *p; *p = std::max(old, v); return old; }
FZ_ATOMICS(unsigned)
FZ_ATOMICS(unsigned long long)
using std::max;
using std::min;
