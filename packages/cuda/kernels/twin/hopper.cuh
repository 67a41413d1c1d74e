// The CPU twin of ../device/hopper.cuh. What the copy engine and the tensor cores do comes late: a load lands at a random moment
// after it was issued, a store reads its shared memory late and writes later still, a product reads its operands and writes
// its sums at any moment until somebody waits for it; until then its registers are NaN. Both see ordinary writes to shared
// memory only after an async_fence. Stricter than a GPU: after every wait for products the next need a wgmma_fence. Not seen:
// whose async_fence it was, so that one thread's stands for all that was written before; a barrier_init_fence that is missing;
// what registers_grow asks for; what blocks that are not of one cluster do to each other at the same time.
#pragma once
#include <warp.cuh>

namespace twin {
/// What the driver keeps in a tensor map.
struct Map { uint8_t* base; uint64_t columns, rows, stride; uint32_t box_columns, box_rows; int element, swizzle; uint64_t plane_stride; };   // sizes in elements, strides in bytes
inline uint32_t swizzled(uint32_t a, int bytes) { return bytes == 128 ? a ^ ((a >> 3) & 0x70) : bytes == 64 ? a ^ ((a >> 3) & 0x30) : bytes == 32 ? a ^ ((a >> 3) & 0x10) : a; }
}  // namespace twin

struct alignas(128) CUtensorMap { uint64_t opaque[16]; };
static_assert(sizeof(twin::Map) <= sizeof(CUtensorMap));
/// A tensor map of a row-major matrix with boxes of `box_columns` × `box_rows`.
inline CUtensorMap tensor_map(const void* base, int element, uint64_t columns, uint64_t rows, uint32_t box_columns, uint32_t box_rows, int swizzle = 128) {
    const twin::Map m{(uint8_t*)base, columns, rows, columns * element, box_columns, box_rows, element, swizzle, 0};
    CUtensorMap map{}; memcpy(&map, &m, sizeof m); return map;
}
/// A tensor map of rows of `planes` planes, with boxes of `box_columns` × `box_rows` of one plane.
inline CUtensorMap tensor_map_3d(const void* base, int element, uint64_t columns, uint64_t planes, uint64_t rows, uint32_t box_columns, uint32_t box_rows, int swizzle = 128) {
    CUtensorMap map = tensor_map(base, element, columns, rows, box_columns, box_rows, swizzle);
    twin::Map m; memcpy(&m, &map, sizeof m); m.stride = planes * columns * element; m.plane_stride = columns * element; memcpy(&map, &m, sizeof m); return map;
}
namespace twin {
inline Map plane(const CUtensorMap* map, int plane) { Map m = *(const Map*)map; m.base += plane * m.plane_stride; return m; }
}

// ---- Barriers

namespace twin {
/// A barrier as it lies in shared memory.
struct Mbarrier { int64_t bytes : 22; uint64_t phase : 1, expected : 20, pending : 20; };
static_assert(sizeof(Mbarrier) == 8);
inline Mbarrier& barrier_at(Block& b, uint32_t address) {
    if (address % 8 || address + 8 > b.bytes) fail("a barrier that does not lie in shared memory");
    auto& m = *reinterpret_cast<Mbarrier*>(b.shared + address);
    if (m.expected == 0 || m.expected < m.pending || *(uint64_t*)&m == FRESH * 0x0101010101010101ull) fail("a barrier that nobody made, or that was written over");
    return m;
}
inline Queue& door(Block& b, uint32_t address) { return b.doors[address / 8 % 64]; }
inline void arrive(Block& b, uint32_t address, int arrivals, long bytes) {
    Mbarrier& m = barrier_at(b, address);
    if ((int)m.pending < arrivals) fail("more arrivals at a barrier than it expects in a phase");
    m.pending -= arrivals; m.bytes += bytes;
    if (m.pending == 0 && m.bytes == 0) { m.phase ^= 1; m.pending = m.expected; wake(door(b, address)); }
}
}  // namespace twin
DEVICE uint32_t cluster_rank() { return twin::block().rank; }
DEVICE void cluster_sync() { twin::meet(twin::cluster.sync, (int)twin::cluster.blocks.size() * twin::block_size.x, "for all of their cluster"); }
DEVICE void barrier_init(uint64_t* b, int arrivals) { shared_address(b); const twin::Mbarrier m{0, 0, (uint64_t)arrivals, (uint64_t)arrivals}; memcpy(b, &m, sizeof m); }
DEVICE void barrier_init_fence() {}
DEVICE void barrier_expect(uint64_t* b, uint32_t bytes) { twin::arrive(twin::block(), shared_address(b), 1, bytes); }
DEVICE void barrier_wait(uint64_t* b, uint32_t parity) {
    auto& own = twin::block(); const uint32_t at = shared_address(b);
    while (twin::barrier_at(own, at).phase == parity) twin::wait(twin::door(own, at), "for a barrier in shared memory");
}
DEVICE void barrier_arrive(uint64_t* b) { twin::arrive(twin::block(), shared_address(b), 1, 0); }
DEVICE void cp_async_arrive(uint64_t* b) {
    auto& own = twin::block(); const uint32_t at = shared_address(b);
    own.loads++;
    twin::late.push_back({nullptr, 0, false, [&own, at, copies = std::exchange(twin::self->copies, {})] {
        for (const twin::Copy& c : copies) { memcpy(c.to, c.from, c.count); memset(c.to + c.count, 0, c.bytes - c.count); }
        own.loads--; twin::arrive(own, at, 1, 0); return true;
    }});
}
DEVICE void barrier_arrive_remote(uint64_t* b, uint32_t rank) {
    auto& other = *twin::cluster.blocks[rank];
    if (!other.alive) twin::fail("a block arrives at a barrier of one that has ended");
    twin::arrive(other, shared_address(b), 1, 0);
}

