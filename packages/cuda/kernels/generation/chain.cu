// Chains for every type and width of heads; see chain.cuh.
//
// Launched with as many blocks as there are multiprocessors, all at the same time (cuLaunchCooperativeKernel), of 512 threads, and
// `chain::shared_bytes<E, DP>(slots, most_k)` of shared memory: 1024 + slots · 17,408 + (8,192 + ⌈K / 64⌉ · 128 + 64 + 128, rounded up
// to 128) + 2 · 272 · (DP + 8) + 256 + 4 · DP. Heads of D channels take the first DP that is not below; chains without attention any.
// nvcc: -use_fast_math
#include "chain.cuh"

#define CHAIN(NAME, E, DP) extern "C" __global__ void __launch_bounds__(chain::THREADS, 1) chain_##NAME##_##DP(const __grid_constant__ chain::Steps steps) { chain::run<E, DP>(steps); }
CHAIN(bf16, __nv_bfloat16, 64)
CHAIN(bf16, __nv_bfloat16, 80)
CHAIN(bf16, __nv_bfloat16, 96)
CHAIN(bf16, __nv_bfloat16, 112)
CHAIN(bf16, __nv_bfloat16, 128)
CHAIN(f16, __half, 64)
CHAIN(f16, __half, 80)
CHAIN(f16, __half, 96)
CHAIN(f16, __half, 112)
CHAIN(f16, __half, 128)
