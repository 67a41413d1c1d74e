// How tensor cores add products: those of halves as good as in f32, those of fp8, on sm_89 and sm_90, in fixed point.
#pragma once
#include <cuda_fp8.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>

namespace twin {
/// sum[R, N] += x[R, K] · y[K, N].
template <int R, int K, int N> void add_f32(float* sum, const float (&x)[R][K], const float (&y)[K][N]) {
    for (int r = 0; r < R; r++, sum += N) for (int k = 0; k < K; k++) for (int c = 0; c < N; c++) sum[c] += x[r][k] * y[k][c];
}

inline float masked(float x, uint32_t mask) { uint32_t bits; memcpy(&bits, &x, 4); bits &= mask; memcpy(&x, &bits, 4); return x; }
/// 2^exponent of an f32: 0 of 0, ∞ of what is not finite.
inline float power(float x) { return masked(x, 0x7F800000); }
/// The same of a number that a T holds: of subnormals that of the smallest normal number, of 0 less than of any other number.
template <class T> float power_of(float x) { return x == 0 ? 0x1p-50f : fmaxf(power(x), std::is_same_v<T, __nv_fp8_e5m2> ? 0x1p-14f : 0x1p-6f); }

/// The same, STEP of k at a time: the sum and STEP products are cut, toward zero, to 13 binary places below
/// the largest exponent among them, where a product has the exponents of its factors together; they are added exactly, and the
/// result is cut to 13 places below its own first bit. These are the bits of an H200's wgmma (docs/gpu-facts.md). Xie et al. 2025,
/// "MMA-Sim", found the same there, and in the mma of sm_89, which takes 16 products at a time.
template <int STEP, class A, class B, int R, int K, int N> void add_fp8(float* sum, const float (&x)[R][K], const float (&y)[K][N]) {
    static float powers[K][N];
    for (int k = 0; k < K; k++) for (int c = 0; c < N; c++) powers[k][c] = power_of<B>(y[k][c]);
    for (int r = 0; r < R; r++, sum += N) for (int from = 0; from < K; from += STEP) {
        float top[N], ones[N]; int fixed[N];      // 2^largest exponent, what makes its 13th place 1, the sum in that unit
        for (int c = 0; c < N; c++) top[c] = power(sum[c]);
        for (int k = from; k < from + STEP; k++) {
            const float own = power_of<A>(x[r][k]);
            for (int c = 0; c < N; c++) { const float p = own * powers[k][c]; top[c] = p > top[c] ? p : top[c]; }
        }
        for (int c = 0; c < N; c++) { ones[c] = 0x1p13f / top[c]; fixed[c] = (int)(sum[c] * ones[c]); }
        for (int k = from; k < from + STEP; k++) for (int c = 0; c < N; c++) fixed[c] += (int)(x[r][k] * y[k][c] * ones[c]);
        for (int c = 0; c < N; c++)
            if (top[c] < INFINITY) sum[c] = masked((float)fixed[c] * (top[c] * 0x1p-13f), ~0x3FFu);
            else for (int k = from; k < from + STEP; k++) sum[c] += x[r][k] * y[k][c];
    }
}
}  // namespace twin
