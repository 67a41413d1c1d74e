// C ABI of conversions between element types.
#include "../kernels/elementwise.h"
#include "danu_cpu.h"

using namespace danu;

/// y = x in another element type, n elements. Floats round to nearest, ties to even; f8e4m3 saturates to ±448, the
/// other floats overflow to infinity; floats to integers truncate toward zero and saturate, NaN becomes 0.
DANU_API int32_t danu_cast(Queue* q, uint64_t y, uint64_t x, int64_t n, int32_t from, int32_t to) {
  if (n < 0 || bytesPerElement(from) == 0 || bytesPerElement(to) == 0) return danu_invalid_argument;
  auto elements = isFloat(from) && isFloat(to) ? castElements<float> : castElements<double>;
  constexpr int64_t elementsPerTile = 16384;
  submit(*q, tileCount(n, elementsPerTile), [=](int tile) {
    int64_t first = tile * elementsPerTile;
    elements((void*)y, (const void*)x, from, to, first, std::min(n, first + elementsPerTile));
  });
  return danu_ok;
}
