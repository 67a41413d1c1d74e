// Products of few rows with a matrix whose columns lie along k (decoding: x · Wᵀ): every element of B is read once,
// where it lies, so the speed is that of memory. Vectors run along k and are summed up at the end.
#pragma once

#include "gemm-pack.h"
#include "gemm.h"

namespace danu {

constexpr int64_t mostFewRows = 16;
constexpr int64_t bytesOfFewTile = int64_t(128) << 10;

/// Whether the product has few rows and both operands lie along k.
inline bool hasFewRows(const Gemm& g) { return g.m <= mostFewRows && !g.transposeA && g.transposeB; }

/// Scalar products of Rows rows of A with Columns columns of B, to `[Rows][Columns]`.
template <class Step, class In, int Rows, int Columns>
void multiplyFew(const In* a, int64_t lda, const In* b, int64_t ldb, int64_t k, float* out) {
  using Reader = ElementReader<Step, In>;
  constexpr int64_t each = W * Step::depth;
  vf sums[Rows * Columns];
  unroll<Rows * Columns>([&](auto i) DANU_LAMBDA { sums[i] = zero(); });
  auto add = [&](int64_t p, int64_t positions) DANU_LAMBDA {
    vu columns[Columns];
    unroll<Columns>([&](auto j) DANU_LAMBDA {
      columns[j] = Reader::alongK(b + j * ldb + p, positions);
      // Columns are too short for the hardware's prefetching to get going: ask for those after the next.
      __builtin_prefetch(b + (j + 2 * Columns) * ldb + p, 0, 2);
    });
    unroll<Rows>([&](auto i) DANU_LAMBDA {
      vu row = Reader::alongK(a + i * lda + p, positions);
      unroll<Columns>([&](auto j) DANU_LAMBDA {
        sums[i * Columns + j] = Step::dot(sums[i * Columns + j], row, columns[j]);
      });
    });
  };
  int64_t p = 0;
  for (; p + each <= k; p += each) add(p, each);
  if (p < k) add(p, k - p);
  unroll<Rows * Columns>([&](auto i) DANU_LAMBDA { out[i] = sum(sums[i]); });
}

template <class Step, class In>
using FewFunction = void (*)(const In*, int64_t, const In*, int64_t, int64_t, float*);

/// Columns [first, end) of all rows of one product.
template <class Step, class In, class Out>
void multiplyFewTile(const Gemm& g, int64_t product, int64_t first, int64_t end) {
  static constexpr FewFunction<Step, In> single[] = {multiplyFew<Step, In, 1, 1>, multiplyFew<Step, In, 2, 1>,
                                                     multiplyFew<Step, In, 3, 1>, multiplyFew<Step, In, 4, 1>};
  static constexpr FewFunction<Step, In> fourfold[] = {multiplyFew<Step, In, 1, 4>, multiplyFew<Step, In, 2, 4>,
                                                       multiplyFew<Step, In, 3, 4>, multiplyFew<Step, In, 4, 4>};
  const In* a = (const In*)g.a + product * g.strideA;
  const In* b = (const In*)g.b + product * g.strideB;
  Out* c = (Out*)g.c + product * g.strideC;
  const Out* residual = g.residual ? (const Out*)g.residual + product * g.strideR : nullptr;
  for (int64_t column = first; column < end;) {
    const int64_t columns = end - column >= 4 ? 4 : 1;
    for (int64_t row = 0; row < g.m; row += 4) {
      const int64_t rows = std::min(int64_t(4), g.m - row);
      float products[16];
      const FewFunction<Step, In> multiply = (columns == 4 ? fourfold : single)[rows - 1];
      multiply(a + row * g.lda, g.lda, b + column * g.ldb, g.ldb, g.k, products);
      for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
          Out& to = c[(row + i) * g.ldc + column + j];
          float value = products[i * columns + j] * g.alpha;
          if (residual) value += widen(residual[(row + i) * g.ldr + column + j]);
          if (g.accumulate) value += widen(to);
          to = narrow<Out>(value);
        }
      }
    }
    column += columns;
  }
}

template <class Step, class In>
bool gemmFewRows(Queue& q, const Gemm& g) {
  const int64_t bytesOfColumn = g.k * int64_t(sizeof(In));
  const int64_t columnsEach = std::clamp(bytesOfFewTile / bytesOfColumn / 4 * 4, int64_t(4), int64_t(1024));
  const int64_t tiles = ceilDivide(g.n, columnsEach);
  submit(q, int(tiles * g.batch), [=](int tile) {
    const int64_t first = tile % tiles * columnsEach, end = std::min(first + columnsEach, g.n);
    if (g.out == dtypeF32) {
      multiplyFewTile<Step, In, float>(g, tile / tiles, first, end);
    } else {
      multiplyFewTile<Step, In, bf16>(g, tile / tiles, first, end);
    }
  });
  return true;
}

}  // namespace danu
