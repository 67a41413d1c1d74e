// Reading of the 4-byte elements that steps multiply.
#pragma once

#include "gemm-tile.h"

namespace danu {

/// Elements read from a matrix of T for tiles of Step: f32 as it is, bf16 widened to f32, or bf16 in pairs along k.
template <class Step, class T>
struct ElementReader {
  /// Up to W elements that are neighbours in k, from `positions` positions of k; the rest zero.
  static DANU_INLINE vu alongK(const T* source, int64_t positions) {
    if constexpr (Step::depth == 2) {
      if (positions >= 2 * W) return *(const vuUnaligned*)source;
      vu elements = loadBits(source, int(positions / 2));
      if (positions % 2) elements[positions / 2] = source[positions - 1].bits;
      return elements;
    } else {
      return positions >= W ? (vu)load(source) : (vu)load(source, int(positions));
    }
  }

  /// Elements of `lanes` columns at one step; `next` is the row of the odd position of a pair, null past the end of k.
  static DANU_INLINE vu acrossK(const T* source, const T* next, int lanes) {
    if constexpr (Step::depth == 2) {
      vu even = (vu)load(source, lanes) >> 16;
      return next ? even | (vu)load(next, lanes) : even;
    } else {
      return lanes == W ? (vu)load(source) : (vu)load(source, lanes);
    }
  }
};

}  // namespace danu
