// Rotary position embedding (Su et al. 2021) with the pairing of Hugging Face: element i turns with element i + D/2.
#pragma once

#include "convert.h"

namespace danu {

/// Turns H heads of one position by the angles of `angles` = cos[0 … D/2), sin[0 … D/2); y may be x.
/// `direction` 1 turns forward, -1 back.
template <class T>
void ropeHeads(T* y, const T* x, const float* angles, int64_t H, int64_t D, float direction) {
  int64_t half = D / 2;
  for (int64_t head = 0; head < H; head++) {
    const T* from = x + head * D;
    T* to = y + head * D;
    forVectors(half, [=](int64_t i, auto count) {
      vf a = load(from + i, count), b = load(from + half + i, count);
      vf c = load(angles + i, count), s = load(angles + half + i, count) * direction;
      store(to + i, a * c - b * s, count);
      store(to + half + i, b * c + a * s, count);
    });
  }
}

}  // namespace danu
