// Element types: what each looks like in memory, and whole vectors of it to and from f32.
// A kernel written over `load(p, count)` and `store(p, x, count)` serves every float type.
#pragma once

#include "../runtime/dtype.h"
#include "../simd.h"

namespace danu {

/// OCP 8-bit float with 4 exponent bits: no infinity, 0x7f is NaN, larger values become ±448.
struct f8e4m3 {
  uint8_t bits;
};

/// OCP 8-bit float with 5 exponent bits: the upper half of an f16.
struct f8e5m2 {
  uint8_t bits;
};

typedef uint8_t vb __attribute__((vector_size(W)));
typedef uint8_t vbUnaligned __attribute__((vector_size(W), aligned(1), may_alias));

/// Bytes of one element, 0 for a code that stands for no type.
inline int64_t bytesPerElement(int32_t dtype) {
  constexpr int64_t bytes[] = {4, 2, 2, 1, 1, 4, 1};
  return dtype >= 0 && dtype <= dtypeU8 ? bytes[dtype] : 0;
}

inline bool isFloat(int32_t dtype) { return dtype >= dtypeF32 && dtype <= dtypeF8e5m2; }

/// An 8-bit float, by the widths of its fields; lanes of codes to and from f32.
template <int mantissaBits, bool finiteOnly>
struct MiniFloat {
  static constexpr int bias = (1 << (6 - mantissaBits)) - 1;
  static constexpr int shift = 23 - mantissaBits;
  /// What overflow becomes: the largest finite value, or infinity.
  static constexpr uint32_t overflow = finiteOnly ? 0x7e : uint32_t(2 * bias + 1) << mantissaBits;
  static constexpr uint32_t nan = finiteOnly ? 0x7f : overflow | (1u << (mantissaBits - 1));

  static DANU_INLINE vf widen(vu code) {
    vu magnitude = code & 0x7f;
    // The product moves the exponent bias to 127 and normalises subnormals on the way.
    vu bits = (vu)((vf)(magnitude << shift) * bitCast<float>(uint32_t(254 - bias) << 23));
    vu special = (magnitude << shift) | 0x7f800000;
    bits = magnitude > (finiteOnly ? 0x7eu : overflow - 1) ? special : bits;
    return (vf)(bits | (code & 0x80) << 24);
  }

  static DANU_INLINE vu narrow(vf x) {
    vu magnitude = (vu)x & 0x7fffffff;
    // Adding `step` leaves the subnormal steps of the small type as the last bits of the sum, rounded by the addition.
    const float step = bitCast<float>(uint32_t(128 - bias + shift) << 23);
    vu small = (vu)((vf)magnitude + step) - bitCast<uint32_t>(step);
    vu odd = (magnitude >> shift) & 1;
    vu large = (magnitude - (uint32_t(127 - bias) << 23) + ((1u << (shift - 1)) - 1) + odd) >> shift;
    vu code = magnitude < uint32_t(128 - bias) << 23 ? small : large;
    code = code > overflow ? splatBits(overflow) : code;
    code |= (vu)x >> 31 << 7;
    return magnitude > 0x7f800000u ? splatBits(nan) : code;
  }
};

using MiniE4m3 = MiniFloat<3, true>;
using MiniE5m2 = MiniFloat<2, false>;

/// Says that a vector is complete, where a count of lanes could stand.
struct Full {};

DANU_INLINE vu loadBytes(const void* p, Full) { return __builtin_convertvector(*(const vbUnaligned*)p, vu); }

DANU_INLINE vu loadBytes(const void* p, int n) {
  vb x{};
  std::memcpy(&x, p, n);
  return __builtin_convertvector(x, vu);
}

DANU_INLINE void storeBytes(void* p, vu x, Full) { *(vbUnaligned*)p = __builtin_convertvector(x, vb); }

DANU_INLINE void storeBytes(void* p, vu x, int n) {
  vb bytes = __builtin_convertvector(x, vb);
  std::memcpy(p, &bytes, n);
}

DANU_INLINE vf load(const float* p, Full) { return load(p); }
DANU_INLINE vf load(const bf16* p, Full) { return load(p); }
DANU_INLINE vf load(const f16* p, Full) { return load(p); }

template <class Count>
DANU_INLINE vf load(const f8e4m3* p, Count n) {
  return MiniE4m3::widen(loadBytes(p, n));
}

template <class Count>
DANU_INLINE vf load(const f8e5m2* p, Count n) {
  return MiniE5m2::widen(loadBytes(p, n));
}

DANU_INLINE void store(float* p, vf x, Full) { store(p, x); }
DANU_INLINE void store(bf16* p, vf x, Full) { store(p, x); }
DANU_INLINE void store(f16* p, vf x, Full) { store(p, x); }

template <class Count>
DANU_INLINE void store(f8e4m3* p, vf x, Count n) {
  storeBytes(p, MiniE4m3::narrow(x), n);
}

template <class Count>
DANU_INLINE void store(f8e5m2* p, vf x, Count n) {
  storeBytes(p, MiniE5m2::narrow(x), n);
}

/// Calls `body(first lane, count)` for every vector of n elements; the count is `Full` for all but a ragged last one.
template <class Body>
DANU_INLINE void forVectors(int64_t n, Body body) {
  int64_t i = 0;
  for (; i + W <= n; i += W) body(i, Full{});
  if (i < n) body(i, int(n - i));
}

/// Sums `term(first lane, count)` over the vectors of n elements in four interleaved accumulators, which hide the
/// latency of an addition; lanes past a ragged end must be zero.
template <class Term>
DANU_INLINE float sumVectors(int64_t n, Term term) {
  vf a = zero(), b = zero(), c = zero(), d = zero();
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W) {
    a += term(i, Full{});
    b += term(i + W, Full{});
    c += term(i + 2 * W, Full{});
    d += term(i + 3 * W, Full{});
  }
  for (; i + W <= n; i += W) a += term(i, Full{});
  if (i < n) b += term(i, int(n - i));
  return sum((a + b) + (c + d));
}

template <class T>
struct Type {
  using type = T;
};

/// Calls `f(Type<T>{})` for the activation type of a code, f32 or bf16; false for any other code.
template <class F>
bool withActivation(int32_t dtype, F f) {
  switch (dtype) {
    case dtypeF32: f(Type<float>{}); return true;
    case dtypeBf16: f(Type<bf16>{}); return true;
    default: return false;
  }
}

/// Calls `f(Type<T>{})` for the float type of a code; false for any other code.
template <class F>
bool withFloat(int32_t dtype, F f) {
  switch (dtype) {
    case dtypeF16: f(Type<f16>{}); return true;
    case dtypeF8e4m3: f(Type<f8e4m3>{}); return true;
    case dtypeF8e5m2: f(Type<f8e5m2>{}); return true;
    default: return withActivation(dtype, f);
  }
}

}  // namespace danu
