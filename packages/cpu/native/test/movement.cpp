#include <numeric>

#include "kernel-oracle.h"

using namespace danu;
using namespace danu::test;

namespace {

constexpr DType typeOfBytes[] = {dtypeU8, dtypeBf16, dtypeF32};

/// A copy between random views: the axes of either side in random order, with gaps; x may repeat along axes.
struct Views {
  int32_t rank;
  int64_t size = 1;
  int64_t shape[8], stridesY[8], stridesX[8];
  int64_t offsetY, offsetX, elementsY, elementsX;

  explicit Views(Random& random) : rank(int32_t(random.integer(0, 5))) {
    for (int i = 0; i < rank; i++) {
      shape[i] = random.chance(3) ? 0 : random.chance(20) ? random.integer(30, 90) : random.integer(1, 7);
      size *= shape[i];
    }
    bool repeats = random.chance(30);
    offsetY = random.integer(0, 5);
    offsetX = random.integer(0, 5);
    elementsY = offsetY + lay(random, stridesY, false);
    elementsX = offsetX + lay(random, stridesX, repeats);
  }

  /// Strides over axes in random order; returns how many elements they span.
  int64_t lay(Random& random, int64_t* strides, bool repeats) {
    std::vector<int> order((size_t)rank);
    std::iota(order.begin(), order.end(), 0);
    if (random.chance(60)) {
      for (int i = rank - 1; i > 0; i--) std::swap(order[size_t(i)], order[size_t(random.integer(0, i))]);
    }
    int64_t span = 1;
    for (int i = rank - 1; i >= 0; i--) {
      int axis = order[size_t(i)];
      bool repeated = repeats && random.chance(40);
      strides[axis] = repeated ? 0 : span;
      if (!repeated) span *= shape[axis];
      if (random.chance(20)) span += random.integer(1, 3);
    }
    return span;
  }
};

}  // namespace

DANU_TEST(testStridedCopy, "stridedCopy: any permutation, gaps and repetition; nothing else is touched") {
  Random random(1);
  for (int round = 0; round < 500; round++) {
    Views v(random);
    DType dtype = typeOfBytes[random.integer(0, 2)];
    if (v.size > 200000) continue;
    Array x(dtype, v.elementsX);
    for (int64_t i = 0; i < x.n; i++) x.set(i, double(random.integer(0, 255)));
    onAllThreads("stridedCopy", [&](Queue& q) {
      Array y(dtype, v.elementsY), expected(dtype, v.elementsY);
      danu_strided_copy(&q, y, x, v.rank, v.shape, v.stridesY, v.stridesX, v.offsetY, v.offsetX,
                        int32_t(bytesOf(dtype)));
      q.wait();
      if (q.threads() > 1) return y.bytes();
      for (int64_t i = 0; i < v.size; i++) {
        int64_t rest = i, to = v.offsetY, from = v.offsetX;
        for (int axis = v.rank - 1; axis >= 0; axis--) {
          to += rest % v.shape[axis] * v.stridesY[axis];
          from += rest % v.shape[axis] * v.stridesX[axis];
          rest /= v.shape[axis];
        }
        expected.set(to, x[from]);
      }
      expect(y.bytes() == expected.bytes(), "round %d: wrong copy of rank %d", round, v.rank);
      expect(y.isGuarded(), "stridedCopy wrote past its end");
      return y.bytes();
    });
  }
}

DANU_TEST(testTranspose, "stridedCopy: large transpositions of every element size") {
  for (DType dtype : typeOfBytes) {
    int64_t rows = 301, columns = 517, shape[] = {columns, rows}, stridesY[] = {rows, 1}, stridesX[] = {1, columns};
    Array x(dtype, rows * columns), y(dtype, rows * columns);
    for (int64_t i = 0; i < x.n; i++) x.set(i, double(i * 7 % 251));
    danu_strided_copy(&queueWith(3), y, x, 2, shape, stridesY, stridesX, 0, 0, int32_t(bytesOf(dtype)));
    queueWith(3).wait();
    for (int64_t i = 0; i < y.n; i++) {
      double expected = x[i % rows * columns + i / rows];
      expect(y[i] == expected, "type %d: y[%d] = %g, not %g", dtype, int(i), y[i], expected);
    }
  }
}
