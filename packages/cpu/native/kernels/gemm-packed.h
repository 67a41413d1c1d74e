// The general product: operands packed into panels, tiles blocked for the caches.
//
// B becomes panels of `panelWidth` columns, cut along k into blocks that stay in the first-level cache while a tile goes
// down its rows. A is read where it lies if its rows run along k; otherwise it is packed by groups of rows. Blocks of k
// follow each other in fixed order within a tile, so the sums do not depend on how tiles are spread over threads.
#pragma once

#include "gemm-pack.h"
#include "gemm.h"

namespace danu {

constexpr int64_t kBlockSteps = 512;                // steps of a panel, which stays in the second-level cache
constexpr int64_t workOfTile = int64_t(8) << 20;    // multiplications of elements: about 70 µs of AVX-512
constexpr int64_t leastWorkOfTile = int64_t(2) << 20;  // where that would make fewer than eight tiles
constexpr int64_t tilesOfThread = 12;               // wanted at most, where tiles may be larger
constexpr int64_t rowsOfTile = 16 * tileRows;       // rows of A that stay in the second-level cache, times kBlockSteps
constexpr int64_t columnsOfTile = 512;
constexpr int64_t slabSteps = 1024;                 // steps of k, and elements of B, that are packed at once, so that
constexpr int64_t slabSize = int64_t(512) << 10;    // the memory packed into stays in the caches
constexpr int64_t batchSize = int64_t(2) << 20;     // elements packed at once of the many products of a batch
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

/// Worker scratch of a tile: a small tile of sums, the rows of A of one block of k, and all sums of the tile so far where
/// C itself is too narrow to keep them.
struct TileScratch {
  float finished[tileRows * panelWidth];
  uint32_t rows[(rowsOfTile + tileRows) * copyStride];
  float partial[(rowsOfTile + tileRows) * (columnsOfTile + panelWidth)];
};
static_assert(sizeof(TileScratch) <= workerScratchBytes, "a tile needs more scratch than a worker has");

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

  void packPanels(int64_t product, int64_t block, int64_t firstPanel) const;
  void packRowGroups(int64_t product, int64_t block, int64_t firstGroup, int64_t endGroup, uint32_t* target) const;
  template <class Out>
  void multiply(int64_t tile) const;
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
      packAlongK<Step>(b + column * g.ldb + k, g.ldb, columns, blockPositions(block), panel(product, block, index), width);
    } else {
      strips[count++] = {b + k * g.ldb + column, panel(product, block, index), columns, width};
    }
  }
  if (count > 0) packAcrossK<Step>(strips, count, g.ldb, blockPositions(block));
}

