// The CPU twin of ../device/warp.cuh and of CUDA's own functions, so that kernels compile unchanged with a C++ compiler and
// run without a GPU; grid.h says how.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "grid.h"
#include "tensor-core-sums.h"
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
// All variables in one section, so that they can be poisoned between blocks. The assembler takes the number for a comment; to
// the compiler it is another section each time, for it lets no variables of templates and of functions into the same one.
#undef __shared__
#define TWIN_SECTION(number) static __attribute__((section("danu_shared/*" #number "*/")))
#define TWIN_VARIABLE(number) TWIN_SECTION(number)
#define __shared__ TWIN_VARIABLE(__COUNTER__)

#define threadIdx (twin::self->thread)
#define blockIdx (twin::self->block->index)
#define gridDim (twin::grid_size)
#define blockDim (twin::block_size)

DEVICE uint8_t* shared_memory() { return twin::block().shared; }
DEVICE uint32_t shared_address(const void* p) {
    const auto& b = twin::block(); const size_t at = (const uint8_t*)p - b.shared;
    if (at >= b.bytes) twin::fail("an address that is not of the block's shared memory");
    return at;
}
DEVICE void __syncthreads() { twin::meet(twin::block().named[0], twin::block_size.x, "for all of their block"); }
DEVICE void __syncwarp() { twin::warp_sync(); }
DEVICE void group_sync(int id, int count) { twin::meet(twin::block().named[id], count, "for their group"); }
namespace twin {
inline float half_of(uint32_t pair, int high) { const uint16_t bits = high ? pair >> 16 : pair & 0xFFFF; __nv_bfloat16 v; memcpy(&v, &bits, 2); return __bfloat162float(v); }
/// What lane `from` holds.
template <class T> T shuffle(T v, int from) {
    T out; Lane& own = lane(); own.in[0] = &v; own.out = &out; own.number = from & 31;
    warp_meet([](Warp& w) { for (int i = 0; i < w.lanes; i++) memcpy(w.lane[i].out, w.lane[w.lane[i].number].in[0], sizeof(T)); });
    return out;
}
}  // namespace twin
template <class T> T __shfl_sync(unsigned, T v, int from) { return twin::shuffle(v, from); }
template <class T> T __shfl_xor_sync(unsigned, T v, int mask) { return twin::shuffle(v, (threadIdx.x % 32) ^ mask); }
namespace twin {
/// Moves four 8×8 matrices of 16-bit elements between the rows that lanes name and the registers of all lanes.
template <class F> void move_matrices(const void* row, const void* registers, F move) {
    Lane& own = lane(); own.in[0] = row; own.in[1] = registers;
    warp_meet([&](Warp& w) {
        for (int l = 0; l < 32; l++) for (int m = 0; m < 4; m++) for (int h = 0; h < 2; h++)
            move([&](int r, int e) { return (uint16_t*)w.lane[m * 8 + r].in[0] + e; }, l / 4, l % 4 * 2 + h, (uint16_t*)w.lane[l].in[1] + 2 * m + h);
    });
}
inline void load_matrices(uint32_t* r, const void* row, bool transposed) {
    move_matrices(row, r, [=](auto at, int i, int j, uint16_t* half) { *half = transposed ? *at(j, i) : *at(i, j); });
}
}  // namespace twin
DEVICE void ldmatrix4(uint32_t* r, const void* row) { twin::load_matrices(r, row, false); }
DEVICE void ldmatrix4_transposed(uint32_t* r, const void* row) { twin::load_matrices(r, row, true); }
namespace twin {
/// d[16, 8] += A[16, K] · B[K, 8], where K elements of k are 32 bytes; `add(d, A, B)` adds their products.
template <class A, class B, class Add> void mma(float* d, const uint32_t* a, const uint32_t* b, Add add) {
    constexpr int PER = 4 / sizeof(A), K = 8 * PER;
    Lane& own = lane(); own.in[0] = a; own.in[1] = b; own.out = d;
    warp_meet([&](Warp& w) {
        float x[16][K], y[K][8];
        for (int l = 0; l < 32; l++) {
            A own_a[4 * PER]; B own_b[2 * PER]; memcpy(own_a, w.lane[l].in[0], sizeof own_a); memcpy(own_b, w.lane[l].in[1], sizeof own_b);
            for (int r = 0; r < 4; r++) for (int e = 0; e < PER; e++) x[l / 4 + r % 2 * 8][r / 2 * 4 * PER + l % 4 * PER + e] = float(own_a[r * PER + e]);
            for (int r = 0; r < 2; r++) for (int e = 0; e < PER; e++) y[r * 4 * PER + l % 4 * PER + e][l / 4] = float(own_b[r * PER + e]);
        }
        float sum[16 * 8];
        const auto at = [&](int i) -> float& { return ((float*)w.lane[i / 8 % 8 * 4 + i % 8 / 2].out)[i / 64 * 2 + i % 2]; };
        for (int i = 0; i < 16 * 8; i++) sum[i] = at(i);
        add(sum, x, y);
        for (int i = 0; i < 16 * 8; i++) at(i) = sum[i];
    });
}
}  // namespace twin
DEVICE void mma_bf16(float* d, const uint32_t* a, const uint32_t* b) { twin::mma<__nv_bfloat16, __nv_bfloat16>(d, a, b, twin::add_f32<16, 16, 8>); }
DEVICE void mma_f16(float* d, const uint32_t* a, const uint32_t* b) { twin::mma<__half, __half>(d, a, b, twin::add_f32<16, 16, 8>); }
constexpr bool FP8_PRODUCTS = true;
template <class A, class B> DEVICE void mma_fp8(float* d, const uint32_t* a, const uint32_t* b) { twin::mma<A, B>(d, a, b, twin::add_fp8<16, A, B, 16, 32, 8>); }
DEVICE void cp_async(void* to, const void* from, int bytes = 16) {
    if ((uintptr_t)to % 16 || (uintptr_t)from % 16) twin::fail("cp_async at an address that is no multiple of 16");
    twin::self->copies.push_back({(uint8_t*)to, (const uint8_t*)from, bytes, 16, twin::self->copy_group});
}
DEVICE void cp_async_word(void* to, const void* from, bool copied) {
    if ((uintptr_t)to % 4 || (uintptr_t)from % 4) twin::fail("cp_async_word at an address that is no multiple of 4");
    twin::self->copies.push_back({(uint8_t*)to, (const uint8_t*)from, copied ? 4 : 0, 4, twin::self->copy_group});
}
DEVICE void cp_async_commit() { twin::self->copy_group++; }
template <int N> DEVICE void cp_async_wait() {
    auto& f = *twin::self;
    for (size_t i = 0; i < f.copies.size();) if (f.copies[i].group < f.copy_group - N) twin::do_copy(f, i); else i++;
}
DEVICE void grid_wait() {}
DEVICE void grid_release() {}
namespace twin { inline Queue& readers_of(const uint64_t* word) { return cluster.words[(uintptr_t)word / 8 % 256]; } }
DEVICE void put_word(uint64_t* to, uint32_t value, uint32_t tag) { *to = (uint64_t)tag << 32 | value; twin::wake(twin::readers_of(to)); }
DEVICE uint32_t await_word(const uint64_t* at, uint32_t tag) {
    while (*at >> 32 != tag) twin::wait(twin::readers_of(at), "for a word of another block");
    return (uint32_t)*at;
}
template <int N> DEVICE void await_pairs(const uint64_t* const (&at)[N], uint32_t tag, uint2 (&value)[N]) {
    for (int i = 0; i < N; i++) if (at[i]) value[i] = {await_word(at[i], tag), await_word(at[i] + 1, tag)};
}
DEVICE uint4 load_once(const void* from) { uint4 v; memcpy(&v, from, 16); return v; }
DEVICE uint32_t pack_bf16(float low, float high) { __nv_bfloat162 p = __floats2bfloat162_rn(low, high); uint32_t u; memcpy(&u, &p, 4); return u; }
DEVICE uint32_t pack_f16(float low, float high) { __half2 p = __floats2half2_rn(low, high); uint32_t u; memcpy(&u, &p, 4); return u; }
DEVICE float max_or_nan(float x, float y) { return x != x || y != y ? NAN : max(x, y); }
DEVICE float exp2_fast(float x) { return exp2f(x); }

