#include "kernel-oracle.h"

using namespace danu;
using namespace danu::test;

namespace {

void castOn(Queue& q, Array& y, Array& x) {
  expect(danu_cast(&q, y, x, x.n, x.dtype, y.dtype) == danu_ok, "cast refused");
  q.wait();
}

}  // namespace

DANU_TEST(testCastCodes, "cast: every code of the narrow types has its value, and its value its code") {
  for (DType dtype : {dtypeBf16, dtypeF16, dtypeF8e4m3, dtypeF8e5m2}) {
    int64_t n = int64_t(1) << (8 * bytesOf(dtype));
    Array codes(dtype, n), wide(dtypeF32, n), back(dtype, n);
    for (int64_t i = 0; i < n; i++) codes.setBits(i, uint32_t(i));
    castOn(queueWith(2), wide, codes);
    castOn(queueWith(2), back, wide);
    for (int64_t i = 0; i < n; i++) {
      expect(sameValue(float(wide[i]), float(codes[i])), "type %d code %d: %g, not %g", dtype, int(i), wide[i],
             codes[i]);
      expect(std::signbit(wide[i]) == std::signbit(codes[i]) || wide[i] != wide[i], "sign of code %d", int(i));
      expect(isNear(back[i], codes[i], 0), "type %d code %d came back as %g", dtype, int(i), back[i]);
    }
  }
}

DANU_TEST(testCastRounding, "cast: f32 of any bits rounds as in exact arithmetic") {
  Random random(1);
  constexpr int64_t n = 20011;
  Array x(dtypeF32, n);
  for (DType dtype : allTypes) {
    for (int64_t i = 0; i < n; i++) {
      // Half of them around the range of the type, where rounding, subnormals and overflow are.
      if (i % 2) x.setBits(i, uint32_t(random.bits()));
      else x.set(i, std::ldexp(double(random.uniform()), int(random.integer(-20, 20))));
    }
    for (double edge : {464.0, 464.5, 448.0, 61440.0, 61439.0, 65520.0, 65519.0, 2147483647.0, -2147483648.0, 255.99}) {
      x.set(random.integer(0, n - 1), edge);
    }
    onAllThreads("cast", [&](Queue& q) {
      Array y(dtype, n);
      castOn(q, y, x);
      if (q.threads() > 1) return y.bytes();
      for (int64_t i = 0; i < n; i++) {
        double expected = rounded(dtype, x[i]);
        bool sameSign = !isFloatType(dtype) || y[i] != y[i] || std::signbit(y[i]) == std::signbit(x[i]);
        expect(isNear(y[i], expected, 0) && sameSign, "type %d: %a became %g, not %g", dtype, x[i], y[i], expected);
      }
      return y.bytes();
    });
  }
}

DANU_TEST(testCastPairs, "cast: every pair of types, every ragged length") {
  Random random(2);
  for (DType from : allTypes) {
    for (DType to : allTypes) {
      for (int64_t n : {0, 1, 3, 16, 17, 511, 512, 513, 5000}) {
        Array x = randomArray(random, from, n, 300, true);
        Array y(to, n, random.integer(0, 3));
        castOn(queueWith(int(random.integer(1, 3))), y, x);
        // Integers reach the narrow floats through f32.
        bool throughF32 = isFloatType(to);
        for (int64_t i = 0; i < n; i++) {
          double expected = rounded(to, throughF32 ? rounded(dtypeF32, x[i]) : x[i]);
          expect(isNear(y[i], expected, 0), "%d to %d: %g became %g, not %g", from, to, x[i], y[i], expected);
        }
        expect(y.isGuarded(), "%d to %d: wrote past %d elements", from, to, int(n));
      }
    }
  }
}
