// Products of few rows with a matrix whose columns lie along k (decoding: x · Wᵀ): every element of B is read once,
// where it lies, so the speed is that of memory. Vectors run along k and are summed up at the end.
//
// Memory is fastest when read in a few long streams, which the hardware's prefetching sees; columns are too short for
// that. So a tile is cut into equal parts, and columns of all parts go side by side, each part a stream of its own.
#pragma once

#include <array>

#include "gemm-packed.h"

namespace danu {

constexpr int64_t mostFewRows = 16;
constexpr int64_t leastFewTile = int64_t(64) << 10, mostFewTile = int64_t(256) << 10;  // bytes of B

constexpr int streams = 4;
/// Rows multiplied at once: what registers hold beside the streams.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int fewRowsAtOnce = 4;
#else
constexpr int fewRowsAtOnce = 2;
#endif

/// A step whose elements are multiplied as they are.
template <class Step>
struct WholeStep : Step {
  static constexpr int parts = 1;
  static DANU_INLINE vu part(vu elements, int) { return elements; }
};

#if defined(__AVX512BF16__)
using Bf16FewStep = WholeStep<PairStep>;
#else
/// Pairs of bf16 as PairStep takes them, multiplied half by half: a shift or a mask makes f32 of one.
struct Bf16FewStep : ScalarStep {
  static constexpr int depth = 2;
  static constexpr int parts = 2;
  static DANU_INLINE vu part(vu pairs, int i) { return i == 0 ? pairs << 16 : pairs & 0xffff0000u; }
};
#endif

/// Whether the product has few rows and both operands lie along k.
inline bool hasFewRows(const Gemm& g) { return g.m <= mostFewRows && !g.transposeA && g.transposeB; }

/// Scalar products of Rows rows of A with Columns columns of B, to `[Rows][Columns]`.
template <class Step, class In, int Rows, int Columns>
void multiplyFew(const In* a, int64_t lda, const In* b, int64_t betweenColumns, int64_t k, float* out) {
  using Reader = ElementReader<Step, In>;
  constexpr int64_t each = W * Step::depth;
  vf sums[Rows * Columns];
  unroll<Rows * Columns>([&](auto i) DANU_LAMBDA { sums[i] = zero(); });
  auto add = [&](int64_t p, int64_t positions) DANU_LAMBDA {
    vu columns[Columns];
    unroll<Columns>([&](auto j) DANU_LAMBDA { columns[j] = Reader::alongK(b + j * betweenColumns + p, positions); });
    unroll<Step::parts>([&](auto part) DANU_LAMBDA {
      unroll<Rows>([&](auto i) DANU_LAMBDA {
        const vu row = Step::part(Reader::alongK(a + i * lda + p, positions), part);
        unroll<Columns>([&](auto j) DANU_LAMBDA {
          sums[i * Columns + j] = Step::dot(sums[i * Columns + j], row, Step::part(columns[j], part));
        });
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

/// Functions by [rows - 1].
template <class Step, class In, int Columns, int... Rows>
constexpr auto fewFunctions(std::integer_sequence<int, Rows...>) {
  return std::array<FewFunction<Step, In>, fewRowsAtOnce>{multiplyFew<Step, In, Rows + 1, Columns>...};
}

/// All rows of some columns of one product: column j is `first + j * between`.
template <class Step, class In, class Out, int Columns>
void multiplyFewColumns(const Gemm& g, int64_t product, int64_t first, int64_t between) {
  static constexpr auto functions = fewFunctions<Step, In, Columns>(std::make_integer_sequence<int, fewRowsAtOnce>{});
  const In* a = (const In*)g.a + product * g.strideA;
  const In* b = (const In*)g.b + product * g.strideB + first * g.ldb;
  Out* c = (Out*)g.c + product * g.strideC + first;
  const Out* residual = g.residual ? (const Out*)g.residual + product * g.strideR + first : nullptr;
  const int64_t blocks = ceilDivide(g.m, fewRowsAtOnce);
  for (int64_t block = 0; block < blocks; block++) {
    const int64_t row = partStart(g.m, blocks, block), rows = partStart(g.m, blocks, block + 1) - row;
    float products[fewRowsAtOnce * Columns];
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
template <class Step, class In, class Out>
void multiplyFewTile(const Gemm& g, int64_t product, int64_t first, int64_t end) {
  const int64_t length = (end - first) / streams;
  for (int64_t i = 0; i < length; i++) multiplyFewColumns<Step, In, Out, streams>(g, product, first + i, length);
  for (int64_t column = first + streams * length; column < end; column++) {
    multiplyFewColumns<Step, In, Out, 1>(g, product, column, 0);
  }
}

template <class Step, class In>
bool gemmFewRows(Queue& q, const Gemm& g) {
  const int64_t bytesOfColumn = g.k * int64_t(sizeof(In));
  const int64_t bytesOfTile = std::clamp(g.n * bytesOfColumn / 8, leastFewTile, mostFewTile);
  const int64_t tiles = std::clamp(g.n * bytesOfColumn / bytesOfTile, int64_t(1), g.n);
  submit(q, int(tiles * g.batch), [=](int tile) {
    const int64_t first = partStart(g.n, tiles, tile % tiles), end = partStart(g.n, tiles, tile % tiles + 1);
    if (g.out == dtypeF32) {
      multiplyFewTile<Step, In, float>(g, tile / tiles, first, end);
    } else {
      multiplyFewTile<Step, In, bf16>(g, tile / tiles, first, end);
    }
  });
  return true;
}

}  // namespace danu
