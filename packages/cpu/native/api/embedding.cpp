// C ABI of table look-ups and their gradient.
#include "../kernels/embedding.h"

#include <algorithm>

#include "../kernels/convert.h"
#include "danu_cpu.h"

using namespace danu;

namespace {

/// y[i] = table[ids[i]]; a row whose id is out of range is zeroed and the failure remembered.
void submitGather(Queue& q, uint64_t y, uint64_t table, uint64_t ids, int64_t n, int64_t rowBytes, int64_t V) {
  constexpr int64_t bytesPerTile = 65536;
  int64_t each = std::max<int64_t>(1, bytesPerTile / std::max<int64_t>(rowBytes, 1));
  Queue* queue = &q;
  submit(q, tileCount(n, each), [=](int tile) {
    int64_t start = tile * each;
    gatherRows((char*)y, (const char*)table, (const int32_t*)ids, rowBytes, V, start, std::min(n, start + each),
               [=](int32_t id) { fail(*queue, failureIndexOutOfRange, id, V); });
  });
}

}  // namespace

/// y[i] = x[ids[i]]; rows whose id is outside [0, V) become zero, and the error is remembered by the queue.
/// @param y [n, C]  @param x [V, C]  @param ids i32 [n]  @param elementBytes bytes of one element of x and y
DANU_API int32_t danu_gather_rows(
    Queue* q, uint64_t y, uint64_t x, uint64_t ids, int64_t n, int64_t C, int64_t V, int32_t elementBytes) {
  if (n < 0 || C < 0 || V < 0 || elementBytes < 1) return danu_invalid_argument;
  submitGather(*q, y, x, ids, n, C * elementBytes, V);
  return danu_ok;
}

/// y[i] = w[ids[i]]; as `danu_gather_rows`, of any element type.
DANU_API int32_t danu_embedding_forward(
    Queue* q, uint64_t y, uint64_t ids, uint64_t w, int64_t n, int64_t C, int64_t V, int32_t dtype) {
  if (n < 0 || C < 0 || V < 0 || bytesPerElement(dtype) == 0) return danu_invalid_argument;
  submitGather(*q, y, w, ids, n, C * bytesPerElement(dtype), V);
  return danu_ok;
}

/// dw[v] = Σ dy[i] over all i with ids[i] = v, in ascending order of i, in f32; every row of dw is written.
/// Ids outside [0, V) are left out, and the error is remembered by the queue.
/// @param dw f32 [V, C]  @param ids i32 [n]  @param dy [n, C] of any float dtype
DANU_API int32_t danu_embedding_backward(
    Queue* q, uint64_t dw, uint64_t ids, uint64_t dy, int64_t n, int64_t C, int64_t V, int32_t dtype) {
  if (n < 0 || n > INT32_MAX || C < 0 || V < 0 || !isFloat(dtype)) return danu_invalid_argument;
  void* scratch = q->memory.allocate(size_t((V + 2 + n) * int64_t(sizeof(int32_t))));
  if (!scratch) return danu_out_of_memory;
  int32_t* starts = (int32_t*)scratch;
  int32_t* order = starts + V + 2;
  submit(*q, 1, [=](int) {
    sortByRow(starts, order, (const int32_t*)ids, n, V, [=](int32_t id) { fail(*q, failureIndexOutOfRange, id, V); });
  });
  constexpr int64_t rowsPerTile = 64;
  withFloat(dtype, [=](auto type) {
    using T = typename decltype(type)::type;
    submit(*q, tileCount(V, rowsPerTile), [=](int tile) {
      int64_t start = tile * rowsPerTile;
      scatterAddRows((float*)dw, starts, order, (const T*)dy, C, start, std::min(V, start + rowsPerTile));
    });
  });
  q->memory.free(scratch);
  return danu_ok;
}
