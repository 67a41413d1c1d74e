// Attention backward. Positions are cut into spans; span c of keys meets span j of queries in one tile, which adds to
// dK and dV of c and to dQ of j. Phase s runs the tiles (c, c + s) of all c: no two of them share a sum, and every sum
// grows in the order of the phases, so that five products a pair suffice and the bits do not depend on the threads.
#pragma once

#include "../runtime/queue.h"
#include "attention-operand.h"
#include "attention-shape.h"
#include "attention-softmax.h"

namespace danu {

/// Most positions of a span, for its keys and their sums to stay in the second-level cache.
constexpr int64_t longestSpan = 3 * keyTile;

/// Positions of a span: the fewest spans that keep many workers busy, of about equal sizes. Even, so that pairs of keys
/// do not straddle spans; multiples of 20 make whole query blocks of groups of four.
inline int64_t spanOf(const AttentionShape& shape) {
  constexpr int64_t enoughTiles = 32, multiple = 20;
  int64_t span = longestSpan;
  while (span > keyTile && shape.pairs() * ((shape.S + span - 1) / span) < enoughTiles) span -= keyTile;
  int64_t spans = (shape.S + span - 1) / span;
  return ((shape.S + spans - 1) / spans + multiple - 1) / multiple * multiple;
}

template <class T>
struct BackwardCall {
  AttentionShape shape;
  T *dQ, *dK, *dV;
  const T *dO, *q, *k, *v, *o;
  const float* lse;
  int64_t span, spans;  // positions of a span, spans of S positions
  int64_t blocks;       // query blocks of a span
  float* dQSums;        // [pairs, spans, blocks, D, queryLanes]
  float *dKSums, *dVSums;  // [pairs, S, paddedD]
  float *logSum, *delta;   // [pairs, rows]

