// C ABI of the optimizer step and of gradient clipping.
#include "../kernels/adamw.h"

#include <algorithm>

#include "../kernels/reduce-squares.h"
#include "danu_cpu.h"

using namespace danu;

/// One AdamW step over n elements, with PyTorch's formula: p ← (1 − lr · weightDecay) p; m, v ← moving averages of
/// g, g²; p ← p − lr / bias₁ · m / (√v / √bias₂ + eps), g = *gradScale · grad. If *gradScale is not finite
/// nothing is written.
/// @param param, m, v, grad f32 [n]  @param copy bf16 [n] that receives the rounded parameter, or 0
/// @param gradScale address of one f32, or 0 for 1  @param biasCorrection1, biasCorrection2 1 − βᵗ
DANU_API int32_t danu_adamw(
    Queue* q, uint64_t param, uint64_t m, uint64_t v, uint64_t grad, uint64_t copy, uint64_t gradScale, int64_t n,
    double learningRate, double beta1, double beta2, double eps, double weightDecay, double biasCorrection1,
    double biasCorrection2) {
  if (n < 0) return danu_invalid_argument;
  AdamW scalars{
      float(1 - learningRate * weightDecay),
      float(1 - beta1),
      float(beta2),
      float(1 - beta2),
      float(eps),
      float(learningRate / biasCorrection1),
      float(std::sqrt(biasCorrection2)),
  };
  constexpr int64_t elementsPerTile = 16384;
  submit(*q, tileCount(n, elementsPerTile), [=](int tile) {
    float scale = gradScale ? *(const float*)gradScale : 1.0f;
    if (!std::isfinite(scale)) return;
    int64_t at = tile * elementsPerTile;
    auto step = copy ? adamw<true> : adamw<false>;
    step((float*)param + at, (float*)m + at, (float*)v + at, (const float*)grad + at, (bf16*)copy + at, scale, scalars,
         std::min(elementsPerTile, n - at));
  });
  return danu_ok;
}

/// out = Σ grad², plus what `out` held if `accumulate` is not 0; squares and sums in f64, rounded to f32 at the end.
/// @param out f32 [1]  @param grad f32 [n]
DANU_API int32_t danu_sum_squares(Queue* q, uint64_t out, uint64_t grad, int64_t n, int32_t accumulate) {
  if (n < 0) return danu_invalid_argument;
  int tiles = tileCount(n, squaresPerTile);
  void* partials = q->memory.allocate(size_t(std::max(tiles, 1) * int64_t(sizeof(double))));
  if (!partials) return danu_out_of_memory;
  submit(*q, tiles, [=](int tile) {
    int64_t at = tile * squaresPerTile;
    ((double*)partials)[tile] = sumSquares((const float*)grad + at, std::min(squaresPerTile, n - at));
  });
  submit(*q, 1, [=](int) {
    double total = accumulate ? double(*(const float*)out) : 0.0;
    for (int i = 0; i < tiles; i++) total += ((const double*)partials)[i];
    *(float*)out = float(total);
  });
  q->memory.free(partials);
  return danu_ok;
}

/// norm = √sumSquares; scale = min(1, maxNorm / (norm + 1e-6)), or NaN if the norm is not finite.
/// @param scale, norm, sumSquares f32 [1]
DANU_API int32_t danu_clip_scale(Queue* q, uint64_t scale, uint64_t norm, uint64_t sumSquares, double maxNorm) {
  submit(*q, 1, [=](int) {
    float root = std::sqrt(*(const float*)sumSquares);
    float factor = std::min(1.0f, float(maxNorm) / (root + 1e-6f));
    *(float*)norm = root;
    *(float*)scale = std::isfinite(root) ? factor : NAN;
  });
  return danu_ok;
}
