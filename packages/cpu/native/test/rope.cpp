#include "attention-reference.h"

using namespace danu;
using namespace danu::test;

namespace {

struct RopeCase {
  int64_t rows, H, D, tablePositions;
  int32_t dtype;
  Numbers x{}, table{};
  std::vector<int32_t> positions{};

  void fill(Random& random) {
    x = randomNumbers(random, rows * H * D, dtype == dtypeBf16);
    for (int64_t p = 0; p < tablePositions; p++) {
      for (int part = 0; part < 2; part++)
        for (int64_t i = 0; i < D / 2; i++) {
          double angle = double(p) * std::pow(10000.0, -2.0 * double(i) / double(D));
          table.push_back(float(part == 0 ? std::cos(angle) : std::sin(angle)));
        }
    }
    for (int64_t row = 0; row < rows; row++) positions.push_back(int32_t(random.integer(0, tablePositions - 1)));
  }

  Numbers run(const Numbers& input, bool inverse, int threads, bool inPlace = false) const {
    Queue q(threads);
    DeviceArray from(q, input, dtype), to(q, input.size(), dtype);
    DeviceArray& y = inPlace ? from : to;
    int32_t status = danu_rope(&q, y.address(), from.address(), (uint64_t)table.data(), (uint64_t)positions.data(),
                               rows, H, D, tablePositions, inverse, dtype);
    expect(status == danu_ok, "status %d", status);
    q.wait();
    return y.read();
  }
};

RopeCase randomRope(Random& random) {
  RopeCase c{.rows = random.integer(1, 50),
             .H = random.integer(1, 5),
             .D = 2 * random.integer(1, 70),
             .tablePositions = random.integer(1, 60),
             .dtype = random.chance(50) ? dtypeF32 : dtypeBf16};
  c.fill(random);
  return c;
}

}  // namespace

DANU_TEST(testRope, "rope: turns pairs (i, i + D/2) by the angle of the position") {
  Random random(31);
  for (int round = 0; round < 60; round++) {
    RopeCase c = randomRope(random);
    Numbers y = c.run(c.x, false, 2);
    expect(std::memcmp(y.data(), c.run(c.x, false, 2, true).data(), y.size() * 4) == 0, "in place differs");
    double tolerance = c.dtype == dtypeF32 ? 1e-6 : 1.0 / 128;
    for (int64_t row = 0; row < c.rows; row++)
      for (int64_t h = 0; h < c.H; h++)
        for (int64_t d = 0; d < c.D; d++) {
          int64_t i = d % (c.D / 2), first = (row * c.H + h) * c.D;
          const float* angles = &c.table[size_t(c.positions[size_t(row)] * c.D)];
          double a = c.x[size_t(first + i)], b = c.x[size_t(first + i + c.D / 2)];
          double cosine = angles[i], sine = angles[i + c.D / 2];
          double exact = d < c.D / 2 ? a * cosine - b * sine : b * cosine + a * sine;
          expect(std::fabs(y[size_t(first + d)] - exact) <= tolerance * 2, "D %ld dtype %d: %g, not %g", long(c.D),
                 c.dtype, y[size_t(first + d)], exact);
        }
  }
}

DANU_TEST(testRopeInverse, "rope: the inverse brings the input back") {
  Random random(32);
  for (int round = 0; round < 20; round++) {
    RopeCase c = randomRope(random);
    Numbers back = c.run(c.run(c.x, false, 2), true, 3);
    double tolerance = c.dtype == dtypeF32 ? 1e-5 : 4e-2;
    for (size_t i = 0; i < back.size(); i++) {
      expect(std::fabs(back[i] - c.x[i]) <= tolerance, "%g, not %g", back[i], c.x[i]);
    }
  }
}

DANU_TEST(testRopePosition, "rope: a position outside the table is a failure, its row zero, others right") {
  Random random(33);
  RopeCase c{.rows = 3, .H = 2, .D = 6, .tablePositions = 4, .dtype = dtypeF32};
  c.fill(random);
  Numbers good = c.run(c.x, false, 1);
  for (int32_t bad : {-1, 4, INT32_MAX, INT32_MIN}) {
    c.positions[1] = bad;
    Queue q(2);
    DeviceArray x(q, c.x, dtypeF32), y(q, c.x.size(), dtypeF32);
    danu_rope(&q, y.address(), x.address(), (uint64_t)c.table.data(), (uint64_t)c.positions.data(), 3, 2, 6, 4, 0,
              dtypeF32);
    q.wait();
    Failure failure = q.takeFailure();
    expect(failure.code == failureIndexOutOfRange && failure.a == bad && failure.b == 4, "failure %ld",
           long(failure.code));
    Numbers result = y.read();
    for (size_t i = 0; i < result.size(); i++) {
      bool inBadRow = i / 12 == 1;
      expect(result[i] == (inBadRow ? 0.0f : good[i]), "position %d [%zu]: %g", bad, i, result[i]);
    }
  }
  expect(danu_rope(nullptr, 0, 0, 0, 0, 1, 1, 5, 1, 0, dtypeF32) == danu_invalid_argument, "odd D");
}
