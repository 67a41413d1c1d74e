#include "queue.h"

#include <chrono>
#include <cstdlib>

#include "park.h"

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#endif

namespace danu {

namespace {

// Long enough to bridge two small tasks, short enough that a core lent to another process loses nothing.
constexpr std::chrono::nanoseconds spinTime{5000};
constexpr int pausesPerClockRead = 16;

thread_local void* scratchOfThisWorker = nullptr;

int usableCores() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  int count = int(std::thread::hardware_concurrency());
  return count > 0 ? count : 1;
}

// Signals belong to the main thread, where the runtime of the language handles them.
void blockSignals() {
#if defined(__unix__) || defined(__APPLE__)
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
#endif
}

}  // namespace

void* workerScratch() { return scratchOfThisWorker; }

Queue::Queue(int threads) : ring_(capacity) {
  int count = threads > 0 ? threads : usableCores();
  workers_.reserve(size_t(count));
  try {
    for (int i = 0; i < count; i++) workers_.emplace_back([this] { work(); });
  } catch (...) {
    joinWorkers();
    throw;
  }
}

Queue::~Queue() {
  wait();
  joinWorkers();
}

void Queue::joinWorkers() {
  stopping_.store(true, std::memory_order_seq_cst);
  signal_.fetch_add(1, std::memory_order_seq_cst);
  unpark(signal_, threads());
  for (std::thread& worker : workers_) worker.join();
}

Task& Queue::reserve() {
  uint32_t next = submitted_.load(std::memory_order_relaxed);
  // A quarter of the ring is freed at once, so that a fast submitter does not wake for every task.
  if (!reached(next - capacity + 1)) waitUntil(next - capacity * 3 / 4);
  return ring_[next % capacity];
}

void Queue::publish() {
  uint32_t sequence = submitted_.load(std::memory_order_relaxed);
  int tiles = ring_[sequence % capacity].tiles.load(std::memory_order_relaxed);
  submitted_.store(sequence + 1, std::memory_order_seq_cst);
  // Behind other tasks it is for the worker that finishes the last of them to wake the others.
  if (completed() == sequence) wakeWorkers(tiles);
}

void Queue::wakeWorkers(int count) {
  // A spinning worker looks for work once more before it sleeps, so it counts as awake.
  count -= spinners_.load(std::memory_order_seq_cst);
  int sleeping = sleepers_.load(std::memory_order_seq_cst);
  if (count <= 0 || sleeping == 0) return;
  signal_.fetch_add(1, std::memory_order_seq_cst);
  unpark(signal_, count < sleeping ? count : sleeping);
}

bool Queue::hasWork() const {
  uint64_t ticket = ticket_.load(std::memory_order_seq_cst);
  uint32_t sequence = uint32_t(ticket >> 32);
  if (sequence == submitted_.load(std::memory_order_seq_cst)) return false;
  return int(uint32_t(ticket)) < ring_[sequence % capacity].tiles.load(std::memory_order_relaxed);
}

bool Queue::runOneTile() {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  for (;;) {
    uint32_t sequence = uint32_t(ticket >> 32);
    if (sequence == submitted_.load(std::memory_order_acquire)) return false;
    Task& task = ring_[sequence % capacity];
    int tile = int(uint32_t(ticket));
    int tiles = task.tiles.load(std::memory_order_relaxed);
    if (tile >= tiles) return false;
    // Fails if the tile or the whole task went to others meanwhile; then `ticket` is fresh.
    if (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
      continue;
    }
    task.run(task.closure, tile);
    if (tilesDone_.fetch_add(1, std::memory_order_acq_rel) + 1 == tiles) finishTask(sequence);
    return true;
  }
}

void Queue::finishTask(uint32_t sequence) {
  tilesDone_.store(0, std::memory_order_relaxed);
  uint32_t next = sequence + 1;
  ticket_.store(uint64_t(next) << 32, std::memory_order_seq_cst);
  if (submitted_.load(std::memory_order_seq_cst) != next) {
    // This worker takes the first tile itself.
    int tiles = ring_[next % capacity].tiles.load(std::memory_order_relaxed);
    if (tiles > 1) wakeWorkers(tiles - 1);
  }
  if (waiters_.load(std::memory_order_seq_cst) > 0 && reached(nearestWait_.load(std::memory_order_seq_cst))) {
    std::lock_guard<std::mutex> lock(waitMutex_);
    waitCondition_.notify_all();
  }
}

bool Queue::spin() {
  auto deadline = std::chrono::steady_clock::now() + spinTime;
  do {
    for (int i = 0; i < pausesPerClockRead; i++) {
      relax();
      if (hasWork()) return true;
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return false;
}

void Queue::sleep() {
  uint32_t seen = signal_.load(std::memory_order_seq_cst);
  if (!hasWork() && !stopping_.load(std::memory_order_seq_cst)) park(signal_, seen);
}

void Queue::work() {
  blockSignals();
  scratchOfThisWorker = allocatePages(workerScratchBytes);
  if (!scratchOfThisWorker) std::abort();
  while (!stopping_.load(std::memory_order_acquire)) {
    if (runOneTile()) continue;
    spinners_.fetch_add(1, std::memory_order_seq_cst);
    bool found = spin();
    if (!found) sleepers_.fetch_add(1, std::memory_order_seq_cst);
    spinners_.fetch_sub(1, std::memory_order_seq_cst);
    if (found) continue;
    sleep();
    sleepers_.fetch_sub(1, std::memory_order_seq_cst);
  }
  freePages(scratchOfThisWorker, workerScratchBytes);
}

void Queue::waitUntil(uint32_t count) {
  if (reached(count)) return;
  std::unique_lock<std::mutex> lock(waitMutex_);
  while (!reached(count)) {
    // Every waiter that wakes unsatisfied competes again, so the nearest goal is always among those asleep.
    uint32_t nearest = nearestWait_.load(std::memory_order_seq_cst);
    if (waiters_.load(std::memory_order_seq_cst) == 0 || reached(nearest) || int32_t(count - nearest) < 0) {
      nearestWait_.store(count, std::memory_order_seq_cst);
    }
    waiters_.fetch_add(1, std::memory_order_seq_cst);
    if (!reached(count)) waitCondition_.wait(lock);
    waiters_.fetch_sub(1, std::memory_order_seq_cst);
  }
}

void Queue::fail(int32_t code, int64_t a, int64_t b) {
  std::lock_guard<std::mutex> lock(failureMutex_);
  if (failure_.code == failureNone) failure_ = {code, a, b};
}

Failure Queue::takeFailure() {
  std::lock_guard<std::mutex> lock(failureMutex_);
  Failure taken = failure_;
  failure_ = {failureNone, 0, 0};
  return taken;
}

}  // namespace danu
