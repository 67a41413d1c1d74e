// Copies between strided arrays of one shape: permutation, slices, padding, concatenation, repetition.
#pragma once

#include <algorithm>

#include "elementwise-broadcast.h"

namespace danu {

/// y[i · strideY] = x[i · strideX] for n elements.
template <class T>
void copyLine(T* y, const T* x, int64_t strideY, int64_t strideX, int64_t n) {
  if (strideY == 1 && strideX == 1) {
    std::memcpy(y, x, size_t(n) * sizeof(T));
  } else if (strideY == 1 && strideX == 0) {
    std::fill_n(y, n, *x);
  } else {
    for (int64_t i = 0; i < n; i++) y[i * strideY] = x[i * strideX];
  }
}

/// Side of the squares that a transposition goes by, in elements.
constexpr int64_t squareSide = 32;

/// The walk of a copy: the last axis is a line, the one before it is crossed in the same tile.
struct CopyPlan {
  Broadcast<2> walk;     // operand 0 is y, 1 is x
  int64_t lines;         // all of them
  int64_t linesPerTile;
};

/// Whether x is contiguous across the lines of the walk instead of along them.
inline bool isCrosswise(const Broadcast<2>& walk) {
  return walk.rank > 1 && walk.strides[1][walk.rank - 1] != 1 && walk.strides[1][walk.rank - 2] == 1;
}

/// Axes ordered so that the result is written along its lines; a transposition keeps the axis that x is contiguous in
/// beside the last one, where it is copied in small squares.
inline CopyPlan planCopy(int64_t rank, const int64_t* shape, const int64_t* stridesY, const int64_t* stridesX) {
  constexpr int64_t elementsPerTile = 32768;
  const int64_t* const strides[2] = {stridesY, stridesX};
  CopyPlan plan{collapse<2>(rank, shape, strides), 0, 1};
  Broadcast<2>& walk = plan.walk;
  int last = int(walk.rank) - 1;
  for (int axis = 0; axis < last - 1; axis++) {
    if (walk.strides[1][last] == 1 || walk.strides[1][axis] != 1) continue;
    std::swap(walk.shape[axis], walk.shape[last - 1]);
    for (auto& operand : walk.strides) std::swap(operand[axis], operand[last - 1]);
  }
  plan.lines = walk.size() / walk.shape[last];
  plan.linesPerTile = std::max(isCrosswise(walk) ? squareSide : 1, elementsPerTile / walk.shape[last]);
  return plan;
}

/// A rectangle of `rows` lines of n elements, in squares small enough that the lines of x they touch stay cached.
template <class T>
void copySquares(
    T* y, const T* x, int64_t rows, int64_t n, int64_t rowY, int64_t rowX, int64_t strideY, int64_t strideX) {
  for (int64_t top = 0; top < rows; top += squareSide) {
    int64_t bottom = std::min(rows, top + squareSide);
    for (int64_t i = 0; i < n; i += squareSide) {
      int64_t width = std::min(squareSide, n - i);
      for (int64_t r = top; r < bottom; r++) {
        copyLine(y + r * rowY + i * strideY, x + r * rowX + i * strideX, strideY, strideX, width);
      }
    }
  }
}

/// Lines [first, last) of the walk, counted with the last but one axis changing fastest.
template <class T>
void copyLines(T* y, const T* x, const Broadcast<2>& walk, int64_t first, int64_t last) {
  int line = int(walk.rank) - 1;
  int64_t n = walk.shape[line];
  bool crosswise = isCrosswise(walk);
  for (int64_t at = first; at < last;) {
    int64_t rest = at;
    int64_t offsetY = 0;
    int64_t offsetX = 0;
    for (int axis = line - 1; axis >= 0; axis--) {
      int64_t index = rest % walk.shape[axis];
      rest /= walk.shape[axis];
      offsetY += index * walk.strides[0][axis];
      offsetX += index * walk.strides[1][axis];
    }
    int64_t rows = walk.rank > 1 ? std::min(last - at, walk.shape[line - 1] - at % walk.shape[line - 1]) : 1;
    int64_t rowY = walk.rank > 1 ? walk.strides[0][line - 1] : 0;
    int64_t rowX = walk.rank > 1 ? walk.strides[1][line - 1] : 0;
    int64_t strideY = walk.strides[0][line];
    int64_t strideX = walk.strides[1][line];
    if (crosswise) {
      copySquares(y + offsetY, x + offsetX, rows, n, rowY, rowX, strideY, strideX);
    } else {
      for (int64_t r = 0; r < rows; r++) {
        copyLine(y + offsetY + r * rowY, x + offsetX + r * rowX, strideY, strideX, n);
      }
    }
    at += rows;
  }
}

}  // namespace danu
