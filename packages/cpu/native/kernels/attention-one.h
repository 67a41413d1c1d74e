// Attention of the queries of one position (decoding), which all see the same keys: keys and values are read once, as
// they lie, so the speed is that of memory. Blocks of lanes would be nearly empty here.
//
// The heads of a key lie side by side, so those of one head alone would be read in small pieces, which escape the
// hardware's prefetching. So a tile is a part of the keys with all their heads, and goes through it by steps that the
// caches hold until the last head has been there.
#pragma once

#include <cmath>

#include "../runtime/queue.h"
#include "attention-operand.h"
#include "attention-shape.h"
#include "attention-softmax.h"
#include "few-rows.h"

namespace danu {

/// Most queries of one position that share keys; for more, lanes are filled well enough.
constexpr int mostQueries = 8;

/// Keys of a step, by the size of their rows in f32: most and fewest, multiples of those multiplied at once.
constexpr int64_t mostStepKeys = 64, fewestStepKeys = 4;
constexpr int64_t stepBytes = int64_t(64) << 10;

/// Most elements in the row of a key, all heads together.
constexpr int64_t mostRowElements = 32 << 10;

/// Queries whose values are summed at once, and the vectors of them that leave the sums in registers.
constexpr int queriesOfValues = 4;
constexpr int vectorsOfValues(int queries) { return queries == 1 ? 8 : queries <= 3 ? 4 : 2; }

/// What is known of a query after some keys.
struct OneState {
  float* sums;     // of the weighted values [D, padded to whole vectors]
  float* largest;  // score
  float* sum;      // of exponentials relative to it

  OneState(float* memory, int64_t D) : sums(memory), largest(memory + paddedLanes(D)), sum(largest + 1) {}

  /// Floats of one, in whole vectors.
  static int64_t size(int64_t D) { return paddedLanes(D) + W; }
};

/// What a worker keeps of one part of the keys, in f32.
struct OneScratch {
  float queries[mostQueries * mostRowElements];
  float keys[fewestStepKeys * mostRowElements];
  float values[fewestStepKeys * mostRowElements];
};
static_assert(fewestStepKeys * mostRowElements * 4 >= stepBytes && sizeof(OneScratch) <= workerScratchBytes);

template <class T>
struct OneCall {
  AttentionShape shape;
  const T *q, *k, *v;
  T* o;
  float* lse;
  int parts;      // that the keys of a batch element are cut into
  float* states;  // [B, parts, H, OneState::size]

