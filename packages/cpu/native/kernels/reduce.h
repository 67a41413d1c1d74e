// Reductions of [outer, reduced, inner] along the middle axis, over every type. Sums are formed in vectors of f32 over
// short stretches and in f64 beyond; the order depends on the shape alone.
#pragma once

#include <algorithm>
#include <cmath>

#include "convert-run.h"

namespace danu {

enum ReduceKind : int32_t { reduceSum, reduceMax, reduceMin, reduceKinds };

/// Rows that are added in working numbers before their sum goes to f64.
constexpr int64_t rowsPerPartial = 64;

/// One step of a reduction; max and min are NaN once they have met one.
template <int32_t kind, class V>
DANU_INLINE V reduceStep(V total, V x) {
  if constexpr (kind == reduceSum) return total + x;
  if constexpr (kind == reduceMax) return (x > total) | (x != x) ? x : total;
  if constexpr (kind == reduceMin) return (x < total) | (x != x) ? x : total;
}

template <int32_t kind>
constexpr double reduceIdentity = kind == reduceSum ? 0.0 : kind == reduceMax ? -INFINITY : INFINITY;

/// Reduces one run to a number; n elements, then padding to fill whole groups of vectors.
template <class R, int32_t kind>
double reduceRun(R* x, int64_t n) {
  using V = typename RunVector<R>::type;
  constexpr int lanes = sizeof(V) / sizeof(R);
  constexpr int64_t group = 4 * lanes;
  int64_t padded = (n + group - 1) / group * group;
  for (int64_t i = n; i < padded; i++) x[i] = R(reduceIdentity<kind>);
  V a = runVector(x), b = runVector(x + lanes), c = runVector(x + 2 * lanes), d = runVector(x + 3 * lanes);
  for (int64_t i = group; i < padded; i += group) {
    a = reduceStep<kind>(a, runVector(x + i));
    b = reduceStep<kind>(b, runVector(x + i + lanes));
    c = reduceStep<kind>(c, runVector(x + i + 2 * lanes));
    d = reduceStep<kind>(d, runVector(x + i + 3 * lanes));
  }
  a = reduceStep<kind>(reduceStep<kind>(a, b), reduceStep<kind>(c, d));
  double total = double(a[0]);
  for (int i = 1; i < lanes; i++) total = reduceStep<kind>(total, double(a[i]));
  return total;
}

/// How the work is cut, by shape alone: lines along the reduced axis into `chunks` of `chunkRows`, whose results are
/// combined in a second task where there are several; the inner axis into columns of at most one run.
struct ReducePlan {
  int64_t outer, reduced, inner;
  int64_t chunkRows, chunks;
  int64_t columns, columnTiles;

  int64_t units() const { return outer * chunks * columnTiles; }

