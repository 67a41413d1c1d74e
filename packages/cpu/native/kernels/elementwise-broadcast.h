// Walking K broadcasting operands along one contiguous result.
#pragma once

#include <algorithm>

#include "convert-run.h"

namespace danu {

constexpr int maxRank = 8;

/// Shape of the result, outermost axis first, and the strides of K operands in elements; 0 repeats an operand.
template <int K>
struct Broadcast {
  int64_t rank;
  int64_t shape[maxRank];
  int64_t strides[K][maxRank];
  bool contiguous[K];  // the operand lies in the order of the result

  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= shape[i];
    return n;
  }
};

/// The same walk with as few axes as possible: axes of size 1 dropped, neighbours merged where every operand steps
/// through both as through one. Has at least one axis.
template <int K>
Broadcast<K> collapse(int64_t rank, const int64_t* shape, const int64_t* const (&strides)[K]) {
  Broadcast<K> y;
  y.rank = 0;
  for (int64_t i = 0; i < rank; i++) {
    if (shape[i] == 1) continue;
    int64_t last = y.rank - 1;
    bool merges = last >= 0;
    for (int k = 0; k < K && merges; k++) merges = y.strides[k][last] == strides[k][i] * shape[i];
    if (!merges) {
      last = y.rank++;
      y.shape[last] = 1;
    }
    y.shape[last] *= shape[i];
    for (int k = 0; k < K; k++) y.strides[k][last] = strides[k][i];
  }
  if (y.rank == 0) {
    y.rank = 1;
    y.shape[0] = 1;
    for (int k = 0; k < K; k++) y.strides[k][0] = 0;
  }
  for (int k = 0; k < K; k++) {
    int64_t expected = 1;
    y.contiguous[k] = true;
    for (int64_t axis = y.rank - 1; axis >= 0; axis--) {
      y.contiguous[k] &= y.strides[k][axis] == expected;
      expected *= y.shape[axis];
    }
  }
  return y;
}

/// Elements [first, first + n) of the result's order, read from operand k into `buffer`; whole runs of
/// a contiguous f32 operand are returned where they lie.
template <class R, int K>
const R* loadOperand(
    R* buffer, LoadRun<R> load, int32_t dtype, const void* x, const Broadcast<K>& index, int k, int64_t first,
    int64_t n) {
  const int64_t* strides = index.strides[k];
  int last = int(index.rank) - 1;
  if (index.contiguous[k]) return readRun(buffer, load, dtype, x, first, n);
  int64_t at[maxRank];
  int64_t rest = first;
  int64_t offset = 0;
  for (int axis = last; axis >= 0; axis--) {
    at[axis] = rest % index.shape[axis];
    rest /= index.shape[axis];
    offset += at[axis] * strides[axis];
  }
  for (int64_t done = 0; done < n;) {
    int64_t length = std::min(n - done, index.shape[last] - at[last]);
    load(buffer + done, x, offset, strides[last], length);
    done += length;
    offset += length * strides[last];
    at[last] += length;
    for (int axis = last; axis > 0 && at[axis] == index.shape[axis]; axis--) {
      offset += strides[axis - 1] - at[axis] * strides[axis];
      at[axis] = 0;
      at[axis - 1]++;
    }
  }
  return buffer;
}

}  // namespace danu
