#include "gemm.h"

#include <algorithm>
#include <cstring>

#include "../simd.h"

namespace danu {

bool gemmF32(Queue& q, const Gemm& g);
bool gemmBf16(Queue& q, const Gemm& g);

namespace {

// With k = 0 the product is zero, and only what is added remains.
template <class T>
void submitSumOnly(Queue& q, const Gemm& g) {
  submit(q, int(g.batch), [g](int product) {
    T* c = (T*)g.c + product * g.strideC;
    const T* residual = (const T*)g.residual + product * g.strideR;
    for (int64_t row = 0; row < g.m; row++) {
      for (int64_t column = 0; column < g.n; column++) {
        T& to = c[row * g.ldc + column];
        float value = g.accumulate ? widen(to) : 0.0f;
        if (g.residual) value += widen(residual[row * g.ldr + column]);
        to = narrow<T>(value);
      }
    }
  });
}

}  // namespace

bool gemm(Queue& q, const Gemm& g) {
  if (g.m <= 0 || g.n <= 0 || g.batch <= 0) return true;
  if (g.k <= 0) {
    if (g.out == dtypeF32) {
      submitSumOnly<float>(q, g);
    } else {
      submitSumOnly<bf16>(q, g);
    }
    return true;
  }
  return g.in == dtypeF32 ? gemmF32(q, g) : gemmBf16(q, g);
}

}  // namespace danu
