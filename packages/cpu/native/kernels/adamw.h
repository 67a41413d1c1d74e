// AdamW, Loshchilov & Hutter 2019, in one pass over parameter, moments and gradient.
#pragma once

#include <cmath>

#include "convert.h"

namespace danu {

/// Scalars of one step, as PyTorch rounds them.
struct AdamW {
  float decay;            // 1 − learning rate · weight decay
  float beta1Complement;  // 1 − β₁
  float beta2;
  float beta2Complement;  // 1 − β₂
  float eps;
  float stepSize;             // learning rate / (1 − β₁ᵗ)
  float rootBiasCorrection2;  // sqrt(1 − β₂ᵗ)
};

/// p ← decay · p; m ← m + (g − m)(1 − β₁); v ← β₂ v + (1 − β₂) g²; p ← p − stepSize · m / (√v / √bias₂ + eps), where
/// g = scale · grad. With `copy` the new parameter is also written rounded to bf16.
template <bool hasCopy>
void adamw(float* param, float* m, float* v, const float* grad, bf16* copy, float scale, const AdamW& a, int64_t n) {
  const AdamW s = a;
  forVectors(n, [=](int64_t i, auto count) {
    vf g = load(grad + i, count) * scale;
    vf first = load(m + i, count);
    first += (g - first) * s.beta1Complement;
    vf second = load(v + i, count) * s.beta2 + g * g * s.beta2Complement;
    vf denominator = sqrt(second) / s.rootBiasCorrection2 + s.eps;
    vf p = load(param + i, count) * s.decay - first / denominator * s.stepSize;
    store(m + i, first, count);
    store(v + i, second, count);
    store(param + i, p, count);
    if constexpr (hasCopy) store(copy + i, p, count);
  });
}

}  // namespace danu
