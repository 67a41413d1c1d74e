// The instructions that every NVIDIA GPU since Ampere (sm_80) has and that the kernels use, each behind a named function, so
// that kernels hold no inline PTX and compile unchanged against the functions of the same names in ../twin. NVIDIA, PTX ISA 9.0.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <stdint.h>

#define DEVICE __device__ __forceinline__

// ---- Shared memory and barriers

/// Start of the dynamic shared memory, which a launch asks for in bytes.
DEVICE uint8_t* shared_memory() { extern __shared__ __align__(1024) uint8_t raw[]; return raw; }
DEVICE uint32_t shared_address(const void* p) { return (uint32_t)__cvta_generic_to_shared(p); }
/// `count` threads of this block, by the number of a barrier from 1 to 15.
DEVICE void group_sync(int id, int count) { asm volatile("bar.sync %0, %1;" :: "r"(id), "r"(count) : "memory"); }

// ---- Copies to shared memory that run on, in groups of the thread that asked for them

/// 16 bytes, of which the first `bytes` are copied and the rest become zero; both addresses are multiples of 16.
DEVICE void cp_async(void* to, const void* from, int bytes = 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(shared_address(to)), "l"(from), "r"(bytes) : "memory");
}
/// 4 bytes, or zero.
DEVICE void cp_async_word(void* to, const void* from, bool copied) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(shared_address(to)), "l"(from), "r"(copied ? 4 : 0) : "memory");
}
DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Until this thread's copies have landed, but for those of its last N groups.
template <int N> DEVICE void cp_async_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory"); }

// ---- Tensor cores and matrices of one warp

/// Loads four 8×8 matrices of 16-bit elements; lane 8i + r names the address of row r of matrix i (16 bytes). Lane l gets
/// elements 2(l % 4) and the next of row l / 4 of each; transposed, of column l / 4.
DEVICE void ldmatrix4(uint32_t* r, const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
DEVICE void ldmatrix4_transposed(uint32_t* r, const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
/// The tensor core of one warp: d[16, 8] += A[16, 16] · B[16, 8]. With g = lane / 4, t = lane % 4, registers hold: of d rows
/// g (0, 1) and g + 8 (2, 3), columns 2t and 2t + 1; of A pairs of k 2t (0, 1) and 2t + 8 (2, 3) of rows g and g + 8; of B
/// column g, pairs of k 2t and 2t + 8.
DEVICE void mma_bf16(float* d, const uint32_t* a, const uint32_t* b) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void mma_f16(float* d, const uint32_t* a, const uint32_t* b) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/// Whether warps of the chip that is compiled for multiply fp8: those of Ada do; Hopper has it in wgmma alone, and mma_fp8
/// becomes products of f16 there.
#if __CUDA_ARCH__ == 890
constexpr bool FP8_PRODUCTS = true;
#else
constexpr bool FP8_PRODUCTS = false;
#endif
/// The same for fp8, k = 32: d[16, 8] += A[16, 32] · B[32, 8], four elements of k in a register where there were two.
template <class A, class B> struct MmaFp8;
#if __CUDA_ARCH__ >= 890
#define MMA_FP8(A, B) template <> struct MmaFp8<__nv_fp8_##A, __nv_fp8_##B> { static DEVICE void run(float* d, const uint32_t* a, const uint32_t* b) { \
    asm volatile("mma.sync.aligned.m16n8k32.row.col.f32." #A "." #B ".f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};" \
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])); } };
MMA_FP8(e4m3, e4m3)
MMA_FP8(e5m2, e4m3)
#endif
template <class A, class B> DEVICE void mma_fp8(float* d, const uint32_t* a, const uint32_t* b) { MmaFp8<A, B>::run(d, a, b); }

// ---- Kernels that start before those in front of them are done: Hopper and later, nothing happens on other chips

#if __CUDA_ARCH__ >= 900
constexpr bool STARTS_EARLY = true;
#else
constexpr bool STARTS_EARLY = false;
#endif
/// Launched as a programmatic dependent: until the kernels before this one are done and what they wrote is to be seen.
/// Every block calls it before it reads or writes what they touch; in an ordinary launch it returns at once.
DEVICE void grid_wait() { if constexpr (STARTS_EARLY) asm volatile("griddepcontrol.wait;" ::: "memory"); }
/// Lets the next kernel start its blocks where there is room, before this one is done. After `grid_wait`, so that at most
/// two kernels are under way.
DEVICE void grid_release() { if constexpr (STARTS_EARLY) asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }

// ---- Words that blocks which run at the same time pass each other: 32 bits, and 32 more by which a reader knows that they are there

/// Words are in the device's memory, at multiples of 8 bytes. Nothing else is ordered by them.
DEVICE void put_word(uint64_t* to, uint32_t value, uint32_t tag) {
    asm volatile("st.relaxed.gpu.global.b64 [%0], %1;" :: "l"(to), "l"((uint64_t)tag << 32 | value) : "memory");
}
/// Waits until the word has this tag.
DEVICE uint32_t await_word(const uint64_t* at, uint32_t tag) {
    uint64_t word;
    do asm volatile("ld.relaxed.gpu.global.b64 %0, [%1];" : "=l"(word) : "l"(at) : "memory"); while (word >> 32 != tag);
    return (uint32_t)word;
}
/// The same for N times two neighbours, at multiples of 16 bytes, all asked for at once; those that are null are left alone.
template <int N> DEVICE void await_pairs(const uint64_t* const (&at)[N], uint32_t tag, uint2 (&value)[N]) {
    bool here;
    do {
        here = true;
        #pragma unroll
        for (int i = 0; i < N; i++) if (at[i]) {
            uint64_t a, b;
            asm volatile("ld.relaxed.gpu.global.v2.b64 {%0, %1}, [%2];" : "=l"(a), "=l"(b) : "l"(at[i]) : "memory");
            value[i] = make_uint2((uint32_t)a, (uint32_t)b);
            here &= a >> 32 == tag && b >> 32 == tag;
        }
    } while (!here);
}

// ---- Small things

/// 16 bytes that no one reads again and that no kernel writes while this one runs: they leave L1 to what is read often.
DEVICE uint4 load_once(const void* from) {
    uint4 v; asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from)); return v;
}
/// Two f32 as a pair of bf16, the first in the low half.
DEVICE uint32_t pack_bf16(float low, float high) {
    __nv_bfloat162 pair = __floats2bfloat162_rn(low, high); return *reinterpret_cast<uint32_t*>(&pair);
}
/// The same as a pair of f16.
DEVICE uint32_t pack_f16(float low, float high) {
    __half2 pair = __floats2half2_rn(low, high); return *reinterpret_cast<uint32_t*>(&pair);
}
/// The larger of two, or NaN where one is.
DEVICE float max_or_nan(float x, float y) { float z; asm("max.NaN.f32 %0, %1, %2;" : "=f"(z) : "f"(x), "f"(y)); return z; }
DEVICE float exp2_fast(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
