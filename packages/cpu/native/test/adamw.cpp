#include "kernel-oracle.h"

using namespace danu;
using namespace danu::test;

namespace {

struct State {
  Array param, m, v, copy;

  State(const Array& p, const Array& first, const Array& second)
      : param(dtypeF32, p.n), m(dtypeF32, p.n), v(dtypeF32, p.n), copy(dtypeBf16, p.n) {
    param.assign(p.bytes());
    m.assign(first.bytes());
    v.assign(second.bytes());
  }
};

}  // namespace

DANU_TEST(testAdamW, "adamw: PyTorch's formula, with and without copy and gradient scale") {
  Random random(1);
  for (int round = 0; round < 20; round++) {
    int64_t n = random.chance(40) ? random.integer(16000, 50000) : random.integer(0, 100);
    Array p = randomArray(random, dtypeF32, n), grad = randomArray(random, dtypeF32, n), scale(dtypeF32, 1);
    Array m = randomArray(random, dtypeF32, n), v = randomArray(random, dtypeF32, n);
    for (int64_t i = 0; i < n; i++) v.set(i, std::fabs(v[i]));
    bool hasCopy = random.chance(50), hasScale = random.chance(50);
    scale.set(0, hasScale ? 0.25 : 1);
    double lr = 0.01, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, decay = 0.1;
    double bias1 = 1 - std::pow(beta1, round + 1), bias2 = 1 - std::pow(beta2, round + 1);
    onAllThreads("adamw", [&](Queue& q) {
      State s(p, m, v);
      danu_adamw(&q, s.param, s.m, s.v, grad, hasCopy ? uint64_t(s.copy) : 0, hasScale ? uint64_t(scale) : 0, n, lr,
                 beta1, beta2, eps, decay, bias1, bias2);
      q.wait();
      if (q.threads() > 1) return joined({&s.param, &s.m, &s.v, &s.copy});
      for (int64_t i = 0; i < n; i++) {
        double g = grad[i] * scale[0], first = m[i] + (g - m[i]) * (1 - beta1);
        double second = beta2 * v[i] + (1 - beta2) * g * g;
        double expected = p[i] * (1 - lr * decay) - lr / bias1 * first / (std::sqrt(second) / std::sqrt(bias2) + eps);
        expect(isNear(s.m[i], first, 3e-7), "m %g, not %g", s.m[i], first);
        expect(isNear(s.v[i], second, 3e-7), "v %g, not %g", s.v[i], second);
        double error = 1e-6 * (1 + std::fabs(expected));
        expect(isNear(s.param[i], expected, error), "param %.9g, not %.9g", s.param[i], expected);
        if (hasCopy) expect(s.copy[i] == rounded(dtypeBf16, s.param[i]), "copy %g of %g", s.copy[i], s.param[i]);
      }
      bool guarded = s.param.isGuarded() && s.m.isGuarded() && s.v.isGuarded() && s.copy.isGuarded();
      expect(guarded, "adamw wrote past an end");
      return joined({&s.param, &s.m, &s.v, &s.copy});
    });
  }
}

DANU_TEST(testAdamWSkips, "adamw: a gradient scale that is not finite changes no bit") {
  Random random(2);
  int64_t n = 20000;
  Array p = randomArray(random, dtypeF32, n), grad = randomArray(random, dtypeF32, n), scale(dtypeF32, 1);
  for (double bad : {notANumber, infinity, -infinity}) {
    State s(p, p, p);
    std::vector<uint8_t> before = joined({&s.param, &s.m, &s.v, &s.copy});
    scale.set(0, bad);
    danu_adamw(&queueWith(2), s.param, s.m, s.v, grad, s.copy, scale, n, 0.1, 0.9, 0.95, 1e-8, 0.1, 0.1, 0.05);
    queueWith(2).wait();
    expect(joined({&s.param, &s.m, &s.v, &s.copy}) == before, "a scale of %g wrote something", bad);
  }
}

DANU_TEST(testSumSquares, "sumSquares and clipScale: in f64, accumulated over tensors; no clipping of a NaN norm") {
  Random random(3);
  for (int round = 0; round < 20; round++) {
    int64_t n = random.chance(50) ? random.integer(60000, 200000) : random.integer(0, 100), k = random.integer(0, 50);
    Array a = randomArray(random, dtypeF32, n, 3), b = randomArray(random, dtypeF32, k, 3);
    onAllThreads("sumSquares", [&](Queue& q) {
      Array total(dtypeF32, 1), norm(dtypeF32, 1), scale(dtypeF32, 1);
      danu_sum_squares(&q, total, a, n, 0);
      danu_sum_squares(&q, total, b, k, 1);
      danu_clip_scale(&q, scale, norm, total, 2);
      q.wait();
      double sum = 0;
      for (int64_t i = 0; i < n; i++) sum += a[i] * a[i];
      for (int64_t i = 0; i < k; i++) sum += b[i] * b[i];
      expect(isNear(total[0], sum, 2e-7 * sum), "%.9g, not %.9g", total[0], sum);
      double root = std::sqrt(sum), factor = std::min(1.0, 2 / (root + 1e-6));
      expect(isNear(norm[0], root, 2e-7 * root), "norm %.9g, not %.9g", norm[0], root);
      expect(isNear(scale[0], factor, 3e-7), "scale %g, not %g", scale[0], factor);
      return joined({&total, &norm, &scale});
    });
  }
  for (double bad : {notANumber, infinity}) {
    Array total(dtypeF32, 1), norm(dtypeF32, 1), scale(dtypeF32, 1);
    total.set(0, bad);
    danu_clip_scale(&queueWith(1), scale, norm, total, 1);
    queueWith(1).wait();
    expect(scale[0] != scale[0] && isNear(norm[0], bad, 0), "norm %g gives scale %g", norm[0], scale[0]);
  }
}