  OneState state(int64_t b, int64_t part, int64_t head) const {
    return {states + ((b * parts + part) * shape.H + head) * OneState::size(shape.D), shape.D};
  }
};

/// Copies elements as f32: from memory, once, in the order in which they lie.
template <class T>
void stage(float* to, const T* from, int64_t count) {
  // The hardware's prefetching stops where a stage ends; what is asked for beyond it is the next one's.
  constexpr int64_t line = 64 / sizeof(T), ahead = 32 * line;
  int64_t i = 0;
  for (; i + line <= count; i += line) {
    __builtin_prefetch(from + i + ahead);
    unroll<line / W>([&](auto j) DANU_LAMBDA { store(to + i + j * W, load(from + i + j * W)); });
  }
  for (; i < count; i += W) {
    const int lanes = int(std::min<int64_t>(W, count - i));
    store(to + i, load(from + i, lanes), lanes);
  }
}

/// Scores of Queries queries that lie side by side for `count` keys, to rows of `mostStepKeys`.
template <int Queries>
void scoreKeys(const float* queries, int64_t D, const float* keys, int64_t stride, int count, float* scores) {
  constexpr int together = 4;
  alignas(64) float products[Queries * together];
  int key = 0;
  for (; key + together <= count; key += together) {
    multiplyFew<float, Queries, together>(queries, D, keys + key * stride, stride, D, products);
    for (int i = 0; i < Queries; i++) std::copy_n(products + i * together, together, scores + i * mostStepKeys + key);
  }
  for (; key < count; key++) {
    multiplyFew<float, Queries, 1>(queries, D, keys + key * stride, 0, D, products);
    for (int i = 0; i < Queries; i++) scores[i * mostStepKeys + key] = products[i];
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

/// Adds weighted values to Vectors vectors of the sums of Queries queries; the last vector has `lanes` lanes.
template <int Queries, int Vectors>
void addValues(const float* weights, const float* values, int64_t stride, int keys, int lanes, float* to,
               int64_t toRow) {
  vf sums[Queries * Vectors];
  unroll<Queries * Vectors>([&](auto i) DANU_LAMBDA { sums[i] = load(to + i / Vectors * toRow + i % Vectors * W); });
  for (int key = 0; key < keys; key++) {
    const float* value = values + key * stride;
    vf weight[Queries];
    unroll<Queries>([&](auto i) DANU_LAMBDA { weight[i] = splat(weights[i * mostStepKeys + key]); });
    unroll<Vectors>([&](auto j) DANU_LAMBDA {
      const vf x = Vectors > 1 || lanes == W ? load(value + j * W) : load(value, lanes);
      unroll<Queries>([&](auto i) DANU_LAMBDA { sums[i * Vectors + j] += weight[i] * x; });
    });
  }
  unroll<Queries * Vectors>([&](auto i) DANU_LAMBDA { store(to + i / Vectors * toRow + i % Vectors * W, sums[i]); });
}

/// Adds weighted values to the sums of Queries queries, `toRow` apart.
template <int Queries>
void addAllValues(const float* weights, const float* values, int64_t stride, int64_t D, int keys, float* to,
                  int64_t toRow) {
  constexpr int vectors = vectorsOfValues(Queries);
  int64_t d = 0;
  for (; d + vectors * W <= D; d += vectors * W) {
    addValues<Queries, vectors>(weights, values + d, stride, keys, W, to + d, toRow);
  }
  for (; d < D; d += W) {
    const int lanes = int(std::min<int64_t>(W, D - d));
    addValues<Queries, 1>(weights, values + d, stride, keys, lanes, to + d, toRow);
  }
}

/// Calls `f(integral_constant<some>, first)` for queries [first, first + some), up to Most at a time and evenly.
template <int Most, class F>
DANU_INLINE void byQueries(int count, F f) {
  const int blocks = (count + Most - 1) / Most;
  for (int block = 0; block < blocks; block++) {
    const int first = count * block / blocks, some = count * (block + 1) / blocks - first;
    unroll<Most>([&](auto i) DANU_LAMBDA {
      if (some == i + 1) f(std::integral_constant<int, i + 1>{}, first);
    });
  }
}

/// Adds some keys to what the queries of one key-value head know. Rows of keys and values are `stride` apart.
inline void attendStep(const AttentionShape& shape, const float* queries, const float* keys, const float* values,
                       int64_t stride, int count, OneState first) {
  const int64_t D = shape.D, between = OneState::size(D);
  const int group = int(shape.group());
  alignas(64) float scores[mostQueries * mostStepKeys];
  byQueries<fewRowsAtOnce<float>>(group, [&](auto some, int i) DANU_LAMBDA {
    scoreKeys<some>(queries + i * D, D, keys, stride, count, scores + i * mostStepKeys);
  });
  for (int i = 0; i < group; i++) {
    OneState state(first.sums + i * between, D);
    const float factor = shape.scale * log2e;
    const float rescale = weighScores(scores + i * mostStepKeys, count, factor, *state.largest, *state.sum);
    if (rescale == 1) continue;
    for (int64_t d = 0; d < D; d += W) store(state.sums + d, load(state.sums + d) * rescale);
  }
  byQueries<queriesOfValues>(group, [&](auto some, int i) DANU_LAMBDA {
    addAllValues<some>(scores + i * mostStepKeys, values, stride, D, count, first.sums + i * between, between);
  });
}

/// One part of the keys, for all heads of a batch element.
template <class T>
void attendPart(const OneCall<T>& call, int64_t tile) {
  const AttentionShape& shape = call.shape;
  auto& scratch = *static_cast<OneScratch*>(workerScratch());
  const int64_t b = tile / call.parts, part = tile % call.parts, D = shape.D, row = shape.keyValueHeads * D;
  const int64_t first = shape.firstVisible(b, shape.S - 1), seen = shape.S - first;
  const int64_t end = first + seen * (part + 1) / call.parts;
  for (int64_t head = 0; head < shape.H; head++) {
    const OneState state = call.state(b, part, head);
    std::fill_n(state.sums, paddedLanes(D), 0.0f);
    *state.largest = unseenScore;
    *state.sum = 0;
  }
  stage(scratch.queries, call.q + b * shape.H * D, shape.H * D);
  const int64_t fitting = stepBytes / (row * 4) / fewestStepKeys * fewestStepKeys;
  const int64_t step = std::clamp(fitting, fewestStepKeys, mostStepKeys);
  for (int64_t key = first + seen * part / call.parts; key < end; key += step) {
    const int64_t count = std::min(step, end - key), at = (b * shape.S + key) * row;
    stage(scratch.keys, call.k + at, count * row);
    stage(scratch.values, call.v + at, count * row);
    for (int64_t head = 0; head < shape.keyValueHeads; head++) {
      const int64_t query = head * shape.group();
      attendStep(shape, scratch.queries + query * D, scratch.keys + head * D, scratch.values + head * D, row, int(count),
                 call.state(b, part, query));
    }
  }
}

/// Joins the parts of one query, in their order, and writes what it gets.
template <class T>
void joinParts(const OneCall<T>& call, int64_t b, int64_t head) {
  const AttentionShape& shape = call.shape;
  const float factor = shape.scale * log2e;
  const OneState joined = call.state(b, 0, head);
  for (int64_t part = 1; part < call.parts; part++) {
    const OneState other = call.state(b, part, head);
    const float top = std::max(*joined.largest, *other.largest);
    const vf mine = exp2(splat((*joined.largest - top) * factor));
    const vf theirs = exp2(splat((*other.largest - top) * factor));
    for (int64_t d = 0; d < shape.D; d += W) {
      store(joined.sums + d, load(joined.sums + d) * mine + load(other.sums + d) * theirs);
    }
    *joined.sum = *joined.sum * mine[0] + *other.sum * theirs[0];
    *joined.largest = top;
  }
  const float inverse = 1 / *joined.sum;
  T* o = call.o + (b * shape.H + head) * shape.D;
  for (int64_t d = 0; d < shape.D; d += W) {
    const vf value = load(joined.sums + d) * inverse;
    if (d + W <= shape.D) store(o + d, value);
    else store(o + d, value, int(shape.D - d));
  }
  call.lse[b * shape.H + head] = shape.scale * *joined.largest + std::log(*joined.sum);
}

/// Whether the queries are those of one position, and few.
inline bool isOnePosition(const AttentionShape& shape) {
  return shape.T == 1 && shape.group() <= mostQueries && shape.keyValueHeads * shape.D <= mostRowElements;
}

/// o = softmax(scale · q kᵀ) v and the logarithms of its sums, for one position. The keys are cut into as many parts as
/// keep many workers busy; the cut depends on the sizes alone. Returns false when there is no memory for the parts.
template <class T>
bool attentionOne(Queue& queue, OneCall<T> call) {
  constexpr int64_t enoughTiles = 64, leastWork = int64_t(256) << 10;
  const AttentionShape& shape = call.shape;
  const int64_t most = std::min(enoughTiles / shape.B, shape.longestRange() * shape.H * shape.D / leastWork);
  call.parts = int(std::max<int64_t>(1, most));
  const int64_t states = shape.B * call.parts * shape.H;
  call.states = (float*)queue.memory.allocate(size_t(states * OneState::size(shape.D)) * sizeof(float));
  if (!call.states) return false;
  submit(queue, int(shape.B * call.parts), [call](int tile) {
    attendPart(call, tile);
    if (call.parts > 1) return;
    for (int64_t head = 0; head < call.shape.H; head++) joinParts(call, tile, head);
  });
  if (call.parts > 1) {
    submit(queue, int(shape.pairs()), [call](int tile) {
      const HeadPair pair(call.shape, tile);
      const int64_t group = call.shape.group();
      for (int64_t i = 0; i < group; i++) joinParts(call, pair.b, pair.head * group + i);
    });
  }
  queue.memory.free(call.states);
  return true;
}

}  // namespace danu
