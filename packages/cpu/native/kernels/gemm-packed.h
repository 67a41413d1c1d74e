// The general product: operands packed into panels, tiles blocked for the caches.
//
// B becomes panels of `panelWidth` columns, cut along k into blocks that stay in the first-level cache while a tile goes
// down its rows. A is read where it lies if its rows run along k; otherwise it is packed by groups of rows. Blocks of k
// follow each other in fixed order within a tile, so the sums do not depend on how tiles are spread over threads.
#pragma once

#include "gemm-pack.h"
#include "gemm.h"

namespace danu {

constexpr int64_t kBlockSteps = 256;           // steps of a panel that stay in the first-level cache
constexpr int64_t rowsOfTile = 256;            // rows of A that stay in the second-level cache, times kBlockSteps
constexpr int64_t workOfTile = int64_t(4) << 20;   // multiplications of elements, about 35 µs of AVX-512
constexpr int64_t packedLimit = int64_t(64) << 20;  // bytes of packed operands before a batch is cut
constexpr int64_t panelsOfPackTile = 4;
constexpr int64_t rowGroupsOfPackTile = 8;
constexpr int64_t maxColumnsOfTile = 1024;

/// Start of part `part` when `total` things are split evenly into `parts`; sizes differ by one at most.
DANU_INLINE int64_t partStart(int64_t total, int64_t parts, int64_t part) { return total * part / parts; }

DANU_INLINE int64_t ceilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Where a tile finds the rows of A.
enum class RowLayout {
  direct,    // in the matrix itself
  copied,    // [m][aStride], along k
  byColumns  // [k block][row group][steps][rows of the group]
};

/// A product and how it is cut; strides and offsets of packed forms count 4-byte elements.
struct PackedGemm {
  Gemm g;
  uint32_t* packedA;
  uint32_t* packedB;
  int64_t packedASize, packedBSize;  // of one product of the batch
  int64_t aStride;                   // between rows, if not byColumns
  int64_t kBlock;                    // positions of k, a multiple of the step's depth
  int64_t kBlocks, rowGroups, panels, rowTiles, columnTiles;
  RowLayout rowLayout;
};

template <class Step, class In>
struct PackedProduct : PackedGemm {
  int64_t blockStart(int64_t block) const { return std::min(block * kBlock, g.k); }
  int64_t blockPositions(int64_t block) const { return blockStart(block + 1) - blockStart(block); }
  int64_t blockSteps(int64_t block) const { return ceilDivide(blockPositions(block), Step::depth); }
  int64_t rowStart(int64_t group) const { return partStart(g.m, rowGroups, group); }

  uint32_t* panel(int64_t product, int64_t block, int64_t index) const {
    int64_t before = blockStart(block) / Step::depth * panels + index * blockSteps(block);
    return packedB + product * packedBSize + before * panelWidth;
  }

  uint32_t* columnsOfA(int64_t product, int64_t block, int64_t group) const {
    return packedA + product * packedASize + blockStart(block) / Step::depth * g.m + rowStart(group) * blockSteps(block);
  }

  const uint32_t* rowsOfA(int64_t product, int64_t block, int64_t row) const {
    const uint32_t* first = rowLayout == RowLayout::copied ? packedA + product * packedASize
                                                           : (const uint32_t*)((const In*)g.a + product * g.strideA);
    return first + row * aStride + blockStart(block) / Step::depth;
  }

  void packPanels(int64_t product, int64_t block, int64_t firstPanel) const {
    const In* b = (const In*)g.b + product * g.strideB;
    const int64_t k = blockStart(block);
    const int64_t end = std::min(firstPanel + panelsOfPackTile, panels);
    for (int64_t index = firstPanel; index < end; index++) {
      const int64_t column = index * panelWidth;
      const int columns = int(std::min<int64_t>(panelWidth, g.n - column));
      const int width = columns > W ? panelWidth : W;
      uint32_t* target = panel(product, block, index);
      if (g.transposeB) {
        packAlongK<Step>(b + column * g.ldb + k, g.ldb, columns, blockPositions(block), target, width);
      } else {
        packAcrossK<Step>(b + k * g.ldb + column, g.ldb, columns, blockPositions(block), target, width);
      }
    }
  }

  void packRowGroups(int64_t product, int64_t block, int64_t firstGroup) const {
    const In* a = (const In*)g.a + product * g.strideA;
    const int64_t k = blockStart(block);
    const int64_t end = std::min(firstGroup + rowGroupsOfPackTile, rowGroups);
    if (rowLayout == RowLayout::copied) {
      const int64_t row = rowStart(firstGroup);
      packRows<Step>(a + row * g.lda + k, g.lda, rowStart(end) - row, blockPositions(block),
                     const_cast<uint32_t*>(rowsOfA(product, block, row)), aStride);
      return;
    }
    for (int64_t group = firstGroup; group < end; group++) {
      const int64_t row = rowStart(group);
      const int rows = int(rowStart(group + 1) - row);
      packAcrossK<Step>(a + k * g.lda + row, g.lda, rows, blockPositions(block), columnsOfA(product, block, group),
                        rows);
    }
  }

