// The CPU twin of ../device/warp.cuh and of CUDA's own functions, so that kernels compile unchanged with a C++ compiler and
// run without a GPU. Every CUDA thread is a fiber; barriers yield to the others.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
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
#include <stdexcept>
#include <string>
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
struct Warp { int arrived = 0; long round = 0; uint64_t slot[32]; uint32_t registers[32][4]; float a[16][32], b[8][32]; };
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

/// What stopped a kernel.
struct Failure : std::runtime_error { using std::runtime_error::runtime_error; };
inline std::string failure;
/// Stops the kernel that runs: `launch` throws what is said here.
[[noreturn]] inline void fail(const std::string& what) { failure = what; for (;;) yield(); }

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
/// @throws Failure if threads wait for ever, or with what `fail` said
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
            for (auto& f : fibers) if (!f->done) { self = f.get(); swapcontext(&scheduler, &f->context); if (f->done) left--; if (!failure.empty()) throw Failure(std::exchange(failure, {})); }
            idle = before == left ? idle + 1 : 0;
            if (idle > 200000) throw Failure("deadlock: " + std::to_string(left) + " threads wait for ever");
        }
    }
}

}  // namespace twin

#define threadIdx (twin::self->thread)
#define blockIdx (twin::self->block->index)
#define gridDim (twin::grid_size)
#define blockDim (twin::block_size)

DEVICE uint8_t* shared_memory() { return twin::block().shared; }
DEVICE uint32_t shared_address(const void* p) { return (uint32_t)((const uint8_t*)p - twin::block().shared); }
DEVICE void __syncthreads() { twin::meet(twin::block().named[0], twin::block_size.x); }
DEVICE void __syncwarp() { twin::warp_sync(); }
DEVICE void group_sync(int id, int count) { twin::meet(twin::block().named[id], count); }
DEVICE void group_arrive(int id, int count) { auto& n = twin::block().named[id]; if (++n.arrived == count) { n.arrived = 0; n.round++; } }
namespace twin {
inline float half_of(uint32_t pair, int high) { const uint16_t bits = high ? pair >> 16 : pair & 0xFFFF; __nv_bfloat16 v; memcpy(&v, &bits, 2); return __bfloat162float(v); }
template <class T> T shuffle(T v, int from) {
    auto& w = warp(); memcpy(&w.slot[self->thread.x % 32], &v, sizeof v); warp_sync();
    T out; memcpy(&out, &w.slot[from], sizeof out); warp_sync(); return out;
}
}  // namespace twin
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
namespace twin {
/// d[16, 8] += A[16, K] · B[K, 8], where K elements of k are 32 bytes.
template <class A, class B> void mma(float* d, const uint32_t* a, const uint32_t* b) {
    constexpr int PER = 4 / sizeof(A), K = 8 * PER;
    auto& w = warp(); const int lane = self->thread.x % 32;
    A own_a[4 * PER]; B own_b[2 * PER]; memcpy(own_a, a, sizeof own_a); memcpy(own_b, b, sizeof own_b);
    for (int r = 0; r < 4; r++) for (int e = 0; e < PER; e++) w.a[lane / 4 + r % 2 * 8][r / 2 * 4 * PER + lane % 4 * PER + e] = float(own_a[r * PER + e]);
    for (int r = 0; r < 2; r++) for (int e = 0; e < PER; e++) w.b[lane / 4][r * 4 * PER + lane % 4 * PER + e] = float(own_b[r * PER + e]);
    warp_sync();
    for (int i = 0; i < 4; i++) for (int k = 0; k < K; k++) d[i] += w.a[lane / 4 + i / 2 * 8][k] * w.b[lane % 4 * 2 + i % 2][k];
    warp_sync();
}
}  // namespace twin
DEVICE void mma_bf16(float* d, const uint32_t* a, const uint32_t* b) { twin::mma<__nv_bfloat16, __nv_bfloat16>(d, a, b); }
DEVICE void mma_f16(float* d, const uint32_t* a, const uint32_t* b) { twin::mma<__half, __half>(d, a, b); }
constexpr bool FP8_PRODUCTS = true;
template <class A, class B> DEVICE void mma_fp8(float* d, const uint32_t* a, const uint32_t* b) { twin::mma<A, B>(d, a, b); }
DEVICE void cp_async(void* to, const void* from, int bytes = 16) { memcpy(to, from, bytes); memset((uint8_t*)to + bytes, 0, 16 - bytes); }
DEVICE void cp_async_commit() {}
template <int N> DEVICE void cp_async_wait() {}
DEVICE uint4 load_once(const void* from) { uint4 v; memcpy(&v, from, 16); return v; }
DEVICE uint32_t pack_bf16(float low, float high) { __nv_bfloat162 p = __floats2bfloat162_rn(low, high); uint32_t u; memcpy(&u, &p, 4); return u; }
DEVICE uint32_t pack_f16(float low, float high) { __half2 p = __floats2half2_rn(low, high); uint32_t u; memcpy(&u, &p, 4); return u; }
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
