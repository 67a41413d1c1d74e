// A test is a function registered by DANU_TEST; it fails when an `expect` in it does.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "../api/abi.h"

namespace danu::test {

struct Test {
  const char* name;
  void (*run)();
};

std::vector<Test>& tests();

struct Registration {
  Registration(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

#define DANU_TEST(function, name)                                           \
  static void function();                                                   \
  static const danu::test::Registration function##Registration(name, function); \
  static void function()

/// Fails the running test, with a message in printf's format, unless `holds`; the first failures of a test are shown.
__attribute__((format(printf, 2, 3))) void expect(bool holds, const char* format, ...);

/// Reproducible pseudo-random numbers (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// Integer in [low, high].
  int64_t integer(int64_t low, int64_t high) { return low + int64_t(bits() % uint64_t(high - low + 1)); }

  bool chance(int percent) { return integer(1, 100) <= percent; }

  /// Float in [-1, 1).
  float uniform() { return float(bits() >> 40) / float(1 << 23) - 1.0f; }

 private:
  uint64_t state_;
};

inline bool sameBits(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }

/// Equal values, or both NaN.
inline bool sameValue(float a, float b) { return a == b || (a != a && b != b); }

}  // namespace danu::test
