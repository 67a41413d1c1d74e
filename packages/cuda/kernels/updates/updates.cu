// Updates in place of tensors of any size: sums, and products with a factor that lives in memory. Computed in f32. Must move an
// element of a source once and of a target twice.
#include "../common/elements.cuh"

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
