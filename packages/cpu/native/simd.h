// Vectors of W floats for every instruction set the library is compiled for, in GCC vector extensions:
// arithmetic is written with operators, fused multiply-adds come from -ffp-contract=fast, and only loads, stores and
// conversions know the machine. NaN and infinities behave as IEEE 754 says, except where a comment says otherwise.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "simd-numbers.h"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace danu {

#if defined(__AVX512F__)
constexpr int W = 16;
#elif defined(__AVX2__)
constexpr int W = 8;
#else
constexpr int W = 4;
#endif

typedef float vf __attribute__((vector_size(W * 4)));
typedef int32_t vi __attribute__((vector_size(W * 4)));
typedef uint32_t vu __attribute__((vector_size(W * 4)));
typedef uint16_t vh __attribute__((vector_size(W * 2)));

// The same vectors at any address, and allowed to alias other types.
typedef float vfUnaligned __attribute__((vector_size(W * 4), aligned(1), may_alias));
typedef uint32_t vuUnaligned __attribute__((vector_size(W * 4), aligned(1), may_alias));
typedef uint32_t wordUnaligned __attribute__((aligned(1), may_alias));
typedef uint16_t vhUnaligned __attribute__((vector_size(W * 2), aligned(1), may_alias));

template <class F, int... Is>
DANU_INLINE void unrollIndices(F& f, std::integer_sequence<int, Is...>) {
  (f(std::integral_constant<int, Is>{}), ...);
}

/// `f(0); f(1); … f(N-1)` with indices known to the compiler, so that an array of vectors lives in registers, where a
/// loop, even one unrolled by a pragma, leaves it in memory. Mark the lambda DANU_LAMBDA.
template <int N, class F>
DANU_INLINE void unroll(F f) {
  unrollIndices(f, std::make_integer_sequence<int, N>{});
}

// ---- making vectors ---------------------------------------------------------------------------------------------

DANU_INLINE vf zero() { return vf{}; }

DANU_INLINE vf splat(float x) { return x - vf{}; }

DANU_INLINE vu splatBits(uint32_t x) { return x + vu{}; }

DANU_INLINE vf asFloat(vu x) { return (vf)x; }

DANU_INLINE vu asBits(vf x) { return (vu)x; }

/// Lane numbers 0, 1, … W-1.
DANU_INLINE vi laneNumbers() {
  vi lanes;
  for (int i = 0; i < W; i++) lanes[i] = i;
  return lanes;
}

// ---- conversions ------------------------------------------------------------------------------------------------

/// Zero-extends W halves. Written as a conversion of vectors, compilers would do it in two halves.
DANU_INLINE vu widenHalves(vh x) {
#if defined(__AVX512F__)
  return (vu)_mm512_cvtepu16_epi32((__m256i)x);
#elif defined(__AVX2__)
  return (vu)_mm256_cvtepu16_epi32((__m128i)x);
#else
  return __builtin_convertvector(x, vu);
#endif
}

DANU_INLINE vf widenBf16(vh x) { return (vf)(widenHalves(x) << 16); }

/// W floats to bf16, to nearest, ties to even; NaN stays NaN (quiet). Bit-equal on every instruction set.
DANU_INLINE vh narrowBf16(vf x) {
  vu bits = (vu)x;
  vu rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  vu quiet = (bits >> 16) | 0x40;
  vu chosen = x == x ? rounded : quiet;
  return __builtin_convertvector(chosen, vh);
}

DANU_INLINE vf widenF16(vh x) {
#if defined(__AVX512F__)
  return (vf)_mm512_cvtph_ps((__m256i)x);
#elif defined(__F16C__)
  return (vf)_mm256_cvtph_ps((__m128i)x);
#elif defined(__ARM_NEON)
  return (vf)vcvt_f32_f16((float16x4_t)x);
#else
  vf y;
  for (int i = 0; i < W; i++) y[i] = widen(f16{x[i]});
  return y;
#endif
}

DANU_INLINE vh narrowF16(vf x) {
#if defined(__AVX512F__)
  return (vh)_mm512_cvtps_ph((__m512)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__F16C__)
  return (vh)_mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__ARM_NEON)
  return (vh)vcvt_f16_f32((float32x4_t)x);
#else
  vh y;
  for (int i = 0; i < W; i++) y[i] = narrow<f16>(x[i]).bits;
  return y;
#endif
}

// ---- memory: any alignment; the forms with a count touch only the first n lanes, 0 <= n <= W ---------------------

DANU_INLINE vf load(const float* p) { return *(const vfUnaligned*)p; }
DANU_INLINE vf load(const bf16* p) { return widenBf16(*(const vhUnaligned*)p); }
DANU_INLINE vf load(const f16* p) { return widenF16(*(const vhUnaligned*)p); }

DANU_INLINE void store(float* p, vf x) { *(vfUnaligned*)p = x; }
DANU_INLINE void store(bf16* p, vf x) { *(vhUnaligned*)p = narrowBf16(x); }
DANU_INLINE void store(f16* p, vf x) { *(vhUnaligned*)p = narrowF16(x); }

/// Loads n 4-byte lanes; the others are zero.
DANU_INLINE vu loadBits(const void* p, int n) {
#if defined(__AVX512F__)
  return (vu)_mm512_maskz_loadu_epi32(__mmask16((1u << n) - 1), p);
#elif defined(__AVX2__)
  vi mask = laneNumbers() < n;
  return (vu)_mm256_maskload_epi32((const int*)p, (__m256i)mask);
#else
  vu x{};
  for (int i = 0; i < n; i++) {
    uint32_t lane;
    std::memcpy(&lane, (const char*)p + 4 * i, 4);
    x[i] = lane;
  }
  return x;
#endif
}