// ---- The copy engine

namespace twin {
/// Calls `each(x, y, at, bytes)` for every 16 bytes of a box: the place in the matrix, x in bytes, the place in shared memory, and
/// how many of the bytes lie in the matrix.
template <class F> void over_box(const Map& m, uint32_t shared, int column, int row, F each) {
    const uint32_t width = m.box_columns * m.element;
    for (uint32_t r = 0; r < m.box_rows; r++) for (uint32_t e = 0; e < width; e += 16) {
        const int64_t x = (int64_t)column * m.element + e, y = (int64_t)row + r, end = (int64_t)m.columns * m.element;
        each(x, y, swizzled(shared + r * width + e, m.swizzle), y < 0 || y >= (int64_t)m.rows || x < 0 || x >= end ? 0 : (int)min<int64_t>(16, end - x));
    }
}
/// A box is on its way into a block: its bytes land, and the barrier counts them.
inline void load(Block& b, uint32_t to, Map m, uint32_t full, int column, int row) {
    const uint32_t bytes = m.box_columns * m.box_rows * m.element;
    if (to % 128 || m.box_columns * m.element % 16 || to + bytes > b.bytes) fail("a box that does not fit its place in shared memory");
    b.loads++;
    late.push_back({nullptr, 0, false, [=, &b] {
        over_box(m, to, column, row, [&](int64_t x, int64_t y, uint32_t at, int inside) {
            memset(b.shared + at, 0, 16); if (inside) memcpy(b.shared + at, m.base + y * m.stride + x, inside);
            memcpy(b.seen + at, b.shared + at, 16);
        });
        b.loads--; arrive(b, full, 0, -(long)bytes); return true;
    }});
}
/// A box is on its way out: first it is read, later `write(to, value, bytes)` puts it into memory.
template <class F> void store(Map m, const void* from, int column, int row, F write) {
    const uint32_t shared = shared_address(from), bytes = m.box_columns * m.box_rows * m.element; Block& b = block();
    if (shared % 128 || m.box_columns * m.element % 16 || shared + bytes > b.bytes) fail("a box that does not fit its place in shared memory");
    std::vector<uint8_t> box;
    late.push_back({self, self->store_group, false, [=, &b]() mutable {
        const bool read = box.empty();
        if (read) box.resize(bytes);
        size_t i = 0;
        over_box(m, shared, column, row, [&](int64_t x, int64_t y, uint32_t at, int inside) {
            if (read) memcpy(&box[i], b.seen + at, 16); else if (inside) write(m.base + y * m.stride + x, &box[i], inside);
            i += 16;
        });
        return !read;
    }});
}
}  // namespace twin
DEVICE void tma_load(void* to, const CUtensorMap* map, uint64_t* full, int column, int row) {
    twin::load(twin::block(), shared_address(to), *(const twin::Map*)map, shared_address(full), column, row);
}
DEVICE void bulk_load(void* to, const void* from, uint64_t* full, uint32_t bytes) {
    if ((uintptr_t)from % 16 || shared_address(to) % 16 || bytes % 16) twin::fail("bulk_load at an address or of a size that is no multiple of 16");
    auto& b = twin::block(); const uint32_t at = shared_address(to), barrier = shared_address(full);
    b.loads++;
    twin::late.push_back({nullptr, 0, false, [=, &b] {
        memcpy(b.shared + at, from, bytes); memcpy(b.seen + at, from, bytes);
        b.loads--; twin::arrive(b, barrier, 0, -(long)bytes); return true;
    }});
}
DEVICE void tma_load_multicast(void* to, const CUtensorMap* map, uint64_t* full, int column, int row, uint16_t blocks) {
    for (auto* b : twin::cluster.blocks) if (blocks >> b->rank & 1) twin::load(*b, shared_address(to), *(const twin::Map*)map, shared_address(full), column, row);
}
DEVICE void tma_load_3d(void* to, const CUtensorMap* map, uint64_t* full, int column, int plane, int row) {
    twin::load(twin::block(), shared_address(to), twin::plane(map, plane), shared_address(full), column, row);
}
namespace twin { inline void overwrite(uint8_t* to, const uint8_t* value, int bytes) { memcpy(to, value, bytes); } }
DEVICE void tma_store(const CUtensorMap* map, const void* from, int column, int row) { twin::store(*(const twin::Map*)map, from, column, row, twin::overwrite); }
DEVICE void tma_store_3d(const CUtensorMap* map, const void* from, int column, int plane, int row) { twin::store(twin::plane(map, plane), from, column, row, twin::overwrite); }
DEVICE void tma_add(const CUtensorMap* map, const void* from, int column, int row) {
    twin::store(*(const twin::Map*)map, from, column, row, [](uint8_t* to, const uint8_t* value, int bytes) { for (int i = 0; i < bytes; i += 4) *(float*)(to + i) += *(const float*)(value + i); });
}
DEVICE void tma_commit() { twin::self->store_group++; }
template <int N = 0> DEVICE void tma_wait_read() { twin::settle(twin::self, twin::self->store_group - 1 - N, 1); }
DEVICE void tma_wait() { twin::settle(twin::self, twin::self->store_group - 1, 2); }
DEVICE void async_fence() { auto& b = twin::block(); memcpy(b.seen, b.shared, b.bytes); }

