// Attention of the queries of one position (decoding), which all see the same keys: keys and values are read once, where
// they lie, so the speed is that of memory. Blocks of lanes would be nearly empty here.
#pragma once

#include "../runtime/queue.h"
#include "attention-shape.h"
#include "attention-softmax.h"
#include "few-rows.h"

namespace danu {

/// Most queries of one position that share keys; for more, lanes are filled well enough.
constexpr int mostQueries = 8;

/// Keys whose scores are formed at once: a multiple of those multiplied at once, and of every vector.
constexpr int keysAtOnce = 64;

/// Queries whose values are summed at once, and the vectors of them that leave the sums in registers.
constexpr int queriesOfValues = 4;
constexpr int vectorsOfValues(int queries) { return queries == 1 ? 8 : queries == 2 ? 4 : 2; }

/// What a worker keeps of one part of the keys.
struct alignas(64) OneScratch {
  float scores[mostQueries * keysAtOnce];  // then the weights of the values
  float outputs[mostQueries * maxHeadSize];
};

/// Scores of Queries queries that lie side by side for `keys` keys, to rows of `keysAtOnce`.
template <class T, int Queries>
void scoreKeys(const T* queries, KeyRows<const T> rows, int64_t key0, int keys, float* scores) {
  constexpr int together = 4;
  alignas(64) float products[Queries * together];
  int key = 0;
  for (; key + together <= keys; key += together) {
    multiplyFew<T, Queries, together>(queries, rows.D, rows[key0 + key], rows.stride, rows.D, products);
    for (int i = 0; i < Queries; i++) std::copy_n(products + i * together, together, scores + i * keysAtOnce + key);
  }
  for (; key < keys; key++) {
    multiplyFew<T, Queries, 1>(queries, rows.D, rows[key0 + key], 0, rows.D, products);
    for (int i = 0; i < Queries; i++) scores[i * keysAtOnce + key] = products[i];
  }
}

/// Turns the scores of a query into exponentials relative to the largest so far. Scores behind the keys are written.
/// @returns the factor for what was summed before
inline float weighScores(float* scores, int keys, float factor, float& largestSoFar, float& sumSoFar) {
  const int padded = (keys + W - 1) / W * W;
  std::fill(scores + keys, scores + padded, unseenScore);
  vf top = splat(largestSoFar);
  for (int n = 0; n < padded; n += W) top = max(load(scores + n), top);
  const float most = largest(top);
  vf total = zero();
  for (int n = 0; n < padded; n += W) {
    vf s = load(scores + n);
    vf e = exp2((s - most) * factor);
    e = select(s == splat(unseenScore), zero(), e);
    store(scores + n, e);
    total += e;
  }
  const float rescale = exp2(splat((largestSoFar - most) * factor))[0];
  largestSoFar = most;
  sumSoFar = sumSoFar * rescale + sum(total);
  return rescale;
}

/// Adds weighted values to Vectors vectors of the outputs of Queries queries; the last vector has `lanes` lanes.
template <class T, int Queries, int Vectors>
void addValues(const float* weights, const T* values, int64_t stride, int keys, int lanes, float* outputs) {
  vf sums[Queries * Vectors];
  unroll<Queries * Vectors>([&](auto i) DANU_LAMBDA {
    sums[i] = load(outputs + i / Vectors * maxHeadSize + i % Vectors * W);
  });
  for (int key = 0; key < keys; key++) {
    const T* value = values + key * stride;
    unroll<Vectors>([&](auto j) DANU_LAMBDA {
      const vf x = Vectors > 1 || lanes == W ? load(value + j * W) : load(value, lanes);
      unroll<Queries>([&](auto i) DANU_LAMBDA { sums[i * Vectors + j] += splat(weights[i * keysAtOnce + key]) * x; });
    });
  }
  unroll<Queries * Vectors>([&](auto i) DANU_LAMBDA {
    store(outputs + i / Vectors * maxHeadSize + i % Vectors * W, sums[i]);
  });
}

/// Adds weighted values to the outputs of Queries queries.
template <class T, int Queries>
void addAllValues(const float* weights, KeyRows<const T> rows, int64_t key0, int keys, float* outputs) {
  constexpr int vectors = vectorsOfValues(Queries);
  const T* values = rows[key0];
  int64_t d = 0;
  for (; d + vectors * W <= rows.D; d += vectors * W) {
    addValues<T, Queries, vectors>(weights, values + d, rows.stride, keys, W, outputs + d);
  }
  for (; d < rows.D; d += W) {
    const int lanes = int(std::min<int64_t>(W, rows.D - d));
    addValues<T, Queries, 1>(weights, values + d, rows.stride, keys, lanes, outputs + d);
  }
}

/// Calls `f(integral_constant<count>, first)` for queries [0, count), up to Most at a time.
template <int Most, class F>
DANU_INLINE void byQueries(int count, F f) {
  int first = 0;
  for (; first + Most <= count; first += Most) f(std::integral_constant<int, Most>{}, first);
  if constexpr (Most > 1) {
    byQueries<Most - 1>(count - first, [=](auto some, int at) DANU_LAMBDA { f(some, first + at); });
  }
}

/// As `attendKeys`, for the queries of one position: sums of values to `outputs` [D, queryLanes], a lane a query.
template <class T>
void attendOne(const AttentionShape& shape, KeyRows<const T> keyRows, KeyRows<const T> valueRows, const T* queries,
               int count, int64_t key0, int64_t keyEnd, float* outputs, SoftmaxState& state, OneScratch& scratch) {
  const int64_t D = shape.D;
  const float factor = shape.scale * log2e;
  state.reset();
  std::fill_n(scratch.outputs, size_t(count) * maxHeadSize, 0.0f);
  for (int64_t key = key0; key < keyEnd; key += keysAtOnce) {
    const int keys = int(std::min<int64_t>(keysAtOnce, keyEnd - key));
    const int64_t nextEnd = std::min<int64_t>(key + 2 * keysAtOnce, keyEnd);
    keyRows.prefetch(key + keys, nextEnd);
    byQueries<fewRowsAtOnce>(count, [&](auto some, int first) DANU_LAMBDA {
      scoreKeys<T, some>(queries + first * D, keyRows, key, keys, scratch.scores + first * keysAtOnce);
    });
    for (int i = 0; i < count; i++) {
      const float rescale = weighScores(scratch.scores + i * keysAtOnce, keys, factor, state.largest[i], state.sum[i]);
      float* sums = scratch.outputs + i * maxHeadSize;
      for (int64_t d = 0; d < D; d += W) store(sums + d, load(sums + d) * rescale);
    }
    valueRows.prefetch(key + keys, nextEnd);
    byQueries<queriesOfValues>(count, [&](auto some, int first) DANU_LAMBDA {
      addAllValues<T, some>(scratch.scores + first * keysAtOnce, valueRows, key, keys,
                            scratch.outputs + first * maxHeadSize);
    });
  }
  for (int64_t d = 0; d < D; d++) {
    for (int i = 0; i < count; i++) outputs[d * queryLanes + i] = scratch.outputs[i * maxHeadSize + d];
  }
}

}  // namespace danu
