// Softmax cross-entropy of one row of logits, and the gradient of it in the memory of the logits.
#pragma once

#include <cmath>

#include "convert.h"

namespace danu {

/// Largest of n logits; where some are NaN, any number or NaN.
inline float largestLogit(const float* logits, int64_t n) {
  vf top = splat(-INFINITY);
  forVectors(n, [&](int64_t i, auto count) {
    vf v = load(logits + i, count);
    if constexpr (!std::is_same_v<decltype(count), Full>) v = laneNumbers() < count ? v : top;
    top = max(v, top);
  });
  return largest(top);
}

/// Returns log Σ exp(logits) − logits[target] and replaces every logit by exp(logit − largest); `total` is their sum.
/// Subtracting the largest first keeps every exponential within [0, 1], however large the logits are.
inline float crossEntropyRow(float* logits, int64_t V, int64_t target, float& total) {
  float top = largestLogit(logits, V);
  double chosen = logits[target];
  total = sumVectors(V, [=](int64_t i, auto count) {
    vf e = exp(load(logits + i, count) - top);
    if constexpr (!std::is_same_v<decltype(count), Full>) e = laneNumbers() < count ? e : zero();
    store(logits + i, e, count);
    return e;
  });
  return float(std::log(double(total)) + (double(top) - chosen));
}

/// Turns the exponentials of a row into scale · (softmax − onehot(target)), as T from the start of the row's memory.
template <class T>
void crossEntropyGradientRow(float* exponentials, int64_t V, int64_t target, float total, float scale) {
  T* gradient = (T*)exponentials;
  float share = exponentials[target] / total;
  float factor = scale / total;
  // An element of T is no longer than an f32, so that a vector is written only where all has been read.
  forVectors(V, [=](int64_t i, auto count) { store(gradient + i, load(exponentials + i, count) * factor, count); });
  gradient[target] = narrow<T>((share - 1.0f) * scale);
}

}  // namespace danu
