// A product by tiles: what a tile packs, reads and sums up. How a product is cut into tiles stands in gemm-cut.h.
//
// B becomes panels of `panelWidth` columns, cut along k into blocks that stay in the cache while a tile goes down its
// rows. A is read where it lies if its rows run along k; otherwise the tile packs its rows. Blocks of k follow each
// other in fixed order within a tile, so the sums do not depend on how a product is cut, or on threads.
#pragma once

#include "gemm-pack.h"
#include "gemm.h"

namespace danu {

constexpr int64_t kBlockSteps = 512;           // steps of a panel, which stays in the second-level cache
constexpr int64_t rowsOfTile = 16 * tileRows;  // rows of A that stay there beside it
constexpr int64_t columnsOfTile = 512;
constexpr int panelsOfPackTile = 4;

/// Start of part `part` when `total` things are split evenly into `parts`; sizes differ by one at most.
DANU_INLINE int64_t partStart(int64_t total, int64_t parts, int64_t part) { return total * part / parts; }

/// Where a tile finds the rows of A.
enum class RowLayout {
  direct,    // in the matrix itself
  copied,    // in the worker's scratch, [rows of the tile][copyStride], along k
  byColumns  // in the worker's scratch, [row group][steps][rows of the group]
};

// An odd number of 64-byte lines spreads rows over all cache sets.
constexpr int64_t copyStride = (ceilDivide(kBlockSteps, 16) | 1) * 16;

/// Worker scratch of a tile.
struct TileScratch {
  float finished[tileRows * panelWidth];                                  // sums of a few rows and columns
  uint32_t rows[(rowsOfTile + tileRows) * copyStride];                    // packed rows of A for one block of k
  float partial[(rowsOfTile + tileRows) * (columnsOfTile + panelWidth)];  // sums so far where C is too narrow for them
};
static_assert(sizeof(TileScratch) <= workerScratchBytes, "a tile needs more scratch than a worker has");

/// Part of C that one worker computes: rows by groups of up to `tileRows`, columns by panels.
struct TileRange {
  int64_t product, firstGroup, endGroup, firstPanel, endPanel;
};

/// A product and how it is cut. Sizes of packed forms count 4-byte elements.
template <class Step, class In>
struct PackedGemm {
  Gemm g;
  uint32_t* packedB;    // [product][k block][panel][steps][panelWidth]
  int64_t packedBSize;  // of one product of the batch
  int64_t kBlock;       // positions of k, a multiple of the step's depth
  int64_t kBlocks, rowGroups, panels, rowTiles, columnTiles;
  RowLayout rowLayout;

  int64_t blockStart(int64_t block) const { return std::min(block * kBlock, g.k); }
  int64_t blockPositions(int64_t block) const { return blockStart(block + 1) - blockStart(block); }
  int64_t blockSteps(int64_t block) const { return ceilDivide(blockPositions(block), Step::depth); }
  int64_t rowStart(int64_t group) const { return partStart(g.m, rowGroups, group); }

  uint32_t* panel(int64_t product, int64_t block, int64_t index) const {
    int64_t before = blockStart(block) / Step::depth * panels + index * blockSteps(block);
    return packedB + product * packedBSize + before * panelWidth;
  }

  TileRange range(int64_t tile) const {
    const int64_t rowTile = tile % rowTiles, columnTile = tile / rowTiles % columnTiles;
    return {tile / rowTiles / columnTiles, partStart(rowGroups, rowTiles, rowTile),
            partStart(rowGroups, rowTiles, rowTile + 1), partStart(panels, columnTiles, columnTile),
            partStart(panels, columnTiles, columnTile + 1)};
  }

