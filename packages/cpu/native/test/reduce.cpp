#include "../kernels/reduce.h"

#include "kernel-oracle.h"

using namespace danu;
using namespace danu::test;

namespace {

struct Lines {
  int64_t outer, reduced, inner;

  explicit Lines(Random& random) {
    // Small, then large along each of the axes, so that every way of cutting the work occurs.
    outer = random.integer(0, 5), reduced = random.integer(0, 70), inner = random.integer(0, 5);
    switch (random.integer(0, 5)) {
      case 0: outer = random.integer(300, 3000); break;
      case 1: reduced = random.integer(70000, 200000), outer = 1, inner = 1; break;
      case 2: reduced = random.integer(500, 1000), inner = random.integer(100, 600), outer = 1; break;
      case 3: inner = random.integer(500, 1500); break;
      case 4: outer = 1, inner = 1, reduced = random.integer(0, 2000); break;
      default: break;
    }
  }

  int64_t size() const { return outer * reduced * inner; }
  int64_t results() const { return outer * inner; }
  int64_t at(int64_t result, int64_t r) const { return (result / inner * reduced + r) * inner + result % inner; }
};

}  // namespace

DANU_TEST(testSum, "reduce: sums of any shape and type, better than adding in f32") {
  Random random(1);
  for (int round = 0; round < 120; round++) {
    DType dtype = allTypes[random.integer(0, 6)];
    Lines lines(random);
    bool narrowRange = isFloatType(dtype) && formatOf(dtype).exponentBits < 6;
    Array x = randomArray(random, dtype, lines.size(), narrowRange ? 0.01 : 3);
    onAllThreads("sum", [&](Queue& q) {
      Array y(dtype, lines.results());
      danu_reduce(&q, y, x, reduceSum, lines.outer, lines.reduced, lines.inner, dtype);
      q.wait();
      if (q.threads() > 1) return y.bytes();
      for (int64_t i = 0; i < y.n; i++) {
        double sum = 0, magnitude = 0;
        for (int64_t r = 0; r < lines.reduced; r++) {
          sum += x[lines.at(i, r)];
          magnitude += std::fabs(x[lines.at(i, r)]);
        }
        double error = isFloatType(dtype) ? 1e-6 * magnitude + 0.5 * spacing(dtype, sum) : 0;
        expect(isNear(y[i], rounded(dtype, sum), error), "type %d of %d: %.9g, not %.9g", dtype, int(lines.reduced),
               y[i], sum);
      }
      expect(y.isGuarded(), "sum wrote past its end");
      return y.bytes();
    });
  }
}

DANU_TEST(testExtremes, "reduce: max and min of any shape and type; NaN wins, nothing gives an infinity") {
  Random random(2);
  for (int round = 0; round < 120; round++) {
    DType dtype = allTypes[random.integer(0, 6)];
    int32_t kind = random.chance(50) ? reduceMax : reduceMin;
    Lines lines(random);
    Array x = randomArray(random, dtype, lines.size(), 3);
    for (int i = 0; lines.size() > 0 && i < 3; i++) {
      double special = random.chance(50) ? notANumber : random.chance(50) ? infinity : -infinity;
      x.set(random.integer(0, lines.size() - 1), special);
    }
    onAllThreads("max", [&](Queue& q) {
      Array y(dtype, lines.results());
      danu_reduce(&q, y, x, kind, lines.outer, lines.reduced, lines.inner, dtype);
      q.wait();
      if (q.threads() > 1) return y.bytes();
      for (int64_t i = 0; i < y.n; i++) {
        double best = kind == reduceMax ? -infinity : infinity;
        for (int64_t r = 0; r < lines.reduced; r++) {
          double v = x[lines.at(i, r)];
          if (v != v || (kind == reduceMax ? v > best : v < best)) best = v;
          if (v != v) break;
        }
        expect(isNear(y[i], rounded(dtype, best), 0), "kind %d type %d: %g, not %g", kind, dtype, y[i], best);
      }
      expect(y.isGuarded(), "max wrote past its end");
      return y.bytes();
    });
  }
}

DANU_TEST(testArgmax, "argmax: the first of equals; NaN counts as largest") {
  Random random(3);
  for (int round = 0; round < 120; round++) {
    DType dtype = allTypes[random.integer(0, 6)];
    Lines lines(random);
    Array x = randomArray(random, dtype, lines.size(), 3);
    if (random.chance(30)) {
      // Few different values, so that there are many equals.
      for (int64_t i = 0; i < lines.size(); i++) x.set(i, double(random.integer(-1, 1)));
    }
    if (random.chance(30) && lines.size() > 0) x.set(random.integer(0, lines.size() - 1), notANumber);
    if (random.chance(10)) {
      for (int64_t i = 0; i < lines.size(); i++) x.set(i, -infinity);
    }
    onAllThreads("argmax", [&](Queue& q) {
      Array y(dtypeI32, lines.results());
      danu_argmax(&q, y, x, lines.outer, lines.reduced, lines.inner, dtype);
      q.wait();
      if (q.threads() > 1) return y.bytes();
      for (int64_t i = 0; i < y.n; i++) {
        int64_t best = 0;
        for (int64_t r = 1; r < lines.reduced; r++) {
          double v = x[lines.at(i, r)], top = x[lines.at(i, best)];
          if (v > top || (v != v && top == top)) best = r;
        }
        expect(y[i] == double(best), "type %d of %d: %g, not %d", dtype, int(lines.reduced), y[i], int(best));
      }
      expect(y.isGuarded(), "argmax wrote past its end");
      return y.bytes();
    });
  }
}

DANU_TEST(testLargeSum, "reduce: a million equal numbers lose nothing") {
  int64_t n = 1 << 20;
  Array x(dtypeF32, n), y(dtypeF32, 1);
  for (int64_t i = 0; i < n; i++) x.set(i, 0.1);
  danu_sum(&queueWith(3), y, x, n);
  queueWith(3).wait();
  expect(isNear(y[0], double(n) * double(0.1f), 0.1), "%.9g", y[0]);
}
