#include "gemm-packed.h"

namespace danu {

bool gemmBf16(Queue& q, const Gemm& g) {
#if defined(__AVX512BF16__)
  return gemmPacked<PairStep, bf16>(q, g);
#else
  return gemmPacked<ScalarStep, bf16>(q, g);
#endif
}

}  // namespace danu
