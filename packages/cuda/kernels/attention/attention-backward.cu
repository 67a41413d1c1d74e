// Attention backward for Hopper: the entry points, one a head dimension. The kernels are in attention-backward.cuh.
//
// statistics, then keys and queries in any order or side by side:
//   attention_backward_statistics_D(out, d_out, lse, statistics, shape): bf16 [tokens, heads, D], lse as the forward pass
//     writes it, statistics f32 [2, heads, 64·⌈tokens / 64⌉], at a multiple of 16 bytes
//   attention_backward_keys_D(q, k, v, d_out, d_k, d_v, statistics, shape)
//   attention_backward_queries_D(q, k, v, d_out, d_q, statistics, shape): maps of bf16 [tokens, heads, D] (k, v and their
//     gradients: kv_heads) with boxes of 64 × 1 × 64 elements, swizzled by 128 bytes
//
//   kernel                             grid                                       threads   shared bytes
//   attention_backward_statistics_D    4·⌈tokens / 64⌉ × ⌈heads / 4⌉              4·D       32·D
//   attention_backward_keys_64         kv_heads × ⌈tokens / 128⌉                  384        84992
//   attention_backward_keys_D                                                     384       166912
//   attention_backward_queries_64      heads × ⌈tokens / 192⌉                     512        99328
//   attention_backward_queries_D                                                  512       197632
// nvcc: -use_fast_math
#include "attention-backward.cuh"

namespace attention_backward {
// Who launches them reads the table.
template <int D> constexpr bool agrees(size_t keys, size_t queries) { return sizeof(typename Keys<D>::Shared) == keys && sizeof(typename Queries<D>::Shared) == queries; }
static_assert(agrees<64>(84992, 99328) && agrees<80>(166912, 197632) && agrees<96>(166912, 197632) && agrees<120>(166912, 197632) && agrees<128>(166912, 197632));
}  // namespace attention_backward

extern "C" __global__ void __launch_bounds__(attention_backward::Statistics<64>::THREADS)
attention_backward_statistics_64(const __nv_bfloat16* out, const __nv_bfloat16* d_out, const float* lse, float* statistics, AttentionShape shape) {
    attention_backward::run_statistics<attention_backward::Statistics<64>>(out, d_out, lse, statistics, shape);
}
extern "C" __global__ void __launch_bounds__(attention_backward::Keys<64>::THREADS, 1)
attention_backward_keys_64(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_out,
                             const __grid_constant__ CUtensorMap d_k, const __grid_constant__ CUtensorMap d_v, const float* statistics, AttentionShape shape) {
    attention_backward::run_keys<attention_backward::Keys<64>>(q, k, v, d_out, d_k, d_v, statistics, shape);
}
extern "C" __global__ void __launch_bounds__(attention_backward::Queries<64>::THREADS, 1)
attention_backward_queries_64(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_out,
                                const __grid_constant__ CUtensorMap d_q, const float* statistics, AttentionShape shape) {
    attention_backward::run_queries<attention_backward::Queries<64>>(q, k, v, d_out, d_q, statistics, shape);
}

extern "C" __global__ void __launch_bounds__(attention_backward::Statistics<80>::THREADS)
attention_backward_statistics_80(const __nv_bfloat16* out, const __nv_bfloat16* d_out, const float* lse, float* statistics, AttentionShape shape) {
    attention_backward::run_statistics<attention_backward::Statistics<80>>(out, d_out, lse, statistics, shape);
}
extern "C" __global__ void __launch_bounds__(attention_backward::Keys<80>::THREADS, 1)
attention_backward_keys_80(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_out,
                             const __grid_constant__ CUtensorMap d_k, const __grid_constant__ CUtensorMap d_v, const float* statistics, AttentionShape shape) {
    attention_backward::run_keys<attention_backward::Keys<80>>(q, k, v, d_out, d_k, d_v, statistics, shape);
}
extern "C" __global__ void __launch_bounds__(attention_backward::Queries<80>::THREADS, 1)
attention_backward_queries_80(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_out,
                                const __grid_constant__ CUtensorMap d_q, const float* statistics, AttentionShape shape) {
    attention_backward::run_queries<attention_backward::Queries<80>>(q, k, v, d_out, d_q, statistics, shape);
}

