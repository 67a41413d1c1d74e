// Attention forward: blocks of queries against tiles of keys with an online softmax (Milakov & Gimelshein 2018; Dao et
// al. 2022), so that memory is linear in T. Scores and outputs stand transposed, queries in lanes: the softmax needs no
// sums across lanes, and keys and values are read as they lie.
#pragma once

#include <cmath>

#include "../runtime/queue.h"
#include "attention-one.h"
#include "attention-operand.h"
#include "attention-shape.h"
#include "attention-softmax.h"

namespace danu {

template <class T>
struct ForwardCall {
  AttentionShape shape;
  const T *q, *k, *v;
  T* o;
  float* lse;
  int64_t blocks;   // query blocks of a key-value head
  int splits;       // parts that the keys of a query block are cut into
  float* partials;  // with more parts than one: [pairs, blocks, splits, D + 2, queryLanes]

  int64_t partialFloats() const { return (shape.D + 2) * queryLanes; }
  float* partial(int64_t pair, int64_t block, int split) const {
    return partials + ((pair * blocks + block) * splits + split) * partialFloats();
  }
};

/// What a worker keeps of one block.
template <class Operands>
struct alignas(64) ForwardScratch {
  Unit queries[maxHeadSize * queryLanes];
  float scores[(mostKeys + 1) * queryLanes];
  Unit pairs[Operands::perUnit == 1 ? 16 : mostKeys / 2 * queryLanes];
  Unit rows[queryLanes * maxHeadSize];
  Unit keys[mostKeys * maxHeadSize];
  Unit values[mostKeys * maxHeadSize];
  float outputs[maxHeadSize * queryLanes];
  SoftmaxState state;
};

/// Writes the rows of a block: outputs [D, lanes] over their sums, and the logarithms of the sums.
template <class T>
void writeOutputs(const ForwardCall<T>& call, HeadPair pair, const QueryBlock& block, const float* outputs,
                  const float* largest, const float* sum) {
  const AttentionShape& shape = call.shape;
  alignas(64) float inverse[queryLanes];
  for (int i = 0; i < block.vectors * W; i++) inverse[i] = 1.0f / sum[i];
  writeLanes(QueryRows<T>(shape, pair, call.o), block.row0, block.rows, outputs, inverse);
  int64_t group = shape.group();
  for (int i = 0; i < block.rows; i++) {
    int64_t row = block.row0 + i;
    int64_t head = pair.head * group + row % group;
    call.lse[(pair.b * shape.H + head) * shape.T + row / group] = shape.scale * largest[i] + std::log(sum[i]);
  }
}

/// Softmax-weighted sums of the values of keys [key0, keyEnd), as [D, lanes], for the lanes of a block.
template <class T, class Operands = OperandsOf<T>>
void attendKeys(const ForwardCall<T>& call, HeadPair pair, const QueryBlock& block, int64_t key0, int64_t keyEnd,
                float* outputs, SoftmaxState& state) {
  using Multiply = typename Operands::Multiply;
  constexpr bool pairs = Operands::perUnit == 2;
  auto& scratch = *static_cast<ForwardScratch<Operands>*>(workerScratch());
  const AttentionShape& shape = call.shape;
  const int64_t D = shape.D;
  const int depth = int(unitsOf<Operands>(D)), vectors = block.vectors;
  const float factor = shape.scale * log2e;
  KeyRows<const T> keyRows(shape, pair, call.k), valueRows(shape, pair, call.v);
  Unit* weights = pairs ? scratch.pairs : (Unit*)scratch.scores;

  stageRows<Operands>(scratch.rows, QueryRows<const T>(shape, pair, call.q), block.row0, block.rows, vectors * W, D);
  transposeUnits(scratch.queries, queryLanes, scratch.rows, stagedRow<Operands>(D), vectors, depth);
  state.reset();
  if (key0 >= keyEnd) std::memset(outputs, 0, size_t(D) * queryLanes * sizeof(float));
  int keys;
  for (int64_t key = key0; key < keyEnd; key += keys) {
    keys = nextKeyTile(keyEnd - key);
    if (vectors == 1) {
      // Few queries wait for memory, and hardware does not foresee the stride between keys.
      int64_t next = key + keys, nextEnd = std::min(next + keyTile, keyEnd);
      keyRows.prefetch(next, nextEnd);
      valueRows.prefetch(next, nextEnd);
    }
    KeyOperand k = keysAsRows<Operands>(scratch.keys, keyRows, key, keys, D);
    multiply<Multiply>({k.units, k.keyStride, 1, scratch.queries, queryLanes, scratch.scores, queryLanes, keys, depth,
                        vectors, true, nullptr});
    if (block.masks(key, key + keys) || (pairs && keys % 2)) {
      maskScores(scratch.scores, block, key, keys);
      onlineSoftmax<Operands, true>(state, scratch.scores, weights, vectors, keys, factor);
    } else {
      onlineSoftmax<Operands, false>(state, scratch.scores, weights, vectors, keys, factor);
    }
    KeyOperand v = keysAsDepth<Operands>(scratch.values, valueRows, key, keys, D);
    multiply<Multiply>({v.units, 1, v.keyStride, weights, queryLanes, outputs, queryLanes, int(D),
                        int(unitsOf<Operands>(keys)), vectors, key == key0, state.rescale});
  }
}

/// One block of queries against one part of the keys that it sees.
template <class T>
void forwardTile(const ForwardCall<T>& call, int64_t tile) {
  const AttentionShape& shape = call.shape;
  int split = int(tile % call.splits);
  // Neighbouring tiles share keys; of one head the late blocks see the most and go first.
  int64_t pairIndex = tile / call.splits / call.blocks;
  int64_t blockIndex = call.blocks - 1 - tile / call.splits % call.blocks;
  HeadPair pair(shape, pairIndex);
  QueryBlock block(shape, pair, blockIndex * queryLanes, shape.rows());
  int64_t key0 = block.minFirst, keys = block.maxPosition + 1 - key0;
  int64_t from = key0 + keys * split / call.splits, to = key0 + keys * (split + 1) / call.splits;
  using Scratch = ForwardScratch<OperandsOf<T>>;
  static_assert(sizeof(Scratch) <= workerScratchBytes);
  auto& scratch = *static_cast<Scratch*>(workerScratch());
  SoftmaxState& state = scratch.state;
  if (call.splits > 1) {
    float* partial = call.partial(pairIndex, blockIndex, split);
    attendKeys(call, pair, block, from, to, partial, state);
    std::copy_n(state.largest, queryLanes, partial + shape.D * queryLanes);
    std::copy_n(state.sum, queryLanes, partial + (shape.D + 1) * queryLanes);
    return;
  }
  attendKeys(call, pair, block, from, to, scratch.outputs, state);
  writeOutputs(call, pair, block, scratch.outputs, state.largest, state.sum);
}

/// Joins the parts of a block, in their order.
template <class T>
void joinTile(const ForwardCall<T>& call, int64_t tile) {
  const AttentionShape& shape = call.shape;
  int64_t pairIndex = tile % shape.pairs(), blockIndex = tile / shape.pairs();
  HeadPair pair(shape, pairIndex);
  QueryBlock block(shape, pair, blockIndex * queryLanes, shape.rows());
  float* joined = call.partial(pairIndex, blockIndex, 0);
  float *largest = joined + shape.D * queryLanes, *sum = largest + queryLanes;
  for (int j = 0; j < block.vectors * W; j += W) {
    for (int split = 1; split < call.splits; split++) {
      const float* other = call.partial(pairIndex, blockIndex, split);
      const float *otherLargest = other + shape.D * queryLanes, *otherSum = otherLargest + queryLanes;
      vf top = max(load(largest + j), load(otherLargest + j));
      vf mine = exp2((load(largest + j) - top) * (shape.scale * log2e));
      vf theirs = exp2((load(otherLargest + j) - top) * (shape.scale * log2e));
      store(largest + j, top);
      store(sum + j, load(sum + j) * mine + load(otherSum + j) * theirs);
      for (int64_t d = 0; d < shape.D; d++) {
        float* to = joined + d * queryLanes + j;
        store(to, load(to) * mine + load(other + d * queryLanes + j) * theirs);
      }
    }
  }
  writeOutputs(call, pair, block, joined, largest, sum);
}

/// o = softmax(scale · q kᵀ) v and the logarithms of its sums. Few queries over many keys (decoding) are cut along the
/// keys too, into as many parts as keep many workers busy; the cut depends on the sizes alone.
/// Returns false when there is no memory for the parts.
template <class T>
bool attentionForward(Queue& queue, ForwardCall<T> call) {
  constexpr int64_t enoughTiles = 64, fewestKeys = 256;
  const AttentionShape& shape = call.shape;
  if (isOnePosition(shape)) return attentionOne<T>(queue, {shape, call.q, call.k, call.v, call.o, call.lse, 0, nullptr});
  call.blocks = (shape.rows() + queryLanes - 1) / queryLanes;
  int64_t tiles = call.blocks * shape.pairs();
  int64_t most = std::min(enoughTiles / tiles, (shape.longestRange() + fewestKeys - 1) / fewestKeys);
  call.splits = int(std::max<int64_t>(1, most));
  if (call.splits == 1) {
    submit(queue, int(tiles), [call](int tile) { forwardTile(call, tile); });
    return true;
  }
  size_t bytes = size_t(tiles * call.splits * call.partialFloats()) * sizeof(float);
  call.partials = (float*)queue.memory.allocate(bytes);
  if (!call.partials) return false;
  submit(queue, int(tiles * call.splits), [call](int tile) { forwardTile(call, tile); });
  submit(queue, int(tiles), [call](int tile) { joinTile(call, tile); });
  queue.memory.free(call.partials);
  return true;
}

}  // namespace danu
