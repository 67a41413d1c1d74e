// The CPU twin of ../device/hopper.cuh. Functional only: a copy lands when it is issued and a product runs where it is
// issued, so that what waiting is missing shows as a deadlock or a wrong value, and races of the async proxy do not show.
#pragma once
#include <warp.cuh>

namespace twin {
/// What the driver keeps in a tensor map.
struct Map { uint8_t* base; uint64_t columns, rows, stride; uint32_t box_columns, box_rows; int element, swizzle; uint64_t plane_stride; };   // sizes in elements, strides in bytes
inline uint32_t swizzled(uint32_t a, int bytes) { return bytes == 128 ? a ^ ((a >> 3) & 0x70) : bytes == 64 ? a ^ ((a >> 3) & 0x30) : bytes == 32 ? a ^ ((a >> 3) & 0x10) : a; }
inline void arrive(Mbarrier& b, int arrivals, long bytes) {
    b.pending -= arrivals; b.bytes += bytes;
    if (b.pending == 0 && b.bytes == 0) { b.phase++; b.pending = b.expected; }
}
}  // namespace twin

struct alignas(64) CUtensorMap { uint64_t opaque[16]; };
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

DEVICE uint32_t cluster_rank() { return twin::block().rank; }
DEVICE void cluster_sync() { twin::meet(twin::cluster->sync, (int)twin::cluster->blocks.size() * twin::block_size.x); }
DEVICE void barrier_init(uint64_t* b, int arrivals) { twin::block().barriers[shared_address(b)] = {arrivals, arrivals, 0, 0}; }
DEVICE void barrier_init_fence() {}
DEVICE void barrier_expect(uint64_t* b, uint32_t bytes) { twin::arrive(twin::block().barriers[shared_address(b)], 1, bytes); }
DEVICE void barrier_wait(uint64_t* b, uint32_t parity) { auto& m = twin::block().barriers[shared_address(b)]; while ((m.phase & 1) == parity) twin::yield(); }
DEVICE void barrier_arrive(uint64_t* b) { twin::arrive(twin::block().barriers[shared_address(b)], 1, 0); }
DEVICE void barrier_arrive_remote(uint64_t* b, uint32_t rank) { twin::arrive(twin::cluster->blocks[rank]->barriers[shared_address(b)], 1, 0); }


namespace twin {
inline void copy_in(Block& b, uint32_t to, const Map& m, uint32_t full, int column, int row) {
    long bytes = 0;
    for (uint32_t r = 0; r < m.box_rows; r++) for (uint32_t e = 0; e < m.box_columns * m.element; e++, bytes++) {
        const int64_t x = (int64_t)column * m.element + e, y = (int64_t)row + r;
        const bool inside = x >= 0 && x < (int64_t)m.columns * m.element && y >= 0 && y < (int64_t)m.rows;
        b.shared[swizzled(to + r * m.box_columns * m.element + e, m.swizzle)] = inside ? m.base[y * m.stride + x] : 0;
    }
    arrive(b.barriers[full], 0, -bytes);
}
template <class F> void copy_out(const CUtensorMap* map, const void* from, int column, int row, F store) {
    const Map& m = *(const Map*)map; const uint32_t s = shared_address(from);
    for (uint32_t r = 0; r < m.box_rows; r++) for (uint32_t c = 0; c < m.box_columns; c++) if (row + (int64_t)r < (int64_t)m.rows && column + (int64_t)c < (int64_t)m.columns)
        store(m.base + (row + r) * m.stride + ((uint64_t)column + c) * m.element, block().shared + swizzled(s + (r * m.box_columns + c) * m.element, m.swizzle), m.element);
}
}  // namespace twin
DEVICE void tma_load(void* to, const CUtensorMap* map, uint64_t* full, int column, int row) {
    twin::copy_in(twin::block(), shared_address(to), *(const twin::Map*)map, shared_address(full), column, row);
}
DEVICE void bulk_load(void* to, const void* from, uint64_t* full, uint32_t bytes) {
    memcpy(to, from, bytes); twin::arrive(twin::block().barriers[shared_address(full)], 0, -(long)bytes);
}
DEVICE void tma_load_multicast(void* to, const CUtensorMap* map, uint64_t* full, int column, int row, uint16_t blocks) {
    for (auto& b : twin::cluster->blocks) if (blocks >> b->rank & 1) twin::copy_in(*b, shared_address(to), *(const twin::Map*)map, shared_address(full), column, row);
}
DEVICE void tma_load_3d(void* to, const CUtensorMap* map, uint64_t* full, int column, int plane, int row) {
    twin::copy_in(twin::block(), shared_address(to), twin::plane(map, plane), shared_address(full), column, row);
}
DEVICE void tma_store(const CUtensorMap* map, const void* from, int column, int row) {
    twin::copy_out(map, from, column, row, [](uint8_t* to, const uint8_t* value, int bytes) { memcpy(to, value, bytes); });
}
DEVICE void tma_add(const CUtensorMap* map, const void* from, int column, int row) {
    twin::copy_out(map, from, column, row, [](uint8_t* to, const uint8_t* value, int) { *(float*)to += *(const float*)value; });
}
DEVICE void tma_commit() {}
template <int N = 0> DEVICE void tma_wait_read() {}
DEVICE void tma_wait() {}
DEVICE void async_fence() {}
DEVICE void wgmma_fence() {}
DEVICE void wgmma_commit() {}
template <int N> DEVICE void wgmma_wait() {}
template <int N> DEVICE void pin(float*) {}
template <int N> DEVICE void pin(uint32_t*) {}
template <int R> DEVICE void registers_grow() {}
template <int R> DEVICE void registers_shrink() {}

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
template <class T> float value(uint32_t address) { T v; memcpy(&v, block().shared + address, sizeof v); return float(v); }
template <class A, class B> void product(float* d, int n, int k, int accumulate, A a, B b) {
    const int t = self->thread.x % 128, lane = t % 32;
    for (int i = 0; i < n / 2; i++) {
        const int row = t / 32 * 16 + lane / 4 + 8 * (i / 2 % 2), column = i / 4 * 8 + lane % 4 * 2 + i % 2;
        float sum = accumulate ? d[i] : 0;
        for (int j = 0; j < k; j++) sum += a(row, j) * b(column, j);
        d[i] = sum;
    }
}
}  // namespace twin

