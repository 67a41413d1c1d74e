// Products of matrices for every GPU since sm_80: Y[batch, M, N] = alpha · op(A) · op(B) + residual, with sums in f32 in an
// order that shapes alone decide. The letters of a name say how A and B are stored, n as the formula has them, t transposed:
//
//   A [M, K] (n) or [K, M] (t)      B [K, N] (n) or [N, K] (t)      residual and Y [M, N]
//
// All take a `matmul::Product`. Rows may start anywhere and M, N, K and strides are free; those that start at multiples of 16
// bytes are read and written faster. Launches, per `batch` and, where `parts` counts, per part:
//
//   kernels                        blocks                      threads   dynamic shared memory, bytes
//   matmul_bf16_…, matmul_f16_…    ⌈M/128⌉ · ⌈N/128⌉           256       49,152
//   matmul_f32_…                   ⌈M/128⌉ · ⌈N/128⌉           256       0
//   matmul_e…                      ⌈M/128⌉ · ⌈N/64⌉            256       36,864
//   matmul_rows_f32_nt             ⌈N/16⌉, M ≤ 16, no parts    256       0
//   matmul_combine_…               ⌈batch · M · N / 2048⌉      256       0
#include "matmul-f32.cuh"
#include "matmul-rows.cuh"
#include "matmul-tensor-core.cuh"

namespace matmul {
/// 128 × 128 by eight warps of 64 × 32, 64 sums a thread: two blocks of 128 registers a thread and 48 KiB share a
/// multiprocessor, from the 100 KiB of Ada on, and one multiplies while the other waits.
template <class T, Major A_MAJOR, Major B_MAJOR> using Wide = TensorCore<T, T, A_MAJOR, B_MAJOR, 128, 128, 64, 32, 3>;
/// Sums are kept twice, so half as many.
template <class A, class B> using Fp8 = TensorCore<A, B, Major::k, Major::k, 128, 64, 32, 32, 3>;
static_assert(Wide<Bf16, Major::k, Major::k>::SHARED == 49152 && Wide<Bf16, Major::k, Major::k>::THREADS == 256, "as the table says");
static_assert(Fp8<E4m3, E4m3>::SHARED == 36864 && Fp8<E4m3, E4m3>::THREADS == 256 && F32_THREADS == 256 && ROWS_THREADS == 256, "as the table says");

/// y = Σ partial + residual, part after part. partial f32 [batch, parts, size]; y and residual [batch, size].
template <class R> DEVICE void combine(R* y, const float* partial, const R* residual, int size, int batch, int parts) {
    constexpr int THREADS = 256, RUN = 8;
    #pragma unroll 1
    for (int i = 0; i < RUN; i++) {
        const int at = (blockIdx.x * RUN + i) * THREADS + threadIdx.x;
        if (at >= size * batch) return;
        const float* from = partial + (int64_t)(at / size) * parts * size + at % size;
        float sum = 0;
        #pragma unroll 8
        for (int part = 0; part < parts; part++) sum += from[(int64_t)part * size];
        y[at] = R(residual ? sum + float(residual[at]) : sum);
    }
}
}  // namespace matmul

using matmul::Bf16, matmul::F16, matmul::E4m3, matmul::E5m2, matmul::Major, matmul::Product;

extern "C" __global__ void __launch_bounds__(256, 2) matmul_bf16_nn(const __grid_constant__ Product p) { matmul::tensor_core<matmul::Wide<Bf16, Major::k, Major::mn>>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) matmul_bf16_nt(const __grid_constant__ Product p) { matmul::tensor_core<matmul::Wide<Bf16, Major::k, Major::k>>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) matmul_bf16_tn(const __grid_constant__ Product p) { matmul::tensor_core<matmul::Wide<Bf16, Major::mn, Major::mn>>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) matmul_bf16_tt(const __grid_constant__ Product p) { matmul::tensor_core<matmul::Wide<Bf16, Major::mn, Major::k>>(p); }

extern "C" __global__ void __launch_bounds__(256, 2) matmul_f16_nn(const __grid_constant__ Product p) { matmul::tensor_core<matmul::Wide<F16, Major::k, Major::mn>>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) matmul_f16_nt(const __grid_constant__ Product p) { matmul::tensor_core<matmul::Wide<F16, Major::k, Major::k>>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) matmul_f16_tn(const __grid_constant__ Product p) { matmul::tensor_core<matmul::Wide<F16, Major::mn, Major::mn>>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) matmul_f16_tt(const __grid_constant__ Product p) { matmul::tensor_core<matmul::Wide<F16, Major::mn, Major::k>>(p); }

extern "C" __global__ void __launch_bounds__(256, 2) matmul_f32_nn(const __grid_constant__ Product p) { matmul::f32<Major::k, Major::mn>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) matmul_f32_nt(const __grid_constant__ Product p) { matmul::f32<Major::k, Major::k>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) matmul_f32_tn(const __grid_constant__ Product p) { matmul::f32<Major::mn, Major::mn>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) matmul_f32_tt(const __grid_constant__ Product p) { matmul::f32<Major::mn, Major::k>(p); }

/// A in e4m3 or e5m2 and B in e4m3, both along k; Y in bf16, or f32 where it is wide.
extern "C" __global__ void __launch_bounds__(256, 2) matmul_e4m3_nt(const __grid_constant__ Product p) { matmul::tensor_core<matmul::Fp8<E4m3, E4m3>>(p); }
extern "C" __global__ void __launch_bounds__(256, 2) matmul_e5m2_nt(const __grid_constant__ Product p) { matmul::tensor_core<matmul::Fp8<E5m2, E4m3>>(p); }

extern "C" __global__ void __launch_bounds__(256, 2) matmul_rows_f32_nt(const __grid_constant__ Product p) { matmul::few_rows_f32(p); }

/// Sums the parts of products in order. partial f32 [batch, parts, size]; y and residual (null for none) [batch, size], less
/// than 2³¹ elements: products of more have tiles enough.
extern "C" __global__ void __launch_bounds__(256) matmul_combine_bf16(Bf16* y, const float* partial, const Bf16* residual, int size, int batch, int parts) { matmul::combine(y, partial, residual, size, batch, parts); }
extern "C" __global__ void __launch_bounds__(256) matmul_combine_f16(F16* y, const float* partial, const F16* residual, int size, int batch, int parts) { matmul::combine(y, partial, residual, size, batch, parts); }
extern "C" __global__ void __launch_bounds__(256) matmul_combine_f32(float* y, const float* partial, const float* residual, int size, int batch, int parts) { matmul::combine(y, partial, residual, size, batch, parts); }
