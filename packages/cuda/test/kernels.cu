// The kernels of a training step and of generation, so that the compiler can be asked what it made of them.
#include "../kernels/adamw.cu"
#include "../kernels/attention-backward.cu"
#include "../kernels/attention-forward.cu"
#include "../kernels/cross-entropy.cu"
#include "../kernels/decode.cu"
#include "../kernels/embedding.cu"
#include "../kernels/gemm.cuh"
#include "../kernels/gradient-norm.cu"
#include "../kernels/norm.cu"
#include "../kernels/quantise.cu"
#include "../kernels/rope.cu"
#include "../kernels/swiglu.cu"

using E4 = __nv_fp8_e4m3; using E5 = __nv_fp8_e5m2; using H = __nv_bfloat16;

#define GEMM(COUNT, ...) template __global__ void gemm_kernel<Gemm<__VA_ARGS__>, COUNT>(const __grid_constant__ Problems<COUNT>)
GEMM(1, E4, E4, 128, 256, 4, Share::b, false, Output::bf16);                       // forward
GEMM(1, E5, E4, 256, 128, 4, Share::a, true, Output::bf16);                        // gradient of the input
GEMM(4, E5, E4, 256, 128, 4, Share::a, true, Output::f32_add);                     // gradients of a layer's weights
GEMM(1, H, H, 128, 256, 4, Share::b, false, Output::bf16);
GEMM(1, H, H, 128, 256, 4, Share::b, false, Output::bf16, K_MAJOR, MN_MAJOR);
GEMM(4, H, H, 128, 256, 4, Share::b, false, Output::f32_add, MN_MAJOR, MN_MAJOR);
