// The CPU twin of ../device/hopper.cuh: the same functions, so that kernels compile unchanged with a C++ compiler and run
// without a GPU. Every CUDA thread is a fiber; barriers yield to the others. Functional only: a copy lands when it is
// issued and a product runs where it is issued, so that what waiting is missing shows as a deadlock or a wrong value,
// and races of the async proxy do not show.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <vector>
using std::max;
using std::min;
#undef __global__
#undef __device__
#undef __host__
#undef __forceinline__
#undef __launch_bounds__
#undef __cluster_dims__
#undef __grid_constant__
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __grid_constant__
#define DEVICE inline

namespace twin {
struct Dim { int x = 1, y = 1, z = 1; };
struct Warp { int arrived = 0; long round = 0; uint64_t slot[32]; uint32_t registers[32][4]; };
struct Named { int arrived = 0; long round = 0; };
struct Mbarrier { int expected = 0, pending = 0; long bytes = 0, phase = 0; };
struct Block {
    std::vector<uint8_t> store; uint8_t* shared; Dim index; int rank;
    std::vector<Warp> warps; Named named[16]; std::map<uint32_t, Mbarrier> barriers;
};
struct Cluster { std::vector<std::unique_ptr<Block>> blocks; Named sync; };
struct Fiber { ucontext_t context; std::unique_ptr<char[]> stack; Block* block; Dim thread; bool done = false; };
constexpr size_t STACK = 64 << 10;
inline Cluster* cluster; inline Fiber* self; inline ucontext_t scheduler; inline Dim block_size, grid_size;
inline std::function<void()> body;

inline void yield() { swapcontext(&self->context, &scheduler); }
inline void entry() { body(); self->done = true; swapcontext(&self->context, &scheduler); }
inline void meet(Named& n, int count) {
    const long round = n.round;
    if (++n.arrived == count) { n.arrived = 0; n.round++; } else while (n.round == round) yield();
}
inline Block& block() { return *self->block; }
inline Warp& warp() { return block().warps[self->thread.x / 32]; }
inline void warp_sync() {
    Warp& w = warp(); const long round = w.round;
    if (++w.arrived == 32) { w.arrived = 0; w.round++; } else while (w.round == round) yield();
}

/// Runs a grid: the blocks of a cluster together, clusters one after another. Shared memory starts as garbage.
inline void launch(Dim grid, int threads, int cluster_size, size_t shared_bytes, std::function<void()> kernel) {
    grid_size = grid; block_size = {threads, 1, 1}; body = kernel;
    for (int z = 0; z < grid.z; z++) for (int y = 0; y < grid.y; y++) for (int first = 0; first < grid.x; first += cluster_size) {
        Cluster here; cluster = &here;
        std::vector<std::unique_ptr<Fiber>> fibers;
        for (int r = 0; r < cluster_size; r++) {
            auto b = std::make_unique<Block>();
            b->store.assign(shared_bytes + 2048, 0xCD); b->rank = r; b->index = {first + r, y, z}; b->warps.resize(threads / 32);
            b->shared = (uint8_t*)(((uintptr_t)b->store.data() + 1023) & ~(uintptr_t)1023);
            for (int t = 0; t < threads; t++) {
                auto f = std::make_unique<Fiber>();
                f->stack.reset(new char[STACK]); f->block = b.get(); f->thread = {t, 0, 0};
                getcontext(&f->context); f->context.uc_stack.ss_sp = f->stack.get(); f->context.uc_stack.ss_size = STACK;
                f->context.uc_link = nullptr; makecontext(&f->context, entry, 0);
                fibers.push_back(std::move(f));
            }
            here.blocks.push_back(std::move(b));
        }
        size_t left = fibers.size(); long idle = 0;
        while (left) {
            const size_t before = left;
            for (auto& f : fibers) if (!f->done) { self = f.get(); swapcontext(&scheduler, &f->context); if (f->done) left--; }
            idle = before == left ? idle + 1 : 0;
            if (idle > 200000) { fprintf(stderr, "deadlock: %zu threads wait for ever\n", left); exit(1); }
        }
    }
}

/// What the driver keeps in a tensor map.
struct Map { uint8_t* base; uint64_t columns, rows, stride; uint32_t box_columns, box_rows; int element, swizzle; };   // sizes in elements, stride in bytes
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
    const twin::Map m{(uint8_t*)base, columns, rows, columns * element, box_columns, box_rows, element, swizzle};
    CUtensorMap map{}; memcpy(&map, &m, sizeof m); return map;
}
/// A tensor map of rows of `planes` planes, with boxes of `box_columns` × `box_rows` of one plane.
inline CUtensorMap tensor_map_3d(const void* base, int element, uint64_t columns, uint64_t planes, uint64_t rows, uint32_t box_columns, uint32_t box_rows, int swizzle = 128) {
    CUtensorMap map = tensor_map(base, element, columns, rows, box_columns, box_rows, swizzle);
    twin::Map m; memcpy(&m, &map, sizeof m); m.stride = planes * columns * element; memcpy(&map, &m, sizeof m); return map;
}
namespace twin {
inline Map plane(const CUtensorMap* map, int plane) { Map m = *(const Map*)map; m.base += plane * m.columns * m.element; return m; }
}
#define threadIdx (twin::self->thread)
#define blockIdx (twin::self->block->index)
#define gridDim (twin::grid_size)
#define blockDim (twin::block_size)

