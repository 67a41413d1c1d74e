// Updates in place of tensors of any size: AdamW with decoupled weight decay (Loshchilov & Hutter 2019; PyTorch's order of
// operations), sums, and products with a factor that lives in memory. Computed in f32 with its accuracy.
//   g ← scale·g   m ← m + (g − m)(1−β₁)   v ← β₂v + (1−β₂)g²   p ← p·(1 − lr·decay) − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + eps)
// Must move, an element: AdamW 28 bytes, and 2 of the copy; a sum the source once and the target twice.
#include "elements.cuh"

/// Scalars of one step, as PyTorch rounds them.
struct AdamWScalars { float decay, beta1_complement, beta2, beta2_complement, eps, step_size, root_bias2; };

namespace updates {
using namespace elements;
template <class T, class S> DEVICE void add_into(T* target, const S* source, size_t n) {
    const size_t at = first();
    if (at >= n) return;
    float a[RUN], b[RUN];
    load(target + at, a, n - at); load(source + at, b, n - at);
    #pragma unroll
    for (int i = 0; i < RUN; i++) a[i] += b[i];
    store(target + at, a, n - at);
}
template <class T> DEVICE void scale_into(T* target, const float* factor, size_t n) {
    const size_t at = first(); const float f = *factor;
    if (at >= n || f == 1) return;
    float a[RUN];
    load(target + at, a, n - at);
    #pragma unroll
    for (int i = 0; i < RUN; i++) a[i] *= f;
    store(target + at, a, n - at);
}
}  // namespace updates

/// Blocks of 256 threads, ⌈n / 1024⌉ of them.
/// @param p, m, v [n], updated  @param g [n]  @param copy [n] gets p in bf16, or null
/// @param scale [1] factor of g, or null for 1; where it is not finite nothing is written
extern "C" __global__ void __launch_bounds__(elements::THREADS) adamw_update(float* p, float* m, float* v, const float* g, __nv_bfloat16* copy, const float* scale, AdamWScalars s, size_t n) {
    using namespace elements;
    constexpr int W = 4;
    const size_t at = ((size_t)blockIdx.x * THREADS + threadIdx.x) * W; const float factor = scale ? *scale : 1.f;
    if (at >= n || !(fabsf(factor) < INFINITY)) return;
    float gradient[W], mean[W], variance[W], parameter[W];
    load(g + at, gradient, n - at); load(m + at, mean, n - at); load(v + at, variance, n - at); load(p + at, parameter, n - at);
    #pragma unroll
    for (int i = 0; i < W; i++) {
        const float d = gradient[i] * factor;
        mean[i] = fmaf(d - mean[i], s.beta1_complement, mean[i]);
        variance[i] = fmaf(d * d, s.beta2_complement, variance[i] * s.beta2);
        parameter[i] = parameter[i] * s.decay - mean[i] / (sqrtf(variance[i]) / s.root_bias2 + s.eps) * s.step_size;
    }
    store(m + at, mean, n - at); store(v + at, variance, n - at); store(p + at, parameter, n - at);
    if (copy) store(copy + at, parameter, n - at);
}

/// target += source. Blocks of 256 threads, ⌈n / 2048⌉ of them; the second type is the source's.
/// @param target [n]  @param source [n]
extern "C" __global__ void __launch_bounds__(elements::THREADS) add_into_f32_f32(float* target, const float* source, size_t n) { updates::add_into(target, source, n); }
extern "C" __global__ void __launch_bounds__(elements::THREADS) add_into_f32_bf16(float* target, const __nv_bfloat16* source, size_t n) { updates::add_into(target, source, n); }
extern "C" __global__ void __launch_bounds__(elements::THREADS) add_into_bf16_f32(__nv_bfloat16* target, const float* source, size_t n) { updates::add_into(target, source, n); }
extern "C" __global__ void __launch_bounds__(elements::THREADS) add_into_bf16_bf16(__nv_bfloat16* target, const __nv_bfloat16* source, size_t n) { updates::add_into(target, source, n); }

/// target *= factor; a factor of 1 reads and writes nothing. Blocks of 256 threads, ⌈n / 2048⌉ of them.
/// @param target [n]  @param factor [1]
extern "C" __global__ void __launch_bounds__(elements::THREADS) scale_into_f32(float* target, const float* factor, size_t n) { updates::scale_into(target, factor, n); }
extern "C" __global__ void __launch_bounds__(elements::THREADS) scale_into_bf16(__nv_bfloat16* target, const float* factor, size_t n) { updates::scale_into(target, factor, n); }