extern "C" __global__ void __launch_bounds__(attention_backward::Statistics<96>::THREADS)
attention_backward_statistics_96(const __nv_bfloat16* out, const __nv_bfloat16* d_out, const float* lse, float* statistics, AttentionShape shape) {
    attention_backward::run_statistics<attention_backward::Statistics<96>>(out, d_out, lse, statistics, shape);
}
extern "C" __global__ void __launch_bounds__(attention_backward::Keys<96>::THREADS, 1)
attention_backward_keys_96(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_out,
                             const __grid_constant__ CUtensorMap d_k, const __grid_constant__ CUtensorMap d_v, const float* statistics, AttentionShape shape) {
    attention_backward::run_keys<attention_backward::Keys<96>>(q, k, v, d_out, d_k, d_v, statistics, shape);
}
extern "C" __global__ void __launch_bounds__(attention_backward::Queries<96>::THREADS, 1)
attention_backward_queries_96(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_out,
                                const __grid_constant__ CUtensorMap d_q, const float* statistics, AttentionShape shape) {
    attention_backward::run_queries<attention_backward::Queries<96>>(q, k, v, d_out, d_q, statistics, shape);
}

extern "C" __global__ void __launch_bounds__(attention_backward::Statistics<120>::THREADS)
attention_backward_statistics_120(const __nv_bfloat16* out, const __nv_bfloat16* d_out, const float* lse, float* statistics, AttentionShape shape) {
    attention_backward::run_statistics<attention_backward::Statistics<120>>(out, d_out, lse, statistics, shape);
}
extern "C" __global__ void __launch_bounds__(attention_backward::Keys<120>::THREADS, 1)
attention_backward_keys_120(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_out,
                              const __grid_constant__ CUtensorMap d_k, const __grid_constant__ CUtensorMap d_v, const float* statistics, AttentionShape shape) {
    attention_backward::run_keys<attention_backward::Keys<120>>(q, k, v, d_out, d_k, d_v, statistics, shape);
}
extern "C" __global__ void __launch_bounds__(attention_backward::Queries<120>::THREADS, 1)
attention_backward_queries_120(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_out,
                                 const __grid_constant__ CUtensorMap d_q, const float* statistics, AttentionShape shape) {
    attention_backward::run_queries<attention_backward::Queries<120>>(q, k, v, d_out, d_q, statistics, shape);
}

extern "C" __global__ void __launch_bounds__(attention_backward::Statistics<128>::THREADS)
attention_backward_statistics_128(const __nv_bfloat16* out, const __nv_bfloat16* d_out, const float* lse, float* statistics, AttentionShape shape) {
    attention_backward::run_statistics<attention_backward::Statistics<128>>(out, d_out, lse, statistics, shape);
}
extern "C" __global__ void __launch_bounds__(attention_backward::Keys<128>::THREADS, 1)
attention_backward_keys_128(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_out,
                              const __grid_constant__ CUtensorMap d_k, const __grid_constant__ CUtensorMap d_v, const float* statistics, AttentionShape shape) {
    attention_backward::run_keys<attention_backward::Keys<128>>(q, k, v, d_out, d_k, d_v, statistics, shape);
}
extern "C" __global__ void __launch_bounds__(attention_backward::Queries<128>::THREADS, 1)
attention_backward_queries_128(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v, const __grid_constant__ CUtensorMap d_out,
                                 const __grid_constant__ CUtensorMap d_q, const float* statistics, AttentionShape shape) {
    attention_backward::run_queries<attention_backward::Queries<128>>(q, k, v, d_out, d_q, statistics, shape);
}
