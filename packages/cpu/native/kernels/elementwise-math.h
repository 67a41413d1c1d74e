// Functions of single elements, as vectors: within 2 units in the last place in f32 where not said otherwise.
#pragma once

#include <cmath>

#include "convert.h"

namespace danu {

/// Natural logarithm: −infinity at 0, NaN below, exact at 1. x = 2^n · m with m in [√½, √2), and log m by the
/// odd series in (m − 1) / (m + 1), with the coefficients of fdlibm.
DANU_INLINE vf log(vf x) {
  vi subnormal = x < 0x1p-126f;
  vf scaled = subnormal ? x * 0x1p23f : x;
  vu bits = (vu)scaled;
  vi exponent = (vi)(bits - 0x3f3504f3) >> 23;
  vf f = (vf)(bits - ((vu)exponent << 23)) - 1.0f;
  vf n = __builtin_convertvector(exponent + (subnormal & -23), vf);
  vf s = f / (f + 2.0f);
  vf z = s * s;
  vf w = z * z;
  vf series = z * (w * 0.28498786688f + 0.66666662693f) + w * (w * 0.24279078841f + 0.40000972152f);
  vf half = f * f * 0.5f;
  vf y = s * (half + series) + n * 9.0580006145e-06f - half + f + n * 6.9313812256e-01f;
  y = x == 0.0f ? splat(-INFINITY) : y;
  y = x < 0.0f ? splat(NAN) : y;
  return x < INFINITY ? y : x;
}

/// Hyperbolic tangent: a polynomial near 0 (Cephes' tanhf), 1 − 2 / (e^2x + 1) elsewhere.
DANU_INLINE vf tanh(vf x) {
  vf z = x * x;
  vf p = z * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  vf near = p * z * x + x;
  vf magnitude = abs(x);
  vf far = 1.0f - 2.0f / (exp(magnitude + magnitude) + 1.0f);
  far = (vf)((vu)far | ((vu)x & 0x80000000u));
  return magnitude < 0.625f ? near : x == x ? far : x;
}

/// 1 / (1 + e^-x), also where the result is subnormal.
DANU_INLINE vf logistic(vf x) {
  vf e = exp(-abs(x));
  return (x < 0.0f ? e : splat(1.0f)) / (1.0f + e);
}

/// Sine and cosine of the C library, lane by lane.
DANU_INLINE vf sine(vf x) {
  for (int i = 0; i < W; i++) x[i] = sinf(x[i]);
  return x;
}

DANU_INLINE vf cosine(vf x) {
  for (int i = 0; i < W; i++) x[i] = cosf(x[i]);
  return x;
}

}  // namespace danu
