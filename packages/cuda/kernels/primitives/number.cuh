// Every element type of a tensor as a number to compute with: f32 for floats, int for integers. Conversions round to nearest,
// ties to even; e4m3 saturates, e5m2 and f16 overflow to infinity, and integers saturate with NaN as 0. OCP 8-bit floating
// point specification 1.0. Subnormals count: not for files that are compiled with fast math.
#pragma once
#include <string.h>
#include <type_traits>
#include <warp.cuh>

namespace number {
using Bf16 = __nv_bfloat16;
using F16 = __half;
struct E4m3 { uint8_t bits; };
struct E5m2 { uint8_t bits; };

/// An 8-bit float by the width of its mantissa. FINITE: there is no infinity, and what is too large becomes the largest.
template <int MANTISSA, bool FINITE> struct MiniFloat {
    static constexpr uint32_t BIAS = (1 << (6 - MANTISSA)) - 1, SHIFT = 23 - MANTISSA;
    static constexpr uint32_t TOO_LARGE = FINITE ? 0x7E : (2 * BIAS + 1) << MANTISSA;
    static constexpr uint32_t NOT_A_NUMBER = FINITE ? 0x7F : TOO_LARGE | 1 << (MANTISSA - 1);

    static DEVICE float widen(uint32_t code) {
        const uint32_t magnitude = code & 0x7F, last = FINITE ? TOO_LARGE : TOO_LARGE - 1;
        // The product moves the bias of the exponent to 127, and makes subnormals normal on the way.
        const uint32_t bits = __float_as_uint(__uint_as_float(magnitude << SHIFT) * __uint_as_float((254 - BIAS) << 23));
        return __uint_as_float((magnitude > last ? magnitude << SHIFT | 0x7F800000 : bits) | (code & 0x80) << 24);
    }
    static DEVICE uint32_t narrow(float x) {
        const uint32_t bits = __float_as_uint(x), magnitude = bits & 0x7FFFFFFF, sign = bits >> 31 << 7;
        if (magnitude > 0x7F800000) return NOT_A_NUMBER | sign;
        // In a sum with `step`, the addition rounds to multiples of the smallest subnormal, which the last bits then count.
        const float step = __uint_as_float((128 - BIAS + SHIFT) << 23);
        const uint32_t small = __float_as_uint(__uint_as_float(magnitude) + step) - __float_as_uint(step);
        const uint32_t odd = magnitude >> SHIFT & 1, large = (magnitude - ((127 - BIAS) << 23) + ((1 << (SHIFT - 1)) - 1) + odd) >> SHIFT;
        const uint32_t code = magnitude < (128 - BIAS) << 23 ? small : large;
        return min(code, TOO_LARGE) | sign;
    }
};

DEVICE float value(float x) { return x; }
DEVICE float value(Bf16 x) { return __bfloat162float(x); }
DEVICE float value(F16 x) { return __half2float(x); }
DEVICE float value(E4m3 x) { return MiniFloat<3, true>::widen(x.bits); }
DEVICE float value(E5m2 x) { return MiniFloat<2, false>::widen(x.bits); }
DEVICE int value(int32_t x) { return x; }
DEVICE int value(uint8_t x) { return x; }
/// Bits that are moved and not read.
DEVICE int value(uint16_t x) { return x; }

/// What elements of a type are computed with.
template <class T> using Value = decltype(value(T()));

/// The number as an element: floats are rounded, integers keep their low bits, as sums and products that overflow do.
template <class T> DEVICE T element(Value<T> x) {
    if constexpr (std::is_same_v<T, Bf16>) return __float2bfloat16_rn(x);
    else if constexpr (std::is_same_v<T, F16>) return __float2half_rn(x);
    else if constexpr (std::is_same_v<T, E4m3>) return {(uint8_t)MiniFloat<3, true>::narrow(x)};
    else if constexpr (std::is_same_v<T, E5m2>) return {(uint8_t)MiniFloat<2, false>::narrow(x)};
    else return (T)x;
}

template <class T> constexpr bool IS_INTEGER = std::is_same_v<Value<T>, int>;
template <class T> constexpr int LOWEST = std::is_same_v<T, uint8_t> ? 0 : INT32_MIN;
template <class T> constexpr int HIGHEST = std::is_same_v<T, uint8_t> ? 255 : INT32_MAX;

/// Any number as an element, saturating where the element is an integer.
template <class T, class N> DEVICE T saturated(N x) {
    if constexpr (!IS_INTEGER<T>) return element<T>((float)x);
    else return (T)(x != x ? 0 : x <= (N)LOWEST<T> ? LOWEST<T> : x >= (N)HIGHEST<T> ? HIGHEST<T> : (int)x);
}

// ---- Neighbours in memory

/// What BYTES in a row are accessed in.
template <int BYTES> using Vector = std::conditional_t<BYTES % 16 == 0, uint4, std::conditional_t<BYTES % 8 == 0, uint2, uint32_t>>;

/// `count` of N neighbours, in one access where all of them are wanted and `wide` says that they start at a multiple of
/// their bytes; the values of the others are left alone.
template <class T, int N> DEVICE void load(Value<T> (&v)[N], const T* from, bool wide, int64_t count) {
    if (wide && count >= N) {
        using V = Vector<N * sizeof(T)>;
        constexpr int VECTORS = N * sizeof(T) / sizeof(V);
        V vectors[VECTORS];
        #pragma unroll
        for (int i = 0; i < VECTORS; i++) vectors[i] = reinterpret_cast<const V*>(from)[i];
        T elements[N];
        memcpy(elements, vectors, sizeof elements);
        #pragma unroll
        for (int i = 0; i < N; i++) v[i] = value(elements[i]);
    } else {
        #pragma unroll
        for (int i = 0; i < N; i++) if (i < count) v[i] = value(from[i]);
    }
}
/// The same out; `convert` makes the element of a number.
template <class T, int N, class V, class F> DEVICE void store(T* to, const V (&v)[N], bool wide, int64_t count, F convert) {
    if (wide && count >= N) {
        T elements[N];
        #pragma unroll
        for (int i = 0; i < N; i++) elements[i] = convert(v[i]);
        using To = Vector<N * sizeof(T)>;
        constexpr int VECTORS = N * sizeof(T) / sizeof(To);
        To vectors[VECTORS];
        memcpy(vectors, elements, sizeof elements);
        #pragma unroll
        for (int i = 0; i < VECTORS; i++) __stwb(reinterpret_cast<To*>(to) + i, vectors[i]);   // a plain store comes apart into elements
    } else {
        #pragma unroll
        for (int i = 0; i < N; i++) if (i < count) to[i] = convert(v[i]);
    }
}
}  // namespace number
