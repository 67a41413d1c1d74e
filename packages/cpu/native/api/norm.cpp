// C ABI of the root-mean-square norm.
#include "../kernels/norm.h"

#include <algorithm>

#include "danu_cpu.h"

using namespace danu;

namespace {

/// Rows of one tile: about a quarter of the second-level cache, and enough tiles for every worker.
int64_t rowsPerTile(int64_t rows, int64_t C) {
  constexpr int64_t elementsPerTile = 16384;
  return std::clamp<int64_t>(elementsPerTile / std::max<int64_t>(C, 1), 1, std::max<int64_t>(rows, 1));
}

/// Rows that share one partial dw: few enough parts to be added up cheaply, whatever the number of rows.
int64_t rowsPerPart(int64_t rows) {
  constexpr int64_t fewest = 16;
  constexpr int64_t mostParts = 64;
  return std::max(fewest, (rows + mostParts - 1) / mostParts);
}

}  // namespace

/// y = x / sqrt(mean(x²) + eps) · w over rows; keeps rstd = 1 / sqrt(mean(x²) + eps) for the gradient.
/// @param y, x [rows, C]  @param w [C], all of one dtype, f32 or bf16  @param rstd f32 [rows]
DANU_API int32_t danu_rms_norm_forward(
    Queue* q, uint64_t y, uint64_t rstd, uint64_t x, uint64_t w, int64_t rows, int64_t C, double eps, int32_t dtype) {
  if (rows < 0 || C < 0) return danu_invalid_argument;
  int64_t each = rowsPerTile(rows, C);
  bool known = withActivation(dtype, [=](auto type) {
    using T = typename decltype(type)::type;
    submit(*q, tileCount(rows, each), [=](int tile) {
      int64_t last = std::min(rows, (tile + 1) * each);
      for (int64_t r = tile * each; r < last; r++) {
        ((float*)rstd)[r] = rmsNormRow((T*)y + r * C, (const T*)x + r * C, (const T*)w, C, float(eps));
      }
    });
  });
  return known ? danu_ok : danu_invalid_argument;
}

/// Gradients of the norm: dx [rows, C] in dtype, plus `residualGradient` [rows, C] unless that is 0; dw f32 [C].
/// dw is formed from at most 64 partial sums in an order that depends on the shape alone.
DANU_API int32_t danu_rms_norm_backward(
    Queue* q, uint64_t dx, uint64_t dw, uint64_t dy, uint64_t x, uint64_t w, uint64_t rstd, uint64_t residualGradient,
    int64_t rows, int64_t C, int32_t dtype) {
  if (rows < 0 || C < 0 || (dtype != dtypeF32 && dtype != dtypeBf16)) return danu_invalid_argument;
  int64_t each = rowsPerPart(rows);
  int parts = tileCount(rows, each);
  void* partials = q->memory.allocate(size_t(parts * C * int64_t(sizeof(float))));
  if (!partials) return danu_out_of_memory;
  withActivation(dtype, [=](auto type) {
    using T = typename decltype(type)::type;
    submit(*q, parts, [=](int part) {
      int64_t start = part * each;
      int64_t last = std::min(rows, start + each);
      float* sums = (float*)partials + part * C;
      for (int64_t r = start; r < last; r++) {
        int64_t at = r * C;
        auto row = residualGradient ? rmsNormRowBackward<true, T> : rmsNormRowBackward<false, T>;
        row((T*)dx + at, sums, (const T*)dy + at, (const T*)x + at, (const T*)w, (const T*)residualGradient + at,
            ((const float*)rstd)[r], C, r == start);
      }
    });
  });
  constexpr int64_t columnsPerTile = 256;
  submit(*q, tileCount(C, columnsPerTile), [=](int tile) {
    int64_t start = tile * columnsPerTile;
    sumPartials((float*)dw, (const float*)partials, parts, C, start, std::min(C, start + columnsPerTile));
  });
  q->memory.free(partials);
  return danu_ok;
}
