// What attention is asked for: sizes, who sees whom, and how queries are cut into blocks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "../simd.h"

namespace danu {

/// Lanes of a query block, five vectors of 16: with five vectors a row, a multiply-add kernel keeps both units busy.
constexpr int queryLanes = 80;

/// Usual number of keys in a key tile, and the most: a few keys are better put on the end of a tile than into another.
constexpr int keyTile = 80, mostKeys = 88;

/// Largest size of a head; the buffers of a tile fit in the scratch of a worker up to it.
constexpr int64_t maxHeadSize = 256;

/// Sizes of one call. Queries are the last T positions of S keys; `group` query heads share a key-value head.
struct AttentionShape {
  int64_t B, T, S, H, keyValueHeads, D;
  int64_t slidingWindow;         // 0: none
  float scale;
  const int32_t* documentStart;  // [B, S] or null

  int64_t group() const { return H / keyValueHeads; }
  /// Queries of one key-value head, numbered position by position: row = t · group + head in the group.
  int64_t rows() const { return T * group(); }
  int64_t firstPosition() const { return S - T; }
  int64_t pairs() const { return B * keyValueHeads; }

  /// Most keys that any query sees.
  int64_t longestRange() const { return slidingWindow > 0 ? std::min(S, slidingWindow) : S; }

  /// First key that the query at `position` sees; the last is the position itself.
  int64_t firstVisible(int64_t b, int64_t position) const {
    int64_t first = slidingWindow > 0 ? std::max<int64_t>(0, position - slidingWindow + 1) : 0;
    if (documentStart) first = std::max<int64_t>(first, documentStart[b * S + position]);
    return std::min(first, position);
  }
};

/// Batch element and key-value head.
struct HeadPair {
  int64_t b, head;

  HeadPair(const AttentionShape& shape, int64_t pair)
      : b(pair / shape.keyValueHeads), head(pair % shape.keyValueHeads) {}
};

/// Asks for bytes that will be read once the work at hand is done.
DANU_INLINE void prefetchBytes(const void* start, int64_t bytes) {
  constexpr int64_t line = 64;
  for (int64_t at = 0; at < bytes; at += line) __builtin_prefetch((const char*)start + at, 0, 2);
}

/// The rows of one key-value head in an array [B, T, H, D].
template <class T>
struct QueryRows {
  T* base;
  int64_t group, positionStride, D;

  QueryRows(const AttentionShape& shape, HeadPair pair, T* x)
      : base(x + pair.b * shape.T * shape.H * shape.D + pair.head * shape.group() * shape.D),
        group(shape.group()),
        positionStride(shape.H * shape.D),
        D(shape.D) {}

  T* operator[](int64_t row) const { return base + (row / group) * positionStride + (row % group) * D; }

  /// Asks for the positions of rows [row, rowEnd); the heads of a group lie side by side.
  void prefetch(int64_t row, int64_t rowEnd) const {
    for (int64_t position = row / group; position * group < rowEnd; position++) {
      prefetchBytes(base + position * positionStride, group * D * int64_t(sizeof(T)));
    }
  }
};

/// The keys of one key-value head in an array [B, S, keyValueHeads, D].
template <class T>
struct KeyRows {
  T* base;
  int64_t stride, D;

  KeyRows(const AttentionShape& shape, HeadPair pair, T* x)
      : base(x + (pair.b * shape.S * shape.keyValueHeads + pair.head) * shape.D),
        stride(shape.keyValueHeads * shape.D),
        D(shape.D) {}

  T* operator[](int64_t key) const { return base + key * stride; }

  /// Asks for the keys [key, keyEnd).
  void prefetch(int64_t key, int64_t keyEnd) const {
    for (; key < keyEnd; key++) prefetchBytes(base + key * stride, D * int64_t(sizeof(T)));
  }
};

/// Up to `queryLanes` consecutive rows of one key-value head, one a lane, and the keys that each of them sees.
struct QueryBlock {
  alignas(64) int32_t position[queryLanes];
  alignas(64) int32_t first[queryLanes];
  int64_t row0;
  int rows;     // rows that exist
  int vectors;  // vectors of lanes that cover them; lanes past the rows repeat the last row
  int32_t minPosition, maxPosition, minFirst, maxFirst;

  QueryBlock(const AttentionShape& shape, HeadPair pair, int64_t row0, int64_t rowEnd)
      : row0(row0), rows(int(std::min<int64_t>(queryLanes, rowEnd - row0))), vectors((rows + W - 1) / W) {
    int64_t group = shape.group();
    minFirst = INT32_MAX;
    maxFirst = 0;
    for (int i = 0; i < vectors * W; i++) {
      int64_t p = shape.firstPosition() + (row0 + std::min(i, rows - 1)) / group;
      bool same = i > 0 && position[i - 1] == p;
      position[i] = int32_t(p);
      first[i] = same ? first[i - 1] : int32_t(shape.firstVisible(pair.b, p));
      minFirst = std::min(minFirst, first[i]);
      maxFirst = std::max(maxFirst, first[i]);
    }
    minPosition = position[0];
    maxPosition = position[rows - 1];
  }

  /// Whether some row does not see some key in [key0, key1).
  bool masks(int64_t key0, int64_t key1) const { return key0 < maxFirst || key1 - 1 > minPosition; }

  /// Lanes of vector j that see `key`.
  DANU_INLINE vi sees(int j, int32_t key) const {
    vi p = *(const vi*)(position + j * W), f = *(const vi*)(first + j * W);
    return (p >= key) & (f <= key);
  }
};

/// Keys of the next tile when `left` remain; even but for the last tile, and multiples of the rows of a product block
/// where possible.
inline int nextKeyTile(int64_t left) {
  if (left <= mostKeys) return int(left);
  if (left >= 2 * keyTile) return keyTile;
  return int((left + 19) / 20 * 10);
}

}  // namespace danu