  template <class Out>
  void multiply(int64_t tile) const;
};

/// Adds what is to be added to a tile of sums, rounds, and stores the columns that exist.
template <class Out>
void finishTile(const float* sums, int64_t rows, int columns, Out* c, int64_t ldc, const Out* residual, int64_t ldr,
                bool accumulate) {
  for (int64_t row = 0; row < rows; row++) {
    for (int first = 0; first < columns; first += W) {
      const int lanes = std::min(W, columns - first);
      vf value = load(sums + row * panelWidth + first);
      Out* to = c + row * ldc + first;
      if (lanes == W) {
        if (residual) value += load(residual + row * ldr + first);
        if (accumulate) value += load(to);
        store(to, value);
      } else {
        if (residual) value += load(residual + row * ldr + first, lanes);
        if (accumulate) value += load(to, lanes);
        store(to, value, lanes);
      }
    }
  }
}

template <class Step, class In>
template <class Out>
void PackedProduct<Step, In>::multiply(int64_t tile) const {
  const int64_t rowTile = tile % rowTiles;
  const int64_t columnTile = tile / rowTiles % columnTiles;
  const int64_t product = tile / rowTiles / columnTiles;
  const int64_t firstGroup = partStart(rowGroups, rowTiles, rowTile);
  const int64_t endGroup = partStart(rowGroups, rowTiles, rowTile + 1);
  const int64_t firstPanel = partStart(panels, columnTiles, columnTile);
  const int64_t endPanel = partStart(panels, columnTiles, columnTile + 1);
  Out* const c = (Out*)g.c + product * g.strideC;
  const Out* const residual = g.residual ? (const Out*)g.residual + product * g.strideR : nullptr;

  // Sums of the tile so far, where C itself is too narrow to keep them, and those of one small tile.
  float* const finished = (float*)workerScratch();
  float* const partial = finished + tileRows * panelWidth;
  const int64_t partialStride = (endPanel - firstPanel) * panelWidth;

  for (int64_t block = 0; block < kBlocks; block++) {
    const bool first = block == 0, last = block == kBlocks - 1;
    for (int64_t index = firstPanel; index < endPanel; index++) {
      const int64_t column = index * panelWidth;
      const int columns = int(std::min<int64_t>(panelWidth, g.n - column));
      const int vectors = columns > W ? 2 : 1;
      TileOperands t;
      t.b = panel(product, block, index);
      t.steps = blockSteps(block);
      t.alpha = g.alpha;
      for (int64_t group = firstGroup; group < endGroup; group++) {
        const int64_t row = rowStart(group);
        const int rows = int(rowStart(group + 1) - row);
        Out* const to = c + row * g.ldc + column;
        const Out* const from = residual ? residual + row * g.ldr + column : nullptr;
        bool finish = true;
        t.addend = nullptr;
        t.out = finished;
        t.outStride = panelWidth;
        if constexpr (sizeof(Out) == sizeof(float)) {
          if (columns == vectors * W && !(first && residual && g.accumulate)) {
            finish = false;
            t.addend = !first || g.accumulate ? to : from;
            t.addendStride = !first || g.accumulate ? g.ldc : g.ldr;
            t.out = to;
            t.outStride = g.ldc;
          }
        } else {
          float* const sums = partial + (row - rowStart(firstGroup)) * partialStride + (index - firstPanel) * panelWidth;
          t.addendStride = partialStride;
          if (!first) t.addend = sums;
          if (!last) {
            finish = false;
            t.out = sums;
            t.outStride = partialStride;
          }
        }
        if (rowLayout == RowLayout::byColumns) {
          t.a = columnsOfA(product, block, group);
          t.aStride = rows;
          TileTable<Step, true>::functions[size_t(rows - 1)][size_t(vectors - 1)](t);
        } else {
          t.a = rowsOfA(product, block, row);
          t.aStride = aStride;
          TileTable<Step, false>::functions[size_t(rows - 1)][size_t(vectors - 1)](t);
        }
        if (!finish) continue;
        if constexpr (sizeof(Out) == sizeof(float)) {
          finishTile(finished, rows, columns, to, g.ldc, first ? from : nullptr, g.ldr, !first || g.accumulate);
        } else {
          finishTile(finished, rows, columns, to, g.ldc, from, g.ldr, g.accumulate);
        }
      }
    }
  }
}

/// Whether tiles can read rows of A where they lie: whole elements, and rows that do not fall on the same cache sets.
template <class Step, class In>
bool readsRowsDirectly(const Gemm& g) {
  if (sizeof(In) * Step::depth != 4) return false;
  if (g.lda % Step::depth != 0 || g.k % Step::depth != 0 || g.strideA % Step::depth != 0) return false;
  return g.lda / Step::depth % 512 != 0;
}

template <class Step, class In>
PackedProduct<Step, In> cut(const Gemm& g) {
  PackedProduct<Step, In> p{};
  p.g = g;
  const int64_t steps = ceilDivide(g.k, Step::depth);
  p.kBlocks = ceilDivide(steps, kBlockSteps);
  p.kBlock = ceilDivide(steps, p.kBlocks) * Step::depth;
  p.kBlocks = ceilDivide(g.k, p.kBlock);
  p.rowGroups = ceilDivide(g.m, tileRows);
  p.panels = ceilDivide(g.n, panelWidth);
  p.packedBSize = steps * p.panels * panelWidth;
  if (g.transposeA) {
    p.rowLayout = RowLayout::byColumns;
    p.packedASize = steps * g.m;
  } else if (readsRowsDirectly<Step, In>(g)) {
    p.rowLayout = RowLayout::direct;
    p.aStride = g.lda / Step::depth;
  } else {
    p.rowLayout = RowLayout::copied;
    // An odd number of 64-byte lines spreads rows over all cache sets.
    p.aStride = (ceilDivide(steps, 16) | 1) * 16;
    p.packedASize = g.m * p.aStride;
  }
  const int64_t tiles = ceilDivide(g.m * g.n * steps, workOfTile);
  p.rowTiles = std::min(p.rowGroups, ceilDivide(g.m, rowsOfTile));
  p.columnTiles = std::min(p.panels, std::max(ceilDivide(tiles, p.rowTiles), ceilDivide(g.n, maxColumnsOfTile)));
  if (p.rowTiles * p.columnTiles < tiles) p.rowTiles = std::min(p.rowGroups, ceilDivide(tiles, p.columnTiles));
  return p;
}

template <class Step, class In>
void submitPacked(Queue& q, const PackedProduct<Step, In>& p, int64_t products) {
  const int64_t panelTiles = ceilDivide(p.panels, panelsOfPackTile) * p.kBlocks * products;
  const int64_t groupTiles =
      p.packedA ? ceilDivide(p.rowGroups, rowGroupsOfPackTile) * p.kBlocks * products : 0;
  submit(q, int(panelTiles + groupTiles), [p, panelTiles](int tile) {
    const bool isB = tile < panelTiles;
    const int64_t each = isB ? panelsOfPackTile : rowGroupsOfPackTile;
    const int64_t parts = ceilDivide(isB ? p.panels : p.rowGroups, each);
    const int64_t index = isB ? tile : tile - panelTiles;
    const int64_t first = index % parts * each, block = index / parts % p.kBlocks, product = index / parts / p.kBlocks;
    if (isB) {
      p.packPanels(product, block, first);
    } else {
      p.packRowGroups(product, block, first);
    }
  });
  const int tiles = int(p.rowTiles * p.columnTiles * products);
  if (p.g.out == dtypeF32) {
    submit(q, tiles, [p](int tile) { p.template multiply<float>(tile); });
  } else {
    submit(q, tiles, [p](int tile) { p.template multiply<bf16>(tile); });
  }
}

template <class Step, class In>
bool gemmPacked(Queue& q, const Gemm& g) {
  PackedProduct<Step, In> p = cut<Step, In>(g);
  const int64_t bytesEach = (p.packedASize + p.packedBSize) * 4;
  const int64_t together = std::clamp(packedLimit / bytesEach, int64_t(1), g.batch);
  uint32_t* packed = (uint32_t*)q.memory.allocate(size_t(bytesEach * together));
  if (!packed) return false;
  p.packedB = packed;
  p.packedA = p.packedASize > 0 ? packed + p.packedBSize * together : nullptr;
  for (int64_t first = 0; first < g.batch; first += together) {
    const int64_t elementOut = g.out == dtypeF32 ? 4 : 2;
    p.g.a = (const In*)g.a + first * g.strideA;
    p.g.b = (const In*)g.b + first * g.strideB;
    p.g.c = (char*)g.c + first * g.strideC * elementOut;
    if (g.residual) p.g.residual = (const char*)g.residual + first * g.strideR * elementOut;
    submitPacked(q, p, std::min(together, g.batch - first));
  }
  q.memory.free(packed);
  return true;
}

}  // namespace danu
