#include "../runtime/memory.h"

#include <map>

#include "test.h"

using namespace danu;
using namespace danu::test;

DANU_TEST(testBlocks, "memory: blocks never overlap and keep their bytes") {
  Memory memory;
  Random random(7);
  struct Out {
    size_t bytes;
    uint8_t mark;
  };
  std::map<char*, Out> out;
  auto check = [](char* block, const Out& o) {
    const char mark = char(o.mark);
    return block[0] == mark && block[o.bytes / 2] == mark && block[o.bytes - 1] == mark;
  };
  for (int step = 0; step < 20000; step++) {
    if (out.size() < 200 && random.chance(55)) {
      size_t bytes = size_t(random.integer(1, int64_t(1) << random.integer(1, 21)));
      char* block = (char*)memory.allocate(bytes);
      expect(block != nullptr && (uintptr_t)block % 64 == 0, "block of %zu bytes at %p", bytes, (void*)block);
      if (!block) return;
      auto above = out.lower_bound(block);
      expect(above == out.end() || block + bytes <= above->first, "overlaps the block above");
      if (above != out.begin()) {
        auto below = std::prev(above);
        expect(below->first + below->second.bytes <= block, "overlaps the block below");
      }
      Out o{bytes, uint8_t(random.bits())};
      block[0] = block[bytes / 2] = block[bytes - 1] = char(o.mark);
      out[block] = o;
    } else if (!out.empty()) {
      auto chosen = std::next(out.begin(), random.integer(0, int64_t(out.size()) - 1));
      expect(check(chosen->first, chosen->second), "bytes changed");
      expect(memory.free(chosen->first), "free");
      expect(!memory.free(chosen->first), "a block was freed twice");
      out.erase(chosen);
    }
    if (step % 5000 == 4999) memory.trim();
  }
  for (auto& [block, o] : out) {
    expect(check(block, o), "bytes changed");
    memory.free(block);
  }
  MemoryStatistics statistics = memory.statistics();
  expect(statistics.live == 0 && statistics.peak > 0 && statistics.cached > 0, "statistics %ld %ld %ld",
         long(statistics.live), long(statistics.peak), long(statistics.cached));
  memory.trim();
  expect(memory.statistics().cached < (1 << 20), "cached after trim: %ld", long(memory.statistics().cached));
  void* whole = memory.allocate(size_t(statistics.peak));
  expect(whole != nullptr, "freed blocks have grown together again");
}

DANU_TEST(testWaste, "memory: a block wastes at most an eighth") {
  Memory memory;
  for (int64_t bytes = 4096; bytes < 200 << 20; bytes = bytes * 5 / 3 + 1) {
    void* block = memory.allocate(size_t(bytes));
    expect(block && memory.statistics().live <= bytes + bytes / 8, "%ld bytes took %ld", long(bytes),
           long(memory.statistics().live));
    memory.free(block);
  }
}

DANU_TEST(testRefusal, "memory: impossible requests and foreign pointers are refused") {
  Memory memory;
  int local = 0;
  char* block = (char*)memory.allocate(1000);
  expect(memory.allocate(SIZE_MAX) == nullptr && memory.allocate(SIZE_MAX / 2) == nullptr, "more than any machine has");
  expect(!memory.free(&local) && !memory.free(nullptr) && !memory.free(block + 64), "foreign pointers");
  expect(memory.allocate(0) != nullptr, "an empty block is a block");
  expect(memory.free(block), "the block itself");
}
