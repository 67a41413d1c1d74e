// The products of training on Hopper: D [M, N] = scale · A · Bᵀ, by the variants of gemm.cuh that an H200 ran fastest
// (docs/gpu-facts.md). Persistent: as many blocks as there are multiprocessors, an even number, or fewer where there are fewer
// tiles: two blocks share each pair. 384 threads, clusters of two.
//
//   kernel                     A                   B                   D                   pair of tiles   shared bytes
//   gemm_fp8_forward           e4m3 [M, K]         e4m3 [N, K]         bf16                256 × 256       230,400
//   gemm_fp8_forward_residual  e4m3 [M, K]         e4m3 [N, K]         bf16, + residual    256 × 256       214,016
//   gemm_fp8_input_gradient    e5m2 [M, K]         e4m3 [N, K]         bf16                256 × 256       230,400
//   gemm_fp8_weight_gradient   e5m2 [M, K]         e4m3 [N, K]         f32                 256 × 256       230,400
//   gemm_fp8_weight_gradients  three such products, of which M or N may be 0
//   gemm_bf16_forward          bf16 [M, K]         bf16 [N, K]         bf16                256 × 256       230,400
//   gemm_bf16_forward_residual bf16 [M, K]         bf16 [N, K]         bf16, + residual    256 × 256       214,016
//   gemm_bf16_forward_f32      bf16 [M, K]         bf16 [N, K]         f32                 256 × 256       230,400
//   gemm_bf16_input_gradient   bf16 [M, K]         bf16 [K, N]         bf16                256 × 256       230,400
//   gemm_bf16_input_gradient_residual, the same + residual                            256 × 256       214,016
//   gemm_bf16_weight_gradient  bf16 [K, M]         bf16 [K, N]         f32                 256 × 256       230,400
//   gemm_bf16_weight_gradient_add, the same product added to D
//
// Boxes of the tensor maps, columns × rows, swizzled by 128 bytes:
//   operands with k along their rows   128 bytes of k × the 128 rows that a block fetches
//   operands with k down their columns 64 × 64
//   D and residual                     bf16 64 × 64, f32 32 × 64
// All rows start at multiples of 16 bytes: K is a multiple of 16 (fp8) or 8 (bf16, where k lies along rows), M and N are where
// an operand's or D's rows lie along them, of 8 (bf16) or 4 (f32). K is at least 1. Sums of fp8 gradients are promoted every 128 k.
//
// A residual costs the loop over k one stage of four: the residual of a whole tile waits where D is staged.
#include "gemm.cuh"

namespace products {
using E4m3 = __nv_fp8_e4m3; using E5m2 = __nv_fp8_e5m2; using Bf16 = __nv_bfloat16;

template <class T, Output OUTPUT> using Forward = Gemm<T, T, 128, 256, OUTPUT == Output::bf16_residual ? 3 : 4, Share::b, false, OUTPUT>;
template <Output OUTPUT> using Fp8Gradient = Gemm<E5m2, E4m3, 256, 128, 4, Share::a, true, OUTPUT>;
template <Output OUTPUT> using Bf16InputGradient = Gemm<Bf16, Bf16, 128, 256, OUTPUT == Output::bf16_residual ? 3 : 4, Share::b, false, OUTPUT, K_MAJOR, MN_MAJOR>;
template <Output OUTPUT> using Bf16WeightGradient = Gemm<Bf16, Bf16, 128, 256, 4, Share::b, false, OUTPUT, MN_MAJOR, MN_MAJOR>;

/// What the table promises: half an operand that is shared fits a box of 128 rows.
template <class G, size_t BYTES> constexpr bool IN_TABLE = sizeof(typename G::Shared) == BYTES && G::THREADS == 384 && G::CLUSTER == 2 && G::BM / G::A_PARTS == 128 && G::BN / G::B_PARTS == 128;
static_assert(IN_TABLE<Forward<E4m3, Output::bf16>, 230400> && IN_TABLE<Forward<E4m3, Output::bf16_residual>, 214016>);
static_assert(IN_TABLE<Fp8Gradient<Output::bf16>, 230400> && IN_TABLE<Fp8Gradient<Output::f32>, 230400>);
static_assert(IN_TABLE<Forward<Bf16, Output::bf16>, 230400> && IN_TABLE<Forward<Bf16, Output::bf16_residual>, 214016> && IN_TABLE<Forward<Bf16, Output::f32>, 230400>);
static_assert(IN_TABLE<Bf16InputGradient<Output::bf16>, 230400> && IN_TABLE<Bf16InputGradient<Output::bf16_residual>, 214016> && IN_TABLE<Bf16WeightGradient<Output::f32>, 230400> && IN_TABLE<Bf16WeightGradient<Output::f32_add>, 230400>);
static_assert(sizeof(Problem) == 512 && offsetof(Problem, scale_a) == 384 && offsetof(Problem, M) == 400, "three maps, two pointers, three sizes");
}  // namespace products

extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_fp8_forward(const __grid_constant__ Problems<1> problems) { gemm<products::Forward<products::E4m3, Output::bf16>, 1>(problems); }
extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_fp8_forward_residual(const __grid_constant__ Problems<1> problems, const __grid_constant__ CUtensorMap residual) { gemm<products::Forward<products::E4m3, Output::bf16_residual>, 1>(problems, &residual); }
extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_fp8_input_gradient(const __grid_constant__ Problems<1> problems) { gemm<products::Fp8Gradient<Output::bf16>, 1>(problems); }
extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_fp8_weight_gradient(const __grid_constant__ Problems<1> problems) { gemm<products::Fp8Gradient<Output::f32>, 1>(problems); }
extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_fp8_weight_gradients(const __grid_constant__ Problems<3> problems) { gemm<products::Fp8Gradient<Output::f32>, 3>(problems); }

extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_bf16_forward(const __grid_constant__ Problems<1> problems) { gemm<products::Forward<products::Bf16, Output::bf16>, 1>(problems); }
extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_bf16_forward_residual(const __grid_constant__ Problems<1> problems, const __grid_constant__ CUtensorMap residual) { gemm<products::Forward<products::Bf16, Output::bf16_residual>, 1>(problems, &residual); }
extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_bf16_forward_f32(const __grid_constant__ Problems<1> problems) { gemm<products::Forward<products::Bf16, Output::f32>, 1>(problems); }
extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_bf16_input_gradient(const __grid_constant__ Problems<1> problems) { gemm<products::Bf16InputGradient<Output::bf16>, 1>(problems); }
extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_bf16_input_gradient_residual(const __grid_constant__ Problems<1> problems, const __grid_constant__ CUtensorMap residual) { gemm<products::Bf16InputGradient<Output::bf16_residual>, 1>(problems, &residual); }
extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_bf16_weight_gradient(const __grid_constant__ Problems<1> problems) { gemm<products::Bf16WeightGradient<Output::f32>, 1>(problems); }
extern "C" __global__ void __launch_bounds__(384, 1) __cluster_dims__(2, 1, 1) gemm_bf16_weight_gradient_add(const __grid_constant__ Problems<1> problems) { gemm<products::Bf16WeightGradient<Output::f32_add>, 1>(problems); }