/// Stores the first n 4-byte lanes.
DANU_INLINE void storeBits(void* p, vu x, int n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_epi32(p, __mmask16((1u << n) - 1), (__m512i)x);
#elif defined(__AVX2__)
  vi mask = laneNumbers() < n;
  _mm256_maskstore_epi32((int*)p, (__m256i)mask, (__m256i)x);
#else
  std::memcpy(p, &x, 4 * n);
#endif
}

/// Loads n 2-byte lanes; the others are zero.
DANU_INLINE vh loadHalves(const void* p, int n) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  return (vh)_mm256_maskz_loadu_epi16(__mmask16((1u << n) - 1), p);
#else
  vh x{};
  std::memcpy(&x, p, 2 * n);
  return x;
#endif
}

/// Stores the first n 2-byte lanes.
DANU_INLINE void storeHalves(void* p, vh x, int n) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  _mm256_mask_storeu_epi16(p, __mmask16((1u << n) - 1), (__m256i)x);
#else
  std::memcpy(p, &x, 2 * n);
#endif
}

DANU_INLINE vf load(const float* p, int n) { return (vf)loadBits(p, n); }
DANU_INLINE vf load(const bf16* p, int n) { return widenBf16(loadHalves(p, n)); }
DANU_INLINE vf load(const f16* p, int n) { return widenF16(loadHalves(p, n)); }

DANU_INLINE void store(float* p, vf x, int n) { storeBits(p, (vu)x, n); }
DANU_INLINE void store(bf16* p, vf x, int n) { storeHalves(p, narrowBf16(x), n); }
DANU_INLINE void store(f16* p, vf x, int n) { storeHalves(p, narrowF16(x), n); }

// ---- lane-wise functions ----------------------------------------------------------------------------------------

/// Larger of two; where either is NaN the second or a NaN.
DANU_INLINE vf max(vf a, vf b) {
#if defined(__AVX512F__)
  return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
  return (vf)_mm_max_ps((__m128)a, (__m128)b);
#else
  return a > b ? a : b;
#endif
}

/// Smaller of two; where either is NaN the second or a NaN.
DANU_INLINE vf min(vf a, vf b) {
#if defined(__AVX512F__)
  return (vf)_mm512_min_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
  return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
  return (vf)_mm_min_ps((__m128)a, (__m128)b);
#else
  return a < b ? a : b;
#endif
}

/// `mask ? a : b` lane by lane; a mask is what a comparison of two vectors gives.
DANU_INLINE vf select(vi mask, vf a, vf b) { return mask ? a : b; }

DANU_INLINE vf abs(vf x) { return (vf)((vu)x & 0x7fffffff); }

DANU_INLINE vf sqrt(vf x) {
#if defined(__AVX512F__)
  return (vf)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
  return (vf)_mm256_sqrt_ps((__m256)x);
#elif defined(__SSE2__)
  return (vf)_mm_sqrt_ps((__m128)x);
#elif defined(__ARM_NEON)
  return (vf)vsqrtq_f32((float32x4_t)x);
#else
  for (int i = 0; i < W; i++) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

/// e^x within 2 units in the last place; 0 below -104, infinity above 88.73, NaN for NaN.
/// Range reduction x = n·ln 2 + r, |r| <= ln 2 / 2, and the polynomial of Cephes' expf.
DANU_INLINE vf exp(vf x) {
  x = x > 89.0f ? splat(89.0f) : x;
  x = x < -104.0f ? splat(-104.0f) : x;
  // Adding 1.5·2^23 rounds to an integer and leaves it in the low bits.
  const float magic = 12582912.0f;
  vf shifted = x * 1.44269504088896341f + magic;
  vi n = (vi)shifted - 0x4b400000;
  vf whole = shifted - magic;
  vf r = x - whole * 0.693359375f;
  r = r - whole * -2.12194440e-4f;
  vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  // Two factors, because 2^128 and the subnormal powers are no f32 exponents.
  vi half = n >> 1;
  vf first = (vf)((half + 127) << 23);
  vf second = (vf)((n - half + 127) << 23);
  return p * first * second;
}

/// 1 / (1 + e^-x).
DANU_INLINE vf sigmoid(vf x) { return 1.0f / (1.0f + exp(-x)); }

// ---- reductions, always by halves: lane i with lane i + W/2, and so on -------------------------------------------

typedef float vf4 __attribute__((vector_size(16)));
typedef float vf8 __attribute__((vector_size(32)));
typedef float vf16 __attribute__((vector_size(64)));

/// Folds the upper half of the lanes onto the lower with `combine(lower, upper)` until one lane is left.
template <class Combine>
DANU_INLINE float fold(vf4 x, Combine combine) {
  vf4 two = combine(x, __builtin_shufflevector(x, x, 2, 3, 2, 3));
  return combine(two, __builtin_shufflevector(two, two, 1, 1, 1, 1))[0];
}

template <class Combine>
DANU_INLINE float fold(vf8 x, Combine combine) {
  return fold(combine(__builtin_shufflevector(x, x, 0, 1, 2, 3), __builtin_shufflevector(x, x, 4, 5, 6, 7)), combine);
}

template <class Combine>
DANU_INLINE float fold(vf16 x, Combine combine) {
  return fold(combine(__builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7),
                      __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15)),
              combine);
}

DANU_INLINE float sum(vf x) {
  return fold(x, [](auto a, auto b) DANU_LAMBDA { return a + b; });
}

/// Largest lane; with NaN lanes the largest of the others or NaN.
DANU_INLINE float largest(vf x) {
  return fold(x, [](auto a, auto b) DANU_LAMBDA { return a > b ? a : b; });
}

}  // namespace danu
