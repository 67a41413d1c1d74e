// Products of few rows with a matrix whose columns lie along k (decoding: x · Wᵀ): every element of B is read once,
// where it lies, so the speed is that of memory. Vectors run along k and are summed up at the end.
//
// Memory is fastest when read in a few long streams, which the hardware's prefetching sees; columns are too short for
// that. So a tile is cut into equal parts, and columns of all parts go side by side, each part a stream of its own.
#pragma once

#include <array>

#include "few-rows.h"
#include "gemm-packed.h"

namespace danu {

constexpr int64_t mostFewRows = 16;
constexpr int64_t leastFewTile = int64_t(64) << 10, mostFewTile = int64_t(256) << 10;  // bytes of B

constexpr int streams = 4;

/// Whether the product has few rows and both operands lie along k.
inline bool hasFewRows(const Gemm& g) { return g.m <= mostFewRows && !g.transposeA && g.transposeB; }

template <class In>
using FewFunction = void (*)(const In*, int64_t, const In*, int64_t, int64_t, float*);

/// Functions by [rows - 1].
template <class In, int Columns, int... Rows>
constexpr auto fewFunctions(std::integer_sequence<int, Rows...>) {
  return std::array<FewFunction<In>, fewRowsAtOnce<In>>{multiplyFew<In, Rows + 1, Columns>...};
}

/// All rows of some columns of one product: column j is `first + j * between`.
template <class In, class Out, int Columns>
void multiplyFewColumns(const Gemm& g, int64_t product, int64_t first, int64_t between) {
  static constexpr auto functions = fewFunctions<In, Columns>(std::make_integer_sequence<int, fewRowsAtOnce<In>>{});
  const In* a = (const In*)g.a + product * g.strideA;
  const In* b = (const In*)g.b + product * g.strideB + first * g.ldb;
  Out* c = (Out*)g.c + product * g.strideC + first;
  const Out* residual = g.residual ? (const Out*)g.residual + product * g.strideR + first : nullptr;
  const int64_t blocks = ceilDivide(g.m, fewRowsAtOnce<In>);
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t row = partStart(g.m, blocks, block), rows = partStart(g.m, blocks, block + 1) - row;
    float products[fewRowsAtOnce<In> * Columns];
    functions[size_t(rows - 1)](a + row * g.lda, g.lda, b, between * g.ldb, g.k, products);
    for (int64_t i = 0; i < rows; i++) {
      for (int64_t j = 0; j < Columns; j++) {
        Out& to = c[(row + i) * g.ldc + j * between];
        float value = products[i * Columns + j] * g.alpha;
        if (residual) value += widen(residual[(row + i) * g.ldr + j * between]);
        if (g.accumulate) value += widen(to);
        to = narrow<Out>(value);
      }
    }
  }
}

/// Columns [first, end) of all rows of one product.
template <class In, class Out>
void multiplyFewTile(const Gemm& g, int64_t product, int64_t first, int64_t end) {
  const int64_t length = (end - first) / streams;
  for (int64_t i = 0; i < length; i++) multiplyFewColumns<In, Out, streams>(g, product, first + i, length);
  for (int64_t column = first + streams * length; column < end; column++) {
    multiplyFewColumns<In, Out, 1>(g, product, column, 0);
  }
}

template <class In>
bool gemmFewRows(Queue& q, const Gemm& g) {
  const int64_t bytesOfColumn = g.k * int64_t(sizeof(In));
  const int64_t bytesOfTile = std::clamp(g.n * bytesOfColumn / 8, leastFewTile, mostFewTile);
  const int64_t tiles = std::clamp(g.n * bytesOfColumn / bytesOfTile, int64_t(1), g.n);
  submit(q, int(tiles * g.batch), [=](int tile) {
    const int64_t first = partStart(g.n, tiles, tile % tiles), end = partStart(g.n, tiles, tile % tiles + 1);
    if (g.out == dtypeF32) {
      multiplyFewTile<In, float>(g, tile / tiles, first, end);
    } else {
      multiplyFewTile<In, bf16>(g, tile / tiles, first, end);
    }
  });
  return true;
}

}  // namespace danu
