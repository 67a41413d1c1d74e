#include "../kernels/gemm.h"

#include <limits>

#include "../simd.h"
#include "test.h"

using namespace danu;
using namespace danu::test;

namespace {

/// A product with its operands in host memory, as f32 whatever the type they are passed in.
struct Case {
  Gemm g{};
  std::vector<float> a, b, c, residual;

  Case(Random& random, int64_t m, int64_t n, int64_t k) {
    g.m = m;
    g.n = n;
    g.k = k;
    g.batch = random.chance(15) ? random.integer(2, 4) : 1;
    g.transposeA = random.chance(50);
    g.transposeB = random.chance(50);
    g.in = random.chance(50) ? dtypeF32 : dtypeBf16;
    g.out = random.chance(50) ? dtypeF32 : dtypeBf16;
    g.accumulate = random.chance(30);
    g.alpha = random.chance(70) ? 1.0f : 0.375f;
    auto gap = [&] { return random.chance(50) ? 0 : random.integer(1, 9); };
    g.lda = (g.transposeA ? m : k) + gap();
    g.ldb = (g.transposeB ? k : n) + gap();
    g.ldc = n + gap();
    g.ldr = n + gap();
    g.strideA = (g.transposeA ? k : m) * g.lda + gap();
    g.strideB = random.chance(20) ? 0 : (g.transposeB ? n : k) * g.ldb + gap();
    g.strideC = m * g.ldc + gap();
    g.strideR = m * g.ldr + gap();
    a = numbers(random, g.strideA * g.batch, g.in);
    b = numbers(random, (g.transposeB ? n : k) * g.ldb + g.strideB * (g.batch - 1), g.in);
    c = numbers(random, g.strideC * g.batch, g.out);
    if (random.chance(40)) residual = numbers(random, g.strideR * g.batch, g.out);
  }

  static std::vector<float> numbers(Random& random, int64_t count, DType dtype) {
    std::vector<float> values((size_t)count);
    for (float& value : values) {
      value = random.uniform();
      if (dtype == dtypeBf16) value = widen(narrow<bf16>(value));
    }
    return values;
  }

  float& atA(int64_t batch, int64_t row, int64_t p) {
    return a[size_t(batch * g.strideA + (g.transposeA ? p * g.lda + row : row * g.lda + p))];
  }

  float& atB(int64_t batch, int64_t p, int64_t column) {
    return b[size_t(batch * g.strideB + (g.transposeB ? column * g.ldb + p : p * g.ldb + column))];
  }
};

void* toDevice(Queue& q, const std::vector<float>& values, DType dtype) {
  void* device = q.memory.allocate(values.size() * 4);
  for (size_t i = 0; i < values.size(); i++) {
    if (dtype == dtypeF32) {
      ((float*)device)[i] = values[i];
    } else {
      ((bf16*)device)[i] = narrow<bf16>(values[i]);
    }
  }
  return device;
}

/// Runs the case on a device of its own and returns all of C.
std::vector<float> run(Case& test, int threads) {
  Queue q(threads);
  Gemm g = test.g;
  void* c = toDevice(q, test.c, g.out);
  g.c = c;
  g.a = toDevice(q, test.a, g.in);
  g.b = toDevice(q, test.b, g.in);
  g.residual = test.residual.empty() ? nullptr : toDevice(q, test.residual, g.out);
  expect(gemm(q, g), "no memory");
  q.wait();
  std::vector<float> result(test.c.size());
  for (size_t i = 0; i < result.size(); i++) {
    result[i] = g.out == dtypeF32 ? ((float*)c)[i] : widen(((bf16*)c)[i]);
  }
  return result;
}

void describe(const Gemm& g, char (&text)[200]) {
  std::snprintf(text, sizeof text, "%ldx%ldx%ld batch %ld A%s B%s in %d out %d acc %d alpha %g lda %ld", long(g.m),
                long(g.n), long(g.k), long(g.batch), g.transposeA ? "'" : "", g.transposeB ? "'" : "", int(g.in),
                int(g.out), int(g.accumulate), g.alpha, long(g.lda));
}

void compareWithLoops(Case& test) {
  const Gemm& g = test.g;
  char text[200];
  describe(g, text);
  std::vector<float> result = run(test, 1);
  std::vector<bool> written(result.size(), false);
  for (int64_t batch = 0; batch < g.batch; batch++) {
    for (int64_t row = 0; row < g.m; row++) {
      for (int64_t column = 0; column < g.n; column++) {
        double exact = 0, size = 0;
        for (int64_t p = 0; p < g.k; p++) {
          double product = double(test.atA(batch, row, p)) * test.atB(batch, p, column);
          exact += product;
          size += std::fabs(product);
        }
        exact *= g.alpha;
        size_t at = size_t(batch * g.strideC + row * g.ldc + column);
        if (g.accumulate) exact += test.c[at];
        if (!test.residual.empty()) exact += test.residual[size_t(batch * g.strideR + row * g.ldr + column)];
        double tolerance = 1e-6 * (1 + size) + (g.out == dtypeBf16 ? std::fabs(exact) / 256 : 0);
        expect(std::fabs(result[at] - exact) <= tolerance, "%s [%ld %ld %ld]: %g, not %g", text, long(batch), long(row),
               long(column), result[at], exact);
        written[at] = true;
      }
    }
  }
  for (size_t i = 0; i < result.size(); i++) {
    expect(written[i] || sameBits(result[i], test.c[i]), "%s: wrote between rows at %zu", text, i);
  }
}

}  // namespace

