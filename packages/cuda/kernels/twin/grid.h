// How the CPU twin runs a grid: every CUDA thread is a fiber, and what a GPU does beside its threads (copies that run on,
// products of the tensor cores) waits in a list. At every turn chance decides who goes on and what of the list is done, so
// that whatever relies on an order that nothing promises shows sooner or later. DANU_TWIN_SEED, a number, chooses the turns.
#pragma once
#include "fibers.h"

#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace twin {
struct Dim { int x = 1, y = 1, z = 1; };
struct Block;

/// Bytes that a thread's cp.async has yet to bring; those past `count` become zero.
struct Copy { uint8_t* to; const uint8_t* from; int count, bytes; long group; };
/// One thread.
struct Fiber {
    Context context; char* stack; Block* block = nullptr; Dim thread; Fiber* next = nullptr; const char* waits = nullptr; uint32_t weight = 0;
    std::vector<Copy> copies; long copy_group = 0, store_group = 0, product_group = 0; bool fenced = false;
};
/// Threads that wait for the same thing.
struct Queue { Fiber* first = nullptr; };
/// A barrier of a known number of threads.
struct Meeting { int arrived = 0, count = 0; Queue queue; };

/// What a thread brings where its warp or warpgroup does something together.
struct Lane { const void* in[2]; void* out; int64_t number; };
template <int SIZE> struct Together { int lanes = SIZE, arrived = 0; Queue queue; Lane lane[SIZE]; };
struct Accumulator;
using Warp = Together<32>;
struct Warpgroup : Together<128> { std::vector<std::shared_ptr<Accumulator>> in_flight; };      // what its products add to
struct Block {
    std::vector<uint8_t> store, store_seen; size_t bytes = 0;
    uint8_t *shared = nullptr, *seen = nullptr;     // as threads see it, and as the copy engine and the tensor cores do
    Dim index; int rank = 0, alive = 0, loads = 0;
    std::vector<Warp> warps; std::vector<Warpgroup> groups; Meeting named[16]; Queue doors[64];     // doors: of the barriers in shared memory, by address
};
struct Cluster { std::vector<Block*> blocks; Meeting sync; Queue words[256]; };      // words: that blocks pass each other, by address
/// What still has to be done for `owner`, step by step; `step` says whether that was the last. Products keep their order.
struct Late { const void* owner; long group; bool in_order; std::function<bool()> step; int steps = 0; };

inline Cluster cluster; inline Fiber* self = nullptr; inline Dim block_size, grid_size; inline std::function<void()> body;
inline std::vector<Fiber*> ready; inline std::vector<Late> late; inline size_t alive; inline Context outside;

/// Marsaglia's xorshift*, from the seed.
struct Chance {
    uint64_t state;
    explicit Chance(uint64_t seed) : state((seed + 1) * 0x9E3779B97F4A7C15ull) {}
    /// A number below n.
    uint32_t below(uint32_t n) { state ^= state >> 12; state ^= state << 25; state ^= state >> 27; return (state * 0x2545F4914F6CDD1Dull >> 32) * n >> 32; }
};
inline Chance chance(getenv("DANU_TWIN_SEED") ? strtoull(getenv("DANU_TWIN_SEED"), nullptr, 10) : 1);
/// One turn in so many does something of the list first; a cluster is hasty or slow.
inline uint32_t haste;
/// Of how many threads the one of most weight goes on: blocks, warps and threads differ in weight, so that some lag far behind.
inline uint32_t contest;

/// What stopped a kernel.
struct Failure : std::runtime_error { using std::runtime_error::runtime_error; };
inline std::string failure;
/// Stops the kernel that runs: `launch` throws what is said here.
[[noreturn]] inline void fail(const std::string& what) {
    if (!self) throw Failure(what);
    failure = what; switch_to(self->context, outside); abort();
}

// ---- Turns

