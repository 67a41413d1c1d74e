#include "kernel-oracle.h"

using namespace danu;
using namespace danu::test;

DANU_TEST(testNorm, "rmsNorm: forward and backward, with and without a residual gradient") {
  Random random(1);
  for (int round = 0; round < 60; round++) {
    DType dtype = activationTypes[random.integer(0, 1)];
    int64_t rows = random.chance(25) ? random.integer(100, 400) : random.integer(0, 9);
    int64_t C = random.chance(20) ? random.integer(500, 1100) : random.integer(1, 90);
    double eps = 1e-5;
    Array x = randomArray(random, dtype, rows * C, 2), w = randomArray(random, dtype, C);
    Array dy = randomArray(random, dtype, rows * C), residual = randomArray(random, dtype, rows * C);
    bool hasResidual = random.chance(50);
    onAllThreads("rmsNorm", [&](Queue& q) {
      Array y(dtype, rows * C), dx(dtype, rows * C), rstd(dtypeF32, rows), dw(dtypeF32, C);
      danu_rms_norm_forward(&q, y, rstd, x, w, rows, C, eps, dtype);
      danu_rms_norm_backward(&q, dx, dw, dy, x, w, rstd, hasResidual ? uint64_t(residual) : 0, rows, C, dtype);
      q.wait();
      if (q.threads() > 1) return joined({&y, &rstd, &dx, &dw});
      std::vector<double> sums((size_t)C), sizes((size_t)C);
      for (int64_t r = 0; r < rows; r++) {
        double squares = 0, projection = 0;
        for (int64_t c = 0; c < C; c++) squares += x[r * C + c] * x[r * C + c];
        double root = 1 / std::sqrt(squares / double(C) + eps);
        expect(isNear(rstd[r], root, 1e-5 * root), "rstd %g, not %g", rstd[r], root);
        for (int64_t c = 0; c < C; c++) projection += dy[r * C + c] * w[c] * x[r * C + c] * root;
        for (int64_t c = 0; c < C; c++) {
          int64_t i = r * C + c;
          double normed = x[i] * root, expected = normed * w[c];
          double error = 1e-5 * std::fabs(expected) + spacing(dtype, expected);
          expect(isNear(y[i], expected, error), "y %g, not %g", y[i], expected);
          double d = root * (dy[i] * w[c] - normed * projection / double(C)) + (hasResidual ? residual[i] : 0);
          expect(isNear(dx[i], d, 2e-5 * (root + 1) + spacing(dtype, d)), "dx %g, not %g", dx[i], d);
          sums[size_t(c)] += dy[i] * normed;
          sizes[size_t(c)] += std::fabs(dy[i] * normed);
        }
      }
      for (int64_t c = 0; c < C; c++) {
        expect(isNear(dw[c], sums[size_t(c)], 1e-5 * sizes[size_t(c)]), "dw %g, not %g", dw[c], sums[size_t(c)]);
      }
      expect(y.isGuarded() && dx.isGuarded() && rstd.isGuarded() && dw.isGuarded(), "rmsNorm wrote past an end");
      return joined({&y, &rstd, &dx, &dw});
    });
  }
}

DANU_TEST(testNormExtremes, "rmsNorm: zero rows stay zero, NaN stays in its row") {
  int64_t rows = 3, C = 40;
  Array x(dtypeF32, rows * C), w(dtypeF32, C), y(dtypeF32, rows * C), rstd(dtypeF32, rows);
  for (int64_t i = 0; i < rows * C; i++) x.set(i, i < C ? 0 : 1);
  for (int64_t c = 0; c < C; c++) w.set(c, 2);
  x.set(C + 5, notANumber);
  danu_rms_norm_forward(&queueWith(2), y, rstd, x, w, rows, C, 1e-5, dtypeF32);
  queueWith(2).wait();
  for (int64_t c = 0; c < C; c++) {
    expect(y[c] == 0, "zero row gives %g", y[c]);
    expect(y[C + c] != y[C + c], "row with NaN gives %g", y[C + c]);
    expect(isNear(y[2 * C + c], 2, 1e-4), "row of ones gives %g", y[2 * C + c]);
  }
}
