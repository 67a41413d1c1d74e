// C ABI of the device itself: queue, memory, copies, and what the machine can do.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <system_error>

#include "../kernels/peak.h"
#include "abi.h"

using namespace danu;

namespace {

constexpr int64_t copyTileBytes = 256 << 10;

void submitCopy(Queue& q, void* to, const void* from, int64_t bytes) {
  submit(q, tileCount(bytes, copyTileBytes), [=](int tile) {
    int64_t start = tile * copyTileBytes;
    std::memcpy((char*)to + start, (const char*)from + start, size_t(std::min(copyTileBytes, bytes - start)));
  });
}

/// Bytes that fit into a task itself.
struct InlineBytes {
  char bytes[256];
};

template <class T>
void submitFill(Queue& q, void* to, T value, int64_t count) {
  constexpr int64_t each = copyTileBytes / int64_t(sizeof(T));
  submit(q, tileCount(count, each), [=](int tile) {
    int64_t start = tile * each;
    std::fill_n((T*)to + start, std::min(each, count - start), value);
  });
}

}  // namespace

/// Best instruction set of this machine: 0 baseline, 1 AVX2, 2 AVX-512, 3 AVX-512 with bf16, 4 NEON.
DANU_API int32_t danu_isa() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                __builtin_cpu_supports("avx512cd");
  if (avx512) return __builtin_cpu_supports("avx512bf16") ? 3 : 2;
  return avx2 ? 1 : 0;
#elif defined(__aarch64__)
  return 4;
#else
  return 0;
#endif
}

/// Instruction set that this library was compiled for, coded as in `danu_isa`.
DANU_API int32_t danu_built_isa() {
#if defined(__AVX512BF16__)
  return 3;
#elif defined(__AVX512F__)
  return 2;
#elif defined(__AVX2__)
  return 1;
#elif defined(__aarch64__)
  return 4;
#else
  return 0;
#endif
}

/// Starts a device with that many workers, 0 = one for every core this process may use; null if that fails.
DANU_API Queue* danu_create(int32_t threads) {
  try {
    return new Queue(std::min(threads, 1024));
  } catch (const std::bad_alloc&) {
    return nullptr;
  } catch (const std::system_error&) {
    return nullptr;
  }
}

/// Waits for what was submitted, then ends the workers and releases all memory of the device.
DANU_API void danu_destroy(Queue* q) { delete q; }

DANU_API int32_t danu_threads(Queue* q) { return q->threads(); }

/// Address of at least `bytes` bytes, 64-byte aligned, contents undefined; 0 when there is no memory left.
DANU_API uint64_t danu_alloc(Queue* q, int64_t bytes) {
  if (bytes < 0) return 0;
  return (uint64_t)q->memory.allocate(size_t(bytes));
}

/// Gives memory back; tasks submitted before may still use it, later ones may be given it again.
DANU_API int32_t danu_free(Queue* q, uint64_t address) {
  return q->memory.free((void*)address) ? danu_ok : danu_invalid_argument;
}

/// Writes [bytes in use, most bytes in use at once, bytes cached] to `out`.
DANU_API void danu_memory(Queue* q, int64_t* out) {
  MemoryStatistics statistics = q->memory.statistics();
  out[0] = statistics.live;
  out[1] = statistics.peak;
  out[2] = statistics.cached;
}

DANU_API void danu_reset_peak(Queue* q) { q->memory.resetPeak(); }

/// Gives cached memory back to the operating system; waits until the device is idle.
DANU_API void danu_trim(Queue* q) {
  q->wait();
  q->memory.trim();
}

/// Copies host bytes into device memory; the host bytes may change as soon as this returns.
DANU_API void danu_write(Queue* q, uint64_t to, const void* host, int64_t bytes) {
  if (bytes <= 0) return;
  if (q->idle()) {
    std::memcpy((void*)to, host, size_t(bytes));
  } else if (bytes <= int64_t(sizeof(InlineBytes))) {
    InlineBytes copy;
    std::memcpy(copy.bytes, host, size_t(bytes));
    submit(*q, 1, [=](int) { std::memcpy((void*)to, copy.bytes, size_t(bytes)); });
  } else {
    // Not device memory: tasks enqueued earlier may still use what the allocator would hand out.
    void* staging = std::malloc(size_t(bytes));
    if (!staging) {
      q->wait();
      std::memcpy((void*)to, host, size_t(bytes));
      return;
    }
    std::memcpy(staging, host, size_t(bytes));
    submitCopy(*q, (void*)to, staging, bytes);
    submit(*q, 1, [=](int) { std::free(staging); });
  }
}

/// Waits for the first `count` tasks, then copies device memory to the host. Blocks; any thread.
DANU_API void danu_read(Queue* q, uint32_t count, void* host, uint64_t from, int64_t bytes) {
  q->waitUntil(count);
  if (bytes > 0) std::memcpy(host, (const void*)from, size_t(bytes));
}

DANU_API void danu_copy(Queue* q, uint64_t to, uint64_t from, int64_t bytes) {
  submitCopy(*q, (void*)to, (const void*)from, bytes);
}

/// Fills `count` elements of 1, 2 or 4 bytes with the low bits of `value`.
DANU_API int32_t danu_fill(Queue* q, uint64_t to, uint32_t value, int32_t elementBytes, int64_t count) {
  switch (elementBytes) {
    case 1:
      submitFill(*q, (void*)to, uint8_t(value), count);
      return danu_ok;
    case 2:
      submitFill(*q, (void*)to, uint16_t(value), count);
      return danu_ok;
    case 4:
      submitFill(*q, (void*)to, value, count);
      return danu_ok;
    default:
      return danu_invalid_argument;
  }
}

/// Number of tasks submitted so far, modulo 2^32.
DANU_API uint32_t danu_submitted(Queue* q) { return q->submitted(); }

/// Blocks until everything submitted so far is done. Any thread.
DANU_API void danu_wait(Queue* q) { q->wait(); }

/// Blocks until the first `count` tasks (modulo 2^32, from `danu_submitted`) are done. Any thread.
DANU_API void danu_wait_until(Queue* q, uint32_t count) { q->waitUntil(count); }

DANU_API int32_t danu_idle(Queue* q) { return q->idle() ? 1 : 0; }

/// Writes [code, a, b] of the first failure since the last call to `out` and returns the code, 0 if there was none.
/// Codes: 1 index a out of a rows of b; 2 no memory for a bytes; 3 argument a has the invalid value b.
DANU_API int32_t danu_error(Queue* q, int64_t* out) {
  Failure failure = q->takeFailure();
  out[0] = failure.code;
  out[1] = failure.a;
  out[2] = failure.b;
  return int32_t(failure.code);
}

/// Floating-point operations a second that all workers together reach in fused multiply-adds on registers, measured
/// now in about `milliseconds`; f32 or bf16 operands. Blocks.
DANU_API double danu_peak_flops(Queue* q, int32_t dtype, int32_t milliseconds) {
  return measurePeak(*q, dtype == dtypeBf16, milliseconds);
}

/// Bytes a second at which all workers together read `bytes` of memory again and again, measured now in about
/// `milliseconds`; 0 when there is no memory for them. Blocks.
DANU_API double danu_read_bandwidth(Queue* q, int64_t bytes, int32_t milliseconds) {
  return measureReading(*q, bytes, milliseconds);
}
