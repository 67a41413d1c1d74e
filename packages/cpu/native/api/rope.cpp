// C ABI of the rotary position embedding.
#include "../kernels/rope.h"

#include <algorithm>

#include "attention.h"

using namespace danu;

/// y = x with every pair (i, i + D/2) of each head turned by the angle of its position; `inverse` turns back, which is
/// the gradient. Rows whose position is outside [0, tablePositions) become zero, and the error is remembered by the
/// queue. y may be x.
/// @param y, x [rows, H, D] of dtype f32 or bf16, D even  @param positions i32 [rows]
/// @param table f32 [tablePositions, D]: cos[0 … D/2), sin[0 … D/2) of each position
DANU_API int32_t danu_rope(Queue* q, uint64_t y, uint64_t x, uint64_t table, uint64_t positions, int64_t rows,
                           int64_t H, int64_t D, int64_t tablePositions, int32_t inverse, int32_t dtype) {
  if (rows < 0 || H < 0 || D < 0 || D % 2 != 0 || tablePositions < 0) return danu_invalid_argument;
  constexpr int64_t elementsPerTile = 32768;
  int64_t each = std::max<int64_t>(1, elementsPerTile / std::max<int64_t>(H * D, 1));
  float direction = inverse ? -1.0f : 1.0f;
  bool known = withActivation(dtype, [=](auto type) {
    using T = typename decltype(type)::type;
    submit(*q, tileCount(rows, each), [=](int tile) {
      int64_t end = std::min(rows, (tile + 1) * each);
      for (int64_t row = tile * each; row < end; row++) {
        int64_t position = ((const int32_t*)positions)[row];
        T* to = (T*)y + row * H * D;
        if (position < 0 || position >= tablePositions) {
          fail(*q, failureIndexOutOfRange, position, tablePositions);
          std::fill_n(to, H * D, T{});
          continue;
        }
        ropeHeads(to, (const T*)x + row * H * D, (const float*)table + position * D, H, D, direction);
      }
    });
  });
  return known ? danu_ok : danu_invalid_argument;
}