template <class A, class B, int N> DEVICE void wgmma_fp8(float* d, uint64_t a, uint64_t b, int accumulate) {
    const twin::Operand x(a), y(b);
    twin::product(d, N, 32, accumulate, [&](int r, int k) { return twin::value<A>(x.k_major(r, k)); }, [&](int c, int k) { return twin::value<B>(y.k_major(c, k)); });
}
enum Major { K_MAJOR = 0, MN_MAJOR = 1 };
namespace twin {
inline float bf16_at(const Operand& o, Major major, int mn, int k) { return value<__nv_bfloat16>(major == K_MAJOR ? o.k_major(mn, 2 * k) : o.mn_major(2 * mn, k)); }
}
template <int N, Major A = K_MAJOR, Major B = K_MAJOR> DEVICE void wgmma_bf16(float* d, uint64_t a, uint64_t b, int accumulate) {
    const twin::Operand x(a), y(b);
    twin::product(d, N, 16, accumulate, [&](int r, int k) { return twin::bf16_at(x, A, r, k); }, [&](int c, int k) { return twin::bf16_at(y, B, c, k); });
}
template <int N, Major B> DEVICE void wgmma_bf16_registers(float* d, const uint32_t* a, uint64_t b, int accumulate) {
    const twin::Operand y(b); auto& w = twin::warp();
    memcpy(w.registers[threadIdx.x % 32], a, 16); twin::warp_sync();     // a row of A lies in the registers of four lanes
    twin::product(d, N, 16, accumulate,
        [&](int r, int k) { return twin::half_of(w.registers[r % 8 * 4 + k % 8 / 2][r % 16 / 8 + k / 8 * 2], k % 2); },
        [&](int c, int k) { return twin::bf16_at(y, B, c, k); });
    twin::warp_sync();
}

namespace twin {
inline void store_matrices(const void* row, const uint32_t (&r)[4], bool transposed) {
    auto& w = warp(); const int lane = self->thread.x % 32;
    w.slot[lane] = (uint64_t)row; warp_sync();
    for (int m = 0; m < 4; m++) for (int h = 0; h < 2; h++) {
        const int i = lane / 4, j = lane % 4 * 2 + h;
        const uint16_t bits = h ? r[m] >> 16 : r[m] & 0xFFFF;
        memcpy((uint8_t*)w.slot[m * 8 + (transposed ? j : i)] + (transposed ? i : j) * 2, &bits, 2);
    }
    warp_sync();
}
}  // namespace twin
DEVICE void stmatrix4(const void* row, uint32_t a, uint32_t b, uint32_t c, uint32_t d) { twin::store_matrices(row, {a, b, c, d}, false); }
DEVICE void stmatrix4_transposed(const void* row, uint32_t a, uint32_t b, uint32_t c, uint32_t d) { twin::store_matrices(row, {a, b, c, d}, true); }
DEVICE void grid_wait() {}
DEVICE void grid_release() {}
DEVICE void prefetch_l2(const void*, uint32_t) {}