// ---- Plain CUDA
DEVICE uint32_t __float_as_uint(float x) { uint32_t i; memcpy(&i, &x, 4); return i; }
DEVICE float __uint_as_float(uint32_t i) { float x; memcpy(&x, &i, 4); return x; }
template <class T> T atomicCAS(T* to, T expected, T v) { const T old = *to; if (old == expected) *to = v; return old; }
DEVICE double __dadd_rn(double a, double b) { return a + b; }
DEVICE double __dmul_rn(double a, double b) { return a * b; }
DEVICE uint32_t atomicMax(uint32_t* to, uint32_t v) { const uint32_t old = *to; *to = max(old, v); return old; }
DEVICE uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t selector) {
    const uint64_t both = (uint64_t)b << 32 | a; uint32_t out = 0;
    for (int i = 0; i < 4; i++) out |= (uint32_t)(both >> 8 * (selector >> 4 * i & 7) & 0xFF) << 8 * i;
    return out;
}
DEVICE float __expf(float x) { return expf(x); }
DEVICE float __fdividef(float a, float b) { return a / b; }
DEVICE float rsqrtf(float x) { return 1 / sqrtf(x); }
template <class T> T __shfl_up_sync(unsigned, T v, int by) { const int lane = threadIdx.x % 32; return twin::shuffle(v, lane >= by ? lane - by : lane); }
/// A bit for each lane that has the same number.
DEVICE uint32_t __match_any_sync(unsigned, int v) {
    uint32_t mask = 0; twin::Lane& own = twin::lane(); own.number = v; own.out = &mask;
    twin::warp_meet([](twin::Warp& w) {
        for (int i = 0; i < w.lanes; i++) for (int j = 0; j < w.lanes; j++) *(uint32_t*)w.lane[i].out |= uint32_t(w.lane[i].number == w.lane[j].number) << j;
    });
    return mask;
}
DEVICE int __popc(uint32_t v) { return __builtin_popcount(v); }
template <class T> T atomicAdd(T* to, T v) { const T old = *to; *to += v; return old; }
DEVICE void __threadfence() {}
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> void __stwb(T* p, T v) { *p = v; }