  int64_t paddedD() const { return paddedLanes(shape.D); }
  float* dQPanel(int64_t pair, int64_t queries, int64_t block) const {
    return dQSums + ((pair * spans + queries) * blocks + block) * shape.D * queryLanes;
  }
  /// First query row of a span; that of the span behind the last is the number of rows.
  int64_t firstRow(int64_t queries) const {
    return std::clamp<int64_t>(queries * span - shape.firstPosition(), 0, shape.T) * shape.group();
  }
};

/// What a worker keeps of one tile: the keys of the span, one block of queries, one tile of scores.
template <class Operands>
struct alignas(64) BackwardScratch {
  static constexpr int pairRows = Operands::perUnit == 1 ? 1 : mostKeys;
  Unit keys[longestSpan * maxHeadSize];
  Unit values[longestSpan * maxHeadSize / Operands::perUnit];
  Unit keyPairs[Operands::perUnit == 1 ? 16 : longestSpan / 2 * maxHeadSize];
  Unit rows[Operands::perUnit == 1 ? 16 : queryLanes * maxHeadSize / 2];
  Unit qDepth[maxHeadSize * queryLanes], dODepth[maxHeadSize * queryLanes];
  Unit qRows[queryLanes * maxHeadSize], dORows[queryLanes * maxHeadSize];
  float scores[(mostKeys + 1) * queryLanes], dP[(mostKeys + 1) * queryLanes];
  Unit weightRows[pairRows * queryLanes / 2], gradientRows[pairRows * queryLanes / 2];
  Unit gradientDepth[pairRows / 2 * queryLanes + 16];
  RowStatistics statistics;
};

/// A block of queries twice: units of the head as depth and lanes as columns, then lanes as depth and the head as
/// columns.
template <class Operands, class T>
void prepareRows(Unit* depth, Unit* lanes, Unit* staging, QueryRows<const T> rows, const QueryBlock& block) {
  int padded = block.vectors * W;
  int64_t D = rows.D;
  Unit* staged = Operands::perUnit == 1 ? lanes : staging;
  stageRows<Operands>(staged, rows, block.row0, block.rows, padded, D);
  transposeUnits(depth, queryLanes, staged, stagedRow<Operands>(D), block.vectors, unitsOf<Operands>(D));
  if constexpr (Operands::perUnit == 2) interleaveRows(lanes, paddedLanes(D), rows, block.row0, block.rows, D);
}

template <class T>
void loadStatistics(const BackwardCall<T>& call, int64_t pair, const QueryBlock& block, RowStatistics& to) {
  int64_t from = pair * call.shape.rows() + block.row0;
  for (int i = 0; i < block.vectors * W; i++) {
    // Lanes past the rows weigh nothing.
    to.logSum[i] = i < block.rows ? call.logSum[from + i] : -unseenScore;
    to.delta[i] = i < block.rows ? call.delta[from + i] : 0.0f;
  }
}

/// The keys and values of a span as operands.
struct SpanOperands {
  KeyOperand k, v;  // keys as rows
  KeyOperand kDepth;
};

/// One block of queries against the keys [key0, keyEnd) of the span that begins at `spanKey`.
template <class T, class Operands = OperandsOf<T>>
void backwardBlock(const BackwardCall<T>& call, int64_t pairIndex, const QueryBlock& block, const SpanOperands& span,
                   int64_t spanKey, int64_t key0, int64_t keyEnd, int64_t rowEnd, float* dQ, bool fresh) {
  using Multiply = typename Operands::Multiply;
  constexpr bool pairs = Operands::perUnit == 2;
  auto& scratch = *static_cast<BackwardScratch<Operands>*>(workerScratch());
  const AttentionShape& shape = call.shape;
  HeadPair pair(shape, pairIndex);
  const int64_t D = shape.D, paddedD = call.paddedD();
  const int depth = int(unitsOf<Operands>(D)), vectors = block.vectors, headVectors = int(paddedD / W);
  const int laneDepth = int(unitsOf<Operands>(block.rows));
  prepareRows<Operands, T>(scratch.qDepth, scratch.qRows, scratch.rows, {shape, pair, call.q}, block);
  prepareRows<Operands, T>(scratch.dODepth, scratch.dORows, scratch.rows, {shape, pair, call.dO}, block);
  // The next block comes from far away, while this one is computed.
  int64_t next = block.row0 + queryLanes, nextEnd = std::min(next + queryLanes, rowEnd);
  QueryRows<const T>(shape, pair, call.q).prefetch(next, nextEnd);
  QueryRows<const T>(shape, pair, call.dO).prefetch(next, nextEnd);
  loadStatistics(call, pairIndex, block, scratch.statistics);
  GradientOperands out{scratch.weightRows, scratch.gradientRows, scratch.gradientDepth};
  const Unit* weights = pairs ? scratch.weightRows : (Unit*)scratch.scores;
  const Unit* gradients = pairs ? scratch.gradientRows : (Unit*)scratch.dP;
  const Unit* gradientDepth = pairs ? scratch.gradientDepth : (Unit*)scratch.dP;
  constexpr int64_t laneRow = queryLanes / Operands::perUnit;

  int keys;
  for (int64_t key = key0; key < keyEnd; key += keys, fresh = false) {
    keys = nextKeyTile(keyEnd - key);
    int64_t at = key - spanKey;
    multiply<Multiply>({span.k.units + at * span.k.keyStride, span.k.keyStride, 1, scratch.qDepth, queryLanes,
                        scratch.scores, queryLanes, keys, depth, vectors, true, nullptr});
    multiply<Multiply>({span.v.units + at * span.v.keyStride, span.v.keyStride, 1, scratch.dODepth, queryLanes,
                        scratch.dP, queryLanes, keys, depth, vectors, true, nullptr});
    softmaxGradient<Operands>(scratch.scores, scratch.dP, out, scratch.statistics, block, key, keys,
                              shape.scale * log2e, shape.scale);
    int64_t sums = (pairIndex * shape.S + key) * paddedD;
    multiply<Multiply>({weights, laneRow, 1, scratch.dORows, paddedD, call.dVSums + sums, paddedD, keys, laneDepth,
                        headVectors, false, nullptr});
    multiply<Multiply>({gradients, laneRow, 1, scratch.qRows, paddedD, call.dKSums + sums, paddedD, keys, laneDepth,
                        headVectors, false, nullptr});
    multiply<Multiply>({span.kDepth.units + at / Operands::perUnit * span.kDepth.keyStride, 1, span.kDepth.keyStride,
                        gradientDepth, queryLanes, dQ, queryLanes, int(D), int(unitsOf<Operands>(keys)), vectors, fresh,
                        nullptr});
  }
}

/// Keys of span `keySpan` against the queries of span `querySpan`; the tiles of a span with itself start its sums.
template <class T, class Operands = OperandsOf<T>>
void backwardTile(const BackwardCall<T>& call, int64_t pairIndex, int64_t keySpan, int64_t querySpan) {
  static_assert(sizeof(BackwardScratch<Operands>) <= workerScratchBytes);
  const AttentionShape& shape = call.shape;
  HeadPair pair(shape, pairIndex);
  const int64_t D = shape.D, spanKey = keySpan * call.span, spanEnd = std::min(spanKey + call.span, shape.S);
  const int count = int(spanEnd - spanKey);
  if (keySpan == querySpan) {
    int64_t first = (pairIndex * shape.S + spanKey) * call.paddedD();
    size_t bytes = size_t(count * call.paddedD()) * sizeof(float);
    std::memset(call.dKSums + first, 0, bytes);
    std::memset(call.dVSums + first, 0, bytes);
  }
  auto& scratch = *static_cast<BackwardScratch<Operands>*>(workerScratch());
  SpanOperands span;
  bool loaded = false;
  int64_t rowEnd = call.firstRow(querySpan + 1);
  int64_t row = call.firstRow(querySpan);
  for (int64_t i = 0; row < rowEnd; i++, row += queryLanes) {
    QueryBlock block(shape, pair, row, rowEnd);
    // Pairs of keys begin at even distances from the span's first.
    int64_t key0 = std::max<int64_t>(spanKey, block.minFirst) & ~int64_t(Operands::perUnit - 1);
    int64_t keyEnd = std::min<int64_t>(spanEnd, block.maxPosition + 1);
    if (key0 >= keyEnd) continue;
    if (!loaded) {
      KeyRows<const T> k(shape, pair, call.k), v(shape, pair, call.v);
      span.k = keysAsRows<Operands>(scratch.keys, k, spanKey, count, D);
      span.v = keysAsRows<Operands>(scratch.values, v, spanKey, count, D);
      span.kDepth = Operands::perUnit == 1 ? span.k : keysAsDepth<Operands>(scratch.keyPairs, k, spanKey, count, D);
      loaded = true;
    }
    backwardBlock(call, pairIndex, block, span, spanKey, key0, keyEnd, rowEnd,
                  call.dQPanel(pairIndex, querySpan, i), keySpan == querySpan);
  }
}

/// log2 of the sums of exponentials, and Σ dO·O, of the rows of one key-value head in [row0, rowEnd).
template <class T>
void rowStatistics(const BackwardCall<T>& call, int64_t pairIndex, int64_t row0, int64_t rowEnd) {
  const AttentionShape& shape = call.shape;
  HeadPair pair(shape, pairIndex);
  QueryRows<const T> dO(shape, pair, call.dO), o(shape, pair, call.o);
  int64_t group = shape.group();
  for (int64_t row = row0; row < rowEnd; row++) {
    const T *a = dO[row], *b = o[row];
    vf total = zero();
    int64_t d = 0;
    for (; d + W <= shape.D; d += W) total += load(a + d) * load(b + d);
    if (d < shape.D) total += load(a + d, int(shape.D - d)) * load(b + d, int(shape.D - d));
    int64_t head = pair.head * group + row % group;
    int64_t at = pairIndex * shape.rows() + row;
    call.logSum[at] = call.lse[(pair.b * shape.H + head) * shape.T + row / group] * log2e;
    call.delta[at] = sum(total);
  }
}

/// Rounds the finished sums of one span to T.
template <class T>
void finishSpan(const BackwardCall<T>& call, int64_t pairIndex, int64_t span) {
  const AttentionShape& shape = call.shape;
  HeadPair pair(shape, pairIndex);
  alignas(64) float ones[queryLanes];
  std::fill_n(ones, queryLanes, 1.0f);
  int64_t row = call.firstRow(span), rowEnd = call.firstRow(span + 1);
  for (int64_t i = 0; row < rowEnd; i++, row += queryLanes) {
    int count = int(std::min<int64_t>(queryLanes, rowEnd - row));
    writeLanes(QueryRows<T>(shape, pair, call.dQ), row, count, call.dQPanel(pairIndex, span, i), ones);
  }
  KeyRows<T> dK(shape, pair, call.dK), dV(shape, pair, call.dV);
  int64_t keyEnd = std::min((span + 1) * call.span, shape.S);
  for (int64_t key = span * call.span; key < keyEnd; key++) {
    int64_t from = (pairIndex * shape.S + key) * call.paddedD();
    for (int64_t d = 0; d < shape.D; d += W) {
      int count = int(std::min<int64_t>(W, shape.D - d));
      store(dK[key] + d, load(call.dKSums + from + d), count);
      store(dV[key] + d, load(call.dVSums + from + d), count);
    }
  }
}

/// Gradients of `attentionForward` (Dao et al. 2022, algorithm 4). Returns false when there is no memory for the sums.
template <class T>
bool attentionBackward(Queue& queue, BackwardCall<T> call) {
  constexpr int64_t statisticsRows = 256;
  const AttentionShape& shape = call.shape;
  call.span = spanOf(shape);
  call.spans = (shape.S + call.span - 1) / call.span;
  call.blocks = (call.span * shape.group() + queryLanes - 1) / queryLanes;
  int64_t panels = shape.pairs() * call.spans * call.blocks * shape.D * queryLanes;
  int64_t keySums = shape.pairs() * shape.S * call.paddedD();
  int64_t rows = (shape.pairs() * shape.rows() + 15) / 16 * 16;
  size_t bytes = size_t(panels + 2 * keySums + 2 * rows) * sizeof(float);
  float* sums = (float*)queue.memory.allocate(bytes);
  if (!sums) return false;
  call.dQSums = sums;
  call.dKSums = call.dQSums + panels;
  call.dVSums = call.dKSums + keySums;
  call.logSum = call.dVSums + keySums;
  call.delta = call.logSum + rows;

  int64_t pairs = shape.pairs(), chunks = (shape.rows() + statisticsRows - 1) / statisticsRows;
  submit(queue, int(pairs * chunks), [call, chunks](int tile) {
    int64_t row0 = tile % chunks * statisticsRows;
    rowStatistics(call, tile / chunks, row0, std::min(row0 + statisticsRows, call.shape.rows()));
  });
  // The first query of a span reaches back this many spans at most.
  int64_t reach = std::min(call.spans - 1, (shape.longestRange() + call.span - 2) / call.span);
  for (int64_t phase = 0; phase <= reach; phase++) {
    int64_t tiles = call.spans - phase;
    submit(queue, int(pairs * tiles), [call, phase, pairs](int tile) {
      int64_t keySpan = tile / pairs;
      backwardTile(call, tile % pairs, keySpan, keySpan + phase);
    });
  }
  submit(queue, int(pairs * call.spans), [call, pairs](int tile) { finishSpan(call, tile % pairs, tile / pairs); });
  queue.memory.free(sums);
  return true;
}

}  // namespace danu
