// Element by element: functions of one tensor, of two that broadcast, choice by a mask, stretching. A thread makes 16 bytes of
// neighbouring elements of the result, computed in f32 or, for integers, in 32 bits that wrap around.
// Must move: every operand once, as large as it is, and the result.
#include "math.cuh"
#include "number.cuh"
#include "walk.cuh"

namespace elementwise {
using namespace number;
constexpr int THREADS = 256;

/// The codes of the host.
enum Unary { NEG, ABS, EXP, LOG, SQRT, SIN, COS, TANH, SIGMOID };
enum Binary { ADD, SUB, MUL, DIV, MAXIMUM, MINIMUM, EQUAL, LESS, LESS_EQUAL };

DEVICE float plus(float a, float b) { return a + b; }
DEVICE float minus(float a, float b) { return a - b; }
DEVICE float times(float a, float b) { return a * b; }
DEVICE float over(float a, float b) { return a / b; }
DEVICE int plus(int a, int b) { return (int)((uint32_t)a + (uint32_t)b); }
DEVICE int minus(int a, int b) { return (int)((uint32_t)a - (uint32_t)b); }
DEVICE int times(int a, int b) { return (int)((uint32_t)a * (uint32_t)b); }
/// Toward zero; by 0 it gives 0, and the lowest by −1 itself.
DEVICE int over(int a, int b) { return b == 0 ? 0 : b == -1 ? minus(0, a) : a / b; }
/// NaN where one of them is.
template <class V> DEVICE V larger(V a, V b) { return a > b || a != a ? a : b; }
template <class V> DEVICE V smaller(V a, V b) { return a < b || a != a ? a : b; }

/// The part of a result that a thread makes: N neighbours along the innermost axis, which starts anew with every row.
template <int OPERANDS, int N> struct Part : Place<OPERANDS> {
    int64_t first, count, y;
    bool inside;
    DEVICE explicit Part(const Walk<OPERANDS>& walk) : Place<OPERANDS>{} {
        const int64_t index = (int64_t)blockIdx.x * THREADS + threadIdx.x, width = walk.size[0], parts = (width + N - 1) / N;
        const int64_t row = walk.rank == 1 ? 0 : index / parts;
        first = (index - row * parts) * N;
        count = min((int64_t)N, width - first);
        y = row * width + first;
        inside = count > 0 && this->advance(walk, row, 1);
    }
    /// Values of operand K, which along the innermost axis lie side by side, are all the same, or lie apart.
    template <int K, class T> DEVICE void load(Value<T> (&v)[N], const T* x, const Walk<OPERANDS>& walk) const {
        const int64_t step = walk.step[K][0];
        const T* from = x + this->at[K] + first * step;
        if (step == 1) return number::load(v, from, walk.wide >> K & 1, count);
        if (step == 0) {
            const Value<T> same = value(*from);
            #pragma unroll
            for (int i = 0; i < N; i++) v[i] = same;
        } else {
            #pragma unroll
            for (int i = 0; i < N; i++) if (i < count) v[i] = value(from[i * step]);
        }
    }
    template <class T, class V, class F> DEVICE void store(T* to, const V (&v)[N], const Walk<OPERANDS>& walk, F convert) const {
        number::store(to + y, v, walk.wide >> OPERANDS & 1, count, convert);
    }
};

template <class T> DEVICE void unary(T* y, const T* x, int kind, int64_t n) {
    constexpr int N = 16 / (sizeof(T) == 1 ? 2 : sizeof(T));
    const int64_t first = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    if (first >= n) return;
    float v[N];
    load(v, x + first, true, n - first);
    const auto each = [&](auto f) {
        #pragma unroll
        for (int i = 0; i < N; i++) v[i] = f(v[i]);
    };
    switch (kind) {
        case NEG: each([](float a) { return -a; }); break;
        case ABS: each([](float a) { return fabsf(a); }); break;
        case EXP: each([](float a) { return expf(a); }); break;
        case LOG: each([](float a) { return logf(a); }); break;
        case SQRT: each([](float a) { return sqrtf(a); }); break;
        case SIN: each([](float a) { return sine(a); }); break;
        case COS: each([](float a) { return cosine(a); }); break;
        case TANH: each([](float a) { return tanhf(a); }); break;
        case SIGMOID: each([](float a) { return sigmoid(a); }); break;
    }
    store(y + first, v, true, n - first, [](float a) { return element<T>(a); });
}

template <class T> DEVICE void binary(void* y, const T* a, const T* b, int kind, const Walk<2>& walk) {
    constexpr int N = 16 / sizeof(T);
    using V = Value<T>;
    const Part<2, N> part(walk);
    if (!part.inside) return;
    V u[N], v[N];
    part.template load<0>(u, a, walk);
    part.template load<1>(v, b, walk);
    const auto each = [&](auto f) {
        #pragma unroll
        for (int i = 0; i < N; i++) u[i] = f(u[i], v[i]);
    };
    switch (kind) {
        case ADD: each([](V p, V q) { return plus(p, q); }); break;
        case SUB: each([](V p, V q) { return minus(p, q); }); break;
        case MUL: each([](V p, V q) { return times(p, q); }); break;
        case DIV: each([](V p, V q) { return over(p, q); }); break;
        case MAXIMUM: each([](V p, V q) { return larger(p, q); }); break;
        case MINIMUM: each([](V p, V q) { return smaller(p, q); }); break;
        case EQUAL: each([](V p, V q) { return V(p == q); }); break;
        case LESS: each([](V p, V q) { return V(p < q); }); break;
        case LESS_EQUAL: each([](V p, V q) { return V(p <= q); }); break;
    }
    if (kind >= EQUAL) part.store((uint8_t*)y, u, walk, [](V p) { return (uint8_t)p; });
    else part.store((T*)y, u, walk, [](V p) { return element<T>(p); });
}

/// Bits that are moved and not read.
template <class Bits> DEVICE void where(Bits* y, const uint8_t* mask, const Bits* a, const Bits* b, const Walk<3>& walk) {
    constexpr int N = 16 / sizeof(Bits);
    const Part<3, N> part(walk);
    if (!part.inside) return;
    int pick[N];
    Value<Bits> u[N], v[N];
    part.template load<0>(pick, mask, walk);
    part.template load<1>(u, a, walk);
    part.template load<2>(v, b, walk);
    #pragma unroll
    for (int i = 0; i < N; i++) u[i] = pick[i] ? u[i] : v[i];
    part.store(y, u, walk, [](Value<Bits> bits) { return (Bits)bits; });
}
template <class Bits> DEVICE void stretch(Bits* y, const Bits* x, const Walk<1>& walk) {
    constexpr int N = 16 / sizeof(Bits);
    const Part<1, N> part(walk);
    if (!part.inside) return;
    Value<Bits> v[N];
    part.template load<0>(v, x, walk);
    part.store(y, v, walk, [](Value<Bits> bits) { return (Bits)bits; });
}
}  // namespace elementwise

