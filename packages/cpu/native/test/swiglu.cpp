#include "kernel-oracle.h"

using namespace danu;
using namespace danu::test;

DANU_TEST(testSwiglu, "swiglu: forward and backward of both types, any length") {
  Random random(1);
  for (int round = 0; round < 40; round++) {
    DType dtype = activationTypes[random.integer(0, 1)];
    int64_t n = random.chance(30) ? random.integer(15000, 40000) : random.integer(0, 200);
    Array gate = randomArray(random, dtype, n, 6), up = randomArray(random, dtype, n);
    Array dy = randomArray(random, dtype, n);
    onAllThreads("swiglu", [&](Queue& q) {
      Array y(dtype, n), dgate(dtype, n), dup(dtype, n);
      danu_swiglu_forward(&q, y, gate, up, n, dtype);
      danu_swiglu_backward(&q, dgate, dup, dy, gate, up, n, dtype);
      q.wait();
      if (q.threads() > 1) return joined({&y, &dgate, &dup});
      for (int64_t i = 0; i < n; i++) {
        double g = gate[i], s = 1 / (1 + std::exp(-g));
        auto near = [&](double value, double expected) {
          return isNear(value, expected, 2e-6 * (std::fabs(expected) + 0.01) + spacing(dtype, expected));
        };
        double forward = g * s * up[i], toGate = dy[i] * up[i] * s * (1 + g * (1 - s)), toUp = dy[i] * g * s;
        expect(near(y[i], forward), "y %g, not %g", y[i], forward);
        expect(near(dgate[i], toGate), "dgate %g, not %g", dgate[i], toGate);
        expect(near(dup[i], toUp), "dup %g, not %g", dup[i], toUp);
      }
      expect(y.isGuarded() && dgate.isGuarded() && dup.isGuarded(), "swiglu wrote past an end");
      return joined({&y, &dgate, &dup});
    });
  }
}

DANU_TEST(testSwigluExtremes, "swiglu: large gates saturate without NaN") {
  Array gate(dtypeF32, 4), one(dtypeF32, 4), y(dtypeF32, 4), dgate(dtypeF32, 4), dup(dtypeF32, 4);
  double gates[] = {1e38, -1e38, 100, -100}, values[] = {1e38, 0, 100, 0}, slopes[] = {1, 0, 1, 0};
  for (int i = 0; i < 4; i++) gate.set(i, gates[i]), one.set(i, 1);
  danu_swiglu_forward(&queueWith(1), y, gate, one, 4, dtypeF32);
  danu_swiglu_backward(&queueWith(1), dgate, dup, one, gate, one, 4, dtypeF32);
  queueWith(1).wait();
  for (int i = 0; i < 4; i++) {
    expect(isNear(y[i], rounded(dtypeF32, values[i]), 1e-30), "silu(%g) = %g", gates[i], y[i]);
    expect(isNear(dgate[i], slopes[i], 1e-6), "slope at %g is %g", gates[i], dgate[i]);
  }
}
