// Gated activation of Shazeer 2020 over gates and ups that lie apart: h = g · σ(g) · u, and its gradients
// dg = dh · u · σ(g) · (1 + g · (1 − σ(g))), du = dh · g · σ(g). Computed in f32 with its accuracy.
// Must move, an element: two in and one out; backward three and two.
#include "../common/elements.cuh"

namespace swiglu {
using namespace elements;

DEVICE float sigmoid(float x) { return 1.f / (1.f + expf(-x)); }

template <class T> DEVICE void forward(T* h, const T* gate, const T* up, size_t n) {
    const size_t at = first();
    if (at >= n) return;
    float g[RUN], u[RUN];
    load(gate + at, g, n - at); load(up + at, u, n - at);
    #pragma unroll
    for (int i = 0; i < RUN; i++) u[i] *= g[i] * sigmoid(g[i]);
    store(h + at, u, n - at);
}
template <class T> DEVICE void backward(T* d_gate, T* d_up, const T* d_h, const T* gate, const T* up, size_t n) {
    const size_t at = first();
    if (at >= n) return;
    float d[RUN], g[RUN], u[RUN];
    load(d_h + at, d, n - at); load(gate + at, g, n - at); load(up + at, u, n - at);
    #pragma unroll
    for (int i = 0; i < RUN; i++) {
        const float on = sigmoid(g[i]), x = g[i];
        g[i] = d[i] * u[i] * (on * (1.f + x * (1.f - on)));
        u[i] = d[i] * (x * on);
    }
    store(d_gate + at, g, n - at); store(d_up + at, u, n - at);
}
}  // namespace swiglu

/// Blocks of 256 threads, ⌈n / 2048⌉ of them.
/// @param h [n]  @param gate [n]  @param up [n]
extern "C" __global__ void __launch_bounds__(elements::THREADS) swiglu_f32(float* h, const float* gate, const float* up, size_t n) { swiglu::forward(h, gate, up, n); }
extern "C" __global__ void __launch_bounds__(elements::THREADS) swiglu_bf16(__nv_bfloat16* h, const __nv_bfloat16* gate, const __nv_bfloat16* up, size_t n) { swiglu::forward(h, gate, up, n); }
/// @param d_gate [n]  @param d_up [n]  @param d_h [n]  @param gate [n]  @param up [n]
extern "C" __global__ void __launch_bounds__(elements::THREADS) swiglu_gradient_f32(float* d_gate, float* d_up, const float* d_h, const float* gate, const float* up, size_t n) { swiglu::backward(d_gate, d_up, d_h, gate, up, n); }
extern "C" __global__ void __launch_bounds__(elements::THREADS) swiglu_gradient_bf16(__nv_bfloat16* d_gate, __nv_bfloat16* d_up, const __nv_bfloat16* d_h, const __nv_bfloat16* gate, const __nv_bfloat16* up, size_t n) { swiglu::backward(d_gate, d_up, d_h, gate, up, n); }
