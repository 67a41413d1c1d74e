// Functions of f32 within 3 units in the last place for every argument, without memory of their own.
#pragma once
#include <warp.cuh>

namespace number {
/// 192 bits of 4 / π, 32 of them from every eighth on. ARM, Optimized Routines, sincosf_data.c.
static __constant__ const uint32_t FOUR_OVER_PI[24] = {
    0xA2, 0xA2F9, 0xA2F983, 0xA2F9836E, 0xF9836E4E, 0x836E4E44, 0x6E4E4415, 0x4E441529, 0x441529FC, 0x1529FC27, 0x29FC2757, 0xFC2757D1,
    0x2757D1F5, 0x57D1F534, 0xD1F534DD, 0xF534DDC0, 0x34DDC0DB, 0xDDC0DB62, 0xC0DB6295, 0xDB629599, 0x6295993C, 0x95993C43, 0x993C4390, 0x3C439041};

/// x = turns · π / 2 + rest with |rest| ≤ π / 4, turns counted modulo 4.
struct Angle { int turns; float rest; };

DEVICE Angle reduce(float x) {
    if (fabsf(x) < 65536.f) {
        // Cody and Waite: π / 2 in three parts, the first ones short enough for exact products.
        const float k = rintf(x * 0.636619772f);
        float rest = fmaf(k, -1.57079601e+00f, x);
        rest = fmaf(k, -3.13916473e-07f, rest);
        return {(int)k, fmaf(k, -5.39030253e-15f, rest)};
    }
    // Payne and Hanek: of x · 4 / π only the bits that matter modulo 8, in 64 bits of fixed point.
    const uint32_t bits = __float_as_uint(x) & 0x7FFFFFFF, *window = FOUR_OVER_PI + (bits >> 26 & 15);
    const uint32_t mantissa = ((bits & 0xFFFFFF) | 0x800000) << (bits >> 23 & 7);
    uint64_t product = (uint64_t)(mantissa * window[0]) << 32 | (uint64_t)mantissa * window[8] >> 32;
    product += (uint64_t)mantissa * window[4];
    const uint64_t turns = (product + (1ull << 61)) >> 62;
    const float rest = (float)(int64_t)(product - (turns << 62)) * 3.40612158e-19f;   // π / 2⁶³
    return x < 0 ? Angle{-(int)turns, -rest} : Angle{(int)turns, rest};
}
/// Sine of an angle that is a quarter turn further for each of `turns`. Polynomials of least error on ±π / 4.
DEVICE float sine_of(Angle angle) {
    const float r = angle.rest, s = r * r;
    float y;
    if (angle.turns & 1) {
        y = fmaf(2.44677067e-5f, s, -1.38877297e-3f);
        y = fmaf(y, s, 4.16666567e-2f);
        y = fmaf(y, s, -0.5f);
        y = fmaf(y, s, 1.f);
    } else {
        y = fmaf(2.86567956e-6f, s, -1.98559923e-4f);
        y = fmaf(y, s, 8.33338592e-3f);
        y = fmaf(y, s, -1.66666672e-1f);
        y = fmaf(y, r * s, r);
    }
    return angle.turns & 2 ? -y : y;
}
DEVICE float sine(float x) { return fabsf(x) < INFINITY ? sine_of(reduce(x)) : NAN; }
DEVICE float cosine(float x) {
    if (!(fabsf(x) < INFINITY)) return NAN;
    Angle angle = reduce(x);
    angle.turns++;
    return sine_of(angle);
}
/// 1 / (1 + e⁻ˣ), right to the smallest.
DEVICE float sigmoid(float x) {
    const float e = expf(-fabsf(x));
    return (x < 0 ? e : 1.f) / (1.f + e);
}
}  // namespace number