DEVICE uint8_t* shared_memory() { return twin::block().shared; }
DEVICE uint32_t shared_address(const void* p) { return (uint32_t)((const uint8_t*)p - twin::block().shared); }
DEVICE uint32_t cluster_rank() { return twin::block().rank; }
DEVICE void cluster_sync() { twin::meet(twin::cluster->sync, (int)twin::cluster->blocks.size() * twin::block_size.x); }
DEVICE void __syncthreads() { twin::meet(twin::block().named[0], twin::block_size.x); }
DEVICE void __syncwarp() { twin::warp_sync(); }
DEVICE void group_sync(int id, int count) { twin::meet(twin::block().named[id], count); }
DEVICE void group_arrive(int id, int count) { auto& n = twin::block().named[id]; if (++n.arrived == count) { n.arrived = 0; n.round++; } }
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
inline float half_of(uint32_t pair, int high) { const uint16_t bits = high ? pair >> 16 : pair & 0xFFFF; __nv_bfloat16 v; memcpy(&v, &bits, 2); return __bfloat162float(v); }
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
template <class T> T shuffle(T v, int from) {
    auto& w = warp(); memcpy(&w.slot[self->thread.x % 32], &v, sizeof v); warp_sync();
    T out; memcpy(&out, &w.slot[from], sizeof out); warp_sync(); return out;
}
}  // namespace twin
DEVICE void stmatrix4(const void* row, uint32_t a, uint32_t b, uint32_t c, uint32_t d) { twin::store_matrices(row, {a, b, c, d}, false); }
DEVICE void stmatrix4_transposed(const void* row, uint32_t a, uint32_t b, uint32_t c, uint32_t d) { twin::store_matrices(row, {a, b, c, d}, true); }
template <class T> T __shfl_sync(unsigned, T v, int from) { return twin::shuffle(v, from); }
template <class T> T __shfl_xor_sync(unsigned, T v, int mask) { return twin::shuffle(v, (threadIdx.x % 32) ^ mask); }
namespace twin {
inline void load_matrices(uint32_t* r, const void* row, bool transposed) {
    auto& w = warp(); const int lane = self->thread.x % 32;
    w.slot[lane] = (uint64_t)row; warp_sync();
    for (int m = 0; m < 4; m++) for (int h = 0; h < 2; h++) {
        const int i = lane / 4, j = lane % 4 * 2 + h;
        uint16_t bits; memcpy(&bits, (const uint8_t*)w.slot[m * 8 + (transposed ? j : i)] + (transposed ? i : j) * 2, 2);
        r[m] = h ? (r[m] & 0xFFFF) | (uint32_t)bits << 16 : bits;
    }
    warp_sync();
}
}  // namespace twin
DEVICE void ldmatrix4(uint32_t* r, const void* row) { twin::load_matrices(r, row, false); }
DEVICE void ldmatrix4_transposed(uint32_t* r, const void* row) { twin::load_matrices(r, row, true); }
DEVICE void mma_bf16(float* d, const uint32_t* a, const uint32_t* b) {
    auto& w = twin::warp(); const int lane = threadIdx.x % 32;
    memcpy(w.registers[lane], a, 16); memcpy(&w.slot[lane], b, 8); twin::warp_sync();
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++) {
            uint32_t pairs[2]; memcpy(pairs, &w.slot[column * 4 + k % 8 / 2], 8);
            d[i] += twin::half_of(w.registers[row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2], k % 2) * twin::half_of(pairs[k / 8], k % 2);
        }
    }
    twin::warp_sync();
}
DEVICE uint4 load_once(const void* from) { uint4 v; memcpy(&v, from, 16); return v; }
DEVICE uint32_t pack_bf16(float low, float high) { __nv_bfloat162 p = __floats2bfloat162_rn(low, high); uint32_t u; memcpy(&u, &p, 4); return u; }
DEVICE float exp2_fast(float x) { return exp2f(x); }

