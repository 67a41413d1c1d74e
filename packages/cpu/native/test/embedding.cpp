#include "kernel-oracle.h"

using namespace danu;
using namespace danu::test;

namespace {

Array randomIds(Random& random, int64_t n, int64_t V) {
  Array ids(dtypeI32, n);
  // Squares prefer small ids, as words do.
  for (int64_t i = 0; i < n; i++) {
    double u = random.uniform();
    ids.set(i, std::floor(u * u * double(V - 1)));
  }
  return ids;
}

}  // namespace

DANU_TEST(testEmbedding, "embedding: rows of any type, and their gradient in a fixed order") {
  Random random(1);
  for (int round = 0; round < 60; round++) {
    DType dtype = floatTypes[random.integer(0, 4)];
    int64_t n = random.chance(30) ? random.integer(500, 2000) : random.integer(0, 20);
    int64_t C = random.integer(1, 70), V = random.chance(40) ? random.integer(100, 900) : random.integer(1, 9);
    Array ids = randomIds(random, n, V), w = randomArray(random, dtype, V * C), dy = randomArray(random, dtype, n * C);
    onAllThreads("embedding", [&](Queue& q) {
      Array y(dtype, n * C), dw(dtypeF32, V * C);
      danu_embedding_forward(&q, y, ids, w, n, C, V, dtype);
      danu_embedding_backward(&q, dw, ids, dy, n, C, V, dtype);
      q.wait();
      if (q.threads() > 1) return joined({&y, &dw});
      std::vector<float> sums(size_t(V * C));
      for (int64_t i = 0; i < n; i++) {
        for (int64_t c = 0; c < C; c++) {
          int64_t row = int64_t(ids[i]);
          expect(isNear(y[i * C + c], w[row * C + c], 0), "y %g, not %g", y[i * C + c], w[row * C + c]);
          sums[size_t(row * C + c)] += float(dy[i * C + c]);
        }
      }
      for (int64_t i = 0; i < V * C; i++) {
        expect(dw[i] == double(sums[size_t(i)]), "dw %g, not %g", dw[i], double(sums[size_t(i)]));
      }
      expect(y.isGuarded() && dw.isGuarded(), "embedding wrote past an end");
      return joined({&y, &dw});
    });
  }
}

DANU_TEST(testEmbeddingRange, "embedding: an id out of range gives a zero row, no gradient, and an error that stays") {
  Queue& q = queueWith(2);
  for (double bad : {-1.0, 5.0, -2147483648.0, 2147483647.0}) {
    Array ids(dtypeI32, 3), w(dtypeF32, 5 * 4), dy(dtypeF32, 3 * 4), y(dtypeF32, 3 * 4), dw(dtypeF32, 5 * 4);
    for (int i = 0; i < 20; i++) w.set(i, i + 1);
    for (int i = 0; i < 12; i++) dy.set(i, 1);
    ids.set(0, 1), ids.set(1, bad), ids.set(2, 4);
    danu_embedding_forward(&q, y, ids, w, 3, 4, 5, dtypeF32);
    q.wait();
    Failure failure = q.takeFailure();
    bool reported = failure.code == failureIndexOutOfRange && double(failure.a) == bad && failure.b == 5;
    expect(reported, "forward of id %g", bad);
    expect(y[0] == 5 && y[4] == 0 && y[7] == 0 && y[8] == 17, "rows around id %g", bad);
    danu_embedding_backward(&q, dw, ids, dy, 3, 4, 5, dtypeF32);
    q.wait();
    failure = q.takeFailure();
    expect(failure.code == failureIndexOutOfRange && double(failure.a) == bad, "backward of id %g", bad);
    for (int i = 0; i < 20; i++) expect(dw[i] == (i / 4 == 1 || i / 4 == 4), "dw[%d] = %g", i, dw[i]);
  }
}
