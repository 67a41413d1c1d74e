#include "gemm-cut.h"
#include "gemm-few.h"

namespace danu {

bool gemmF32(Queue& q, const Gemm& g) {
  return hasFewRows(g) ? gemmFewRows<float>(q, g) : gemmPacked<ScalarStep, float>(q, g);
}

}  // namespace danu
