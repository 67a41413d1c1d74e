// The machine's own ceilings, by all workers: multiply-adds on registers alone, and reading memory.
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

/// Reads `count` floats in a few streams, as memory is fastest; the sums keep the compiler from dropping the loads.
inline void readMemory(const float* from, int64_t count) {
  constexpr int streams = 4, vectors = 64 / (W * 4);
  const int64_t each = count / streams;
  vf sums[streams * vectors];
  unroll<streams * vectors>([&](auto i) DANU_LAMBDA { sums[i] = zero(); });
  for (int64_t at = 0; at + vectors * W <= each; at += vectors * W) {
    unroll<streams * vectors>([&](auto i) DANU_LAMBDA {
      sums[i] += load(from + i / vectors * each + at + i % vectors * W);
    });
  }
  unroll<streams * vectors>([&](auto i) DANU_LAMBDA { opaque(sums[i]); });
}

/// Bytes a second, the best of many passes over `bytes` of memory within the time given; 0 when there is no memory.
inline double measureReading(Queue& q, int64_t bytes, int milliseconds) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t bytesOfTile = int64_t(256) << 10;
  const int tiles = tileCount(bytes, bytesOfTile);
  float* const memory = (float*)q.memory.allocate(size_t(tiles) * bytesOfTile);
  if (!memory) return 0;
  constexpr int64_t each = bytesOfTile / int64_t(sizeof(float));
  submit(q, tiles, [=](int tile) { std::fill_n(memory + tile * each, each, 1.0f); });
  double best = 0;
  auto end = Clock::now() + std::chrono::milliseconds(milliseconds);
  do {
    q.wait();
    auto start = Clock::now();
    submit(q, tiles, [=](int tile) { readMemory(memory + tile * each, each); });
    q.wait();
    double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, double(tiles) * bytesOfTile / seconds);
  } while (Clock::now() < end);
  q.memory.free(memory);
  return best;
}

}  // namespace danu
