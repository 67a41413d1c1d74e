// C ABI of matrix products.
#include "../kernels/gemm.h"

#include "abi.h"

using namespace danu;

/// `C = alpha · op(A) · op(B) (+ residual) (+ C if accumulate)`, `batch` times. C [m, n], A [m, k] or [k, m] if
/// transposeA, B [k, n] or [n, k] if transposeB; A and B of dtypeIn, C and residual of dtypeC, each f32 or bf16; sums
/// in f32. Leading dimensions and batch strides count elements; residual 0 for none.
DANU_API int32_t danu_gemm_batched(
    Queue* q, uint64_t c, uint64_t a, uint64_t b, uint64_t residual, int64_t m, int64_t n, int64_t k, int64_t lda,
    int64_t ldb, int64_t ldc, int64_t ldr, int32_t transposeA, int32_t transposeB, int32_t dtypeIn, int32_t dtypeC,
    int32_t accumulate, float alpha, int64_t batch, int64_t strideA, int64_t strideB, int64_t strideC,
    int64_t strideR) {
  auto supported = [](int32_t dtype) { return dtype == dtypeF32 || dtype == dtypeBf16; };
  if (!supported(dtypeIn) || !supported(dtypeC) || m < 0 || n < 0 || k < 0 || batch < 0) return danu_invalid_argument;
  Gemm g{};
  g.c = (void*)c;
  g.a = (const void*)a;
  g.b = (const void*)b;
  g.residual = (const void*)residual;
  g.m = m;
  g.n = n;
  g.k = k;
  g.lda = lda;
  g.ldb = ldb;
  g.ldc = ldc;
  g.ldr = ldr;
  g.batch = batch;
  g.strideA = strideA;
  g.strideB = strideB;
  g.strideC = strideC;
  g.strideR = strideR;
  g.alpha = alpha;
  g.in = DType(dtypeIn);
  g.out = DType(dtypeC);
  g.transposeA = transposeA != 0;
  g.transposeB = transposeB != 0;
  g.accumulate = accumulate != 0;
  return gemm(*q, g) ? danu_ok : danu_out_of_memory;
}

/// One product: see `danu_gemm_batched`.
DANU_API int32_t danu_gemm(Queue* q, uint64_t c, uint64_t a, uint64_t b, uint64_t residual, int64_t m, int64_t n,
                           int64_t k, int64_t lda, int64_t ldb, int64_t ldc, int64_t ldr, int32_t transposeA,
                           int32_t transposeB, int32_t dtypeIn, int32_t dtypeC, int32_t accumulate, float alpha) {
  return danu_gemm_batched(q, c, a, b, residual, m, n, k, lda, ldb, ldc, ldr, transposeA, transposeB, dtypeIn, dtypeC,
                           accumulate, alpha, 1, 0, 0, 0, 0);
}
