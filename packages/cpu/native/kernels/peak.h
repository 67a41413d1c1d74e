// The machine's own ceiling: multiply-adds on registers alone, by all workers.
#pragma once

#include <algorithm>
#include <chrono>

#include "../runtime/queue.h"
#include "../simd.h"

namespace danu {

constexpr int peakChains = 2 * (W == 16 ? 12 : 6);  // independent sums, enough to hide the latency of an addition

// Tells the compiler that x may have changed, so that it neither folds nor drops the loop.
DANU_INLINE void opaque(vf& x) {
#if defined(__x86_64__) || defined(__i386__)
  asm volatile("" : "+x"(x));
#elif defined(__aarch64__)
  asm volatile("" : "+w"(x));
#else
  asm volatile("" : : "m"(x) : "memory");
#endif
}

/// One run of `steps` rounds over all chains; returns the operations done.
template <bool Pairs>
inline double peakChainRun(int64_t steps) {
  vf sums[peakChains];
  unroll<peakChains>([&](auto i) DANU_LAMBDA {
    sums[i] = splat(float(i));
    opaque(sums[i]);
  });
  vf a = splat(1.0f), b = splat(0.5f);
  for (int64_t step = 0; step < steps; step++) {
    opaque(a);
    opaque(b);
    unroll<peakChains>([&](auto i) DANU_LAMBDA {
#if defined(__AVX512BF16__)
      if constexpr (Pairs) {
        sums[i] = (vf)_mm512_dpbf16_ps((__m512)sums[i], (__m512bh)a, (__m512bh)b);
      } else
#endif
        sums[i] += a * b;
    });
  }
  unroll<peakChains>([&](auto i) DANU_LAMBDA { opaque(sums[i]); });
#if defined(__AVX512BF16__)
  constexpr int perLane = Pairs ? 4 : 2;
#else
  constexpr int perLane = 2;
#endif
  return double(steps) * peakChains * W * perLane;
}

/// Best of many short runs within the time given; each run gives every worker the same number of tiles.
inline double measurePeak(Queue& q, bool pairs, int milliseconds) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t steps = 4000;
  constexpr int tilesEach = 16;
  double operations = pairs ? peakChainRun<true>(steps) : peakChainRun<false>(steps);
  int tiles = tilesEach * q.threads();
  double best = 0;
  auto end = Clock::now() + std::chrono::milliseconds(milliseconds);
  do {
    q.wait();
    auto start = Clock::now();
    submit(q, tiles, [pairs](int) {
      if (pairs) {
        peakChainRun<true>(steps);
      } else {
        peakChainRun<false>(steps);
      }
    });
    q.wait();
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, operations * tiles / seconds);
  } while (Clock::now() < end);
  return best;
}

}  // namespace danu
