// How a product is cut: into slabs whose packed panels stay in the caches, and these into tiles to share out.
#pragma once

#include "gemm-packed.h"

namespace danu {

constexpr int64_t slabSteps = 1024;                    // steps of k packed at once
constexpr int64_t slabSize = int64_t(1) << 20;       // elements of B packed at once, in memory used again and again
constexpr int64_t batchSize = int64_t(2) << 20;        // the same for the many products of a batch
constexpr int64_t workOfTile = int64_t(8) << 20;       // multiplications of elements: about 70 µs of AVX-512
constexpr int64_t leastWorkOfTile = int64_t(2) << 20;  // where that would make fewer than eight tiles
constexpr int64_t tilesOfThread = 16;                  // wanted at most

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
  const int64_t mostRowTiles = std::max(fewestRowTiles, std::min(wanted, p.rowGroups));
  for (int64_t rowTiles = fewestRowTiles; rowTiles <= mostRowTiles; rowTiles++) {
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
