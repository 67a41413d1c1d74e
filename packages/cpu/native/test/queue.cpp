#include <chrono>
#include <thread>

#include "../simd.h"
#include "test.h"

using namespace danu;
using namespace danu::test;

DANU_TEST(testOrder, "queue: tasks run in order, every tile once") {
  for (int threads = 1; threads <= 4; threads++) {
    Queue q(threads);
    constexpr int tasks = 20000, width = 64;
    std::vector<int> cells(width, 0);
    std::vector<int64_t> wrong(width, 0);
    int* cell = cells.data();
    int64_t* bad = wrong.data();
    Random random{uint64_t(threads)};
    for (int task = 0; task < tasks; task++) {
      int tiles = random.chance(50) ? 1 : width;
      // Every tile moves its share of the cells on by one, and sees whether the task before moved all.
      submit(q, tiles, [=](int tile) {
        int each = width / tiles;
        for (int i = tile * each; i < (tile + 1) * each; i++) {
          int mirror = width - 1 - i;
          if (cell[i] != task) bad[i]++;
          if (tiles == 1 && cell[mirror] != task + (mirror < i ? 1 : 0)) bad[i]++;
          cell[i]++;
        }
      });
    }
    q.wait();
    expect(q.idle(), "idle after wait");
    for (int i = 0; i < width; i++) {
      bool right = cells[i] == tasks && wrong[i] == 0;
      expect(right, "threads %d cell %d: %d, wrong %ld", threads, i, cells[i], long(wrong[i]));
    }
  }
}

DANU_TEST(testWaiters, "queue: many threads wait for different tasks") {
  Queue q(2);
  std::atomic<int> done{0};
  std::atomic<int>* counter = &done;
  std::vector<std::thread> waiters;
  std::atomic<int> early{0};
  for (int i = 0; i < 8; i++) {
    for (int task = 0; task < 50; task++) {
      submit(q, 3, [=](int) { counter->fetch_add(1); });
    }
    uint32_t mark = q.submitted();
    int expected = (i + 1) * 150;
    waiters.emplace_back([&q, &done, &early, mark, expected] {
      q.waitUntil(mark);
      if (done.load() < expected) early++;
    });
  }
  for (std::thread& waiter : waiters) waiter.join();
  expect(early == 0, "%d waiters came back early", early.load());
  expect(done == 1200, "%d tiles", done.load());
}

DANU_TEST(testSleep, "queue: sleeping workers wake, alone and together") {
  Queue q(3);
  std::atomic<int> done{0};
  std::atomic<int>* counter = &done;
  for (int round = 0; round < 200; round++) {
    if (round % 4 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    submit(q, 1 + round % 5, [=](int) { counter->fetch_add(1); });
    if (round % 2) q.wait();
  }
  q.wait();
  expect(done == 600, "%d tiles", done.load());
}

DANU_TEST(testFailure, "queue: the first failure stays until it is taken") {
  Queue q(1);
  Queue* queue = &q;
  for (int i = 1; i <= 3; i++) submit(q, 1, [=](int) { fail(*queue, failureIndexOutOfRange, i, 10 * i); });
  q.wait();
  Failure failure = q.takeFailure();
  expect(failure.code == failureIndexOutOfRange && failure.a == 1 && failure.b == 10, "failure %ld %ld %ld",
         long(failure.code), long(failure.a), long(failure.b));
  expect(q.takeFailure().code == failureNone, "the failure was taken twice");
}

DANU_TEST(testScratch, "queue: every worker has its own scratch") {
  Queue q(4);
  std::atomic<int> bad{0};
  std::atomic<int>* wrong = &bad;
  submit(q, 64, [=](int tile) {
    auto* scratch = (volatile int64_t*)workerScratch();
    constexpr size_t words = workerScratchBytes / 8;
    for (size_t i = 0; i < words; i += 512) scratch[i] = tile;
    scratch[words - 1] = tile;
    for (size_t i = 0; i < words; i += 512) {
      if (scratch[i] != tile) wrong->fetch_add(1);
    }
  });
  q.wait();
  expect(bad == 0, "%d words overwritten", bad.load());
}