DANU_TEST(testSmall, "gemm: random small shapes equal loops in double precision") {
  Random random(11);
  for (int round = 0; round < 600; round++) {
    Case test(random, random.integer(0, 40), random.integer(0, 70), random.integer(0, 90));
    compareWithLoops(test);
  }
}

DANU_TEST(testLarge, "gemm: shapes beyond one block of k, rows and columns") {
  Random random(12);
  for (int round = 0; round < 24; round++) {
    Case test(random, random.integer(1, 300), random.integer(1, 200), random.integer(200, 1300));
    test.g.batch = 1;
    compareWithLoops(test);
  }
  // Rows that fall on the same cache sets, and more columns than a tile takes.
  for (int64_t k : {512, 1024, 2048}) {
    Case test(random, 17, 65, k);
    test.g.batch = 1;
    compareWithLoops(test);
  }
  // More columns than a slab takes, and more of k, with every kind of C.
  for (int64_t rows : {9, 40}) {
    Case wide(random, rows, 1500, 530);
    compareWithLoops(wide);
  }
  for (int round = 0; round < 6; round++) {
    Case deep(random, random.integer(17, 40), random.integer(1, 70), random.integer(2049, 5000));
    deep.g.out = dtypeBf16;
    for (std::vector<float>* values : {&deep.c, &deep.residual}) {
      for (float& value : *values) value = widen(narrow<bf16>(value));
    }
    compareWithLoops(deep);
  }
}

DANU_TEST(testThreads, "gemm: the same bits for any number of threads") {
  Random random(13);
  for (int round = 0; round < 12; round++) {
    Case test(random, random.integer(1, 700), random.integer(1, 300), random.integer(1, 700));
    std::vector<float> expected = run(test, 1);
    for (int threads = 2; threads <= 4; threads++) {
      std::vector<float> result = run(test, threads);
      bool same = std::memcmp(result.data(), expected.data(), result.size() * sizeof(float)) == 0;
      expect(same, "%d threads differ", threads);
    }
  }
}

DANU_TEST(testFewRows, "gemm: a row of few has the bits of that row alone") {
  Random random(15);
  for (int round = 0; round < 40; round++) {
    Case all(random, random.integer(2, 16), random.integer(1, 600), random.integer(1, 300));
    all.g.batch = 1;
    all.g.transposeA = false;
    all.g.transposeB = true;
    all.g.lda = all.g.ldb = all.g.k;
    all.g.ldc = all.g.ldr = all.g.n;
    all.a.resize(size_t(all.g.m * all.g.k));
    all.b.resize(size_t(all.g.n * all.g.k));
    all.c.resize(size_t(all.g.m * all.g.n));
    all.residual.clear();
    const std::vector<float> together = run(all, 2);
    const int64_t row = random.integer(0, all.g.m - 1), k = all.g.k, n = all.g.n;
    Case one = all;
    one.g.m = 1;
    one.a.assign(all.a.begin() + row * k, all.a.begin() + (row + 1) * k);
    one.c.assign(all.c.begin() + row * n, all.c.begin() + (row + 1) * n);
    const std::vector<float> alone = run(one, 1);
    expect(std::memcmp(alone.data(), together.data() + row * n, size_t(n) * sizeof(float)) == 0, "row %ld of %ld differs",
           long(row), long(all.g.m));
  }
}

DANU_TEST(testNonFinite, "gemm: NaN and infinity reach what they should, and nothing else") {
  Random random(14);
  const float infinity = std::numeric_limits<float>::infinity();
  for (int round = 0; round < 200; round++) {
    Case test(random, random.integer(1, 33), random.integer(1, 65), random.integer(1, 40));
    test.g.batch = 1;
    test.g.alpha = 1;
    test.g.accumulate = false;
    test.residual.clear();
    const Gemm& g = test.g;
    // Everything between rows is NaN: nobody may read it into a result.
    for (float& value : test.a) value = NAN;
    for (float& value : test.b) value = NAN;
    for (int64_t p = 0; p < g.k; p++) {
      for (int64_t row = 0; row < g.m; row++) test.atA(0, row, p) = 1;
      for (int64_t column = 0; column < g.n; column++) test.atB(0, p, column) = 1;
    }
    int64_t nanRow = random.integer(0, g.m - 1), infiniteColumn = random.integer(0, g.n - 1);
    test.atA(0, nanRow, random.integer(0, g.k - 1)) = NAN;
    test.atB(0, random.integer(0, g.k - 1), infiniteColumn) = infinity;
    std::vector<float> result = run(test, 2);
    char text[200];
    describe(g, text);
    for (int64_t row = 0; row < g.m; row++) {
      for (int64_t column = 0; column < g.n; column++) {
        float exact = row == nanRow ? NAN : column == infiniteColumn ? infinity : float(g.k);
        float value = result[size_t(row * g.ldc + column)];
        expect(sameValue(value, exact), "%s [%ld %ld]: %g, not %g", text, long(row), long(column), value, exact);
      }
    }
  }
}
