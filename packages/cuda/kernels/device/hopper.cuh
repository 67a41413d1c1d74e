// The instructions of Hopper (sm_90a) that the kernels use beyond those of every GPU, each behind a named function, so that
// kernels hold no inline PTX and compile unchanged against the functions of the same names in ../twin. NVIDIA, PTX ISA 9.0.
#pragma once
#include <cuda.h>
#include <warp.cuh>

// ---- Where a thread stands

DEVICE uint32_t cluster_rank() { uint32_t r; asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(r)); return r; }

// ---- Barriers

/// All threads of all blocks of the cluster.
DEVICE void cluster_sync() { asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory"); }

/// An mbarrier in shared memory, whose phase ends when `arrivals` have come and the expected bytes have landed.
DEVICE void barrier_init(uint64_t* b, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(shared_address(b)), "r"(arrivals) : "memory");
}
/// Shows freshly made barriers to the copy engine and to the other blocks of the cluster.
DEVICE void barrier_init_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
/// Arrives, and lets the phase wait for `bytes` more of copies.
DEVICE void barrier_expect(uint64_t* b, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(shared_address(b)), "r"(bytes) : "memory");
}
/// Waits until the phase of this parity has ended.
DEVICE void barrier_wait(uint64_t* b, uint32_t parity) {
    asm volatile("{\n.reg .pred p;\nWAIT_%=:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra WAIT_%=;\n}"
                 :: "r"(shared_address(b)), "r"(parity) : "memory");
}
DEVICE void barrier_arrive(uint64_t* b) { asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(shared_address(b)) : "memory"); }
/// Arrives when all that this thread has asked for by cp_async has landed, while it goes on.
DEVICE void cp_async_arrive(uint64_t* b) { asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" :: "r"(shared_address(b)) : "memory"); }
/// Arrives on the barrier at the same place in another block of the cluster.
DEVICE void barrier_arrive_remote(uint64_t* b, uint32_t rank) {
    asm volatile("{\n.reg .b32 r;\nmapa.shared::cluster.u32 r, %0, %1;\nmbarrier.arrive.shared::cluster.b64 _, [r];\n}"
                 :: "r"(shared_address(b)), "r"(rank) : "memory");
}

// ---- The copy engine (TMA): boxes of a two-dimensional tensor, by column and row of their first element

DEVICE void tma_load(void* to, const CUtensorMap* map, uint64_t* full, int column, int row) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];"
                 :: "r"(shared_address(to)), "l"(map), "r"(shared_address(full)), "r"(column), "r"(row) : "memory");
}
/// `bytes` in a row, a multiple of 16.
DEVICE void bulk_load(void* to, const void* from, uint64_t* full, uint32_t bytes) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
                 :: "r"(shared_address(to)), "l"(from), "r"(bytes), "r"(shared_address(full)) : "memory");
}
/// Into the same place of every block whose bit is set, where each block's own barrier counts the bytes.
DEVICE void tma_load_multicast(void* to, const CUtensorMap* map, uint64_t* full, int column, int row, uint16_t blocks) {
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4}], [%2], %5;"
                 :: "r"(shared_address(to)), "l"(map), "r"(shared_address(full)), "r"(column), "r"(row), "h"(blocks) : "memory");
}
/// The same of three-dimensional tensors: boxes of one plane of the middle dimension.
DEVICE void tma_load_3d(void* to, const CUtensorMap* map, uint64_t* full, int column, int plane, int row) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];"
                 :: "r"(shared_address(to)), "l"(map), "r"(shared_address(full)), "r"(column), "r"(plane), "r"(row) : "memory");
}
DEVICE void tma_store(const CUtensorMap* map, const void* from, int column, int row) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];"
                 :: "l"(map), "r"(shared_address(from)), "r"(column), "r"(row) : "memory");
}
DEVICE void tma_store_3d(const CUtensorMap* map, const void* from, int column, int plane, int row) {
    asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];"
                 :: "l"(map), "r"(shared_address(from)), "r"(column), "r"(plane), "r"(row) : "memory");
}
/// Adds f32 elements to those in memory, each in one rounding.
DEVICE void tma_add(const CUtensorMap* map, const void* from, int column, int row) {
    asm volatile("cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%0, {%2, %3}], [%1];"
                 :: "l"(map), "r"(shared_address(from)), "r"(column), "r"(row) : "memory");
}
DEVICE void tma_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
/// Until the stores of this thread have read their shared memory, but for the last N groups.
template <int N = 0> DEVICE void tma_wait_read() { asm volatile("cp.async.bulk.wait_group.read %0;" :: "n"(N) : "memory"); }
/// Until the stores of this thread are in memory.
DEVICE void tma_wait() { asm volatile("cp.async.bulk.wait_group 0;" ::: "memory"); }
/// Between ordinary writes to shared memory and their reading by the copy engine or the tensor cores; then a barrier.
DEVICE void async_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// ---- Tensor cores (wgmma): D[64, N] of a warpgroup; thread t holds rows t/32·16 + t%32/4 + {0, 8}, columns 8j + t%4·2 + {0, 1}

DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
/// Until all products are done but those of the last N groups.
template <int N> DEVICE void wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(N) : "memory"); }
/// Keeps values in their registers across products that run on: the compiler does not see those write and read.
template <int N> DEVICE void pin(float* d) {
    #pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i]) :: "memory");
}
template <int N> DEVICE void pin(uint32_t* a) {
    #pragma unroll
    for (int i = 0; i < N; i++) asm volatile("" : "+r"(a[i]) :: "memory");
}
/// An operand in shared memory in rows of 128 bytes, swizzled by 128, starting at a multiple of 1024 bytes.
/// K-major: `stride` bytes from one group of 8 rows to the next, `leading` unused; a step of k adds bytes/16.
/// MN-major: `leading` bytes from one panel of 128 bytes to the next, `stride` from one group of 8 k to the next.
DEVICE uint64_t descriptor(const void* p, uint64_t leading = 16, uint64_t stride = 1024) {
    return ((shared_address(p) & 0x3FFFF) >> 4) | ((leading >> 4) << 16) | ((stride >> 4) << 32) | (1ull << 62);
}

#define R8(d, i) "+f"(d[i]), "+f"(d[i+1]), "+f"(d[i+2]), "+f"(d[i+3]), "+f"(d[i+4]), "+f"(d[i+5]), "+f"(d[i+6]), "+f"(d[i+7])
#define R32(d) R8(d,0), R8(d,8), R8(d,16), R8(d,24)
#define R40(d) R32(d), R8(d,32)
#define R48(d) R40(d), R8(d,40)
#define R60(d) R48(d), R8(d,48), "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59])
#define R64(d) R48(d), R8(d,48), R8(d,56)
#define R80(d) R64(d), R8(d,64), R8(d,72)
#define R96(d) R80(d), R8(d,80), R8(d,88)
#define R128(d) R96(d), R8(d,96), R8(d,104), R8(d,112), R8(d,120)
#define P32 "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define P40 P32 ",%32,%33,%34,%35,%36,%37,%38,%39"
#define P48 P40 ",%40,%41,%42,%43,%44,%45,%46,%47"
#define P60 P48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59"
#define P64 P48 ",%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define P80 P64 ",%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79"
#define P96 P80 ",%80,%81,%82,%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95"
#define P128 P96 ",%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"

/// `d = a · bᵀ`, added to d where `accumulate` is not 0; both operands K-major in shared memory, k = 32 bytes.
template <class A, class B, int N> struct WgmmaFp8;
#define WGMMA_FP8(A, B, N, HALF, IA, IB, IP) \
template <> struct WgmmaFp8<__nv_fp8_##A, __nv_fp8_##B, N> { static DEVICE void run(float* d, uint64_t a, uint64_t b, int accumulate) { \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #IP ", 0;\nwgmma.mma_async.sync.aligned.m64n" #N "k32.f32." #A "." #B " {" P##HALF "}, %" #IA ", %" #IB ", p, 1, 1;\n}" \
                 : R##HALF(d) : "l"(a), "l"(b), "r"(accumulate)); } };
