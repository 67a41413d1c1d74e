// From one element type to another, and the numbers 0, 1, 2, … in any.
// Must move: the bytes of both tensors.
#include "number.cuh"

namespace cast_kernels {
using namespace number;
constexpr int THREADS = 256, N = 8;

/// The host's codes of the element types.
enum Type { F32, BF16, F16_, F8E4M3, F8E5M2, I32, U8 };

template <class To, class From> DEVICE void convert(To* y, const From* x, int64_t n) {
    const int64_t first = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    if (first >= n) return;
    Value<From> v[N];
    load(v, x + first, true, n - first);
    store(y + first, v, true, n - first, [](Value<From> a) { return saturated<To>(a); });
}
template <class To> DEVICE void from_any(To* y, const void* x, int from, int64_t n) {
    switch (from) {
        case F32: return convert(y, (const float*)x, n);
        case BF16: return convert(y, (const Bf16*)x, n);
        case F16_: return convert(y, (const F16*)x, n);
        case F8E4M3: return convert(y, (const E4m3*)x, n);
        case F8E5M2: return convert(y, (const E5m2*)x, n);
        case I32: return convert(y, (const int32_t*)x, n);
        case U8: return convert(y, (const uint8_t*)x, n);
    }
}
/// start + i · step in f64 with two roundings, and a third to the element.
template <class T> DEVICE void count(T* y, double start, double step, int64_t n) {
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) y[i] = saturated<T>(__dadd_rn(start, __dmul_rn((double)i, step)));
}
}  // namespace cast_kernels
using cast_kernels::Bf16, cast_kernels::F16, cast_kernels::E4m3, cast_kernels::E5m2;

/// Blocks of 256 threads, a thread 8 elements: ⌈n / 2048⌉ blocks.
/// @param y [n]  @param x [n] of the type with the code `from`, a Type
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) cast_to_f32(float* y, const void* x, int from, int64_t n) { cast_kernels::from_any(y, x, from, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) cast_to_bf16(Bf16* y, const void* x, int from, int64_t n) { cast_kernels::from_any(y, x, from, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) cast_to_f16(F16* y, const void* x, int from, int64_t n) { cast_kernels::from_any(y, x, from, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) cast_to_f8e4m3(E4m3* y, const void* x, int from, int64_t n) { cast_kernels::from_any(y, x, from, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) cast_to_f8e5m2(E5m2* y, const void* x, int from, int64_t n) { cast_kernels::from_any(y, x, from, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) cast_to_i32(int32_t* y, const void* x, int from, int64_t n) { cast_kernels::from_any(y, x, from, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) cast_to_u8(uint8_t* y, const void* x, int from, int64_t n) { cast_kernels::from_any(y, x, from, n); }

/// y[i] = start + i · step. Blocks of 256 threads, a thread one element.
/// @param y [n]
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) iota_f32(float* y, double start, double step, int64_t n) { cast_kernels::count(y, start, step, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) iota_bf16(Bf16* y, double start, double step, int64_t n) { cast_kernels::count(y, start, step, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) iota_f16(F16* y, double start, double step, int64_t n) { cast_kernels::count(y, start, step, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) iota_f8e4m3(E4m3* y, double start, double step, int64_t n) { cast_kernels::count(y, start, step, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) iota_f8e5m2(E5m2* y, double start, double step, int64_t n) { cast_kernels::count(y, start, step, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) iota_i32(int32_t* y, double start, double step, int64_t n) { cast_kernels::count(y, start, step, n); }
extern "C" __global__ void __launch_bounds__(cast_kernels::THREADS) iota_u8(uint8_t* y, double start, double step, int64_t n) { cast_kernels::count(y, start, step, n); }
