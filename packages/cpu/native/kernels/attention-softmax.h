// The elementwise middle of attention, on tiles [keys, query lanes]: online softmax forward, its gradient backward.
#pragma once

#include "attention-operand.h"
#include "attention-shape.h"

namespace danu {

constexpr float log2e = 1.44269504088896341f;
constexpr double ln2 = 0.693147180559945309417;

/// Stands for the score of a key that is not seen; finite, so that differences of it are numbers.
constexpr float unseenScore = -1e30f;

/// 2^x within 2e-7; 0 far below -126, NaN for NaN. Callers keep x under 128.
/// x = n + r, |r| <= 1/2, and a polynomial of least relative error for 2^r.
DANU_INLINE vf exp2(vf x) {
#if defined(__AVX512F__)
  x = max(splat(-200.0f), x);
  vf n = (vf)_mm512_roundscale_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  vf r = x - n;
#else
  x = max(splat(-126.0f), x);
  // Adding 1.5·2^23 rounds to an integer and leaves it in the low bits.
  const float magic = 12582912.0f;
  vf shifted = x + magic;
  vf r = x - (shifted - magic);
#endif
  vf p = r * 0.0013264727f + 0.009671513f;
  p = p * r + 0.055507336f;
  p = p * r + 0.24022242f;
  p = p * r + 0.693147f;
  p = p * r + 1.0f;
#if defined(__AVX512F__)
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  return (vf)((vu)p + ((vu)shifted << 23));
#endif
}

/// Sets the scores of unseen keys, and of one key more where a pair needs it.
inline void maskScores(float* scores, const QueryBlock& block, int64_t key0, int keys) {
  for (int n = 0; n < keys; n++) {
    if (!block.masks(key0 + n, key0 + n + 1)) continue;
    for (int j = 0; j < block.vectors; j++) {
      float* s = scores + n * queryLanes + j * W;
      store(s, select(block.sees(j, int32_t(key0 + n)), load(s), splat(unseenScore)));
    }
  }
  if (keys % 2 == 0) return;
  for (int j = 0; j < block.vectors; j++) store(scores + keys * queryLanes + j * W, splat(unseenScore));
}

/// Running softmax of the lanes: largest score and sum of exponentials so far, and the factor of the last tile for what
/// was summed before it.
struct SoftmaxState {
  alignas(64) float largest[queryLanes];
  alignas(64) float sum[queryLanes];
  alignas(64) float rescale[queryLanes];

  void reset() {
    std::fill_n(largest, queryLanes, unseenScore);
    std::fill_n(sum, queryLanes, 0.0f);
  }
};

#if defined(__AVX512BF16__)
/// Lanes of a and b rounded to bf16: a in the lower half.
DANU_INLINE vu narrowTwo(vf a, vf b) { return (vu)_mm512_cvtne2ps_pbh((__m512)b, (__m512)a); }

/// From `narrowTwo`, the pairs (a[i], b[i]).
DANU_INLINE vu pairLanes(vu x) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return (vu)_mm512_permutexvar_epi16(order, (__m512i)x);
}
#endif

/// Turns scores [keys, lanes] into exponentials relative to the running maximum, as an operand [depth, lanes]: f32 in
/// place of the scores, bf16 pairs of keys in `pairs`. `factor` is log2(e) times the scale of scores, not negative.
/// An odd number of keys makes a pair with a masked one.
template <class Operands, bool masked>
void onlineSoftmax(SoftmaxState& state, float* scores, [[maybe_unused]] Unit* pairs, int vectors, int keys,
                   float factor) {
  auto weight = [=](float* s, vf shift) __attribute__((always_inline)) {
    vf x = load(s);
    vf e = exp2(x * factor - shift);
    return masked ? select(x == splat(unseenScore), zero(), e) : e;
  };
  for (int j = 0; j < vectors; j++) {
    float* column = scores + j * W;
    vf old = load(state.largest + j * W);
    vf even = old, odd = old;
    int n = 0;
    for (; n + 2 <= keys; n += 2) {
      even = max(load(column + n * queryLanes), even);
      odd = max(load(column + (n + 1) * queryLanes), odd);
    }
    if (n < keys) even = max(load(column + n * queryLanes), even);
    vf largest = max(even, odd);
    vf shift = largest * factor;
    vf total = zero();
    if constexpr (Operands::perUnit == 1) {
      for (n = 0; n < keys; n++) {
        vf e = weight(column + n * queryLanes, shift);
        store(column + n * queryLanes, e);
        total += e;
      }
    } else {
#if defined(__AVX512BF16__)
      for (n = 0; n < keys; n += 2) {
        vf a = weight(column + n * queryLanes, shift);
        vf b = weight(column + (n + 1) * queryLanes, shift);
        total += a + b;
        storeUnits(pairs + n / 2 * queryLanes + j * W, pairLanes(narrowTwo(a, b)));
      }
#endif
    }
    // The difference first: it is exactly zero for lanes that have seen no key yet.
    vf rescale = exp2((old - largest) * factor);
    store(state.rescale + j * W, rescale);
    store(state.largest + j * W, largest);
    store(state.sum + j * W, load(state.sum + j * W) * rescale + total);
  }
}