inline bool take_step(size_t i) {
    Late l = std::move(late[i]); late.erase(late.begin() + i);
    l.steps++;
    if (l.step()) return true;
    late.insert(late.begin() + i, std::move(l)); return false;
}
inline void do_some() {
    size_t i = chance.below(late.size());
    if (late[i].in_order) for (size_t first = 0; first < i; first++) if (late[first].owner == late[i].owner) { i = first; break; }
    take_step(i);
}
/// Does at least `steps` of everything of an owner up to a group.
inline void settle(const void* owner, long group, int steps) {
    for (size_t i = 0; i < late.size();) {
        if (late[i].owner == owner && late[i].group <= group && late[i].steps < steps) { if (!take_step(i)) continue; } else i++;
    }
}
inline void do_copy(Fiber& f, size_t i) {
    const Copy c = f.copies[i]; f.copies.erase(f.copies.begin() + i);
    memcpy(c.to, c.from, c.count); memset(c.to + c.count, 0, c.bytes - c.count);
}
inline std::string waiting();
/// Gives the processor to a thread that can go on, perhaps the same. Without any, the kernel is done, or stuck.
inline void turn() {
    while (!late.empty() && (ready.empty() ? alive > 0 : chance.below(haste) == 0)) do_some();
    Context& here = self ? self->context : outside;
    if (ready.empty()) { if (alive) failure = "deadlock: " + waiting(); if (self) { self = nullptr; switch_to(here, outside); } return; }
    size_t i = chance.below(ready.size());
    for (uint32_t k = 1; k < contest; k++) if (const size_t other = chance.below(ready.size()); ready[other]->weight > ready[i]->weight) i = other;
    Fiber* const chosen = ready[i];
    ready[i] = ready.back(); ready.pop_back();
    if (!chosen->copies.empty() && chance.below(4) == 0) do_copy(*chosen, chance.below(chosen->copies.size()));
    if (chosen == self) return;
    self = chosen; switch_to(here, chosen->context);
}
inline void wait(Queue& queue, const char* what) { self->waits = what; self->next = queue.first; queue.first = self; turn(); }
inline void wake(Queue& queue) { for (Fiber* f = queue.first; f; f = f->next) { f->waits = nullptr; ready.push_back(f); } queue.first = nullptr; }
inline void yield() { ready.push_back(self); turn(); }

inline Block& block() { return *self->block; }
inline Warp& warp() { return block().warps[self->thread.x / 32]; }
/// Arrives at a barrier of `count` threads; the last opens it.
inline bool arrive(Meeting& m, int count) {
    if (m.arrived && m.count != count) fail("threads meet at one barrier, some as " + std::to_string(m.count) + ", some as " + std::to_string(count));
    m.count = count;
    if (++m.arrived < count) return false;
    m.arrived = 0; wake(m.queue); return true;
}
inline void meet(Meeting& m, int count, const char* what) { if (!arrive(m, count)) wait(m.queue, what); }
/// The threads of a warp or warpgroup meet; the last to come does something for all of them.
template <class T, class F> void together(T& t, const char* what, F act) {
    if (++t.arrived < t.lanes) { wait(t.queue, what); return; }
    t.arrived = 0; act(t); wake(t.queue);
}
template <class F> void warp_meet(F act) { together(warp(), "for their warp", act); }
inline void warp_sync() { warp_meet([](Warp&) {}); }
inline Lane& lane() { return warp().lane[self->thread.x % 32]; }

// ---- Launches

inline std::vector<std::unique_ptr<Fiber>> fibers; inline std::vector<std::unique_ptr<Block>> blocks;     // kept for the next
constexpr uint8_t FRESH = 0xCD, GONE = 0xDD; constexpr size_t BEYOND = 1024;

extern "C" { extern uint8_t __start_danu_shared[] __attribute__((weak, visibility("hidden"))), __stop_danu_shared[] __attribute__((weak, visibility("hidden"))); }
/// The variables that kernels declare `__shared__`, all in one place. The blocks of a cluster would have them in common.
inline void poison_variables() { memset(__start_danu_shared, FRESH, __stop_danu_shared - __start_danu_shared); }
inline bool variables_used() { return std::any_of(__start_danu_shared, __stop_danu_shared, [](uint8_t b) { return b != FRESH; }); }

inline std::string waiting() {
    std::string text; std::vector<std::pair<std::string, int>> counts; size_t all = 0;
    for (Block* b : cluster.blocks) all += b->alive;
    for (auto& f : fibers) if (f->block && f->waits) {
        auto at = std::find_if(counts.begin(), counts.end(), [&](auto& c) { return c.first == f->waits; });
        if (at == counts.end()) counts.push_back({f->waits, 1}); else at->second++;
    }
    for (auto& [what, count] : counts) text += (text.empty() ? ": " : ", ") + std::to_string(count) + " " + what;
    return std::to_string(all) + " threads wait for ever" + text;
}