template <class Step, class In>
void PackedGemm<Step, In>::packRowGroups(int64_t product, int64_t block, int64_t firstGroup, int64_t endGroup,
                                         uint32_t* target) const {
  const In* a = (const In*)g.a + product * g.strideA;
  const int64_t k = blockStart(block), firstRow = rowStart(firstGroup);
  if (rowLayout == RowLayout::copied) {
    packRows<Step>(a + firstRow * g.lda + k, g.lda, rowStart(endGroup) - firstRow, blockPositions(block), target,
                   copyStride);
    return;
  }
  Strip<In> strips[rowsOfTile / tileRows + 1];
  int count = 0;
  for (int64_t group = firstGroup; group < endGroup; group++) {
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
void PackedGemm<Step, In>::multiply(int64_t tile) const {
  const int64_t rowTile = tile % rowTiles;
  const int64_t columnTile = tile / rowTiles % columnTiles;
  const int64_t product = tile / rowTiles / columnTiles;
  const int64_t firstGroup = partStart(rowGroups, rowTiles, rowTile);
  const int64_t endGroup = partStart(rowGroups, rowTiles, rowTile + 1);
  const int64_t firstRow = rowStart(firstGroup);
  const int64_t firstPanel = partStart(panels, columnTiles, columnTile);
  const int64_t endPanel = partStart(panels, columnTiles, columnTile + 1);
  Out* const c = (Out*)g.c + product * g.strideC;
  const Out* const residual = g.residual ? (const Out*)g.residual + product * g.strideR : nullptr;
  TileScratch& scratch = *(TileScratch*)workerScratch();
  const int64_t partialStride = (endPanel - firstPanel) * panelWidth;

  for (int64_t block = 0; block < kBlocks; block++) {
    const bool first = block == 0, last = block == kBlocks - 1;
    const int64_t steps = blockSteps(block);
    const uint32_t* rowsOfA = scratch.rows;
    int64_t aStride = copyStride;
    if (rowLayout == RowLayout::direct) {
      aStride = g.lda / Step::depth;
      rowsOfA = (const uint32_t*)((const In*)g.a + product * g.strideA + blockStart(block)) + firstRow * aStride;
    } else {
      packRowGroups(product, block, firstGroup, endGroup, scratch.rows);
    }
    for (int64_t index = firstPanel; index < endPanel; index++) {
      const int64_t column = index * panelWidth;
      const int columns = int(std::min<int64_t>(panelWidth, g.n - column));
      const int vectors = columns > W ? 2 : 1;
      TileOperands t;
      t.b = panel(product, block, index);
      t.steps = steps;
      t.alpha = g.alpha;
      for (int64_t group = firstGroup; group < endGroup; group++) {
        const int64_t row = rowStart(group);
        const int rows = int(rowStart(group + 1) - row);
        Out* const to = c + row * g.ldc + column;
        const Out* const from = residual ? residual + row * g.ldr + column : nullptr;
        bool finish = true;
        t.addend = nullptr;
        t.out = scratch.finished;
        t.outStride = panelWidth;
        if constexpr (sizeof(Out) == sizeof(float)) {
          // An f32 C keeps the sums so far itself.
          if (columns == vectors * W && !(first && residual && g.accumulate)) {
            finish = false;
            t.addend = !first || g.accumulate ? to : from;
            t.addendStride = !first || g.accumulate ? g.ldc : g.ldr;
            t.out = to;
            t.outStride = g.ldc;
          }
        } else {
          float* const sums = scratch.partial + (row - firstRow) * partialStride + (index - firstPanel) * panelWidth;
          t.addendStride = partialStride;
          if (!first) t.addend = sums;
          if (!last) {
            finish = false;
            t.out = sums;
            t.outStride = partialStride;
          }
        }
        if (rowLayout == RowLayout::byColumns) {
          t.a = rowsOfA + (row - firstRow) * steps;
          t.aStride = rows;
          TileTable<Step, true>::functions[size_t(rows - 1)][size_t(vectors - 1)](t);
        } else {
          t.a = rowsOfA + (row - firstRow) * aStride;
          t.aStride = aStride;
          TileTable<Step, false>::functions[size_t(rows - 1)][size_t(vectors - 1)](t);
        }
        if (!finish) continue;
        if constexpr (sizeof(Out) == sizeof(float)) {
          finishTile(scratch.finished, rows, columns, to, g.ldc, first ? from : nullptr, g.ldr, !first || g.accumulate);
        } else {
          finishTile(scratch.finished, rows, columns, to, g.ldc, from, g.ldr, g.accumulate);
        }
      }
    }
  }
}

/// Whether tiles can read rows of A where they lie: whole elements, and rows that do not fall on the same cache sets.
template <class Step, class In>
bool readsRowsDirectly(const Gemm& g) {
  if (g.transposeA || sizeof(In) * Step::depth != 4) return false;
  if (g.lda % Step::depth != 0 || g.k % Step::depth != 0 || g.strideA % Step::depth != 0) return false;
  return g.lda / Step::depth % 512 != 0;
}

/// Cuts C into tiles: enough of them to share out, none larger than the caches hold, and of the shape that moves least.
/// A tile of r rows and c columns fetches its panels for r rows and its rows for c columns, so a product costs about
/// 1/r + 1/c beside the arithmetic; rows that the tile has to pack itself cost four times that. The number of threads
/// may matter here, because it changes no bit: the sums of an element of C are those of its blocks of k, in order.
template <class Step, class In>
void chooseTiles(PackedGemm<Step, In>& p, int64_t steps, int threads) {
  const int64_t work = p.g.m * p.g.n * steps;
  const int64_t wanted = std::clamp(work / workOfTile, std::clamp(work / leastWorkOfTile, int64_t(1), int64_t(8)),
                                    std::max(int64_t(16), tilesOfThread * threads));
  const int64_t fewestRowTiles = ceilDivide(p.g.m, rowsOfTile);
  const int64_t fewestColumnTiles = ceilDivide(p.panels * panelWidth, columnsOfTile);
  const double costOfRows = p.rowLayout == RowLayout::direct ? 1 : 4;
  double least = 0;
  for (int64_t rowTiles = fewestRowTiles; rowTiles <= std::max(fewestRowTiles, std::min(wanted, p.rowGroups)); rowTiles++) {
    const int64_t columnTiles = std::max(fewestColumnTiles, std::min(ceilDivide(wanted, rowTiles), p.panels));
    // Half a tile's cost for every tile that the share asked for lacks.
    const double lacking = double(std::max(int64_t(0), wanted - rowTiles * columnTiles)) / double(wanted);
    const double rows = double(ceilDivide(p.rowGroups, rowTiles)) * tileRows;
    const double columns = double(ceilDivide(p.panels, columnTiles)) * panelWidth;
    const double cost = 1 / rows + costOfRows / columns + lacking / 50;
    if (p.rowTiles == 0 || cost < least) {
      least = cost;
      p.rowTiles = rowTiles;
      p.columnTiles = columnTiles;
    }
  }
}

template <class Step, class In>
PackedGemm<Step, In> cut(const Gemm& g, int threads) {
  PackedGemm<Step, In> p{};
  p.g = g;
  const int64_t steps = ceilDivide(g.k, Step::depth);
  p.kBlocks = ceilDivide(steps, kBlockSteps);
  p.kBlock = ceilDivide(steps, p.kBlocks) * Step::depth;
  p.kBlocks = ceilDivide(g.k, p.kBlock);
  p.rowGroups = ceilDivide(g.m, tileRows);
  p.panels = ceilDivide(g.n, panelWidth);
  p.packedBSize = steps * p.panels * panelWidth;
  p.rowLayout = g.transposeA                     ? RowLayout::byColumns
                : readsRowsDirectly<Step, In>(g) ? RowLayout::direct
                                                 : RowLayout::copied;
  chooseTiles(p, steps, threads);
  return p;
}

template <class Step, class In>
void submitSlab(Queue& q, const Gemm& g, uint32_t* packedB) {
  PackedGemm<Step, In> p = cut<Step, In>(g, q.threads());
  p.packedB = packedB;
  const int64_t parts = ceilDivide(p.panels, panelsOfPackTile);
  submit(q, int(parts * p.kBlocks * g.batch), [p, parts](int tile) {
    p.packPanels(tile / parts / p.kBlocks, tile / parts % p.kBlocks, tile % parts * panelsOfPackTile);
  });
  const int tiles = int(p.rowTiles * p.columnTiles * g.batch);
  if (g.out == dtypeF32) {
    submit(q, tiles, [p](int tile) { p.template multiply<float>(tile); });
  } else {
    submit(q, tiles, [p](int tile) { p.template multiply<bf16>(tile); });
  }
}

/// Rounds sums in f32 to C, adding what is to be added.
template <class Out>
void submitFinish(Queue& q, const Gemm& g, const float* sums) {
  const int64_t rowsEach = ceilDivide(int64_t(1) << 16, g.n);
  const int64_t tiles = ceilDivide(g.m, rowsEach);
  submit(q, int(tiles * g.batch), [=](int tile) {
    const int64_t product = tile / tiles, first = tile % tiles * rowsEach;
    for (int64_t row = first; row < std::min(first + rowsEach, g.m); row++) {
      finishRow(sums + (product * g.m + row) * g.n, g.n, (Out*)g.c + product * g.strideC + row * g.ldc,
                g.residual ? (const Out*)g.residual + product * g.strideR + row * g.ldr : nullptr, g.accumulate);
    }
  });
}

/// Enqueues the product slab by slab, all packed into the same memory one after another.
template <class Step, class In>
bool gemmPacked(Queue& q, const Gemm& whole) {
  const int64_t steps = ceilDivide(whole.k, Step::depth);
  const int64_t kSlabs = ceilDivide(steps, slabSteps);
  const int64_t kSlab = ceilDivide(steps, kSlabs) * Step::depth;
  const int64_t panels = ceilDivide(whole.n, panelWidth);
  const int64_t panelSize = ceilDivide(kSlab, Step::depth) * panelWidth;
  const int64_t nSlabs =
      std::clamp(ceilDivide(panels * panelSize, slabSize), ceilDivide(panels * panelWidth, columnsOfTile), panels);
  const int64_t slabPanels = ceilDivide(panels, nSlabs);
  const int64_t together = std::clamp(batchSize / (slabPanels * panelSize), int64_t(1), whole.batch);

  const int64_t packedBytes = together * slabPanels * panelSize * 4;
  const bool needsSums = whole.out == dtypeBf16 && kSlabs > 1;
  const int64_t sumsBytes = needsSums ? whole.batch * whole.m * whole.n * 4 : 0;
  char* const memory = (char*)q.memory.allocate(size_t(packedBytes + sumsBytes));
  if (!memory) return false;
  Gemm g = whole;
  if (needsSums) {
    // A narrow C cannot keep sums from slab to slab.
    g.c = memory + packedBytes;
    g.out = dtypeF32;
    g.ldc = g.n;
    g.strideC = g.m * g.n;
    g.residual = nullptr;
    g.accumulate = false;
  }
  const int64_t bytesOut = g.out == dtypeF32 ? 4 : 2;
  for (int64_t product = 0; product < g.batch; product += together) {
    for (int64_t panel = 0; panel < panels; panel += slabPanels) {
      const int64_t column = panel * panelWidth;
      for (int64_t k = 0; k < g.k; k += kSlab) {
        Gemm slab = g;
        slab.batch = std::min(together, g.batch - product);
        slab.n = std::min(slabPanels * panelWidth, g.n - column);
        slab.k = std::min(kSlab, g.k - k);
        slab.a = (const In*)g.a + product * g.strideA + (g.transposeA ? k * g.lda : k);
        slab.b = (const In*)g.b + product * g.strideB + (g.transposeB ? column * g.ldb + k : k * g.ldb + column);
        slab.c = (char*)g.c + (product * g.strideC + column) * bytesOut;
        if (g.residual) slab.residual = (const char*)g.residual + (product * g.strideR + column) * bytesOut;
        if (k > 0) {
          slab.accumulate = true;
          slab.residual = nullptr;
        }
        submitSlab<Step, In>(q, slab, (uint32_t*)memory);
      }
    }
  }
  if (needsSums) submitFinish<bf16>(q, whole, (const float*)(memory + packedBytes));
  q.memory.free(memory);
  return true;
}

}  // namespace danu
