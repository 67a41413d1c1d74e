#include "attention-reference.h"

using namespace danu;
using namespace danu::test;

namespace {

/// Every element within `tolerance` of the exact one, in units of the largest exact one or of `floor`.
void compare(const AttentionCase& c, const char* name, const Numbers& result, const std::vector<double>& exact,
             double tolerance, double floor) {
  double largest = floor;
  for (double value : exact) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < exact.size(); i++) {
    expect(std::fabs(result[i] - exact[i]) <= tolerance * largest, "%s: %s[%zu] is %g, not %g", c.text().c_str(), name,
           i, result[i], exact[i]);
  }
}

void compareWithReference(const AttentionCase& c) {
  AttentionResult<double> exact = attentionReference(c);
  AttentionResult<float> result = runAttention(c, 2);
  // bf16 rounds weights and outputs to 8 bits; gradients pass through two such roundings.
  double tolerance = c.dtype == dtypeF32 ? 4e-6 : 1.2e-2;
  compare(c, "o", result.o, exact.o, tolerance, 0.1);
  compare(c, "lse", result.lse, exact.lse, 4e-6, 1);
  compare(c, "dQ", result.dQ, exact.dQ, tolerance, 0.5);
  compare(c, "dK", result.dK, exact.dK, tolerance, 0.5);
  compare(c, "dV", result.dV, exact.dV, tolerance, 0.5);
}

bool sameBits(const Numbers& a, const Numbers& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

AttentionCase smallCase(int32_t dtype, int64_t T, int64_t S, int64_t H, int64_t D, int64_t slidingWindow) {
  return {.B = 1,
          .T = T,
          .S = S,
          .H = H,
          .keyValueHeads = H / 2,
          .D = D,
          .slidingWindow = slidingWindow,
          .dtype = dtype};
}

}  // namespace

DANU_TEST(testRandom, "attention: random shapes equal the definition in double precision, forward and backward") {
  Random random(21);
  for (int round = 0; round < 120; round++) compareWithReference(randomAttention(random, 40));
  for (int round = 0; round < 30; round++) compareWithReference(randomAttention(random, 400));
}

DANU_TEST(testShapes, "attention: the shapes of the presets") {
  Random random(22);
  // Heads, key-value heads and head sizes of nano, medium, Danube and Danube 3, with windows inside and across tiles;
  // and rows of keys so long that few make a step.
  const AttentionCase cases[] = {
      {.B = 2, .T = 256, .S = 256, .H = 8, .keyValueHeads = 2, .D = 32, .slidingWindow = 0, .dtype = dtypeF32},
      {.B = 1, .T = 330, .S = 330, .H = 6, .keyValueHeads = 2, .D = 64, .slidingWindow = 100, .dtype = dtypeF32},
      {.B = 1, .T = 500, .S = 500, .H = 4, .keyValueHeads = 1, .D = 80, .slidingWindow = 161, .dtype = dtypeBf16},
      {.B = 1, .T = 200, .S = 520, .H = 4, .keyValueHeads = 2, .D = 120, .slidingWindow = 0, .dtype = dtypeBf16},
      {.B = 3, .T = 1, .S = 1000, .H = 8, .keyValueHeads = 2, .D = 80, .slidingWindow = 0, .dtype = dtypeBf16},
      {.B = 1, .T = 1, .S = 130, .H = 40, .keyValueHeads = 20, .D = 256, .slidingWindow = 0, .dtype = dtypeBf16},
      {.B = 1, .T = 5, .S = 1500, .H = 4, .keyValueHeads = 1, .D = 64, .slidingWindow = 700, .dtype = dtypeF32},
  };
  for (AttentionCase c : cases) {
    c.fill(random, false);
    compareWithReference(c);
  }
}

DANU_TEST(testOnePosition, "attention: one position over many keys, with any number of queries that share them") {
  Random random(28);
  for (int round = 0; round < 80; round++) {
    AttentionCase c{.B = random.integer(1, 2),
                    .T = 1,
                    .S = random.integer(1, round % 4 == 0 ? 1200 : 150),
                    .H = 0,
                    .keyValueHeads = random.integer(1, 3),
                    .D = random.chance(30) ? random.integer(1, 150) : 16 * random.integer(1, 16),
                    .slidingWindow = random.chance(30) ? random.integer(1, 300) : 0,
                    .dtype = random.chance(50) ? dtypeF32 : dtypeBf16};
    c.H = c.keyValueHeads * random.integer(1, 10);
    c.fill(random, false);
    compareWithReference(c);
  }
}

DANU_TEST(testLargeScores, "attention: scores far from zero neither overflow nor vanish") {
  Random random(23);
  for (int32_t dtype : {dtypeF32, dtypeBf16}) {
    AttentionCase c = smallCase(dtype, 150, 150, 2, 16, 0);
    c.fill(random, true);
    c.scale = 40;
    AttentionResult<float> result = runAttention(c, 2);
    AttentionResult<double> exact = attentionReference(c);
    compare(c, "o", result.o, exact.o, dtype == dtypeF32 ? 2e-4 : 1.2e-2, 0.1);
    compare(c, "lse", result.lse, exact.lse, 1e-5, 1);
  }
}

