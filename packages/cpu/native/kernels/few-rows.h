// Scalar products of a few rows with a few columns, both along k where they lie: of x · Wᵀ when there are few x, and of
// one position's queries with keys.
#pragma once

#include <type_traits>

#include "gemm-element.h"

namespace danu {

/// Rows multiplied at once: what registers hold beside the streams, where halves of pairs need one for their mask.
#if defined(__AVX512F__) || defined(__aarch64__)
template <class In>
constexpr int fewRowsAtOnce = 4;
#else
template <class In>
constexpr int fewRowsAtOnce = std::is_same_v<In, float> ? 3 : 2;
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

/// The step for elements of type In.
template <class In>
using FewStep = std::conditional_t<std::is_same_v<In, float>, WholeStep<ScalarStep>, Bf16FewStep>;

/// In every four lanes those of a and b by turns: i = 0 and 2 of a, i = 1 and 3 of b, from lane `first` of the four on.
template <int first, int each, int... lane>
DANU_INLINE vf byTurns(vf a, vf b, std::integer_sequence<int, lane...>) {
  return __builtin_shufflevector(a, b,
                                 (lane / 4 * 4 + first + (each == 1 ? lane % 4 / 2 : lane % 2) +
                                  ((each == 1 ? lane % 2 : lane % 4 / 2) ? W : 0))...);
}

/// Sums of four vectors, by fewer steps than one after the other: four by four lanes turned and added, then the fours.
DANU_INLINE vf4 sumsOfFour(vf a, vf b, vf c, vf d) {
  constexpr auto lanes = std::make_integer_sequence<int, W>{};
  vf ab = byTurns<0, 1>(a, b, lanes) + byTurns<2, 1>(a, b, lanes);
  vf cd = byTurns<0, 1>(c, d, lanes) + byTurns<2, 1>(c, d, lanes);
  vf all = byTurns<0, 2>(ab, cd, lanes) + byTurns<2, 2>(ab, cd, lanes);
  vf4 total{};
  for (int i = 0; i < W; i += 4) {
    vf4 four;
    std::memcpy(&four, (const char*)&all + 4 * i, sizeof four);
    total += four;
  }
  return total;
}

/// Scalar products of Rows rows of A with Columns columns of B, to `[Rows][Columns]`.
template <class In, int Rows, int Columns>
void multiplyFew(const In* a, int64_t lda, const In* b, int64_t betweenColumns, int64_t k, float* out) {
  using Step = FewStep<In>;
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
  unroll<Rows>([&](auto i) DANU_LAMBDA {
    const vf* row = sums + i * Columns;
    if constexpr (Columns == 4) {
      const vf4 four = sumsOfFour(row[0], row[1], row[2], row[3]);
      std::memcpy(out + i * Columns, &four, sizeof four);
    } else {
      unroll<Columns>([&](auto j) DANU_LAMBDA { out[i * Columns + j] = sum(row[j]); });
    }
  });
}

}  // namespace danu
