// C ABI of the element-by-element operations.
#include "../kernels/elementwise.h"

#include "danu_cpu.h"

using namespace danu;

namespace {

constexpr int64_t elementsPerTile = 16384;

/// Enqueues `f(first, last)` over tiles of n elements.
template <class F>
void submitElements(Queue& q, int64_t n, const F& f) {
  submit(q, tileCount(n, elementsPerTile), [=](int tile) {
    int64_t first = tile * elementsPerTile;
    f(first, std::min(n, first + elementsPerTile));
  });
}

bool isShape(int64_t rank, const int64_t* shape) {
  if (rank < 0 || rank > maxRank) return false;
  return std::all_of(shape, shape + rank, [](int64_t n) { return n >= 0; });
}

bool isEmpty(int64_t rank, const int64_t* shape) {
  return std::any_of(shape, shape + rank, [](int64_t n) { return n == 0; });
}

}  // namespace

/// y = f(x) for n elements of a float type; y may be x. Kinds: 0 neg, 1 exp, 2 log, 3 sqrt, 4 rsqrt, 5 sin, 6 cos,
/// 7 tanh, 8 sigmoid, 9 abs, 10 reciprocal.
DANU_API int32_t danu_unary(Queue* q, uint64_t y, uint64_t x, int32_t kind, int64_t n, int32_t dtype) {
  if (n < 0 || kind < 0 || kind >= unaryKinds || !isFloat(dtype)) return danu_invalid_argument;
  submitElements(*q, n, [=](int64_t first, int64_t last) {
    unaryElements((void*)y, (const void*)x, kind, dtype, first, last);
  });
  return danu_ok;
}

/// y = f(a, b) with broadcasting; y is contiguous and may be an operand of the same shape. Kinds: 0 add, 1 sub, 2 mul,
/// 3 div, 4 maximum, 5 minimum, and with u8 results 6 equal, 7 less, 8 lessEqual. Integers wrap around, divide toward
/// zero, and by 0 give 0; maximum and minimum are NaN where an operand is.
/// @param shape of y, `rank` ≤ 8 sizes  @param stridesA, stridesB in elements, 0 where the operand repeats
DANU_API int32_t danu_binary(
    Queue* q, uint64_t y, uint64_t a, uint64_t b, int32_t kind, int32_t rank, const int64_t* shape,
    const int64_t* stridesA, const int64_t* stridesB, int32_t dtype) {
  bool known = kind >= 0 && kind < binaryKinds && bytesPerElement(dtype) > 0;
  if (!known || !isShape(rank, shape)) return danu_invalid_argument;
  if (isEmpty(rank, shape)) return danu_ok;
  const int64_t* const strides[2] = {stridesA, stridesB};
  Broadcast<2> index = collapse<2>(rank, shape, strides);
  auto elements = isFloat(dtype) ? binaryElements<float> : binaryElements<int64_t>;
  submitElements(*q, index.size(), [=](int64_t first, int64_t last) {
    elements((void*)y, (const void*)a, (const void*)b, kind, dtype, index, first, last);
  });
  return danu_ok;
}

/// y = mask ? a : b with broadcasting; y is contiguous.
/// @param mask u8, true where not 0  @param shape of y, `rank` ≤ 8 sizes  @param stridesMask … in elements
DANU_API int32_t danu_where(
    Queue* q, uint64_t y, uint64_t mask, uint64_t a, uint64_t b, int32_t rank, const int64_t* shape,
    const int64_t* stridesMask, const int64_t* stridesA, const int64_t* stridesB, int32_t dtype) {
  if (bytesPerElement(dtype) == 0 || !isShape(rank, shape)) return danu_invalid_argument;
  if (isEmpty(rank, shape)) return danu_ok;
  const int64_t* const strides[3] = {stridesMask, stridesA, stridesB};
  Broadcast<3> index = collapse<3>(rank, shape, strides);
  auto elements = isFloat(dtype) ? whereElements<float> : whereElements<double>;
  submitElements(*q, index.size(), [=](int64_t first, int64_t last) {
    elements((void*)y, (const void*)mask, (const void*)a, (const void*)b, dtype, index, first, last);
  });
  return danu_ok;
}

/// y += x for n elements; the sum is formed in f32 (integers: exactly), rounded to the type of y.
DANU_API int32_t danu_add_into(Queue* q, uint64_t y, uint64_t x, int64_t n, int32_t dtypeY, int32_t dtypeX) {
  if (n < 0 || bytesPerElement(dtypeY) == 0 || bytesPerElement(dtypeX) == 0) return danu_invalid_argument;
  auto elements = isFloat(dtypeY) && isFloat(dtypeX) ? addIntoElements<float> : addIntoElements<double>;
  submitElements(*q, n, [=](int64_t first, int64_t last) {
    elements((void*)y, (const void*)x, dtypeY, dtypeX, first, last);
  });
  return danu_ok;
}

/// y *= *factor for n elements; nothing is read or written when the factor is 1.  @param factor f32 [1]
DANU_API int32_t danu_scale_into(Queue* q, uint64_t y, uint64_t factor, int64_t n, int32_t dtype) {
  if (n < 0 || bytesPerElement(dtype) == 0) return danu_invalid_argument;
  auto elements = isFloat(dtype) ? scaleElements<float> : scaleElements<double>;
  submitElements(*q, n, [=](int64_t first, int64_t last) {
    float by = *(const float*)factor;
    if (by != 1.0f) elements((void*)y, by, dtype, first, last);
  });
  return danu_ok;
}

/// y[i] = start + i · step, computed in f64 and rounded to dtype.
DANU_API int32_t danu_iota(Queue* q, uint64_t y, int64_t n, double start, double step, int32_t dtype) {
  if (n < 0 || bytesPerElement(dtype) == 0) return danu_invalid_argument;
  submitElements(*q, n, [=](int64_t first, int64_t last) { iotaElements((void*)y, start, step, dtype, first, last); });
  return danu_ok;
}
