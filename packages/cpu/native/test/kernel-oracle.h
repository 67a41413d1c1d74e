// What tests of kernels share: guarded arrays of every element type with slow, independent conversions, and runs on
// several numbers of threads that must give the same bits.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "../api/danu_cpu.h"
#include "test.h"

namespace danu::test {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double notANumber = std::numeric_limits<double>::quiet_NaN();
constexpr DType allTypes[] = {dtypeF32, dtypeBf16, dtypeF16, dtypeF8e4m3, dtypeF8e5m2, dtypeI32, dtypeU8};
constexpr DType floatTypes[] = {dtypeF32, dtypeBf16, dtypeF16, dtypeF8e4m3, dtypeF8e5m2};
constexpr DType activationTypes[] = {dtypeF32, dtypeBf16};

/// Fields of a binary float; `finiteOnly` has no infinity and saturates.
struct Format {
  int exponentBits, mantissaBits;
  bool finiteOnly;

  int bias() const { return (1 << (exponentBits - 1)) - 1; }
  double largest() const {
    return finiteOnly ? std::ldexp(2 - std::ldexp(2, -mantissaBits), bias() + 1)
                      : std::ldexp(2 - std::ldexp(1, -mantissaBits), bias());
  }
};

inline Format formatOf(DType dtype) {
  constexpr Format formats[] = {{8, 23, false}, {8, 7, false}, {5, 10, false}, {4, 3, true}, {5, 2, false}};
  return formats[dtype];
}

inline int64_t bytesOf(DType dtype) { return (int64_t[]){4, 2, 2, 1, 1, 4, 1}[dtype]; }

inline bool isFloatType(DType dtype) { return dtype < dtypeI32; }

/// Distance of neighbouring values around x.
inline double spacing(DType dtype, double x) {
  Format f = formatOf(dtype);
  int exponent = x == 0 || !std::isfinite(x) ? 1 - f.bias() : std::max(std::ilogb(x), 1 - f.bias());
  return std::ldexp(1, exponent - f.mantissaBits);
}

/// The value of the type nearest to x: floats to nearest, ties to even; integers toward zero, saturated, NaN as 0.
inline double rounded(DType dtype, double x) {
  if (dtype == dtypeI32) return x != x ? 0 : std::trunc(std::clamp(x, -2147483648.0, 2147483647.0));
  if (dtype == dtypeU8) return x != x ? 0 : std::trunc(std::clamp(x, 0.0, 255.0));
  if (x != x || x == 0) return x;
  Format f = formatOf(dtype);
  if (std::isinf(x)) return f.finiteOnly ? std::copysign(f.largest(), x) : x;
  double step = spacing(dtype, x);
  double y = std::nearbyint(x / step) * step;
  if (std::fabs(y) > f.largest()) y = f.finiteOnly ? std::copysign(f.largest(), x) : std::copysign(infinity, x);
  return y;
}

/// Bits of a value that the type can hold.
inline uint32_t encode(DType dtype, double x) {
  if (!isFloatType(dtype)) return uint32_t(int32_t(x));
  Format f = formatOf(dtype);
  uint32_t sign = uint32_t(std::signbit(x)) << (f.exponentBits + f.mantissaBits);
  uint32_t top = ((1u << f.exponentBits) - 1) << f.mantissaBits;
  if (x != x) return top | (f.finiteOnly ? 7u : 1u << (f.mantissaBits - 1));
  if (std::isinf(x)) return sign | top;
  double magnitude = std::fabs(x);
  if (magnitude < std::ldexp(1, 1 - f.bias())) {
    return sign | uint32_t(std::ldexp(magnitude, f.bias() - 1 + f.mantissaBits));
  }
  int exponent = std::ilogb(magnitude);
  double mantissa = std::ldexp(magnitude, f.mantissaBits - exponent) - double(1u << f.mantissaBits);
  return sign | uint32_t(exponent + f.bias()) << f.mantissaBits | uint32_t(mantissa);
}

inline double decode(DType dtype, uint32_t bits) {
  if (dtype == dtypeI32) return int32_t(bits);
  if (dtype == dtypeU8) return bits;
  Format f = formatOf(dtype);
  uint32_t mantissa = bits & ((1u << f.mantissaBits) - 1);
  int exponent = int(bits >> f.mantissaBits) & ((1 << f.exponentBits) - 1);
  double sign = bits >> (f.exponentBits + f.mantissaBits) ? -1 : 1;
  bool top = exponent == (1 << f.exponentBits) - 1;
  if (top && !f.finiteOnly) return mantissa ? notANumber : sign * infinity;
  if (top && mantissa == (1u << f.mantissaBits) - 1) return notANumber;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - f.bias() - f.mantissaBits);
  return sign * std::ldexp((1u << f.mantissaBits) + mantissa, exponent - f.bias() - f.mantissaBits);
}

