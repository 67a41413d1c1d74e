// C ABI of the gated activation.
#include "../kernels/swiglu.h"

#include <algorithm>

#include "danu_cpu.h"

using namespace danu;

namespace {
constexpr int64_t elementsPerTile = 16384;
}

/// y = gate · σ(gate) · up for n elements of f32 or bf16. y may be gate or up.
DANU_API int32_t danu_swiglu_forward(Queue* q, uint64_t y, uint64_t gate, uint64_t up, int64_t n, int32_t dtype) {
  if (n < 0) return danu_invalid_argument;
  bool known = withActivation(dtype, [=](auto type) {
    using T = typename decltype(type)::type;
    submit(*q, tileCount(n, elementsPerTile), [=](int tile) {
      int64_t at = tile * elementsPerTile;
      swiglu((T*)y + at, (const T*)gate + at, (const T*)up + at, std::min(elementsPerTile, n - at));
    });
  });
  return known ? danu_ok : danu_invalid_argument;
}

/// Gradients of the gated activation; dgate and dup may be gate, up or dy.
DANU_API int32_t danu_swiglu_backward(
    Queue* q, uint64_t dgate, uint64_t dup, uint64_t dy, uint64_t gate, uint64_t up, int64_t n, int32_t dtype) {
  if (n < 0) return danu_invalid_argument;
  bool known = withActivation(dtype, [=](auto type) {
    using T = typename decltype(type)::type;
    submit(*q, tileCount(n, elementsPerTile), [=](int tile) {
      int64_t at = tile * elementsPerTile;
      swigluBackward(
          (T*)dgate + at, (T*)dup + at, (const T*)dy + at, (const T*)gate + at, (const T*)up + at,
          std::min(elementsPerTile, n - at));
    });
  });
  return known ? danu_ok : danu_invalid_argument;
}