  /// Units that make one tile: enough to be worth a worker's while.
  int64_t unitsPerTile() const {
    constexpr int64_t enough = 32768;
    return std::max<int64_t>(1, enough / std::max<int64_t>(1, chunkRows * columns));
  }
};

inline ReducePlan planReduce(int64_t outer, int64_t reduced, int64_t inner) {
  constexpr int64_t enoughUnits = 16;
  constexpr int64_t chunkElements = 32768;
  ReducePlan plan{outer, reduced, inner, reduced, 1, std::min(inner, runLength), 0};
  plan.columnTiles = (inner + plan.columns - 1) / plan.columns;
  if (outer * plan.columnTiles < enoughUnits && reduced * plan.columns > 2 * chunkElements) {
    int64_t rows = (chunkElements + plan.columns - 1) / plan.columns;
    plan.chunkRows = (rows + rowsPerPartial - 1) / rowsPerPartial * rowsPerPartial;
    plan.chunks = (reduced + plan.chunkRows - 1) / plan.chunkRows;
  }
  return plan;
}

/// Reduces n elements that lie one after another.
template <class R, int32_t kind>
double reduceLine(LoadRun<R> load, const void* x, int64_t first, int64_t n) {
  Run<R> buffer;
  double total = reduceIdentity<kind>;
  for (int64_t i = 0; i < n; i += runLength) {
    int64_t length = std::min(runLength, n - i);
    load(buffer.values, x, first + i, 1, length);
    total = reduceStep<kind>(total, reduceRun<R, kind>(buffer.values, length));
  }
  return total;
}

/// Reduces `columns` neighbouring lines of `rows` elements, `inner` apart.
template <class R, int32_t kind>
void reduceColumns(
    double* totals, LoadRun<R> load, int32_t dtype, const void* x, int64_t first, int64_t rows, int64_t inner,
    int64_t columns) {
  Run<R> partial, row;
  std::fill_n(totals, columns, reduceIdentity<kind>);
  for (int64_t start = 0; start < rows; start += rowsPerPartial) {
    R* into = partial.values;
    std::fill_n(into, runLength, R(reduceIdentity<kind>));
    for (int64_t r = start; r < std::min(rows, start + rowsPerPartial); r++) {
      const R* from = readRun(row.values, load, dtype, x, first + r * inner, columns);
      forRunVectors<R>(columns, [=](int64_t i) {
        runVector(into + i) = reduceStep<kind>(runVector(into + i), runVector(from + i));
      });
    }
    for (int64_t i = 0; i < columns; i++) totals[i] = reduceStep<kind>(totals[i], double(into[i]));
  }
}

/// Units [first, last) of a plan: results to `y`, of type f64 `[outer, chunks, inner]` or, with one chunk, of the final
/// type. A unit is one column tile of one chunk of one outer index, the column tile changing fastest.
template <class R, int32_t kind>
void reduceUnits(
    void* y, int32_t dtypeY, const void* x, int32_t dtypeX, const ReducePlan& plan, int64_t first, int64_t last) {
  Run<double> totals;
  auto load = loaderOf<R>(dtypeX);
  auto store = storerOf<double>(dtypeY);
  for (int64_t unit = first; unit < last;) {
    int64_t line = unit / plan.columnTiles;
    int64_t column = unit % plan.columnTiles * plan.columns;
    int64_t count = 0;
    if (plan.inner == 1) {
      for (; unit < last && count < runLength; unit++, count++) {
        int64_t start = unit % plan.chunks * plan.chunkRows;
        int64_t rows = std::min(plan.chunkRows, plan.reduced - start);
        totals.values[count] = reduceLine<R, kind>(load, x, unit / plan.chunks * plan.reduced + start, rows);
      }
    } else {
      count = std::min(plan.columns, plan.inner - column);
      int64_t start = line % plan.chunks * plan.chunkRows;
      int64_t rows = std::min(plan.chunkRows, plan.reduced - start);
      int64_t offset = (line / plan.chunks * plan.reduced + start) * plan.inner + column;
      reduceColumns<R, kind>(totals.values, load, dtypeX, x, offset, rows, plan.inner, count);
      unit++;
    }
    int64_t at = line * plan.inner + column;
    if (plan.chunks > 1) std::copy_n(totals.values, count, static_cast<double*>(y) + at);
    else store(y, at, totals.values, count);
  }
}

/// Combines the chunks of outer index `o` in order.
template <int32_t kind>
void combineChunks(void* y, int32_t dtype, const double* partials, const ReducePlan& plan, int64_t o) {
  Run<double> totals;
  auto store = storerOf<double>(dtype);
  for (int64_t column = 0; column < plan.inner; column += runLength) {
    int64_t count = std::min(runLength, plan.inner - column);
    std::fill_n(totals.values, count, reduceIdentity<kind>);
    for (int64_t chunk = 0; chunk < plan.chunks; chunk++) {
      const double* from = partials + (o * plan.chunks + chunk) * plan.inner + column;
      for (int64_t i = 0; i < count; i++) totals.values[i] = reduceStep<kind>(totals.values[i], from[i]);
    }
    store(y, o * plan.inner + column, totals.values, count);
  }
}

}  // namespace danu
