// The device: a ring of tasks that persistent worker threads run strictly one after another.
// One thread submits (JavaScript's); workers compute; anyone may wait.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <thread>
#include <type_traits>
#include <vector>

#include "memory.h"

namespace danu {

constexpr size_t closureBytes = 400;

/// Private scratch of the worker that runs a tile: see `workerScratch`.
constexpr size_t workerScratchBytes = size_t(2) << 20;

/// What a kernel may complain about; the meaning of the two numbers depends on the code.
enum FailureCode : int32_t {
  failureNone = 0,
  failureIndexOutOfRange = 1,  // the index found, the number of rows there are
  failureOutOfMemory = 2,      // bytes asked for, 0
  failureInvalidArgument = 3,  // number of the argument, its value
};

struct Failure {
  int64_t code;
  int64_t a;
  int64_t b;
};

struct Task {
  void (*run)(const void* closure, int tile);
  std::atomic<int> tiles;
  alignas(64) unsigned char closure[closureBytes];
};

class Queue {
 public:
  /// @param threads number of workers; 0 = as many as this process may run on
  explicit Queue(int threads);
  /// Runs what was submitted, then ends the workers.
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  int threads() const { return int(workers_.size()); }

  /// Number of tasks submitted so far, modulo 2^32.
  uint32_t submitted() const { return submitted_.load(std::memory_order_seq_cst); }

  /// Whether the first `count` tasks (modulo 2^32) are done.
  bool reached(uint32_t count) const { return int32_t(completed() - count) >= 0; }

  bool idle() const { return reached(submitted()); }

  /// Blocks until the first `count` tasks are done. Any thread.
  void waitUntil(uint32_t count);

  void wait() { waitUntil(submitted()); }

  /// Slot for the next task; sleeps while the ring is full. Submitting thread only.
  Task& reserve();

  /// Hands the reserved slot to the workers.
  void publish();

  /// Remembers a failure unless one is remembered already. Any thread.
  void fail(int32_t code, int64_t a, int64_t b);

  /// Returns the failure remembered and forgets it; call when idle.
  Failure takeFailure();

  Memory memory;

 private:
  static constexpr uint32_t capacity = 1024;

  uint32_t completed() const { return uint32_t(ticket_.load(std::memory_order_seq_cst) >> 32); }
  void work();
  bool runOneTile();
  void finishTask(uint32_t sequence);
  bool hasWork() const;
  bool spin();
  void sleep();
  void wakeWorkers(int count);
  void joinWorkers();

  // Sequence number of the current task in the upper half, next tile of it in the lower.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<int> tilesDone_{0};
  alignas(64) std::atomic<uint32_t> submitted_{0};
  alignas(64) std::atomic<uint32_t> signal_{0};
  std::atomic<int> spinners_{0};
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<int> waiters_{0};
  std::atomic<uint32_t> nearestWait_{0};
  std::mutex waitMutex_;
  std::condition_variable waitCondition_;
  std::mutex failureMutex_;
  Failure failure_{0, 0, 0};
  std::vector<Task> ring_;
  std::vector<std::thread> workers_;
};

/// Enqueues `f(tile)` for every tile in [0, tiles). Tiles of one task run in any order on any worker; a task starts
/// when the one before is done. `f` is copied as bytes: pointers and numbers only.
template <class F>
void submit(Queue& q, int tiles, const F& f) {
  static_assert(std::is_trivially_copyable_v<F>, "a task is copied as bytes");
  static_assert(std::is_trivially_destructible_v<F>, "a task is never destroyed");
  static_assert(sizeof(F) <= closureBytes, "the closure does not fit in a task");
  static_assert(alignof(F) <= 64, "the closure is over-aligned");
  if (tiles <= 0) return;
  Task& task = q.reserve();
  task.run = [](const void* closure, int tile) { (*static_cast<const F*>(closure))(tile); };
  task.tiles.store(tiles, std::memory_order_relaxed);
  new (task.closure) F(f);
  q.publish();
}

inline void fail(Queue& q, int32_t code, int64_t a, int64_t b) { q.fail(code, a, b); }

/// Scratch of `workerScratchBytes`, 64-byte aligned, private to the running worker and valid until the tile returns.
void* workerScratch();

/// Number of tiles of `each` that cover `total`, at most the 2^31 - 1 that a task can have.
inline int tileCount(int64_t total, int64_t each) { return int((total + each - 1) / each); }

}  // namespace danu
