// Root-mean-square norm over rows of C elements: y = x̂ · w with x̂ = x / sqrt(mean(x²) + eps). Zhang & Sennrich 2019.
#pragma once

#include <cmath>

#include "convert.h"

namespace danu {

/// One row forward; returns 1 / sqrt(mean(x²) + eps).
template <class T>
float rmsNormRow(T* y, const T* x, const T* w, int64_t C, float eps) {
  float squares = sumVectors(C, [=](int64_t i, auto count) {
    vf v = load(x + i, count);
    return v * v;
  });
  float rstd = 1.0f / std::sqrt(squares / float(C) + eps);
  forVectors(C, [=](int64_t i, auto count) { store(y + i, load(x + i, count) * rstd * load(w + i, count), count); });
  return rstd;
}

/// One row backward: dx = rstd · (dy·w − x̂ · mean(dy·w·x̂)) + residual, where that is given; dw += dy · x̂, or
/// dw = dy · x̂ for the first row.
template <bool hasResidual, class T>
void rmsNormRowBackward(
    T* dx, float* dw, const T* dy, const T* x, const T* w, const T* residual, float rstd, int64_t C, bool first) {
  float projection = sumVectors(C, [=](int64_t i, auto count) {
    return load(dy + i, count) * load(w + i, count) * (load(x + i, count) * rstd);
  });
  float mean = projection / float(C);
  vf keep = splat(first ? 0.0f : 1.0f);
  forVectors(C, [=](int64_t i, auto count) {
    vf normed = load(x + i, count) * rstd;
    vf g = load(dy + i, count);
    vf d = (g * load(w + i, count) - normed * mean) * rstd;
    if constexpr (hasResidual) d += load(residual + i, count);
    store(dx + i, d, count);
    vf before = keep == 0.0f ? zero() : load(dw + i, count);
    store(dw + i, before + g * normed, count);
  });
}

/// y[c] = Σ_p partials[p, c] over columns [first, last), in order of p.
inline void sumPartials(float* y, const float* partials, int64_t parts, int64_t C, int64_t first, int64_t last) {
  forVectors(last - first, [=](int64_t i, auto count) {
    vf total = zero();
    for (int64_t p = 0; p < parts; p++) total += load(partials + p * C + first + i, count);
    store(y + first + i, total, count);
  });
}

}  // namespace danu
