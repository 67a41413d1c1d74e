// Attention forward for Hopper: the entry points, one a head dimension. The kernel is in attention-forward.cuh.
//
// attention_forward_D(q, k, v, out, lse, shape): maps of bf16 [tokens, heads, D] (k and v: kv_heads) with boxes of 64 × 1 × 64
// elements, swizzled by 128 bytes; lse f32 [sequences, heads, sequence], natural log of the sum of exponentials.
// Grid: heads × ⌈tokens / queries⌉.
//
//   kernel                                queries   threads   shared bytes   a multiprocessor
//   attention_forward_64                  192       512        91136         1, where queries see more than some 2,000 keys
//   attention_forward_80, 96, 120, 128    192       512       181248         1
//   attention_forward_short_64            128       384        50176         2, where they see fewer
//   attention_forward_short_80            128       384        99328         2
// nvcc: -use_fast_math
#include "attention-forward.cuh"

namespace attention_forward {
// Who launches them reads the table.
static_assert(sizeof(Long64::Shared) == 91136 && sizeof(Long80::Shared) == 181248 && sizeof(Long96::Shared) == 181248 && sizeof(Long120::Shared) == 181248 && sizeof(Long128::Shared) == 181248);
static_assert(sizeof(Short64::Shared) == 50176 && sizeof(Short80::Shared) == 99328);
}  // namespace attention_forward

extern "C" __global__ void __launch_bounds__(attention_forward::Long64::THREADS, attention_forward::Long64::BLOCKS)
attention_forward_64(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap out, float* lse, AttentionShape shape) {
    attention_forward::run<attention_forward::Long64>(q, k, v, out, lse, shape);
}

extern "C" __global__ void __launch_bounds__(attention_forward::Long80::THREADS, attention_forward::Long80::BLOCKS)
attention_forward_80(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap out, float* lse, AttentionShape shape) {
    attention_forward::run<attention_forward::Long80>(q, k, v, out, lse, shape);
}

extern "C" __global__ void __launch_bounds__(attention_forward::Long96::THREADS, attention_forward::Long96::BLOCKS)
attention_forward_96(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap out, float* lse, AttentionShape shape) {
    attention_forward::run<attention_forward::Long96>(q, k, v, out, lse, shape);
}

extern "C" __global__ void __launch_bounds__(attention_forward::Long120::THREADS, attention_forward::Long120::BLOCKS)
attention_forward_120(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap out, float* lse, AttentionShape shape) {
    attention_forward::run<attention_forward::Long120>(q, k, v, out, lse, shape);
}

extern "C" __global__ void __launch_bounds__(attention_forward::Long128::THREADS, attention_forward::Long128::BLOCKS)
attention_forward_128(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap out, float* lse, AttentionShape shape) {
    attention_forward::run<attention_forward::Long128>(q, k, v, out, lse, shape);
}

extern "C" __global__ void __launch_bounds__(attention_forward::Short64::THREADS, attention_forward::Short64::BLOCKS)
attention_forward_short_64(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap out, float* lse, AttentionShape shape) {
    attention_forward::run<attention_forward::Short64>(q, k, v, out, lse, shape);
}

extern "C" __global__ void __launch_bounds__(attention_forward::Short80::THREADS, attention_forward::Short80::BLOCKS)
attention_forward_short_80(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap out, float* lse, AttentionShape shape) {
    attention_forward::run<attention_forward::Short80>(q, k, v, out, lse, shape);
}