WGMMA_FP8(e4m3, e4m3, 128, 64, 64, 65, 66)
WGMMA_FP8(e5m2, e4m3, 128, 64, 64, 65, 66)
WGMMA_FP8(e4m3, e4m3, 256, 128, 128, 129, 130)
WGMMA_FP8(e5m2, e4m3, 256, 128, 128, 129, 130)
template <class A, class B, int N> DEVICE void wgmma_fp8(float* d, uint64_t a, uint64_t b, int accumulate) { WgmmaFp8<A, B, N>::run(d, a, b, accumulate); }

/// The same for bf16, k = 16; an operand is K-major or MN-major (transposed in shared memory).
enum Major { K_MAJOR = 0, MN_MAJOR = 1 };
template <int N, Major A, Major B> struct WgmmaBf16;
#define WGMMA_BF16(N, HALF, IA, IB, IP, ITA, ITB) \
template <Major A, Major B> struct WgmmaBf16<N, A, B> { static DEVICE void run(float* d, uint64_t a, uint64_t b, int accumulate) { \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #IP ", 0;\nwgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" P##HALF "}, %" #IA ", %" #IB ", p, 1, 1, %" #ITA ", %" #ITB ";\n}" \
                 : R##HALF(d) : "l"(a), "l"(b), "r"(accumulate), "n"(int(A)), "n"(int(B))); } };
WGMMA_BF16(64, 32, 32, 33, 34, 35, 36)
WGMMA_BF16(128, 64, 64, 65, 66, 67, 68)
WGMMA_BF16(256, 128, 128, 129, 130, 131, 132)
template <int N, Major A = K_MAJOR, Major B = K_MAJOR> DEVICE void wgmma_bf16(float* d, uint64_t a, uint64_t b, int accumulate) {
    WgmmaBf16<N, A, B>::run(d, a, b, accumulate);
}

/// The same with A in registers: four pairs of bf16 a thread, laid out as the columns 16k … 16k + 15 of a D.
template <int N, Major B> struct WgmmaBf16Registers;
#define WGMMA_BF16_REGISTERS(N, HALF, I0, I1, I2, I3, IB, IP, ITB) \
template <Major B> struct WgmmaBf16Registers<N, B> { static DEVICE void run(float* d, const uint32_t* a, uint64_t b, int accumulate) { \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #IP ", 0;\nwgmma.mma_async.sync.aligned.m64n" #N "k16.f32.bf16.bf16 {" P##HALF "}, {%" #I0 ",%" #I1 ",%" #I2 ",%" #I3 "}, %" #IB ", p, 1, 1, %" #ITB ";\n}" \
                 : R##HALF(d) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(accumulate), "n"(int(B))); } };
WGMMA_BF16_REGISTERS(64, 32, 32, 33, 34, 35, 36, 37, 38)
WGMMA_BF16_REGISTERS(80, 40, 40, 41, 42, 43, 44, 45, 46)
WGMMA_BF16_REGISTERS(96, 48, 48, 49, 50, 51, 52, 53, 54)
WGMMA_BF16_REGISTERS(120, 60, 60, 61, 62, 63, 64, 65, 66)
WGMMA_BF16_REGISTERS(128, 64, 64, 65, 66, 67, 68, 69, 70)
template <int N, Major B> DEVICE void wgmma_bf16_registers(float* d, const uint32_t* a, uint64_t b, int accumulate) {
    WgmmaBf16Registers<N, B>::run(d, a, b, accumulate);
}

/// Moves registers between the roles of a warp-specialised block; multiples of 8, all warps of the group.
template <int R> DEVICE void registers_grow() { asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(R)); }
template <int R> DEVICE void registers_shrink() { asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(R)); }

// ---- Small things

/// Stores four 8×8 matrices of 16-bit elements; lane 8i + r names the address of row r of matrix i (16 bytes).
DEVICE void stmatrix4(const void* row, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" :: "r"(shared_address(row)), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}
