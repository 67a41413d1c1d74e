// Gated activation of Shazeer 2020: y = silu(gate) · up, silu(g) = g · σ(g).
#pragma once

#include "convert.h"

namespace danu {

template <class T>
void swiglu(T* y, const T* gate, const T* up, int64_t n) {
  forVectors(n, [=](int64_t i, auto count) {
    vf g = load(gate + i, count);
    store(y + i, g * sigmoid(g) * load(up + i, count), count);
  });
}

/// dup = dy · g · σ(g); dgate = dy · up · σ(g) · (1 + g · (1 − σ(g))). Outputs may be inputs.
template <class T>
void swigluBackward(T* dgate, T* dup, const T* dy, const T* gate, const T* up, int64_t n) {
  forVectors(n, [=](int64_t i, auto count) {
    vf g = load(gate + i, count);
    vf d = load(dy + i, count);
    vf u = load(up + i, count);
    vf s = sigmoid(g);
    store(dup + i, d * (g * s), count);
    store(dgate + i, d * u * (s * (1.0f + g * (1.0f - s))), count);
  });
}

}  // namespace danu
