#include "kernel-oracle.h"

using namespace danu;
using namespace danu::test;

namespace {

constexpr int64_t ignored = -100;

struct Problem {
  int64_t N, C, V;
  Array x, w, targets, factors;

  Problem(Random& random, DType dtype, int64_t N, int64_t C, int64_t V, double scale)
      : N(N), C(C), V(V), x(randomArray(random, dtype, N * C, scale)), w(randomArray(random, dtype, V * C)),
        targets(dtypeI32, N),
        factors(dtypeF32, N) {
    for (int64_t i = 0; i < N; i++) factors.set(i, random.chance(20) ? 0 : double(random.integer(-8, 8)) / 4);
    for (int64_t i = 0; i < N; i++) targets.set(i, random.chance(20) ? ignored : double(random.integer(0, V - 1)));
  }
};

struct Result {
  Array loss, dx, dw;

  Result(Queue& q, Problem& p, double scale, bool gradients = true, bool weighted = false)
      : loss(dtypeF32, p.N), dx(p.x.dtype, p.N * p.C), dw(dtypeF32, p.V * p.C) {
    uint64_t toX = gradients ? uint64_t(dx) : 0, toW = gradients ? uint64_t(dw) : 0;
    int32_t status = danu_linear_cross_entropy(&q, loss, toX, toW, p.x, p.w, p.targets, weighted ? uint64_t(p.factors) : 0,
                                               p.N, p.C, p.V, ignored, scale, p.x.dtype);
    q.wait();
    expect(status == danu_ok, "status %d", status);
    expect(loss.isGuarded() && dx.isGuarded() && dw.isGuarded(), "crossEntropy wrote past an end");
  }
};

/// Compares with sums in f64; bf16 gradients pass through bf16 logit gradients, of relative error 2^-9.
void check(Problem& p, const Result& result, double scale, bool weighted = false) {
  double relative = p.x.dtype == dtypeF32 ? 2e-5 : 8e-3;
  std::vector<double> dw(size_t(p.V * p.C)), sizes(size_t(p.V * p.C)), slacks(size_t(p.V * p.C)), logits((size_t)p.V);
  for (int64_t i = 0; i < p.N; i++) {
    double top = -infinity, total = 0, largest = 0;
    for (int64_t v = 0; v < p.V; v++) {
      double sum = 0, size = 0;
      for (int64_t c = 0; c < p.C; c++) {
        sum += p.x[i * p.C + c] * p.w[v * p.C + c];
        size += std::fabs(p.x[i * p.C + c] * p.w[v * p.C + c]);
      }
      logits[size_t(v)] = sum;
      top = std::max(top, sum);
      largest = std::max(largest, size);
    }
    for (double logit : logits) total += std::exp(logit - top);
    bool skipped = p.targets[i] == double(ignored);
    double loss = skipped ? 0 : std::log(total) + top - logits[size_t(p.targets[i])];
    // Logits are f32 sums: an error in one moves the loss by as much and the gradient in proportion.
    double logitError = 1e-6 * largest + 1e-6;
    double lossError = logitError + 1e-6 * std::fabs(loss);
    expect(isNear(result.loss[i], loss, lossError), "loss %.9g, not %.9g", result.loss[i], loss);
    double factor = weighted ? scale * p.factors[i] : scale;
    for (int64_t c = 0; c < p.C; c++) {
      double d = 0, size = 0, slack = 0;
      for (int64_t v = 0; v < p.V && !skipped; v++) {
        double g = factor * (std::exp(logits[size_t(v)] - top) / total - (double(v) == p.targets[i]));
        d += g * p.w[v * p.C + c];
        size += std::fabs(g * p.w[v * p.C + c]);
        dw[size_t(v * p.C + c)] += g * p.x[i * p.C + c];
        sizes[size_t(v * p.C + c)] += std::fabs(g * p.x[i * p.C + c]);
        if (double(v) != p.targets[i]) continue;
        // The probability of the target is near 1 at best as exact as 1 is in f32.
        slack = 2e-7 * std::fabs(factor) * std::fabs(p.w[v * p.C + c]);
        slacks[size_t(v * p.C + c)] += 2e-7 * std::fabs(factor) * std::fabs(p.x[i * p.C + c]);
      }
      double error = (relative + 2 * logitError) * size + slack + (size > 0 ? spacing(p.x.dtype, d) : 0) + 1e-30;
      expect(isNear(result.dx[i * p.C + c], d, error), "dx %g, not %g", result.dx[i * p.C + c], d);
    }
  }
  for (size_t i = 0; i < dw.size(); i++) {
    expect(isNear(result.dw[int64_t(i)], dw[i], (relative + 1e-3) * sizes[i] + slacks[i] + 1e-30), "dw %g, not %g",
           result.dw[int64_t(i)], dw[i]);
  }
}

}  // namespace

