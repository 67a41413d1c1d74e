// Device memory: one reserved range of addresses, cut into blocks by two-level segregated fit (Masmano et al. 2004).
// Stream-ordered and used by the submitting thread alone: a freed block may be handed out at once, because the tasks
// that write it again run after those that read it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace danu {

struct MemoryStatistics {
  int64_t live;    // bytes of blocks that are out
  int64_t peak;    // most bytes that were out at once
  int64_t cached;  // bytes held back for reuse
};

class Memory {
 public:
  Memory();
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// A block of at least `bytes`, 64-byte aligned, contents undefined; null when there is no memory left.
  void* allocate(size_t bytes);

  /// Gives a block back. Returns false, and does nothing, if `pointer` is no block that is out.
  bool free(void* pointer);

  /// Returns the cached bytes to the operating system; call when the queue is idle.
  void trim();

  MemoryStatistics statistics() const;

  /// Starts measuring the peak anew.
  void resetPeak() { peak_ = live_; }

 private:
  struct Block;

  static constexpr int firstLevels = 48;
  static constexpr int secondLevels = 16;

  Block* takeFitting(size_t size);
  Block* grow(size_t size);
  Block* describe(char* start, size_t size, Block* previous, Block* next);
  void forget(Block* block);
  void insert(Block* block);
  void remove(Block* block);
  void absorbNext(Block* block);
  void split(Block* block, size_t size);

  char* reservation_ = nullptr;
  size_t reservedBytes_ = 0;
  char* base_ = nullptr;
  size_t limit_ = 0;
  size_t committed_ = 0;
  Block* last_ = nullptr;
  Block* spare_ = nullptr;
  std::unordered_map<void*, Block*> out_;
  size_t live_ = 0;
  size_t peak_ = 0;
  size_t released_ = 0;
  uint64_t firstBitmap_ = 0;
  uint32_t secondBitmaps_[firstLevels] = {};
  Block* lists_[firstLevels][secondLevels] = {};
};

/// `bytes` (a multiple of 2 MiB) of zeroed memory on huge pages where the system has them; null when there is none.
void* allocatePages(size_t bytes);

void freePages(void* pages, size_t bytes);

}  // namespace danu
