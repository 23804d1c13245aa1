// Width classes of fixed-length coding.
#pragma once
#include "common.cuh"

constexpr u32 BLOCKS = 4;  // of codes, in a unit

// The width that four bits stand for, and the least of them for a number of bits.
template <class C> __device__ u32 class_width(u32 code) {
  if (code <= 12) return code;
  return sizeof(C) == 4 ? (code - 11) * 8 : 16u << (code - 13);
}
template <class C> __device__ u32 class_of(u32 width) {
  u32 code = width;
  if (width > 12)
    for (code = 13; class_width<C>(code) < width;) code++;
  return code;
}
