// C ABI of strided copies.
#include "../kernels/movement.h"

#include "danu_cpu.h"

using namespace danu;

namespace {

template <class T>
void submitCopy(Queue& q, uint64_t y, uint64_t x, const CopyPlan& plan) {
  submit(q, tileCount(plan.lines, plan.linesPerTile), [=](int tile) {
    int64_t first = tile * plan.linesPerTile;
    copyLines((T*)y, (const T*)x, plan.walk, first, std::min(plan.lines, first + plan.linesPerTile));
  });
}

}  // namespace

/// y[offsetY + Σ iₐ stridesY[a]] = x[offsetX + Σ iₐ stridesX[a]] for every index i of the shape: permutation, slices,
/// padding, concatenation and repetition. y and x do not overlap; no element of y is written twice.
/// @param shape `rank` ≤ 8 sizes  @param strides, offsets in elements  @param elementBytes 1, 2, 4 or 8
DANU_API int32_t danu_strided_copy(
    Queue* q, uint64_t y, uint64_t x, int32_t rank, const int64_t* shape, const int64_t* stridesY,
    const int64_t* stridesX, int64_t offsetY, int64_t offsetX, int32_t elementBytes) {
  if (rank < 0 || rank > maxRank) return danu_invalid_argument;
  int64_t size = 1;
  for (int i = 0; i < rank; i++) {
    if (shape[i] < 0) return danu_invalid_argument;
    size *= shape[i];
  }
  if (size == 0) return danu_ok;
  CopyPlan plan = planCopy(rank, shape, stridesY, stridesX);
  y += offsetY * elementBytes;
  x += offsetX * elementBytes;
  switch (elementBytes) {
    case 1: submitCopy<uint8_t>(*q, y, x, plan); return danu_ok;
    case 2: submitCopy<uint16_t>(*q, y, x, plan); return danu_ok;
    case 4: submitCopy<uint32_t>(*q, y, x, plan); return danu_ok;
    case 8: submitCopy<uint64_t>(*q, y, x, plan); return danu_ok;
    default: return danu_invalid_argument;
  }
}