// ---- Plain CUDA
DEVICE int __float_as_int(float x) { int i; memcpy(&i, &x, 4); return i; }
DEVICE float __int_as_float(int i) { float x; memcpy(&x, &i, 4); return x; }
DEVICE uint32_t __float_as_uint(float x) { uint32_t i; memcpy(&i, &x, 4); return i; }
DEVICE float __uint_as_float(uint32_t i) { float x; memcpy(&x, &i, 4); return x; }
DEVICE uint32_t atomicMax(uint32_t* to, uint32_t v) { const uint32_t old = *to; *to = max(old, v); return old; }
DEVICE uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector) {
    const uint64_t both = (uint64_t)b << 32 | a; uint32_t out = 0;
    for (int i = 0; i < 4; i++) out |= (uint32_t)(both >> 8 * (selector >> 4 * i & 7) & 0xFF) << 8 * i;
    return out;
}
DEVICE float __expf(float x) { return expf(x); }
DEVICE float __fdividef(float a, float b) { return a / b; }
DEVICE float rsqrtf(float x) { return 1 / sqrtf(x); }
#undef __shared__
#define __shared__ static   // blocks run one after another
template <class T> T __shfl_down_sync(unsigned, T v, int by) { const int lane = threadIdx.x % 32; return twin::shuffle(v, lane + by < 32 ? lane + by : lane); }
template <class T> T __shfl_up_sync(unsigned, T v, int by) { const int lane = threadIdx.x % 32; return twin::shuffle(v, lane >= by ? lane - by : lane); }
DEVICE uint32_t __match_any_sync(unsigned, int v) {
    auto& w = twin::warp(); w.slot[threadIdx.x % 32] = (uint32_t)v; twin::warp_sync(); uint32_t mask = 0;
    for (int i = 0; i < 32; i++) mask |= (uint32_t)((uint32_t)w.slot[i] == (uint32_t)v) << i;
    twin::warp_sync(); return mask;
}
DEVICE uint32_t __ballot_sync(unsigned, int v) {
    auto& w = twin::warp(); w.slot[threadIdx.x % 32] = v != 0; twin::warp_sync(); uint32_t mask = 0;
    for (int i = 0; i < 32; i++) mask |= (uint32_t)w.slot[i] << i;
    twin::warp_sync(); return mask;
}
DEVICE int __popc(uint32_t v) { return __builtin_popcount(v); }
template <class T> T atomicAdd(T* to, T v) { const T old = *to; *to += v; return old; }
DEVICE void __threadfence() {}
template <class T> T __ldcg(const T* p) { return *p; }
DEVICE void grid_wait() {}
DEVICE void grid_release() {}
DEVICE void prefetch_l2(const void*, uint32_t) {}
