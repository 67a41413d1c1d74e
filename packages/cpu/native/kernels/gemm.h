// Matrix products: `C = alpha · op(A) · op(B) (+ residual) (+ C)`, sums in f32.
#pragma once

#include <cstdint>

#include "../runtime/dtype.h"
#include "../runtime/queue.h"

namespace danu {

/// One product, or a batch of equal ones. Leading dimensions and batch strides count elements.
struct Gemm {
  void* c;               // [m, n]
  const void* a;         // [m, k], or [k, m] if transposeA
  const void* b;         // [k, n], or [n, k] if transposeB
  const void* residual;  // [m, n] of the type of C, may be C; null for none
  int64_t m, n, k;
  int64_t lda, ldb, ldc, ldr;
  int64_t batch, strideA, strideB, strideC, strideR;
  float alpha;
  DType in;   // of A and B: f32 or bf16
  DType out;  // of C and residual: f32 or bf16
  bool transposeA, transposeB;
  bool accumulate;  // add to what C holds
};

/// Enqueues the product. Returns false, with nothing enqueued, when there is no memory for packing.
/// The bits of the result depend on shapes and types alone.
bool gemm(Queue& q, const Gemm& g);

}  // namespace danu