/// The end of a block: its shared memory is no longer its own.
inline void close(Block& b) {
    if (b.loads) fail("a block ends before " + std::to_string(b.loads) + " of its copies have landed");
    for (size_t i = 0; i < BEYOND; i++) if (b.shared[b.bytes + i] != FRESH) fail("a block writes past the " + std::to_string(b.bytes) + " bytes of its shared memory");
    memset(b.shared, GONE, b.bytes); memset(b.seen, GONE, b.bytes);
}
inline void entry() {
    body();
    Block& b = block();
    if (self->thread.x / 128 < (int)b.groups.size() && !b.groups[self->thread.x / 128].in_flight.empty()) fail("a thread ends before its warpgroup has waited for its products");
    self->copies.clear(); self->block = nullptr; alive--;
    if (--b.alive == 0) close(b);
    turn(); abort();
}
inline Block& open(int rank, Dim index, int threads, size_t shared_bytes) {
    if ((int)blocks.size() <= rank) blocks.push_back(std::make_unique<Block>());
    Block& b = *blocks[rank];
    const auto reserve = [&](std::vector<uint8_t>& store) {
        if (store.size() < shared_bytes + 1024 + BEYOND) store.resize(shared_bytes + 1024 + BEYOND);
        uint8_t* at = (uint8_t*)(((uintptr_t)store.data() + 1023) & ~(uintptr_t)1023);
        memset(at, FRESH, shared_bytes + BEYOND); return at;
    };
    b.bytes = shared_bytes; b.shared = reserve(b.store); b.seen = reserve(b.store_seen);
    b.index = index; b.rank = rank; b.alive = threads; b.loads = 0;
    b.warps.resize((threads + 31) / 32); b.groups.resize(threads / 128);
    for (Warp& w : b.warps) { w.arrived = 0; w.queue = {}; w.lanes = std::min(32, threads - 32 * int(&w - b.warps.data())); }
    for (Warpgroup& g : b.groups) { g.arrived = 0; g.queue = {}; g.in_flight.clear(); }
    std::fill(b.named, b.named + 16, Meeting()); std::fill(b.doors, b.doors + 64, Queue());
    return b;
}
inline void run_cluster(Dim first, int size, int threads, size_t shared_bytes) {
    cluster = {}; ready.clear(); late.clear(); alive = size * threads; self = nullptr; failure.clear();
    constexpr uint32_t HASTES[] = {4096, 512, 64, 8}; haste = HASTES[chance.below(4)];
    constexpr uint32_t CONTESTS[] = {1, 2, 4, 16}; contest = CONTESTS[chance.below(4)];
    for (int rank = 0; rank < size; rank++) {
        Block& b = open(rank, {first.x + rank, first.y, first.z}, threads, shared_bytes);
        cluster.blocks.push_back(&b);
        const uint32_t block_weight = chance.below(256); uint32_t weight = 0;
        for (int t = 0; t < threads; t++) {
            const size_t i = (size_t)rank * threads + t;
            if (fibers.size() <= i) { fibers.push_back(std::make_unique<Fiber>()); fibers[i]->stack = make_stack(); }
            Fiber& f = *fibers[i];
            if (t % 32 == 0) weight = block_weight + chance.below(256);
            f.weight = weight + chance.below(64);
            f.block = &b; f.thread = {t, 0, 0}; f.waits = nullptr; f.copies.clear(); f.copy_group = f.store_group = f.product_group = 0; f.fenced = false;
            f.context.start(f.stack, f.stack + STACK - i % 32 * 256, entry);      // not all in the same lines of the cache
            ready.push_back(&f);
        }
    }
    turn();
    self = nullptr;
    for (auto& f : fibers) f->block = nullptr;
    if (!failure.empty()) { ready.clear(); late.clear(); throw Failure(std::exchange(failure, {})); }
    while (!late.empty()) do_some();
}

/// Runs a grid: the blocks of a cluster together, clusters one after another in any order. Shared memory starts as garbage.
/// @throws Failure if threads wait for ever, or with what `fail` said
inline void launch(Dim grid, int threads, int cluster_size, size_t shared_bytes, std::function<void()> kernel) {
    grid_size = grid; block_size = {threads, 1, 1}; body = std::move(kernel);
    std::vector<Dim> order;
    for (int z = 0; z < grid.z; z++) for (int y = 0; y < grid.y; y++) for (int x = 0; x < grid.x; x += cluster_size) order.push_back({x, y, z});
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[chance.below(i)]);
    for (const Dim& first : order) {
        poison_variables();
        run_cluster(first, cluster_size, threads, shared_bytes);
        if (cluster_size > 1 && variables_used()) throw Failure("a kernel of clusters has __shared__ variables, which the twin cannot keep for each block: use shared_memory()");
    }
}
}  // namespace twin
