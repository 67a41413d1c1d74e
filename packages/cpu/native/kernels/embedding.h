// Rows picked from a table by index, and the gradient of that: rows added up by index in a fixed order.
#pragma once

#include <cstring>

#include "convert.h"

namespace danu {

/// y[i] = table[ids[i]] for rows [first, last) of `rowBytes`; a row whose id is outside [0, V) is zeroed.
/// `invalid(id)` hears of it.
template <class Invalid>
void gatherRows(
    char* y, const char* table, const int32_t* ids, int64_t rowBytes, int64_t V, int64_t first, int64_t last,
    Invalid invalid) {
  for (int64_t i = first; i < last; i++) {
    int32_t id = ids[i];
    if (id >= 0 && id < V) {
      std::memcpy(y + i * rowBytes, table + id * rowBytes, size_t(rowBytes));
    } else {
      std::memset(y + i * rowBytes, 0, size_t(rowBytes));
      invalid(id);
    }
  }
}

/// Positions of the ids in counting-sort order: those of id v are order[starts[v] … starts[v + 1]), ascending.
/// Ids outside [0, V) are left out, and `invalid(id)` hears of each.
/// @param starts [V + 2]  @param order [n]
template <class Invalid>
void sortByRow(int32_t* starts, int32_t* order, const int32_t* ids, int64_t n, int64_t V, Invalid invalid) {
  std::memset(starts, 0, size_t(V + 2) * sizeof(int32_t));
  for (int64_t i = 0; i < n; i++) {
    if (ids[i] >= 0 && ids[i] < V) starts[ids[i] + 2]++;
    else invalid(ids[i]);
  }
  for (int64_t v = 0; v < V; v++) starts[v + 2] += starts[v + 1];
  // starts[v + 1] is now where the next position of v goes, and ends as where those of v + 1 begin.
  for (int64_t i = 0; i < n; i++) {
    if (ids[i] >= 0 && ids[i] < V) order[starts[ids[i] + 1]++] = int32_t(i);
  }
}

/// dw[v] = Σ dy[i] over the positions i of v, in ascending order, for table rows [first, last); zero where there are
/// none.
template <class T>
void scatterAddRows(
    float* dw, const int32_t* starts, const int32_t* order, const T* dy, int64_t C, int64_t first, int64_t last) {
  for (int64_t v = first; v < last; v++) {
    float* y = dw + v * C;
    int32_t begin = starts[v];
    int32_t end = starts[v + 1];
    if (begin == end) std::memset(y, 0, size_t(C) * sizeof(float));
    for (int32_t at = begin; at < end; at++) {
      const T* x = dy + order[at] * C;
      if (at == begin) {
        forVectors(C, [=](int64_t i, auto count) { store(y + i, load(x + i, count), count); });
      } else {
        forVectors(C, [=](int64_t i, auto count) { store(y + i, load(y + i, count) + load(x + i, count), count); });
      }
    }
  }
}

}  // namespace danu