DANU_TEST(testCrossEntropy, "linearCrossEntropy: losses and gradients over one chunk and several") {
  Random random(1);
  constexpr int64_t shapes[][3] = {{0, 3, 5},   {1, 1, 1},    {1, 5, 3},    {7, 17, 33},
                                   {130, 8, 50}, {300, 12, 70}, {261, 33, 17}};
  for (auto [N, C, V] : shapes) {
    for (DType dtype : activationTypes) {
      Problem p(random, dtype, N, C, V, 3);
      double scale = N > 0 ? 1.0 / double(N) : 1;
      onAllThreads("linearCrossEntropy", [&](Queue& q) {
        Result result(q, p, scale);
        if (q.threads() == 1) check(p, result, scale);
        Result lossOnly(q, p, scale, false);
        expect(lossOnly.loss.bytes() == result.loss.bytes(), "the loss depends on whether gradients are wanted");
        Result weighted(q, p, scale, true, true);
        if (q.threads() == 1) check(p, weighted, scale, true);
        return joined({&result.loss, &result.dx, &result.dw, &weighted.dx, &weighted.dw});
      });
    }
  }
}

DANU_TEST(testCrossEntropyExtremes, "linearCrossEntropy: logits of ±10,000 stay finite") {
  Random random(2);
  for (DType dtype : activationTypes) {
    Problem p(random, dtype, 20, 6, 40, 5000);
    Result result(queueWith(2), p, 1);
    check(p, result, 1);
    for (int64_t i = 0; i < p.N; i++) expect(std::isfinite(result.loss[i]), "loss %g", result.loss[i]);
  }
}

DANU_TEST(testCrossEntropyIgnored, "linearCrossEntropy: ignored rows alone give zeros") {
  Random random(3);
  for (DType dtype : activationTypes) {
    Problem p(random, dtype, 150, 9, 33, 1);
    for (int64_t i = 0; i < p.N; i++) p.targets.set(i, ignored);
    Result result(queueWith(2), p, 1);
    for (int64_t i = 0; i < p.N; i++) expect(result.loss[i] == 0, "loss %g", result.loss[i]);
    for (int64_t i = 0; i < p.N * p.C; i++) expect(result.dx[i] == 0, "dx %g", result.dx[i]);
    for (int64_t i = 0; i < p.V * p.C; i++) expect(result.dw[i] == 0, "dw %g", result.dw[i]);
  }
}

DANU_TEST(testCrossEntropyRange, "linearCrossEntropy: a target out of range is an error that stays, and no more") {
  Random random(4);
  for (double bad : {-1.0, 33.0, -2147483648.0, 2147483647.0}) {
    Problem p(random, dtypeF32, 10, 9, 33, 1);
    p.targets.set(4, bad);
    Result result(queueWith(2), p, 1);
    Failure failure = queueWith(2).takeFailure();
    expect(failure.code == failureIndexOutOfRange && double(failure.a) == bad && failure.b == 33, "target %g", bad);
    p.targets.set(4, double(ignored));
    check(p, result, 1);
  }
}