/// n elements at an address `misalignment` elements after a 64-byte boundary, poisoned, with a guard behind them.
class Array {
 public:
  Array(DType dtype, int64_t n, int64_t misalignment = 0)
      : dtype(dtype), n(n), memory_(size_t(128 + (n + misalignment) * bytesOf(dtype) + guard), poison) {
    size_t base = (64 - uintptr_t(memory_.data()) % 64) % 64;
    start_ = base + size_t(misalignment * bytesOf(dtype));
  }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  Array(Array&&) = default;

  operator uint64_t() { return uint64_t(data()); }

  double operator[](int64_t i) const {
    uint32_t bits = 0;
    std::memcpy(&bits, memory_.data() + start_ + i * bytesOf(dtype), size_t(bytesOf(dtype)));
    return decode(dtype, bits);
  }

  /// Rounds x to the type.
  void set(int64_t i, double x) {
    uint32_t bits = encode(dtype, rounded(dtype, x));
    std::memcpy(data() + i * bytesOf(dtype), &bits, size_t(bytesOf(dtype)));
  }

  void setBits(int64_t i, uint32_t bits) { std::memcpy(data() + i * bytesOf(dtype), &bits, size_t(bytesOf(dtype))); }

  bool isGuarded() const {
    size_t end = start_ + size_t(n * bytesOf(dtype));
    return std::all_of(memory_.begin() + int64_t(end), memory_.end(), [](uint8_t byte) { return byte == poison; }) &&
           std::all_of(memory_.begin(), memory_.begin() + int64_t(start_), [](uint8_t byte) { return byte == poison; });
  }

  std::vector<uint8_t> bytes() const {
    return {memory_.begin() + int64_t(start_), memory_.begin() + int64_t(start_) + n * bytesOf(dtype)};
  }

  void assign(const std::vector<uint8_t>& from) { std::copy(from.begin(), from.end(), data()); }

  const DType dtype;
  const int64_t n;

 private:
  static constexpr uint8_t poison = 0xa5;
  static constexpr int64_t guard = 64;

  uint8_t* data() { return memory_.data() + start_; }

  std::vector<uint8_t> memory_;
  size_t start_;
};

/// n numbers of about `scale`, some of them special if `adversarial`.
inline Array randomArray(Random& random, DType dtype, int64_t n, double scale = 1, bool adversarial = false) {
  constexpr double special[] = {0.0, -0.0, infinity, -infinity, notANumber, 1e38, -1e38, 1e-39, 448, 65504, -1, 1};
  Array x(dtype, n, random.chance(50) ? 0 : random.integer(1, 20));
  double sized = isFloatType(dtype) ? scale : 100;
  for (int64_t i = 0; i < n; i++) {
    bool odd = adversarial && random.chance(10);
    x.set(i, odd ? special[random.integer(0, 11)] : double(random.uniform()) * sized);
  }
  return x;
}

/// Queues with 1, 2 and 3 workers.
inline Queue& queueWith(int threads) {
  static Queue queues[] = {Queue(1), Queue(2), Queue(3)};
  return queues[threads - 1];
}

/// Runs `f(queue)`, which returns output bytes, with 1, 2 and 3 workers and expects the same bits from each.
template <class F>
void onAllThreads(const char* what, F f) {
  std::vector<uint8_t> first = f(queueWith(1));
  for (int threads = 2; threads <= 3; threads++) {
    expect(f(queueWith(threads)) == first, "%s: %d threads give other bits than one", what, threads);
  }
}

inline std::vector<uint8_t> joined(std::initializer_list<const Array*> arrays) {
  std::vector<uint8_t> all;
  for (const Array* array : arrays) {
    std::vector<uint8_t> bytes = array->bytes();
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

/// Whether y is within `error` of x, or both are NaN, or the same infinity.
inline bool isNear(double y, double x, double error) {
  return y == x || (y != y && x != x) || std::fabs(y - x) <= error;
}

}  // namespace danu::test