using elementwise::Bf16, elementwise::F16, elementwise::E4m3, elementwise::E5m2;

// All kernels here: blocks of 256 threads, a thread 16 bytes of the result; 8 elements of those of one byte in functions of one tensor.

/// y = f(x), `kind` an elementwise::Unary. ⌈n / (8 · 256)⌉ blocks, for f32 ⌈n / (4 · 256)⌉.
/// @param y [n]  @param x [n], may be y
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) unary_f32(float* y, const float* x, int kind, int64_t n) { elementwise::unary(y, x, kind, n); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) unary_bf16(Bf16* y, const Bf16* x, int kind, int64_t n) { elementwise::unary(y, x, kind, n); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) unary_f16(F16* y, const F16* x, int kind, int64_t n) { elementwise::unary(y, x, kind, n); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) unary_f8e4m3(E4m3* y, const E4m3* x, int kind, int64_t n) { elementwise::unary(y, x, kind, n); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) unary_f8e5m2(E5m2* y, const E5m2* x, int kind, int64_t n) { elementwise::unary(y, x, kind, n); }

/// y = f(a, b), `kind` an elementwise::Binary. A thread makes N = 16 / (bytes of an element) neighbours of a row of the innermost
/// axis: ⌈rows · ⌈row / N⌉ / 256⌉ blocks.
/// @param y [walk.size], row-major; u8 for comparisons  @param walk of a and b; bit 2 of `wide` is y's
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) binary_f32(void* y, const float* a, const float* b, int kind, const __grid_constant__ Walk<2> walk) { elementwise::binary(y, a, b, kind, walk); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) binary_bf16(void* y, const Bf16* a, const Bf16* b, int kind, const __grid_constant__ Walk<2> walk) { elementwise::binary(y, a, b, kind, walk); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) binary_f16(void* y, const F16* a, const F16* b, int kind, const __grid_constant__ Walk<2> walk) { elementwise::binary(y, a, b, kind, walk); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) binary_f8e4m3(void* y, const E4m3* a, const E4m3* b, int kind, const __grid_constant__ Walk<2> walk) { elementwise::binary(y, a, b, kind, walk); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) binary_f8e5m2(void* y, const E5m2* a, const E5m2* b, int kind, const __grid_constant__ Walk<2> walk) { elementwise::binary(y, a, b, kind, walk); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) binary_i32(void* y, const int32_t* a, const int32_t* b, int kind, const __grid_constant__ Walk<2> walk) { elementwise::binary(y, a, b, kind, walk); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) binary_u8(void* y, const uint8_t* a, const uint8_t* b, int kind, const __grid_constant__ Walk<2> walk) { elementwise::binary(y, a, b, kind, walk); }

/// y = mask ? a : b, for elements of 1, 2 and 4 bytes; blocks as above.
/// @param y [walk.size], row-major  @param mask u8  @param walk of mask, a and b; bit 3 of `wide` is y's
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) where_1(uint8_t* y, const uint8_t* mask, const uint8_t* a, const uint8_t* b, const __grid_constant__ Walk<3> walk) { elementwise::where(y, mask, a, b, walk); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) where_2(uint16_t* y, const uint8_t* mask, const uint16_t* a, const uint16_t* b, const __grid_constant__ Walk<3> walk) { elementwise::where(y, mask, a, b, walk); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) where_4(int32_t* y, const uint8_t* mask, const int32_t* a, const int32_t* b, const __grid_constant__ Walk<3> walk) { elementwise::where(y, mask, a, b, walk); }

/// y = x, repeated along the axes where its step is 0; blocks as above.
/// @param y [walk.size], row-major  @param walk of x; bit 1 of `wide` is y's
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) stretch_1(uint8_t* y, const uint8_t* x, const __grid_constant__ Walk<1> walk) { elementwise::stretch(y, x, walk); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) stretch_2(uint16_t* y, const uint16_t* x, const __grid_constant__ Walk<1> walk) { elementwise::stretch(y, x, walk); }
extern "C" __global__ void __launch_bounds__(elementwise::THREADS) stretch_4(int32_t* y, const int32_t* x, const __grid_constant__ Walk<1> walk) { elementwise::stretch(y, x, walk); }
