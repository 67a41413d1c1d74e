#include "gemm-packed.h"

namespace danu {

bool gemmF32(Queue& q, const Gemm& g) { return gemmPacked<ScalarStep, float>(q, g); }

}  // namespace danu