DANU_TEST(testThreads, "attention: the same bits for any number of threads") {
  Random random(24);
  for (int round = 0; round < 12; round++) {
    AttentionCase c = randomAttention(random, 600);
    AttentionResult<float> one = runAttention(c, 1);
    for (int threads = 2; threads <= 3; threads++) {
      AttentionResult<float> more = runAttention(c, threads);
      bool same = sameBits(one.o, more.o) && sameBits(one.lse, more.lse) && sameBits(one.dQ, more.dQ) &&
                  sameBits(one.dK, more.dK) && sameBits(one.dV, more.dV);
      expect(same, "%s: %d threads differ", c.text().c_str(), threads);
    }
  }
}

DANU_TEST(testUnseenNaN, "attention: NaN in keys and values that no query of a block sees changes nothing") {
  Random random(25);
  for (int32_t dtype : {dtypeF32, dtypeBf16}) {
    AttentionCase c = smallCase(dtype, 40, 400, 4, 48, 101);
    c.fill(random, false);
    AttentionResult<float> clean = runAttention(c, 2);
    // The first query stands at position 360 and sees keys from 260 on. A pair of keys is read whole.
    std::fill_n(c.k.begin(), 258 * c.keyValueHeads * c.D, NAN);
    std::fill_n(c.v.begin(), 258 * c.keyValueHeads * c.D, NAN);
    AttentionResult<float> dirty = runAttention(c, 2);
    bool same = sameBits(clean.o, dirty.o) && sameBits(clean.lse, dirty.lse) && sameBits(clean.dQ, dirty.dQ) &&
                sameBits(clean.dK, dirty.dK) && sameBits(clean.dV, dirty.dV);
    expect(same, "%s: differs", c.text().c_str());
  }
}

DANU_TEST(testMaskedNaN, "attention: NaN in a masked key leaves forward results alone, in a seen one it shows") {
  Random random(26);
  for (int32_t dtype : {dtypeF32, dtypeBf16}) {
    AttentionCase c = smallCase(dtype, 90, 90, 2, 32, 0);
    c.fill(random, false);
    AttentionResult<float> clean = runAttention(c, 1);
    constexpr int64_t key = 37;
    std::fill_n(c.k.begin() + key * c.D, c.D, NAN);
    AttentionResult<float> dirty = runAttention(c, 1);
    size_t before = size_t(key * c.H * c.D);
    expect(std::memcmp(clean.o.data(), dirty.o.data(), before * sizeof(float)) == 0, "a later key shows");
    for (size_t i = before; i < dirty.o.size(); i++) expect(dirty.o[i] != dirty.o[i], "o[%zu] hides a NaN", i);
  }
}

DANU_TEST(testDocuments, "attention: no number crosses the border of a document, forward or backward") {
  Random random(27);
  for (int32_t dtype : {dtypeF32, dtypeBf16}) {
    AttentionCase c = smallCase(dtype, 480, 480, 4, 40, 0);
    c.fill(random, false);
    constexpr int64_t border = 160;
    for (int64_t s = 0; s < c.S; s++) c.documentStart.push_back(s < border ? 0 : border);
    AttentionResult<float> clean = runAttention(c, 2);
    int64_t keyRow = c.keyValueHeads * c.D, queryRow = c.H * c.D;
    for (Numbers* x : {&c.q, &c.dO, &c.k, &c.v}) {
      Numbers other = randomNumbers(random, border * (x == &c.q || x == &c.dO ? queryRow : keyRow), true);
      std::copy(other.begin(), other.end(), x->begin());
    }
    AttentionResult<float> changed = runAttention(c, 2);
    auto sameTail = [](const Numbers& a, const Numbers& b, int64_t from) {
      return std::memcmp(a.data() + from, b.data() + from, (a.size() - size_t(from)) * sizeof(float)) == 0;
    };
    bool same = sameTail(clean.o, changed.o, border * queryRow) && sameTail(clean.dQ, changed.dQ, border * queryRow) &&
                sameTail(clean.dK, changed.dK, border * keyRow) && sameTail(clean.dV, changed.dV, border * keyRow);
    expect(same, "%s: the second document differs", c.text().c_str());
  }
}

DANU_TEST(testArguments, "attention: invalid arguments are refused, empty ones do nothing") {
  Queue q(1);
  auto forward = [&](int64_t T, int64_t S, int64_t H, int64_t D, int64_t window, double scale, int32_t dtype) {
    return danu_attention_forward(&q, 0, 0, 0, 0, 0, 0, 1, T, S, H, 2, D, window, scale, dtype);
  };
  expect(forward(0, 0, 4, 8, 0, 1, dtypeF32) == danu_ok, "empty");
  expect(forward(5, 4, 4, 8, 0, 1, dtypeF32) == danu_invalid_argument, "T > S");
  expect(forward(4, 4, 5, 8, 0, 1, dtypeF32) == danu_invalid_argument, "H not a multiple");
  expect(forward(4, 4, 4, 300, 0, 1, dtypeF32) == danu_invalid_argument, "D too large");
  expect(forward(4, 4, 4, 8, -1, 1, dtypeF32) == danu_invalid_argument, "negative window");
  expect(forward(4, 4, 4, 8, 0, NAN, dtypeF32) == danu_invalid_argument, "scale NaN");
  expect(forward(4, 4, 4, 8, 0, 1, dtypeF16) == danu_invalid_argument, "f16");
  q.wait();
}
