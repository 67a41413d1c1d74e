#include "memory.h"

#include <string.h>
#include <sys/mman.h>

namespace standin {
namespace {
// Above where V8 puts its heap, and exact in a number of JavaScript.
constexpr uintptr_t WISH = 0x600000000000;
constexpr size_t SPACE = size_t(8) << 40, PAGE = 4096, ALIGNMENT = 256, REMEMBERED = 4096, UNIT = 512, LINGERING = size_t(64) << 20;
constexpr uint8_t FRESH = 0xCD, FENCE = 0xFF, FREED = 0xDD;   // 0xFF: not a number in every type of floats

size_t rounded(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

struct Freed { CUdeviceptr address; Allocation allocation; };
struct Memory {
    uintptr_t start, next;
    std::map<CUdeviceptr, Allocation> live;
    std::deque<Freed> freed;
    long serial = 0;
    struct Pinned { size_t bytes; int device; };
    std::map<uintptr_t, Pinned> pinned;
    std::deque<std::pair<void*, size_t>> freed_pinned;
    size_t lingering = 0;

    Memory() {
        void* space = mmap((void*)WISH, SPACE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (space == MAP_FAILED) abort();
        start = next = (uintptr_t)space;
    }
};
Memory& memory() { static Memory m; return m; }

// An allocation ends less than ALIGNMENT bytes before the end of its last page; what is left of its pages is the fence.
CUdeviceptr first_page(CUdeviceptr address) { return address / PAGE * PAGE; }
CUdeviceptr end_of_pages(CUdeviceptr address, size_t bytes) { return rounded(address + bytes, PAGE); }
// Fences that are looked at have less than ALIGNMENT bytes, or just as many.
bool is_fence(CUdeviceptr from, CUdeviceptr to) {
    static const std::string whole(ALIGNMENT, (char)FENCE);
    return memcmp((const void*)from, whole.data(), to - from) == 0;
}
}  // namespace

CUdeviceptr allocate(int device, size_t bytes) {
    Memory& m = memory();
    Device& owner = state().devices[device];
    const size_t counted = rounded(bytes, UNIT), pages = rounded(bytes, PAGE);
    if (owner.used + counted > owner.chip.memory || m.next + pages + PAGE > m.start + SPACE) return 0;
    const uintptr_t at = m.next;
    if (mprotect((void*)at, pages, PROT_READ | PROT_WRITE) != 0) return 0;
    m.next += pages + PAGE;
    const CUdeviceptr address = at + (pages - rounded(bytes, ALIGNMENT));
    memset((void*)at, FENCE, address - at);
    memset((void*)address, FRESH, bytes);
    memset((void*)(address + bytes), FENCE, at + pages - address - bytes);
    m.live[address] = {bytes, device, ++m.serial};
    owner.used += counted;
    owner.reserved = std::max(owner.reserved, owner.used);
    return address;
}

bool release(CUdeviceptr address) {
    Memory& m = memory();
    const auto found = m.live.find(address);
    if (found == m.live.end()) return false;
    const Allocation allocation = found->second;
    const CUdeviceptr from = first_page(address), to = end_of_pages(address, allocation.bytes);
    state().devices[allocation.device].used -= rounded(allocation.bytes, UNIT);
    m.live.erase(found);
    m.freed.push_back({address, allocation});
    if (m.freed.size() > REMEMBERED) m.freed.pop_front();
    return mmap((void*)from, to - from, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

std::optional<Allocation> allocation_at(CUdeviceptr address) {
    const auto found = memory().live.find(address);
    return found == memory().live.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Allocation> allocation_around(CUdeviceptr address) {
    auto after = memory().live.upper_bound(address);
    if (after == memory().live.begin()) return std::nullopt;
    const auto& [start, allocation] = *--after;
    return address <= start + allocation.bytes ? std::optional(allocation) : std::nullopt;
}

bool is_device_memory(const void* address) { return (uintptr_t)address - memory().start < SPACE; }

bool is_inside(CUdeviceptr address, size_t bytes) {
    auto after = memory().live.upper_bound(address);
    if (after == memory().live.begin()) return false;
    const auto& [start, allocation] = *--after;
    return address - start <= allocation.bytes && bytes <= allocation.bytes - (address - start);
}

std::string place(CUdeviceptr address) {
    std::ostringstream text;
    text << "address 0x" << std::hex << address << std::dec;
    const auto describe = [&](CUdeviceptr start, const Allocation& a, const char* what) {
        text << ", " << (address < start ? start - address : address - start) << " bytes " << (address < start ? "before" : "after") << " the start of "
             << what << " #" << a.serial << " of " << a.bytes << " bytes";
        return text.str();
    };
    if (!is_device_memory((const void*)address)) return text.str() + (address < PAGE ? ", a null pointer" : ", not memory of a GPU");
    for (const auto& [start, a] : memory().freed) if (address >= first_page(start) && address < end_of_pages(start, a.bytes) + PAGE) return describe(start, a, "freed allocation");
    for (const auto& [start, a] : memory().live) if (address >= first_page(start) - PAGE && address < end_of_pages(start, a.bytes) + PAGE) return describe(start, a, "allocation");
    return text.str() + ", no allocation";
}

bool fences_hold(const std::string& who) {
    bool hold = true;
    for (const auto& [start, a] : memory().live) {
        const CUdeviceptr before = std::max(first_page(start), start - std::min<CUdeviceptr>(start - first_page(start), ALIGNMENT));
        const CUdeviceptr end = start + a.bytes, after = end_of_pages(start, a.bytes);
        if (is_fence(before, start) && is_fence(end, after)) continue;
        report(who, " wrote outside of allocation #", a.serial, " of ", a.bytes, " bytes");
        memset((void*)before, FENCE, start - before);
        memset((void*)end, FENCE, after - end);
        hold = false;
    }
    return hold;
}

long live_allocations(int device) {
    long count = 0;
    for (const auto& [start, a] : memory().live) count += device < 0 || a.device == device;
    return count;
}

long release_all(int device) {
    std::vector<CUdeviceptr> all;
    for (const auto& [start, a] : memory().live) if (a.device == device) all.push_back(start);
    for (const CUdeviceptr start : all) release(start);
    return all.size();
}

void* allocate_pinned(int device, size_t bytes) {
    const size_t pages = rounded(bytes, PAGE);
    void* at = mmap(nullptr, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return nullptr;
    memset(at, FRESH, pages);
    memory().pinned[(uintptr_t)at] = {bytes, device};
    return at;
}

// JavaScript may still hold a view of it: pages linger, so that reading them gives wrong numbers and does not end the process.
bool release_pinned(void* address) {
    Memory& m = memory();
    const auto found = m.pinned.find((uintptr_t)address);
    if (found == m.pinned.end()) return false;
    const size_t pages = rounded(found->second.bytes, PAGE);
    memset(address, FREED, pages);
    m.pinned.erase(found);
    m.freed_pinned.push_back({address, pages});
    for (m.lingering += pages; m.lingering > LINGERING; m.freed_pinned.pop_front()) {
        const auto [oldest, bytes] = m.freed_pinned.front();
        munmap(oldest, bytes);
        m.lingering -= bytes;
    }
    return true;
}

bool is_pinned(const void* address, size_t bytes) {
    auto after = memory().pinned.upper_bound((uintptr_t)address);
    if (after == memory().pinned.begin()) return false;
    const auto& [start, block] = *--after;
    const size_t offset = (uintptr_t)address - start;
    return offset <= block.bytes && bytes <= block.bytes - offset;
}

long live_pinned(int device) {
    long count = 0;
    for (const auto& [start, block] : memory().pinned) count += device < 0 || block.device == device;
    return count;
}

long release_all_pinned(int device) {
    std::vector<void*> all;
    for (const auto& [start, block] : memory().pinned) if (block.device == device) all.push_back((void*)start);
    for (void* at : all) release_pinned(at);
    return all.size();
}
}  // namespace standin
