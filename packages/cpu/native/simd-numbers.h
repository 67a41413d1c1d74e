// The narrow number types, and conversions of single numbers.
#pragma once

#include <cstdint>
#include <cstring>

#define DANU_INLINE inline __attribute__((always_inline))
#define DANU_LAMBDA __attribute__((always_inline))

namespace danu {

/// Brain float: the upper half of an f32.
struct bf16 {
  uint16_t bits;
};

/// IEEE 754 half precision.
struct f16 {
  uint16_t bits;
};

template <class To, class From>
DANU_INLINE To bitCast(From from) {
  static_assert(sizeof(To) == sizeof(From), "bitCast keeps the size");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

DANU_INLINE float widen(float x) { return x; }

DANU_INLINE float widen(bf16 x) { return bitCast<float>(uint32_t(x.bits) << 16); }

inline float widen(f16 x) {
  uint32_t sign = uint32_t(x.bits & 0x8000) << 16;
  uint32_t magnitude = x.bits & 0x7fff;
  if (magnitude >= 0x7c00) return bitCast<float>(sign | 0x7f800000 | ((magnitude & 0x3ff) << 13));
  // 2^112 moves the exponent bias from 15 to 127 and normalises subnormals on the way.
  float scaled = bitCast<float>(magnitude << 13) * bitCast<float>(0x77800000u);
  return bitCast<float>(bitCast<uint32_t>(scaled) | sign);
}

/// Rounds an f32 to `T`, to nearest, ties to even; NaN stays NaN (quiet).
template <class T>
T narrow(float x);

template <>
DANU_INLINE float narrow<float>(float x) {
  return x;
}

template <>
DANU_INLINE bf16 narrow<bf16>(float x) {
  uint32_t bits = bitCast<uint32_t>(x);
  if (x != x) return {uint16_t((bits >> 16) | 0x40)};
  return {uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

template <>
inline f16 narrow<f16>(float x) {
  uint32_t bits = bitCast<uint32_t>(x);
  uint16_t sign = uint16_t((bits >> 16) & 0x8000);
  uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return {uint16_t(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff))};
  if (magnitude >= 0x477ff000) return {uint16_t(sign | 0x7c00)};
  if (magnitude < 0x38800000) {
    // Adding 0.5 leaves the half's subnormal steps (2^-24) as the last bits of the sum, rounded by the addition.
    float shifted = bitCast<float>(magnitude) + 0.5f;
    return {uint16_t(sign | (bitCast<uint32_t>(shifted) - 0x3f000000))};
  }
  uint32_t rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1);
  return {uint16_t(sign | (rounded >> 13))};
}

}  // namespace danu
