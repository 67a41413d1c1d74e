// Layouts of the operands of attention's products, and how they are brought about: rows staged with zeros behind the
// head, lanes turned into rows, and pairs of rows interleaved for bf16 products.
#pragma once

#include <type_traits>
#include <utility>

#include "attention-product.h"
#include "attention-shape.h"

namespace danu {

/// f32 units; inputs of any type are converted.
struct F32Operands {
  using Multiply = MultiplyF32;
  using Element = float;
  static constexpr int perUnit = 1;
};

#if defined(__AVX512BF16__)
/// bf16 pairs; the inputs are bf16.
struct Bf16Operands {
  using Multiply = MultiplyBf16;
  using Element = bf16;
  static constexpr int perUnit = 2;
};
#endif

/// Operands for inputs of type T.
#if defined(__AVX512BF16__)
template <class T>
using OperandsOf = std::conditional_t<std::is_same_v<T, bf16>, Bf16Operands, F32Operands>;
#else
template <class T>
using OperandsOf = F32Operands;
#endif

/// `count` in units, rounded up.
template <class Operands>
constexpr int64_t unitsOf(int64_t count) {
  return (count + Operands::perUnit - 1) / Operands::perUnit;
}

/// `count` rounded up to whole vectors.
constexpr int64_t paddedLanes(int64_t count) { return (count + W - 1) / W * W; }

DANU_INLINE vu loadUnits(const Unit* p) { return *(const vuUnaligned*)p; }
DANU_INLINE void storeUnits(Unit* p, vu x) { *(vuUnaligned*)p = x; }

/// Exchanges lanes and rows that differ in bit `step`: lanes of `a` without the bit stay, those of `b` take the others.
template <int step, int... lane>
DANU_INLINE void exchange(vu& a, vu& b, std::integer_sequence<int, lane...>) {
  vu low = __builtin_shufflevector(a, b, (lane & step ? lane - step + W : lane)...);
  b = __builtin_shufflevector(a, b, (lane & step ? lane + W : lane + step)...);
  a = low;
}

/// Transposes W x W units in registers.
template <int step = 1>
DANU_INLINE void transpose(vu (&x)[W]) {
#pragma GCC unroll 16
  for (int i = 0; i < W; i++) {
    if (!(i & step)) exchange<step>(x[i], x[i + step], std::make_integer_sequence<int, W>{});
  }
  if constexpr (2 * step < W) transpose<2 * step>(x);
}

/// `to[unit][lane] = from[lane][unit]` for the units in [0, units); `from` has whole vectors of units in every row.
inline void transposeUnits(Unit* to, int64_t toRow, const Unit* from, int64_t fromRow, int vectors, int64_t units) {
  for (int j = 0; j < vectors; j++)
    for (int64_t unit = 0; unit < units; unit += W) {
      vu x[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; i++) x[i] = loadUnits(from + (j * W + i) * fromRow + unit);
      transpose(x);
      Unit* target = to + unit * toRow + j * W;
      int64_t count = units - unit;
      if (count >= W) {
#pragma GCC unroll 16
        for (int i = 0; i < W; i++) storeUnits(target + i * toRow, x[i]);
      } else {
        for (int i = 0; i < count; i++) storeUnits(target + i * toRow, x[i]);
      }
    }
}

/// Writes `from[d][lane] · factor[lane]`, rounded to T, to row `row0 + lane` for the lanes in [0, count).
template <class T>
void writeLanes(QueryRows<T> rows, int64_t row0, int count, const float* from, const float* factor) {
  for (int lane0 = 0; lane0 < count; lane0 += W) {
    vf factors = load(factor + lane0);
    for (int64_t d = 0; d < rows.D; d += W) {
      int elements = int(std::min<int64_t>(W, rows.D - d));
      vu x[W];
#pragma GCC unroll 16
      for (int i = 0; i < W; i++) {
        x[i] = i < elements ? asBits(load(from + (d + i) * queryLanes + lane0) * factors) : splatBits(0);
      }
      transpose(x);
      int lanes = std::min(W, count - lane0);
      for (int i = 0; i < lanes; i++) {
        T* to = rows[row0 + lane0 + i] + d;
        if (elements == W) store(to, asFloat(x[i]));
        else store(to, asFloat(x[i]), elements);
      }
    }
  }
}

/// Copies one row of D elements, converted to operands, with zeros behind it up to whole vectors of units.
template <class Operands, class T>
DANU_INLINE void stageRow(Unit* to, const T* from, int64_t D) {
  constexpr int64_t perVector = W * Operands::perUnit;
  int64_t d = 0;
  for (; d + perVector <= D; d += perVector, to += W) {
    if constexpr (Operands::perUnit == 2) storeUnits(to, *(const vuUnaligned*)(from + d));
    else storeUnits(to, asBits(load(from + d)));
  }
  if (d == D) return;
  if constexpr (Operands::perUnit == 1) {
    storeUnits(to, asBits(load(from + d, int(D - d))));
  } else if (D % 2 == 0) {
    storeUnits(to, loadBits(from + d, int(D - d) / 2));
  } else {
    vu last{};
    std::memcpy(&last, from + d, size_t(D - d) * sizeof(T));
    storeUnits(to, last);
  }
}

/// Units between the starts of staged rows.
template <class Operands>
constexpr int64_t stagedRow(int64_t D) {
  return paddedLanes(unitsOf<Operands>(D));
}

/// Stages `count` rows, then zeros up to `padded` rows.
template <class Operands, class Rows>
void stageRows(Unit* to, Rows rows, int64_t row0, int count, int padded, int64_t D) {
  int64_t stride = stagedRow<Operands>(D);
  for (int i = 0; i < count; i++) stageRow<Operands>(to + i * stride, rows[row0 + i], D);
  if (padded > count) std::memset(to + count * stride, 0, size_t(padded - count) * size_t(stride) * 4);
}

#if defined(__AVX512BF16__)
/// Lanes of two vectors of halves in turns: from the lower halves of a and b, or from the upper.
template <bool upper>
DANU_INLINE vu interleaveHalves(vu a, vu b) {
  alignas(64) static constexpr auto order = [] {
    struct { int16_t lanes[2 * W]; } table{};
    for (int i = 0; i < 2 * W; i++) table.lanes[i] = int16_t((i % 2 ? 2 * W : 0) + i / 2 + (upper ? W : 0));
    return table;
  }();
  return (vu)_mm512_permutex2var_epi16((__m512i)a, _mm512_load_si512(&order), (__m512i)b);
}

/// D pairs (a[d], b[d]), a in the lower half; zeros behind them up to whole vectors.
DANU_INLINE void interleaveRow(Unit* to, const bf16* a, const bf16* b, int64_t D) {
  int64_t d = 0;
  for (; d + 2 * W <= D; d += 2 * W) {
    vu x = *(const vuUnaligned*)(a + d), y = *(const vuUnaligned*)(b + d);
    storeUnits(to + d, interleaveHalves<false>(x, y));
    storeUnits(to + d + W, interleaveHalves<true>(x, y));
  }
  for (; d < D; d += W) {
    int count = int(D - d < W ? D - d : W);
    vu low = widenHalves(loadHalves(a + d, count));
    vu high = widenHalves(loadHalves(b + d, count));
    storeUnits(to + d, low | high << 16);
  }
}

/// Rows [0, count) as rows of pairs (row 2i, row 2i + 1), `stride` units apart; an odd last row is paired with zeros.
template <class Rows>
void interleaveRows(Unit* to, int64_t stride, Rows rows, int64_t row0, int count, int64_t D) {
  static constexpr bf16 zeros[maxHeadSize] = {};
  for (int i = 0; i < count; i += 2) {
    interleaveRow(to + i / 2 * stride, rows[row0 + i], i + 1 < count ? rows[row0 + i + 1] : zeros, D);
  }
}
#endif

/// An operand A over keys: keys as its rows, or as its depth.
struct KeyOperand {
  const Unit* units;
  int64_t keyStride;  // units between keys, or between pairs of keys
};

/// Keys as rows: read in place where they are operands already, else staged in `buffer`.
template <class Operands, class T>
DANU_INLINE KeyOperand keysAsRows(Unit* buffer, KeyRows<const T> rows, int64_t key0, int count, int64_t D) {
  constexpr bool same = std::is_same_v<T, typename Operands::Element>;
  if (same && (Operands::perUnit == 1 || D % 2 == 0)) {
    return {(const Unit*)rows[key0], rows.stride / Operands::perUnit};
  }
  stageRows<Operands>(buffer, rows, key0, count, count, D);
  return {buffer, stagedRow<Operands>(D)};
}

/// Keys as depth: f32 as `keysAsRows` gives them, bf16 interleaved in `buffer`.
template <class Operands, class T>
DANU_INLINE KeyOperand keysAsDepth(Unit* buffer, KeyRows<const T> rows, int64_t key0, int count, int64_t D) {
  if constexpr (Operands::perUnit == 1) {
    return keysAsRows<Operands>(buffer, rows, key0, count, D);
  } else {
    interleaveRows(buffer, paddedLanes(D), rows, key0, count, D);
    return {buffer, paddedLanes(D)};
  }
}

}  // namespace danu