// ---- Tensor cores

DEVICE uint64_t descriptor(const void* p, uint64_t leading = 16, uint64_t stride = 1024) {
    return ((shared_address(p) & 0x3FFFF) >> 4) | ((leading >> 4) << 16) | ((stride >> 4) << 32) | (1ull << 62);
}
namespace twin {
/// Where an operand's elements lie, as CUTLASS' mma_traits_sm90_gmma.hpp describes it.
struct Operand {
    uint32_t start, leading, stride;
    explicit Operand(uint64_t d) : start((d & 0x3FFF) << 4), leading((d >> 16 & 0x3FFF) << 4), stride((d >> 32 & 0x3FFF) << 4) {}
    uint32_t k_major(int mn, int byte) const { return swizzled(start + mn / 8 * stride + mn % 8 * 128 + byte, 128); }
    uint32_t mn_major(int byte, int k) const { return swizzled(start + byte / 128 * leading + k / 8 * stride + k % 8 * 128 + byte % 128, 128); }
};
inline Warpgroup& warpgroup() { return block().groups.at(self->thread.x / 128); }
/// A D[64, columns] that products in flight add to, and what the registers of the threads held when the first was issued.
struct Accumulator { float* registers[128]; int columns, products = 0; std::vector<float> sum; };
/// Calls `each(register, sum)` for all of a D.
template <class F> void over_registers(Accumulator& d, F each) {
    for (int t = 0; t < 128; t++) for (int i = 0; i < d.columns / 2; i++)
        each(d.registers[t][i], d.sum[(t / 32 * 16 + t % 32 / 4 + 8 * (i / 2 % 2)) * d.columns + i / 4 * 8 + t % 4 * 2 + i % 2]);
}
struct Registers { const uint32_t* of[128]; };
/// d[64, N] = A · B, or added to d. `a(block, registers, row, k)` and `b(block, column, k)` read the operands when the time has come,
/// `add(d, A, B)` adds their products; `number` is the same for all threads. The four warps go together: a pipeline where one thread
/// frees a stage relies on that.
template <int N, int K, class A, class B, class Add> void product(float* d, const uint32_t* registers, uint64_t number, int accumulate, A a, B b, Add add) {
    Lane& own = warpgroup().lane[self->thread.x % 128]; own.in[0] = registers; own.in[1] = &self->fenced; own.out = d; own.number = number;
    together(warpgroup(), "for their warpgroup", [&](Warpgroup& g) {
        for (Lane& l : g.lane) if (l.number != (int64_t)number) fail("the threads of a warpgroup disagree about the operands of a product");
        auto at = std::find_if(g.in_flight.begin(), g.in_flight.end(), [&](auto& x) { return x->registers[0] == g.lane[0].out; });
        if (at == g.in_flight.end()) {
            for (Lane& l : g.lane) if (!*(const bool*)l.in[1]) fail("wgmma without a wgmma_fence since the thread last waited for products");
            auto fresh = std::make_shared<Accumulator>(); fresh->columns = N; fresh->sum.resize(64 * N);
            for (int t = 0; t < 128; t++) fresh->registers[t] = (float*)g.lane[t].out;
            over_registers(*fresh, [](float& value, float& sum) { sum = value; value = NAN; });
            at = g.in_flight.insert(g.in_flight.end(), fresh);
        }
        if ((*at)->columns != N) fail("products of different widths in flight on the same registers");
        std::shared_ptr<Accumulator> sums = *at; sums->products++;
        Registers pairs; for (int t = 0; t < 128; t++) pairs.of[t] = (const uint32_t*)g.lane[t].in[0];
        late.push_back({&g, self->product_group, true, [=, &g, &block = block()] {
            static float x[64][K], y[K][N];
            for (int r = 0; r < 64; r++) for (int k = 0; k < K; k++) x[r][k] = a(block, pairs, r, k);
            for (int k = 0; k < K; k++) for (int c = 0; c < N; c++) y[k][c] = b(block, c, k);
            if (!accumulate) std::fill(sums->sum.begin(), sums->sum.end(), 0.f);
            add(sums->sum.data(), x, y);
            if (--sums->products == 0) {
                over_registers(*sums, [](float& value, float& sum) { value = sum; });
                g.in_flight.erase(std::find(g.in_flight.begin(), g.in_flight.end(), sums));
            }
            return true;
        }});
    });
}
template <class T> float value(const Block& b, uint32_t address) {
    if (address + sizeof(T) > b.bytes) fail("a product reads past the block's shared memory");
    if constexpr (sizeof(T) == 1) {
        static const std::vector<float> table = [] { std::vector<float> v(256); for (int i = 0; i < 256; i++) { T x; x.__x = i; v[i] = float(x); } return v; }();
        return table[b.seen[address]];
    } else { T v; memcpy(&v, b.seen + address, sizeof v); return float(v); }
}
inline float bf16_at(const Block& b, const Operand& o, bool k_major, int mn, int k) { return value<__nv_bfloat16>(b, k_major ? o.k_major(mn, 2 * k) : o.mn_major(2 * mn, k)); }
}  // namespace twin

