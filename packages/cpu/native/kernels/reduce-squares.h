// Sum of squares for the global gradient norm: every square and sum in f64, so that no f32 gradient overflows it.
#pragma once

#include "convert-run.h"

namespace danu {

/// Elements whose squares one tile adds up.
constexpr int64_t squaresPerTile = 65536;

inline double sumSquares(const float* x, int64_t n) {
  constexpr int halfLanes = W / 2;
  typedef float vhalf __attribute__((vector_size(W * 2)));
  typedef float vhalfUnaligned __attribute__((vector_size(W * 2), aligned(4), may_alias));
  vd sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * halfLanes <= n; i += 4 * halfLanes) {
    for (int k = 0; k < 4; k++) {
      vhalf part = *(const vhalfUnaligned*)(x + i + k * halfLanes);
      vd wide = __builtin_convertvector(part, vd);
      sums[k] += wide * wide;
    }
  }
  vd all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double total = 0;
  for (int lane = 0; lane < halfLanes; lane++) total += all[lane];
  for (; i < n; i++) total += double(x[i]) * double(x[i]);
  return total;
}

}  // namespace danu
