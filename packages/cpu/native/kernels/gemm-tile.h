// The innermost tile of a matrix product: up to tileRows x (1 or 2) vectors of sums held in registers.
//
// A step multiplies one 4-byte element of A, broadcast, with a vector of 4-byte elements of B. An element is one f32,
// or two neighbours in k of bf16, which AVX-512 BF16 multiplies and adds at once: the same loop serves both.
#pragma once

#include <array>

#include "../simd.h"

namespace danu {

#if defined(__AVX512F__)
constexpr int tileRows = 14;
#elif defined(__aarch64__)
constexpr int tileRows = 8;
#else
constexpr int tileRows = 6;
#endif
constexpr int tileVectors = 2;
constexpr int panelWidth = tileVectors * W;

/// f32 elements: one position of k a step.
struct ScalarStep {
  static constexpr int depth = 1;
  static DANU_INLINE vf dot(vf sum, vu a, vu b) { return sum + (vf)a * (vf)b; }
};

#if defined(__AVX512BF16__)
/// Pairs of bf16: two positions of k a step.
struct PairStep {
  static constexpr int depth = 2;
  static DANU_INLINE vf dot(vf sum, vu a, vu b) {
    return (vf)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
  }
};
#endif

/// Operands of one tile. Strides count 4-byte elements.
struct TileOperands {
  const uint32_t* a;     // element (row, step) at row * aStride + step, or step * aStride + row if A is by columns
  int64_t aStride;
  const uint32_t* b;     // [steps][vectors * W]
  int64_t steps;
  float alpha;
  const float* addend;   // added to the product where not null; may be `out`
  int64_t addendStride;
  float* out;            // [rows][vectors * W] of f32
  int64_t outStride;
};

/// `out = alpha · A · B + addend` for Rows rows and Vectors vectors of columns.
template <class Step, int Rows, int Vectors, bool ByColumns>
void multiplyTile(const TileOperands& t) {
  vf sums[Rows * Vectors];
  unroll<Rows * Vectors>([&](auto i) DANU_LAMBDA { sums[i] = zero(); });
  const int64_t stride = t.aStride;
  // Every third row has a pointer of its own; the two after it are reached by an index, scaled by 1 and 2.
  constexpr int pointers = (Rows + 2) / 3;
  const uint32_t* a[pointers];
  unroll<pointers>([&](auto i) DANU_LAMBDA { a[i] = ByColumns ? t.a + 3 * i : t.a + 3 * i * stride; });
  const uint32_t* b = t.b;
  // The sums are stored when the loop is done: have the lines at hand by then.
  unroll<Rows>([&](auto i) DANU_LAMBDA {
    unroll<Vectors>([&](auto j) DANU_LAMBDA { __builtin_prefetch(t.out + i * t.outStride + j * W, 1); });
  });
  for (int64_t step = 0; step < t.steps; step++) {
    vu columns[Vectors];
    unroll<Vectors>([&](auto j) DANU_LAMBDA { columns[j] = *(const vuUnaligned*)(b + j * W); });
    unroll<Rows>([&](auto i) DANU_LAMBDA {
      constexpr int pointer = i / 3, beyond = i % 3;
      uint32_t element = *(const wordUnaligned*)(a[pointer] + (ByColumns ? beyond : beyond * stride));
      vu row = splatBits(element);
      unroll<Vectors>([&](auto j) DANU_LAMBDA {
        sums[i * Vectors + j] = Step::dot(sums[i * Vectors + j], row, columns[j]);
      });
    });
    unroll<pointers>([&](auto i) DANU_LAMBDA { a[i] += ByColumns ? stride : 1; });
    b += Vectors * W;
  }
  const vf alpha = splat(t.alpha);
  const float* addend = t.addend;
  const int64_t addendStride = t.addendStride, outStride = t.outStride;
  float* out = t.out;
  unroll<Rows>([&](auto i) DANU_LAMBDA {
    unroll<Vectors>([&](auto j) DANU_LAMBDA {
      vf product = sums[i * Vectors + j] * alpha;
      if (addend) product += load(addend + i * addendStride + j * W);
      store(out + i * outStride + j * W, product);
    });
  });
}

using TileFunction = void (*)(const TileOperands&);

/// Tile functions by [rows - 1][vectors - 1].
template <class Step, bool ByColumns>
struct TileTable {
  template <int... Rows>
  static constexpr auto make(std::integer_sequence<int, Rows...>) {
    return std::array<std::array<TileFunction, tileVectors>, tileRows>{
        std::array<TileFunction, tileVectors>{multiplyTile<Step, Rows + 1, 1, ByColumns>,
                                              multiplyTile<Step, Rows + 1, 2, ByColumns>}...};
  }
  static constexpr auto functions = make(std::make_integer_sequence<int, tileRows>{});
};

}  // namespace danu
