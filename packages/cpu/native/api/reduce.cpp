// C ABI of the reductions of [outer, reduced, inner] along the middle axis.
#include "../kernels/reduce.h"

#include "../kernels/reduce-argmax.h"
#include "danu_cpu.h"

using namespace danu;

namespace {

using Units = void (*)(void* y, int32_t dtypeY, const void* x, int32_t dtypeX, const ReducePlan&, int64_t, int64_t);
using Combine = void (*)(void* y, int32_t dtype, const double* partials, const ReducePlan&, int64_t);

template <class R>
Units unitsOf(int32_t kind) {
  constexpr Units all[reduceKinds] = {reduceUnits<R, reduceSum>, reduceUnits<R, reduceMax>, reduceUnits<R, reduceMin>};
  return all[kind];
}

Combine combineOf(int32_t kind) {
  constexpr Combine all[reduceKinds] = {combineChunks<reduceSum>, combineChunks<reduceMax>, combineChunks<reduceMin>};
  return all[kind];
}

}  // namespace

/// y = reduction of x along its middle axis. Kinds: 0 sum, 1 max, 2 min; max and min are NaN where an element is, and
/// −∞ and +∞ (saturated) of no elements. Float sums are formed in f32 over short stretches and in f64 beyond.
/// @param x [outer, reduced, inner]  @param y [outer, inner], of the same dtype
DANU_API int32_t danu_reduce(
    Queue* q, uint64_t y, uint64_t x, int32_t kind, int64_t outer, int64_t reduced, int64_t inner, int32_t dtype) {
  bool known = kind >= 0 && kind < reduceKinds && bytesPerElement(dtype) > 0;
  if (!known || outer < 0 || reduced < 0 || inner < 0) return danu_invalid_argument;
  if (outer == 0 || inner == 0) return danu_ok;
  ReducePlan plan = planReduce(outer, reduced, inner);
  auto units = isFloat(dtype) ? unitsOf<float>(kind) : unitsOf<double>(kind);
  auto combine = combineOf(kind);
  void* partials = nullptr;
  if (plan.chunks > 1) {
    partials = q->memory.allocate(size_t(outer * plan.chunks * inner * int64_t(sizeof(double))));
    if (!partials) return danu_out_of_memory;
  }
  int64_t each = plan.unitsPerTile();
  submit(*q, tileCount(plan.units(), each), [=](int tile) {
    int64_t first = tile * each;
    int64_t last = std::min(plan.units(), first + each);
    units(partials ? partials : (void*)y, dtype, (const void*)x, dtype, plan, first, last);
  });
  if (!partials) return danu_ok;
  submit(*q, int(outer), [=](int o) { combine((void*)y, dtype, (const double*)partials, plan, o); });
  q->memory.free(partials);
  return danu_ok;
}

/// out = Σ x in a fixed order.  @param out f32 [1]  @param x f32 [n]
DANU_API int32_t danu_sum(Queue* q, uint64_t out, uint64_t x, int64_t n) {
  return danu_reduce(q, out, x, reduceSum, 1, n, 1, dtypeF32);
}

/// Index of the largest element along the middle axis, the first of equals; NaN counts as largest.
/// @param x [outer, reduced, inner]  @param y i32 [outer, inner]
DANU_API int32_t danu_argmax(
    Queue* q, uint64_t y, uint64_t x, int64_t outer, int64_t reduced, int64_t inner, int32_t dtype) {
  if (bytesPerElement(dtype) == 0 || outer < 0 || reduced < 0 || reduced > INT32_MAX || inner < 0) {
    return danu_invalid_argument;
  }
  if (outer == 0 || inner == 0) return danu_ok;
  ReducePlan plan = planReduce(outer, reduced, inner);
  plan.chunks = 1;
  plan.chunkRows = reduced;
  auto units = isFloat(dtype) ? argmaxUnits<float> : argmaxUnits<double>;
  int64_t each = plan.unitsPerTile();
  submit(*q, tileCount(plan.units(), each), [=](int tile) {
    int64_t first = tile * each;
    units((int32_t*)y, (const void*)x, dtype, plan, first, std::min(plan.units(), first + each));
  });
  return danu_ok;
}
