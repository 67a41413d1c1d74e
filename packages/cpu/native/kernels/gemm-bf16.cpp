#include "gemm-cut.h"
#include "gemm-few.h"

namespace danu {

#if defined(__AVX512BF16__)
using Bf16Step = PairStep;
#else
using Bf16Step = ScalarStep;
#endif

bool gemmBf16(Queue& q, const Gemm& g) {
  return hasFewRows(g) ? gemmFewRows<bf16>(q, g) : gemmPacked<Bf16Step, bf16>(q, g);
}

}  // namespace danu