/// What the gradient knows of the lanes: log2 of the sum of exponentials, and the row's Σ dO·O.
struct RowStatistics {
  alignas(64) float logSum[queryLanes];
  alignas(64) float delta[queryLanes];
};

/// Where the gradient pass leaves weights P and score gradients dS as operands.
struct GradientOperands {
  Unit* weightRows;     // P, keys as rows, lanes as depth; `rowStride` units between keys
  Unit* gradientRows;   // dS in the same layout
  Unit* gradientDepth;  // dS, keys as depth: [units of keys, lanes]
};

/// P = 2^(scores·factor - logSum), dS = P·(dP - delta)·scale for the keys [n, n + perUnit) of tiles [keys, lanes]. f32
/// stays in place of scores and dP, bf16 goes to `out`.
template <class Operands, bool masked>
DANU_INLINE void gradientOfKeys(float* scores, float* dP, [[maybe_unused]] const GradientOperands& out,
                                const RowStatistics& statistics, const QueryBlock& block, int64_t key0, int keys, int n,
                                float factor, float scale) {
  auto compute = [&](int n, int j, vf& p, vf& dS) __attribute__((always_inline)) {
    int at = n * queryLanes + j * W;
    p = exp2(load(scores + at) * factor - load(statistics.logSum + j * W));
    dS = p * ((load(dP + at) - load(statistics.delta + j * W)) * scale);
    if constexpr (masked) {
      vi seen = n < keys ? block.sees(j, int32_t(key0 + n)) : vi{};
      p = select(seen, p, zero());
      dS = select(seen, dS, zero());
    }
  };
  for (int j = 0; j < block.vectors; j++) {
    vf p, dS;
    compute(n, j, p, dS);
    if constexpr (Operands::perUnit == 1) {
      store(scores + n * queryLanes + j * W, p);
      store(dP + n * queryLanes + j * W, dS);
    } else {
#if defined(__AVX512BF16__)
      vf nextP, nextDS;
      compute(n + 1, j, nextP, nextDS);
      auto storeRows = [=](Unit* rows, vu two) __attribute__((always_inline)) {
        Unit* first = rows + n * (queryLanes / 2) + j * W / 2;
        _mm256_storeu_si256((__m256i*)first, _mm512_castsi512_si256((__m512i)two));
        _mm256_storeu_si256((__m256i*)(first + queryLanes / 2), _mm512_extracti64x4_epi64((__m512i)two, 1));
      };
      vu both = narrowTwo(dS, nextDS);
      storeRows(out.weightRows, narrowTwo(p, nextP));
      storeRows(out.gradientRows, both);
      storeUnits(out.gradientDepth + n / 2 * queryLanes + j * W, pairLanes(both));
#endif
    }
  }
}

/// The gradient of the softmax on a tile of keys, masked where some lane does not see some key.
template <class Operands>
void softmaxGradient(float* scores, float* dP, const GradientOperands& out, const RowStatistics& statistics,
                     const QueryBlock& block, int64_t key0, int keys, float factor, float scale) {
  for (int n = 0; n < keys; n += Operands::perUnit) {
    if (n + Operands::perUnit > keys || block.masks(key0 + n, key0 + n + Operands::perUnit)) {
      gradientOfKeys<Operands, true>(scores, dP, out, statistics, block, key0, keys, n, factor, scale);
    } else {
      gradientOfKeys<Operands, false>(scores, dP, out, statistics, block, key0, keys, n, factor, scale);
    }
  }
}

}  // namespace danu
