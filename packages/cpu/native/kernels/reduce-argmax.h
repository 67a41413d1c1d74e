// Position of the largest element along the middle axis of [outer, reduced, inner]: the first of equals; NaN counts as
// largest.
#pragma once

#include "reduce.h"

namespace danu {

/// Whether x comes before the best so far.
template <class R>
bool outranks(R x, R best) {
  return x > best || (x != x && best == best);
}

/// Position of the first of n numbers that equals `wanted`, or is NaN if that is; there is one.
template <class R>
int64_t firstOf(const R* x, R wanted) {
  constexpr int64_t step = 64;
  auto matches = [=](int64_t i) { return (x[i] == wanted) | ((x[i] != x[i]) & (wanted != wanted)); };
  for (int64_t i = 0; i < runLength; i += step) {
    int found = 0;
    for (int64_t j = i; j < i + step; j++) found |= matches(j);
    if (!found) continue;
    while (!matches(i)) i++;
    return i;
  }
  return 0;
}

template <class R>
int32_t argmaxLine(LoadRun<R> load, const void* x, int64_t first, int64_t n) {
  Run<R> buffer;
  R best = -R(INFINITY);
  int64_t at = 0;
  for (int64_t i = 0; i < n; i += runLength) {
    int64_t length = std::min(runLength, n - i);
    load(buffer.values, x, first + i, 1, length);
    R largest = R(reduceRun<R, reduceMax>(buffer.values, length));
    if (!outranks(largest, best)) continue;
    best = largest;
    at = i + firstOf(buffer.values, largest);
  }
  return int32_t(at);
}

/// Columns [column, column + count) of one outer index, whose elements start at `first`.
template <class R>
void argmaxColumns(
    int32_t* y, LoadRun<R> load, const void* x, int64_t first, int64_t reduced, int64_t inner, int64_t count) {
  Run<R> best, row;
  std::fill_n(best.values, count, -R(INFINITY));
  std::fill_n(y, count, 0);
  for (int64_t r = 0; r < reduced; r++) {
    load(row.values, x, first + r * inner, 1, count);
    for (int64_t i = 0; i < count; i++) {
      if (!outranks(row.values[i], best.values[i])) continue;
      best.values[i] = row.values[i];
      y[i] = int32_t(r);
    }
  }
}

/// Units [first, last) of a plan with one chunk, numbered as in `reduceUnits`.
template <class R>
void argmaxUnits(int32_t* y, const void* x, int32_t dtype, const ReducePlan& plan, int64_t first, int64_t last) {
  auto load = loaderOf<R>(dtype);
  for (int64_t unit = first; unit < last; unit++) {
    int64_t line = unit / plan.columnTiles;
    int64_t column = unit % plan.columnTiles * plan.columns;
    int64_t offset = line * plan.reduced * plan.inner + column;
    int32_t* into = y + line * plan.inner + column;
    if (plan.inner == 1) *into = argmaxLine<R>(load, x, offset, plan.reduced);
    else argmaxColumns<R>(into, load, x, offset, plan.reduced, plan.inner, std::min(plan.columns, plan.inner - column));
  }
}

}  // namespace danu
