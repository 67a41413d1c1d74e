// Runs: short stretches of elements of any type, brought into a working array and back. Working numbers are f32 for
// float types; for integers i64, which wraps around when stored, or f64, which saturates. Kernels over all types are
// written once on working arrays, which stay in the first-level cache.
#pragma once

#include <cmath>

#include "convert.h"

namespace danu {

/// Most elements of a run; a multiple of every vector length.
constexpr int64_t runLength = 512;

/// Working array of one run.
template <class R>
struct alignas(64) Run {
  R values[runLength];
};

/// Vectors of working numbers: W lanes of f32, W / 2 of f64 or i64.
typedef double vd __attribute__((vector_size(W * 4)));
typedef int64_t vl __attribute__((vector_size(W * 4)));
typedef uint64_t vw __attribute__((vector_size(W * 4)));

template <class R>
struct RunVector;
template <>
struct RunVector<float> {
  using type = vf;
  using wrapping = vf;
};
template <>
struct RunVector<double> {
  using type = vd;
  using wrapping = vd;
};
template <>
struct RunVector<int64_t> {
  using type = vl;
  using wrapping = vw;  // sums and products that leave the range wrap around
};

/// Calls `f(first lane)` for the vectors of working arrays, past their ends up to a whole vector.
template <class R, class F>
DANU_INLINE void forRunVectors(int64_t n, F f) {
  constexpr int lanes = W * 4 / sizeof(R);
  for (int64_t i = 0; i < n; i += lanes) f(i);
}

template <class R>
DANU_INLINE typename RunVector<R>::type& runVector(R* p) {
  return *(typename RunVector<R>::type*)p;
}

template <class R>
DANU_INLINE const typename RunVector<R>::type& runVector(const R* p) {
  return *(const typename RunVector<R>::type*)p;
}

inline float widen(f8e4m3 x) { return MiniE4m3::widen(splatBits(x.bits))[0]; }
inline float widen(f8e5m2 x) { return MiniE5m2::widen(splatBits(x.bits))[0]; }
DANU_INLINE int32_t widen(int32_t x) { return x; }
DANU_INLINE int32_t widen(uint8_t x) { return x; }

/// The integer nearest to x in the direction of zero, saturated to the range of T; NaN gives 0.
template <class T>
DANU_INLINE T truncate(double x) {
  constexpr double low = sizeof(T) == 1 ? 0.0 : -2147483648.0;
  constexpr double high = sizeof(T) == 1 ? 255.0 : 2147483647.0;
  double inRange = x < low ? low : x > high ? high : x;
  return T(int32_t(x == x ? inRange : 0.0));
}

template <class T>
constexpr bool isInteger = std::is_same_v<T, int32_t> || std::is_same_v<T, uint8_t>;

/// y[i] = x[i · stride].
template <class R, class T>
void loadRun(R* y, const void* source, int64_t first, int64_t stride, int64_t n) {
  const T* x = static_cast<const T*>(source) + first;
  if (stride == 0) {
    R value = R(widen(*x));
    for (int64_t i = 0; i < n; i++) y[i] = value;
  } else if (stride != 1) {
    for (int64_t i = 0; i < n; i++) y[i] = R(widen(x[i * stride]));
  } else if constexpr (isInteger<T>) {
    for (int64_t i = 0; i < n; i++) y[i] = R(x[i]);
  } else if constexpr (std::is_same_v<R, float>) {
    forVectors(n, [=](int64_t i, auto count) { store(y + i, load(x + i, count), count); });
  } else {
    Run<float> narrow;
    loadRun<float, T>(narrow.values, x, 0, 1, n);
    for (int64_t i = 0; i < n; i++) y[i] = narrow.values[i];
  }
}

/// y[i] = x[i] rounded to T.
template <class R, class T>
void storeRun(void* target, int64_t first, const R* x, int64_t n) {
  T* y = static_cast<T*>(target) + first;
  if constexpr (std::is_same_v<R, int64_t>) {
    for (int64_t i = 0; i < n; i++) y[i] = T(x[i]);
  } else if constexpr (std::is_same_v<R, float> && std::is_same_v<T, uint8_t>) {
    forVectors(n, [=](int64_t i, auto count) {
      vf v = load(x + i, count);
      v = v > 0.0f ? v : zero();
      v = v < 255.0f ? v : splat(255.0f);
      storeBytes(y + i, (vu)__builtin_convertvector(v, vi), count);
    });
  } else if constexpr (isInteger<T>) {
    for (int64_t i = 0; i < n; i++) y[i] = truncate<T>(x[i]);
  } else if constexpr (std::is_same_v<R, float>) {
    forVectors(n, [=](int64_t i, auto count) { store(y + i, load(x + i, count), count); });
  } else {
    Run<float> narrow;
    for (int64_t i = 0; i < n; i++) narrow.values[i] = float(x[i]);
    storeRun<float, T>(y, 0, narrow.values, n);
  }
}

template <class R>
using LoadRun = void (*)(R* y, const void* x, int64_t first, int64_t stride, int64_t n);
template <class R>
using StoreRun = void (*)(void* y, int64_t first, const R* x, int64_t n);

/// The function that loads elements of a type; for i64 the type is an integer.
template <class R>
LoadRun<R> loaderOf(int32_t dtype) {
  if constexpr (std::is_same_v<R, int64_t>) {
    return dtype == dtypeI32 ? loadRun<R, int32_t> : loadRun<R, uint8_t>;
  } else {
    constexpr LoadRun<R> loaders[] = {loadRun<R, float>,  loadRun<R, bf16>,    loadRun<R, f16>,    loadRun<R, f8e4m3>,
                                      loadRun<R, f8e5m2>, loadRun<R, int32_t>, loadRun<R, uint8_t>};
    return loaders[dtype];
  }
}

/// The function that stores elements of a type; for i64 the type is an integer.
template <class R>
StoreRun<R> storerOf(int32_t dtype) {
  if constexpr (std::is_same_v<R, int64_t>) {
    return dtype == dtypeI32 ? storeRun<R, int32_t> : storeRun<R, uint8_t>;
  } else {
    constexpr StoreRun<R> storers[] = {storeRun<R, float>,  storeRun<R, bf16>,    storeRun<R, f16>,
                                       storeRun<R, f8e4m3>, storeRun<R, f8e5m2>, storeRun<R, int32_t>,
                                       storeRun<R, uint8_t>};
    return storers[dtype];
  }
}

/// Whether the n elements of an array from `first` can be worked on in place: whole vectors of working numbers.
template <class R>
bool isRun(int32_t dtype, const void* x, int64_t first, int64_t n) {
  return std::is_same_v<R, float> && dtype == dtypeF32 && n == runLength &&
         uintptr_t(static_cast<const R*>(x) + first) % 64 == 0;
}

/// The n elements of a contiguous array from `first`, as working numbers: `buffer` filled, or the array itself.
template <class R>
const R* readRun(R* buffer, LoadRun<R> load, int32_t dtype, const void* x, int64_t first, int64_t n) {
  if (isRun<R>(dtype, x, first, n)) return static_cast<const R*>(x) + first;
  load(buffer, x, first, 1, n);
  return buffer;
}

/// Where to form the n elements of a contiguous result from `first`: in `buffer`, or in the array itself.
template <class R>
R* targetRun(R* buffer, int32_t dtype, void* y, int64_t first, int64_t n) {
  return isRun<R>(dtype, y, first, n) ? static_cast<R*>(y) + first : buffer;
}

/// Stores what was formed in `buffer`; nothing is left to do if it was formed in place.
template <class R>
void finishRun(StoreRun<R> store, void* y, int64_t first, const R* formed, const R* buffer, int64_t n) {
  if (formed == buffer) store(y, first, buffer, n);
}

}  // namespace danu
