#include "../simd.h"

#include <limits>

#include "test.h"

using namespace danu;
using namespace danu::test;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float quietNaN = std::numeric_limits<float>::quiet_NaN();

float random32(Random& random) { return bitCast<float>(uint32_t(random.bits())); }

// Distance in units in the last place of the nearest f32 to `exact`.
double ulps(float value, double exact) {
  float nearest = float(exact);
  if (sameValue(value, nearest)) return 0;
  double unit = std::ldexp(1.0, std::max(std::ilogb(nearest), -126) - 23);
  return std::fabs(double(value) - exact) / unit;
}

// Nearest bf16 by comparing distances in double precision.
uint16_t slowBf16(float x) {
  uint32_t bits = bitCast<uint32_t>(x);
  if (x != x || std::isinf(x)) return x != x ? 0x7fc0 : uint16_t(bits >> 16);
  uint32_t low = bits & 0xffff0000, high = low + 0x10000;
  auto value = [](uint32_t of) {
    if ((of & 0x7fffffff) == 0x7f800000) return std::copysign(std::ldexp(1.0, 128), (of >> 31) ? -1.0 : 1.0);
    return double(bitCast<float>(of));
  };
  double below = std::fabs(double(x) - value(low)), above = std::fabs(value(high) - double(x));
  bool up = above < below || (above == below && (high >> 16) % 2 == 0);
  return uint16_t((up ? high : low) >> 16);
}

}  // namespace

DANU_TEST(testLoads, "simd: loads and stores with a count touch only their lanes") {
  float source[W], target[W + 1];
  bf16 halves[W], halvesTarget[W + 1];
  for (int i = 0; i < W; i++) {
    source[i] = float(i + 1);
    halves[i] = narrow<bf16>(float(i + 1));
  }
  for (int n = 0; n <= W; n++) {
    vf x = load(source, n), y = load(halves, n);
    for (int i = 0; i <= W; i++) {
      target[i] = -1;
      halvesTarget[i] = narrow<bf16>(-1.0f);
    }
    store(target, load(source), n);
    store(halvesTarget, load(source), n);
    for (int i = 0; i <= W; i++) {
      float loaded = i < n ? float(i + 1) : 0.0f, stored = i < n ? float(i + 1) : -1.0f;
      if (i < W) expect(x[i] == loaded && y[i] == loaded, "load n=%d lane %d: %g %g", n, i, x[i], y[i]);
      expect(target[i] == stored && widen(halvesTarget[i]) == stored, "store n=%d lane %d", n, i);
    }
  }
}

DANU_TEST(testBf16, "simd: bf16 rounds to nearest even, scalar and vector alike") {
  Random random(1);
  std::vector<float> inputs = {0.0f, -0.0f, infinity, -infinity, 1.0f, 3.3895314e38f, -3.4028235e38f, 1e-40f};
  for (int i = 0; i < 200000; i++) inputs.push_back(random32(random));
  while (inputs.size() % W) inputs.push_back(0);
  for (size_t i = 0; i < inputs.size(); i += W) {
    bf16 vector[W];
    store(vector, load(&inputs[i]));
    vf back = load(vector);
    for (int lane = 0; lane < W; lane++) {
      float x = inputs[i + lane];
      uint16_t scalar = narrow<bf16>(x).bits, slow = slowBf16(x);
      expect(vector[lane].bits == scalar, "vector %04x scalar %04x of %a", vector[lane].bits, scalar, x);
      if (x != x) {
        expect((scalar & 0x7fc0) == 0x7fc0, "NaN became %04x", scalar);
      } else {
        expect(scalar == slow, "%04x, not %04x, of %a", scalar, slow, x);
      }
      expect(sameValue(back[lane], widen(vector[lane])), "widening lane %d", lane);
    }
  }
}