  void packPanels(int64_t product, int64_t block, int64_t firstPanel) const;
  void packRows(const TileRange& range, int64_t block, uint32_t* target) const;
  /// All of a tile of C.
  template <class Out>
  void multiply(int64_t tile) const;
  /// One group of rows by one panel for one block of k.
  template <class Out>
  void multiplyGroup(const TileRange& range, int64_t block, int64_t group, int64_t index, TileOperands t,
                     TileScratch& scratch) const;
};

template <class Step, class In>
void PackedGemm<Step, In>::packPanels(int64_t product, int64_t block, int64_t firstPanel) const {
  const In* b = (const In*)g.b + product * g.strideB;
  const int64_t k = blockStart(block);
  Strip<In> strips[panelsOfPackTile];
  int count = 0;
  for (int64_t index = firstPanel; index < std::min(firstPanel + panelsOfPackTile, panels); index++) {
    const int64_t column = index * panelWidth;
    const int columns = int(std::min<int64_t>(panelWidth, g.n - column));
    const int width = columns > W ? panelWidth : W;
    if (g.transposeB) {
      const In* corner = b + column * g.ldb + k;
      packAlongK<Step>(corner, g.ldb, columns, blockPositions(block), panel(product, block, index), width);
    } else {
      strips[count++] = {b + k * g.ldb + column, panel(product, block, index), columns, width};
    }
  }
  if (count > 0) packAcrossK<Step>(strips, count, g.ldb, blockPositions(block));
}

template <class Step, class In>
void PackedGemm<Step, In>::packRows(const TileRange& range, int64_t block, uint32_t* target) const {
  const In* a = (const In*)g.a + range.product * g.strideA;
  const int64_t k = blockStart(block), firstRow = rowStart(range.firstGroup);
  if (rowLayout == RowLayout::copied) {
    packAlongRows<Step>(a + firstRow * g.lda + k, g.lda, rowStart(range.endGroup) - firstRow, blockPositions(block),
                        target, copyStride);
    return;
  }
  Strip<In> strips[rowsOfTile / tileRows + 1];
  int count = 0;
  for (int64_t group = range.firstGroup; group < range.endGroup; group++) {
    const int64_t row = rowStart(group);
    const int rows = int(rowStart(group + 1) - row);
    strips[count++] = {a + k * g.lda + row, target + (row - firstRow) * blockSteps(block), rows, rows};
  }
  packAcrossK<Step>(strips, count, g.lda, blockPositions(block));
}

/// Adds what is to be added to a row of sums, rounds, and stores.
template <class Out>
DANU_INLINE void finishRow(const float* sums, int64_t columns, Out* c, const Out* residual, bool accumulate) {
  int64_t column = 0;
  for (; column + W <= columns; column += W) {
    vf value = load(sums + column);
    if (residual) value += load(residual + column);
    if (accumulate) value += load(c + column);
    store(c + column, value);
  }
  const int lanes = int(columns - column);
  if (lanes == 0) return;
  vf value = load(sums + column, lanes);
  if (residual) value += load(residual + column, lanes);
  if (accumulate) value += load(c + column, lanes);
  store(c + column, value, lanes);
}

/// The same for the rows of a small tile.
template <class Out>
void finishTile(const float* sums, int64_t rows, int columns, Out* c, int64_t ldc, const Out* residual, int64_t ldr,
                bool accumulate) {
  for (int64_t row = 0; row < rows; row++) {
    finishRow(sums + row * panelWidth, columns, c + row * ldc, residual ? residual + row * ldr : nullptr, accumulate);
  }
}

template <class Step, class In>
template <class Out>
void PackedGemm<Step, In>::multiplyGroup(const TileRange& range, int64_t block, int64_t group, int64_t index,
                                         TileOperands t, TileScratch& scratch) const {
  const bool first = block == 0, last = block == kBlocks - 1;
  const int64_t row = rowStart(group), rowInTile = row - rowStart(range.firstGroup);
  const int rows = int(rowStart(group + 1) - row);
  const int64_t column = index * panelWidth;
  const int columns = int(std::min<int64_t>(panelWidth, g.n - column));
  const int vectors = columns > W ? 2 : 1;
  Out* const c = (Out*)g.c + range.product * g.strideC + row * g.ldc + column;
  const Out* residual =
      g.residual ? (const Out*)g.residual + range.product * g.strideR + row * g.ldr + column : nullptr;
  bool accumulate = g.accumulate, finish = true;
  t.addend = nullptr;
  t.out = scratch.finished;
  t.outStride = panelWidth;
  if constexpr (sizeof(Out) == sizeof(float)) {
    // An f32 C keeps the sums so far itself.
    accumulate = accumulate || !first;
    if (!first) residual = nullptr;
    if (columns == vectors * W && !(residual && accumulate)) {
      finish = false;
      t.addend = accumulate ? c : residual;
      t.addendStride = accumulate ? g.ldc : g.ldr;
      t.out = c;
      t.outStride = g.ldc;
    }
  } else {
    const int64_t partialStride = (range.endPanel - range.firstPanel) * panelWidth;
    float* const sums = scratch.partial + rowInTile * partialStride + (index - range.firstPanel) * panelWidth;
    t.addendStride = partialStride;
    if (!first) t.addend = sums;
    if (!last) {
      finish = false;
      t.out = sums;
      t.outStride = partialStride;
    }
  }
  if (rowLayout == RowLayout::byColumns) {
    t.a += rowInTile * t.steps;
    t.aStride = rows;
    TileTable<Step, true>::functions[size_t(rows - 1)][size_t(vectors - 1)](t);
  } else {
    t.a += rowInTile * t.aStride;
    TileTable<Step, false>::functions[size_t(rows - 1)][size_t(vectors - 1)](t);
  }
  if (finish) finishTile(scratch.finished, rows, columns, c, g.ldc, residual, g.ldr, accumulate);
}

template <class Step, class In>
template <class Out>
void PackedGemm<Step, In>::multiply(int64_t tile) const {
  const TileRange r = range(tile);
  TileScratch& scratch = *(TileScratch*)workerScratch();
  TileOperands t;
  t.alpha = g.alpha;
  for (int64_t block = 0; block < kBlocks; block++) {
    t.steps = blockSteps(block);
    if (rowLayout == RowLayout::direct) {
      const In* a = (const In*)g.a + r.product * g.strideA + rowStart(r.firstGroup) * g.lda + blockStart(block);
      t.a = (const uint32_t*)a;
      t.aStride = g.lda / Step::depth;
    } else {
      packRows(r, block, scratch.rows);
      t.a = scratch.rows;
      t.aStride = copyStride;
    }
    for (int64_t index = r.firstPanel; index < r.endPanel; index++) {
      t.b = panel(r.product, block, index);
      for (int64_t group = r.firstGroup; group < r.endGroup; group++) {
        multiplyGroup<Out>(r, block, group, index, t, scratch);
      }
    }
  }
}

}  // namespace danu