DEVICE void wgmma_fence() { twin::self->fenced = true; }
DEVICE void wgmma_commit() { twin::self->product_group++; }
template <int N> DEVICE void wgmma_wait() { twin::self->fenced = false; twin::settle(&twin::warpgroup(), twin::self->product_group - 1 - N, 1); }
template <int N> DEVICE void pin(float*) {}
template <int N> DEVICE void pin(uint32_t*) {}
template <int R> DEVICE void registers_grow() {}
template <int R> DEVICE void registers_shrink() {}
template <class A, class B, int N> DEVICE void wgmma_fp8(float* d, uint64_t a, uint64_t b, int accumulate) {
    const twin::Operand x(a), y(b);
    twin::product<N, 32>(d, nullptr, a ^ b << 7, accumulate,
        [=](const twin::Block& s, auto&, int r, int k) { return twin::value<A>(s, x.k_major(r, k)); }, [=](const twin::Block& s, int c, int k) { return twin::value<B>(s, y.k_major(c, k)); },
        twin::add_fp8<32, A, B, 64, 32, N>);
}
enum Major { K_MAJOR = 0, MN_MAJOR = 1 };
template <int N, Major A = K_MAJOR, Major B = K_MAJOR> DEVICE void wgmma_bf16(float* d, uint64_t a, uint64_t b, int accumulate) {
    const twin::Operand x(a), y(b);
    twin::product<N, 16>(d, nullptr, a ^ b << 7, accumulate,
        [=](const twin::Block& s, auto&, int r, int k) { return twin::bf16_at(s, x, A == K_MAJOR, r, k); }, [=](const twin::Block& s, int c, int k) { return twin::bf16_at(s, y, B == K_MAJOR, c, k); }, twin::add_f32<64, 16, N>);
}
template <int N, Major B> DEVICE void wgmma_bf16_registers(float* d, const uint32_t* a, uint64_t b, int accumulate) {
    const twin::Operand y(b);
    twin::product<N, 16>(d, a, b, accumulate,      // a row of A lies in the registers of four lanes
        [=](const twin::Block&, auto& registers, int r, int k) { return twin::half_of(registers.of[r / 16 * 32 + r % 8 * 4 + k % 8 / 2][r % 16 / 8 + k / 8 * 2], k % 2); },
        [=](const twin::Block& s, int c, int k) { return twin::bf16_at(s, y, B == K_MAJOR, c, k); }, twin::add_f32<64, 16, N>);
}

DEVICE void stmatrix4(const void* row, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    const uint32_t registers[] = {a, b, c, d};
    twin::move_matrices(row, registers, [](auto at, int i, int j, uint16_t* half) { *at(i, j) = *half; });
}
