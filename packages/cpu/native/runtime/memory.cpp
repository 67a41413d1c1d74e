#include "memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

namespace danu {

namespace {

constexpr size_t unit = 64;  // alignment and granularity of blocks
constexpr size_t hugePage = size_t(2) << 20;
constexpr size_t growthStep = size_t(8) << 20;

constexpr size_t roundUp(size_t x, size_t step) { return (x + step - 1) / step * step; }

int floorLog2(uint64_t x) { return 63 - __builtin_clzll(x); }

struct Level {
  int first;
  int second;
};

// Blocks of [2^first, 2^(first+1)) units are kept in 16 lists of equal width.
Level levelOf(size_t size) {
  uint64_t units = size / unit;
  int first = floorLog2(units);
  uint64_t beyond = units - (uint64_t(1) << first);
  int second = int(first >= 4 ? beyond >> (first - 4) : beyond << (4 - first));
  return {first, second};
}

// Smallest list in which every block is at least `size` long.
Level levelFitting(size_t size) {
  int first = floorLog2(size / unit);
  if (first > 4) size += ((size_t(1) << (first - 4)) - 1) * unit;
  return levelOf(size);
}

void adviseHugePages(void* start, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  madvise(start, bytes, MADV_HUGEPAGE);
#else
  (void)start;
  (void)bytes;
#endif
}

void dropPages(void* start, size_t bytes) {
#if defined(__linux__)
  madvise(start, bytes, MADV_DONTNEED);
#else
  madvise(start, bytes, MADV_FREE);
#endif
}

int reservationFlags() {
#if defined(MAP_NORESERVE)
  return MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
#else
  return MAP_PRIVATE | MAP_ANONYMOUS;
#endif
}

size_t physicalBytes() {
  long pages = sysconf(_SC_PHYS_PAGES);
  long pageSize = sysconf(_SC_PAGESIZE);
  return pages > 0 && pageSize > 0 ? size_t(pages) * size_t(pageSize) : size_t(1) << 34;
}

}  // namespace

// Lives apart from the memory it describes: tasks enqueued before a block was freed may still write all of that.
struct Memory::Block {
  char* start;
  size_t size;
  size_t released;  // bytes of it that the operating system has back
  bool out;
  Block* previous;  // neighbour below
  Block* next;      // neighbour above
  Block* nextInList;
  Block* previousInList;
};

Memory::Memory() {
  // Addresses cost nothing; four times the machine's memory leaves room for what fragmentation strands.
  const size_t most = roundUp(physicalBytes() * 4, hugePage);
  for (size_t wanted = most; wanted >= hugePage * 8; wanted = roundUp(wanted / 2, hugePage)) {
    void* start = mmap(nullptr, wanted, PROT_NONE, reservationFlags(), -1, 0);
    if (start == MAP_FAILED) continue;
    if (wanted < most) {
      // Addresses are limited here: half of what fits is left to thread stacks and everything else.
      munmap(start, wanted);
      wanted = roundUp(wanted / 2, hugePage);
      start = mmap(nullptr, wanted, PROT_NONE, reservationFlags(), -1, 0);
      if (start == MAP_FAILED) continue;
    }
    reservation_ = static_cast<char*>(start);
    reservedBytes_ = wanted;
    base_ = reinterpret_cast<char*>(roundUp(reinterpret_cast<uintptr_t>(start), hugePage));
    limit_ = (wanted - size_t(base_ - reservation_)) / hugePage * hugePage;
    return;
  }
}

Memory::~Memory() {
  while (Block* block = last_) {
    last_ = block->previous;
    delete block;
  }
  while (Block* block = spare_) {
    spare_ = block->nextInList;
    delete block;
  }
  if (reservation_) munmap(reservation_, reservedBytes_);
}

Memory::Block* Memory::describe(char* start, size_t size, Block* previous, Block* next) {
  Block* block = spare_;
  if (block) {
    spare_ = block->nextInList;
  } else {
    block = new (std::nothrow) Block;
    if (!block) return nullptr;
  }
  *block = Block{start, size, 0, false, previous, next, nullptr, nullptr};
  if (previous) previous->next = block;
  if (next) {
    next->previous = block;
  } else {
    last_ = block;
  }
  return block;
}

void Memory::forget(Block* block) {
  block->nextInList = spare_;
  spare_ = block;
}

void Memory::insert(Block* block) {
  Level level = levelOf(block->size);
  Block*& head = lists_[level.first][level.second];
  block->out = false;
  block->previousInList = nullptr;
  block->nextInList = head;
  if (head) head->previousInList = block;
  head = block;
  firstBitmap_ |= uint64_t(1) << level.first;
  secondBitmaps_[level.first] |= 1u << level.second;
}

void Memory::remove(Block* block) {
  Level level = levelOf(block->size);
  if (block->nextInList) block->nextInList->previousInList = block->previousInList;
  if (block->previousInList) {
    block->previousInList->nextInList = block->nextInList;
    return;
  }
  lists_[level.first][level.second] = block->nextInList;
  if (block->nextInList) return;
  secondBitmaps_[level.first] &= ~(1u << level.second);
  if (secondBitmaps_[level.first] == 0) firstBitmap_ &= ~(uint64_t(1) << level.first);
}

Memory::Block* Memory::takeFitting(size_t size) {
  Level level = levelFitting(size);
  if (level.first >= firstLevels) return nullptr;
  uint32_t second = secondBitmaps_[level.first] & (~0u << level.second);
  if (second == 0) {
    uint64_t first = firstBitmap_ & (~uint64_t(0) << (level.first + 1));
    if (first == 0) return nullptr;
    level.first = __builtin_ctzll(first);
    second = secondBitmaps_[level.first];
  }
  Block* block = lists_[level.first][__builtin_ctz(second)];
  remove(block);
  return block;
}

Memory::Block* Memory::grow(size_t size) {
  bool extend = last_ && !last_->out;
  size_t missing = size - (extend ? std::min(last_->size, size) : 0);
  size_t step = roundUp(std::max(missing, growthStep), hugePage);
  if (step > limit_ - committed_) step = roundUp(missing, hugePage);
  if (step > limit_ - committed_) return nullptr;
  char* start = base_ + committed_;
  if (mprotect(start, step, PROT_READ | PROT_WRITE) != 0) return nullptr;
  adviseHugePages(start, step);
  if (extend) {
    remove(last_);
    last_->size += step;
  } else if (!describe(start, step, last_, nullptr)) {
    return nullptr;
  }
  committed_ += step;
  return last_;
}

void Memory::absorbNext(Block* block) {
  Block* above = block->next;
  block->size += above->size;
  block->released += above->released;
  block->next = above->next;
  if (above == last_) {
    last_ = block;
  } else {
    above->next->previous = block;
  }
  forget(above);
}

void Memory::split(Block* block, size_t size) {
  Block* rest = describe(block->start + size, block->size - size, block, block->next);
  if (!rest) return;
  rest->released = std::min(block->released, rest->size);
  block->size = size;
  block->released -= rest->released;
  insert(rest);
}

void* Memory::allocate(size_t bytes) {
  if (bytes > limit_) return nullptr;
  size_t size = roundUp(std::max(bytes, size_t(1)), unit);
  Block* block = takeFitting(size);
  if (!block) block = grow(size);
  if (!block) return nullptr;
  if (block->size > size) split(block, size);
  released_ -= block->released;
  block->released = 0;
  block->out = true;
  out_.emplace(block->start, block);
  live_ += block->size;
  peak_ = std::max(peak_, live_);
  return block->start;
}

bool Memory::free(void* pointer) {
  auto found = out_.find(pointer);
  if (found == out_.end()) return false;
  Block* block = found->second;
  out_.erase(found);
  live_ -= block->size;
  if (block->next && !block->next->out) {
    remove(block->next);
    absorbNext(block);
  }
  if (Block* below = block->previous; below && !below->out) {
    remove(below);
    absorbNext(below);
    block = below;
  }
  insert(block);
  return true;
}

void Memory::trim() {
  size_t page = size_t(sysconf(_SC_PAGESIZE));
  for (uint64_t first = firstBitmap_; first != 0; first &= first - 1) {
    for (Block* head : lists_[__builtin_ctzll(first)]) {
      for (Block* block = head; block; block = block->nextInList) {
        uintptr_t start = roundUp(reinterpret_cast<uintptr_t>(block->start), page);
        uintptr_t end = reinterpret_cast<uintptr_t>(block->start + block->size) / page * page;
        if (end <= start) continue;
        dropPages(reinterpret_cast<void*>(start), end - start);
        released_ += (end - start) - block->released;
        block->released = end - start;
      }
    }
  }
}

MemoryStatistics Memory::statistics() const {
  return {int64_t(live_), int64_t(peak_), int64_t(committed_ - live_ - released_)};
}

void* allocatePages(size_t bytes) {
  // Twice the length, so that an aligned part can be cut out.
  void* start = mmap(nullptr, bytes + hugePage, PROT_READ | PROT_WRITE, reservationFlags(), -1, 0);
  if (start == MAP_FAILED) return nullptr;
  char* raw = static_cast<char*>(start);
  char* pages = reinterpret_cast<char*>(roundUp(reinterpret_cast<uintptr_t>(raw), hugePage));
  size_t before = size_t(pages - raw);
  if (before > 0) munmap(raw, before);
  if (before < hugePage) munmap(pages + bytes, hugePage - before);
  adviseHugePages(pages, bytes);
  return pages;
}

void freePages(void* pages, size_t bytes) { munmap(pages, bytes); }

}  // namespace danu
