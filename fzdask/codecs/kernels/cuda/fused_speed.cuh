// Tiles of the fused kernels of ``quantize | lorenzo | zigzag | fixed_length(block=16)``.
#pragma once
#include "fixed_length.cuh"
#include "floats.cuh"
#include "look_back.cuh"
#include "symbols.cuh"

constexpr u32 SIZE = 16;  // codes of a block
constexpr u32 UNIT = BLOCKS * SIZE;
constexpr u32 UNITS = 8;  // of a warp: a byte of the field of units
constexpr u32 PART = UNITS * UNIT;
constexpr u32 TILE = WARPS * PART;
