// Prints times, rates and shares of the measured peak when DANU_BENCHMARK is set; does nothing otherwise.
#include <chrono>
#include <cstdlib>
#include <functional>

#include "../kernels/peak.h"
#include "attention-reference.h"

using namespace danu;
using namespace danu::test;

namespace {

struct Shape {
  const char* name;
  int64_t B, T, S, H, keyValueHeads, D, slidingWindow;

  /// Pairs of a query and a key that it sees, over all heads.
  double visiblePairs() const {
    double pairs = 0;
    for (int64_t t = 0; t < T; t++) {
      int64_t keys = S - T + t + 1;
      pairs += double(slidingWindow > 0 ? std::min(slidingWindow, keys) : keys);
    }
    return pairs * double(B * H);
  }
};

/// Shortest time of a call in seconds: the machine may be shared, and only the best run had it for itself.
double bestSeconds(Queue& q, const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  double best = INFINITY;
  auto end = Clock::now() + std::chrono::milliseconds(600);
  for (int run = 0; run < 3 || Clock::now() < end; run++) {
    auto start = Clock::now();
    call();
    q.wait();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

void benchmark(Queue& q, const Shape& s, int32_t dtype, double peak) {
  int64_t queries = s.B * s.T * s.H * s.D, keys = s.B * s.S * s.keyValueHeads * s.D;
  Random random(1);
  auto input = [&](int64_t count) { return DeviceArray(q, randomNumbers(random, count, false), dtype); };
  DeviceArray x = input(queries), dO = input(queries), k = input(keys), v = input(keys);
  DeviceArray o(q, size_t(queries), dtype), lse(q, size_t(s.B * s.H * s.T), dtypeF32);
  DeviceArray dQ(q, size_t(queries), dtype), dK(q, size_t(keys), dtype), dV(q, size_t(keys), dtype);
  double scale = 1 / std::sqrt(double(s.D));
  double forward = bestSeconds(q, [&] {
    danu_attention_forward(&q, o.address(), lse.address(), x.address(), k.address(), v.address(), 0, s.B, s.T, s.S, s.H,
                           s.keyValueHeads, s.D, s.slidingWindow, scale, dtype);
  });
  auto print = [&](const char* pass, double seconds, double operationsPerPair) {
    double rate = operationsPerPair * double(s.D) * s.visiblePairs() / seconds;
    std::printf("  %-16s %-4s %-8s %8.3f ms %7.1f GFLOP/s %3.0f %% of peak, keys and values %5.1f GB/s\n", s.name,
                dtype == dtypeF32 ? "f32" : "bf16", pass, seconds * 1e3, rate * 1e-9, rate / peak * 100,
                double(2 * keys * (dtype == dtypeF32 ? 4 : 2)) / seconds * 1e-9);
  };
  print("forward", forward, 4);
  if (s.T == 1) return;
  double backward = bestSeconds(q, [&] {
    danu_attention_backward(&q, dQ.address(), dK.address(), dV.address(), dO.address(), x.address(), k.address(),
                            v.address(), o.address(), lse.address(), 0, s.B, s.T, s.S, s.H, s.keyValueHeads, s.D,
                            s.slidingWindow, scale, dtype);
  });
  print("backward", backward, 10);
}

}  // namespace

DANU_TEST(benchmarkAttention, "attention: benchmark, where DANU_BENCHMARK is set to a number of threads") {
  const char* threads = std::getenv("DANU_BENCHMARK");
  if (!threads) return;
  const Shape shapes[] = {
      {"nano", 8, 256, 256, 8, 2, 32, 0},        {"small", 4, 512, 512, 8, 2, 64, 0},
      {"medium", 2, 1024, 1024, 12, 4, 64, 0},   {"danube", 1, 4096, 4096, 8, 2, 80, 0},
      {"danube 1024", 1, 4096, 4096, 8, 2, 80, 1024}, {"decode 4096", 1, 1, 4096, 32, 8, 80, 0},
  };
  for (int32_t dtype : {dtypeF32, dtypeBf16}) {
    Queue q(std::atoi(threads));
    double peak = measurePeak(q, dtype == dtypeBf16, 200);
    std::printf("  peak %.1f GFLOP/s with %d threads\n", peak * 1e-9, q.threads());
    for (const Shape& shape : shapes) benchmark(q, shape, dtype, peak);
  }
}