DANU_TEST(testF16, "simd: f16 round trips and rounds to nearest even, scalar and vector alike") {
  for (uint32_t bits = 0; bits < 0x10000; bits++) {
    f16 x{uint16_t(bits)};
    float wide = widen(x);
    f16 back = narrow<f16>(wide);
    if (wide != wide) {
      expect((back.bits & 0x7e00) == 0x7e00, "NaN %04x became %04x", bits, back.bits);
    } else {
      expect(back.bits == bits, "%04x became %04x through %a", bits, back.bits, wide);
    }
  }
  Random random(2);
  for (int i = 0; i < 200000; i++) {
    float lanes[W];
    for (float& lane : lanes) {
      lane = random.chance(70) ? std::ldexp(random.uniform(), int(random.integer(-28, 18))) : random32(random);
    }
    f16 vector[W];
    store(vector, load(lanes));
    vf back = load(vector);
    for (int lane = 0; lane < W; lane++) {
      f16 scalar = narrow<f16>(lanes[lane]);
      bool isNaN = lanes[lane] != lanes[lane];
      expect(isNaN || vector[lane].bits == scalar.bits, "vector %04x scalar %04x of %a", vector[lane].bits, scalar.bits,
             lanes[lane]);
      expect(sameValue(back[lane], widen(vector[lane])), "widening %04x", vector[lane].bits);
    }
  }
}

DANU_TEST(testExp, "simd: exp within 2 units in the last place, and at its ends") {
  Random random(3);
  double worst = 0;
  for (int i = 0; i < 100000; i++) {
    float lanes[W];
    for (float& lane : lanes) lane = random.uniform() * float(random.chance(50) ? 104 : 2);
    vf y = exp(load(lanes));
    for (int lane = 0; lane < W; lane++) {
      double distance = ulps(y[lane], std::exp(double(lanes[lane])));
      if (distance > worst) worst = distance;
      expect(distance <= 2, "exp(%a) = %a is %.2f ulp off", lanes[lane], y[lane], distance);
    }
  }
  auto at = [](float x) { return exp(splat(x))[0]; };
  expect(at(0) == 1 && at(-0.0f) == 1, "exp(0)");
  expect(at(infinity) == infinity && at(-infinity) == 0 && at(quietNaN) != at(quietNaN), "exp of inf and NaN");
  expect(at(88.8f) == infinity && at(1e30f) == infinity && at(-105) == 0 && at(-1e30f) == 0, "exp beyond its range");
  expect(at(88.72f) < infinity && at(-103.0f) > 0, "exp near its ends");
}

DANU_TEST(testReductions, "simd: reductions and lane-wise functions") {
  Random random(4);
  for (int round = 0; round < 1000; round++) {
    float lanes[W], other[W];
    double total = 0;
    float most = -infinity;
    for (int i = 0; i < W; i++) {
      lanes[i] = random.uniform();
      other[i] = random.uniform();
      total += lanes[i];
      if (lanes[i] > most) most = lanes[i];
    }
    vf a = load(lanes), b = load(other);
    expect(std::fabs(sum(a) - total) < 1e-5, "sum %g, not %g", sum(a), total);
    expect(largest(a) == most, "largest %g, not %g", largest(a), most);
    vf high = max(a, b), low = min(a, b), chosen = select(a < b, a, b), positive = abs(a), root = sqrt(abs(a));
    vf logistic = sigmoid(a);
    for (int i = 0; i < W; i++) {
      expect(high[i] == std::fmax(lanes[i], other[i]) && low[i] == std::fmin(lanes[i], other[i]), "max or min");
      expect(chosen[i] == low[i], "select");
      expect(positive[i] == std::fabs(lanes[i]) && root[i] == std::sqrt(std::fabs(lanes[i])), "abs or sqrt");
      expect(std::fabs(logistic[i] - 1 / (1 + std::exp(-lanes[i]))) < 3e-7f, "sigmoid");
    }
  }
  float withNaN[W] = {quietNaN};
  expect(sum(load(withNaN)) != sum(load(withNaN)), "sum of NaN");
}
