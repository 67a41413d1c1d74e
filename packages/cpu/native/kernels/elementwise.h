// Element-by-element kernels over every type: unary functions, binary functions with broadcasting, choice by mask,
// conversion, accumulation. Each works run by run of the contiguous result.
#pragma once

#include "convert-run.h"
#include "elementwise-broadcast.h"
#include "elementwise-math.h"

namespace danu {

enum UnaryKind : int32_t {
  unaryNeg, unaryExp, unaryLog, unarySqrt, unaryRsqrt, unarySin, unaryCos, unaryTanh, unarySigmoid, unaryAbs,
  unaryReciprocal, unaryKinds
};

enum BinaryKind : int32_t {
  binaryAdd, binarySub, binaryMul, binaryDiv, binaryMaximum, binaryMinimum, binaryEqual, binaryLess, binaryLessEqual,
  binaryKinds
};

inline bool isComparison(int32_t kind) { return kind >= binaryEqual; }

/// x[i] = f(x[i]) for the first n elements of a run.
using UnaryRun = void (*)(float* x, int64_t n);

template <int32_t kind>
void unaryRun(float* x, int64_t n) {
  forRunVectors<float>(n, [=](int64_t i) {
    vf v = runVector(x + i);
    vf& y = runVector(x + i);
    if constexpr (kind == unaryNeg) y = -v;
    if constexpr (kind == unaryExp) y = exp(v);
    if constexpr (kind == unaryLog) y = log(v);
    if constexpr (kind == unarySqrt) y = sqrt(v);
    if constexpr (kind == unaryRsqrt) y = 1.0f / sqrt(v);
    if constexpr (kind == unarySin) y = sine(v);
    if constexpr (kind == unaryCos) y = cosine(v);
    if constexpr (kind == unaryTanh) y = tanh(v);
    if constexpr (kind == unarySigmoid) y = logistic(v);
    if constexpr (kind == unaryAbs) y = abs(v);
    if constexpr (kind == unaryReciprocal) y = 1.0f / v;
  });
}

inline UnaryRun unaryRunOf(int32_t kind) {
  constexpr UnaryRun runs[unaryKinds] = {
      unaryRun<unaryNeg>,  unaryRun<unaryExp>,     unaryRun<unaryLog>, unaryRun<unarySqrt>,
      unaryRun<unaryRsqrt>, unaryRun<unarySin>,    unaryRun<unaryCos>, unaryRun<unaryTanh>,
      unaryRun<unarySigmoid>, unaryRun<unaryAbs>,  unaryRun<unaryReciprocal>};
  return runs[kind];
}

/// y[i] = f(a[i], b[i]) for the first n elements of a run; `y` may be `a` or `b`.
template <class R>
using BinaryRun = void (*)(R* y, const R* a, const R* b, int64_t n);

/// Comparisons give 1 or 0.
template <class R, int32_t kind>
void binaryRun(R* y, const R* a, const R* b, int64_t n) {
  using V = typename RunVector<R>::type;
  using Wrapping = typename RunVector<R>::wrapping;
  forRunVectors<R>(n, [=](int64_t i) {
    V u = runVector(a + i);
    V v = runVector(b + i);
    V one = V{} + R(1);
    V& out = runVector(y + i);
    if constexpr (kind == binaryAdd) out = (V)((Wrapping)u + (Wrapping)v);
    if constexpr (kind == binarySub) out = (V)((Wrapping)u - (Wrapping)v);
    if constexpr (kind == binaryMul) out = (V)((Wrapping)u * (Wrapping)v);
    if constexpr (kind == binaryDiv) out = u / v;
    // The first operand is taken where it is NaN, the second where it is.
    if constexpr (kind == binaryMaximum) out = (u > v) | (u != u) ? u : v;
    if constexpr (kind == binaryMinimum) out = (u < v) | (u != u) ? u : v;
    if constexpr (kind == binaryEqual) out = u == v ? one : V{};
    if constexpr (kind == binaryLess) out = u < v ? one : V{};
    if constexpr (kind == binaryLessEqual) out = u <= v ? one : V{};
  });
}

/// Division toward zero; by 0 it gives 0.
template <>
inline void binaryRun<int64_t, binaryDiv>(int64_t* y, const int64_t* a, const int64_t* b, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = b[i] == 0 ? 0 : a[i] / b[i];
}

template <class R>
BinaryRun<R> binaryRunOf(int32_t kind) {
  constexpr BinaryRun<R> runs[binaryKinds] = {
      binaryRun<R, binaryAdd>,     binaryRun<R, binarySub>,     binaryRun<R, binaryMul>,
      binaryRun<R, binaryDiv>,     binaryRun<R, binaryMaximum>, binaryRun<R, binaryMinimum>,
      binaryRun<R, binaryEqual>,   binaryRun<R, binaryLess>,    binaryRun<R, binaryLessEqual>};
  return runs[kind];
}

/// Elements [first, last) of y = f(x), of one float type.
inline void unaryElements(void* y, const void* x, int32_t kind, int32_t dtype, int64_t first, int64_t last) {
  Run<float> buffer;
  auto load = loaderOf<float>(dtype);
  auto store = storerOf<float>(dtype);
  auto apply = unaryRunOf(kind);
  for (int64_t i = first; i < last; i += runLength) {
    int64_t n = std::min(runLength, last - i);
    float* out = targetRun(buffer.values, dtype, y, i, n);
    load(out, x, i, 1, n);
    apply(out, n);
    finishRun(store, y, i, out, buffer.values, n);
  }
}

/// Elements [first, last) of y = f(a, b); `index` walks operands a and b.
template <class R>
void binaryElements(
    void* y, const void* a, const void* b, int32_t kind, int32_t dtype, const Broadcast<2>& index, int64_t first,
    int64_t last) {
  Run<R> left, right;
  auto load = loaderOf<R>(dtype);
  int32_t dtypeY = isComparison(kind) ? int32_t(dtypeU8) : dtype;
  auto store = storerOf<R>(dtypeY);
  auto apply = binaryRunOf<R>(kind);
  for (int64_t i = first; i < last; i += runLength) {
    int64_t n = std::min(runLength, last - i);
    const R* u = loadOperand(left.values, load, dtype, a, index, 0, i, n);
    const R* v = loadOperand(right.values, load, dtype, b, index, 1, i, n);
    R* out = targetRun(left.values, dtypeY, y, i, n);
    apply(out, u, v, n);
    finishRun(store, y, i, out, left.values, n);
  }
}

/// Elements [first, last) of y = mask ? a : b; `index` walks mask, a and b.
template <class R>
void whereElements(
    void* y, const void* mask, const void* a, const void* b, int32_t dtype, const Broadcast<3>& index, int64_t first,
    int64_t last) {
  Run<R> chosen, left, right;
  using V = typename RunVector<R>::type;
  auto load = loaderOf<R>(dtype);
  auto loadMask = loaderOf<R>(dtypeU8);
  auto store = storerOf<R>(dtype);
  for (int64_t i = first; i < last; i += runLength) {
    int64_t n = std::min(runLength, last - i);
    const R* picks = loadOperand(chosen.values, loadMask, dtypeU8, mask, index, 0, i, n);
    const R* u = loadOperand(left.values, load, dtype, a, index, 1, i, n);
    const R* v = loadOperand(right.values, load, dtype, b, index, 2, i, n);
    R* out = targetRun(chosen.values, dtype, y, i, n);
    forRunVectors<R>(n, [=](int64_t j) {
      V pick = runVector(picks + j);
      runVector(out + j) = pick != 0 ? runVector(u + j) : runVector(v + j);
    });
    finishRun(store, y, i, out, chosen.values, n);
  }
}

/// Elements [first, last) of y = x in another type.
template <class R>
void castElements(void* y, const void* x, int32_t from, int32_t to, int64_t first, int64_t last) {
  Run<R> buffer;
  auto load = loaderOf<R>(from);
  auto store = storerOf<R>(to);
  for (int64_t i = first; i < last; i += runLength) {
    int64_t n = std::min(runLength, last - i);
    store(y, i, readRun(buffer.values, load, from, x, i, n), n);
  }
}

/// Elements [first, last) of y += x; the sum is rounded to the type of y.
template <class R>
void addIntoElements(void* y, const void* x, int32_t dtypeY, int32_t dtypeX, int64_t first, int64_t last) {
  Run<R> sum, term;
  auto loadY = loaderOf<R>(dtypeY);
  auto loadX = loaderOf<R>(dtypeX);
  auto store = storerOf<R>(dtypeY);
  for (int64_t i = first; i < last; i += runLength) {
    int64_t n = std::min(runLength, last - i);
    const R* u = readRun(sum.values, loadY, dtypeY, y, i, n);
    const R* v = readRun(term.values, loadX, dtypeX, x, i, n);
    R* out = targetRun(sum.values, dtypeY, y, i, n);
    binaryRun<R, binaryAdd>(out, u, v, n);
    finishRun(store, y, i, out, sum.values, n);
  }
}

/// Elements [first, last) of y *= factor.
template <class R>
void scaleElements(void* y, float factor, int32_t dtype, int64_t first, int64_t last) {
  Run<R> buffer;
  using V = typename RunVector<R>::type;
  auto load = loaderOf<R>(dtype);
  auto store = storerOf<R>(dtype);
  V by = V{} + R(factor);
  for (int64_t i = first; i < last; i += runLength) {
    int64_t n = std::min(runLength, last - i);
    const R* from = readRun(buffer.values, load, dtype, y, i, n);
    R* out = targetRun(buffer.values, dtype, y, i, n);
    forRunVectors<R>(n, [=](int64_t j) { runVector(out + j) = runVector(from + j) * by; });
    finishRun(store, y, i, out, buffer.values, n);
  }
}

/// Elements [first, last) of y[i] = start + i · step, computed in f64 and rounded once.
inline void iotaElements(void* y, double start, double step, int32_t dtype, int64_t first, int64_t last) {
  Run<double> buffer;
  auto store = storerOf<double>(dtype);
  for (int64_t i = first; i < last; i += runLength) {
    int64_t n = std::min(runLength, last - i);
    for (int64_t j = 0; j < n; j++) buffer.values[j] = start + double(i + j) * step;
    store(y, i, buffer.values, n);
  }
}

}  // namespace danu
