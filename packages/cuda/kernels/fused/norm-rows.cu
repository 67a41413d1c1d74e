// Root-mean-square norm (Zhang & Sennrich 2019) over rows of any length: rstd = 1 / sqrt(mean(x²) + eps), y = x · rstd · w;
// backward dx = rstd · (w · dy − x · rstd² · mean(x · w · dy)) + d_residual and dw = Σ dy · x · rstd over rows. Sums in f32, in an order that
// only the shape decides. Rows are read twice, the second time from the caches.
// Must move, an element: one in and one out; backward two in, three with a residual, one out.
#include "../common/elements.cuh"

namespace norm_rows {
using namespace elements;
constexpr int THREADS = 128, BACKWARD_THREADS = 256;

/// A block a row, W neighbours a thread at a time.
template <class T, int W> DEVICE void forward(T* y, float* rstd, const T* x, const T* w, int C, float eps) {
    __shared__ float warps[THREADS / 32];
    x += (size_t)blockIdx.x * C; y += (size_t)blockIdx.x * C;
    float sum = 0, v[W], weight[W];
    for (int c = threadIdx.x * W; c < C; c += THREADS * W) {
        load(x + c, v);
        #pragma unroll
        for (int i = 0; i < W; i++) sum = fmaf(v[i], v[i], sum);
    }
    const float r = 1 / sqrtf(block_sum<THREADS>(sum, warps) / C + eps);
    if (threadIdx.x == 0) rstd[blockIdx.x] = r;
    for (int c = threadIdx.x * W; c < C; c += THREADS * W) {
        load(x + c, v); load(w + c, weight);
        #pragma unroll
        for (int i = 0; i < W; i++) v[i] = v[i] * r * weight[i];
        store(y + c, v);
    }
}

/// A block a run of rows, whose part of dw its threads gather in memory, each its own channels.
template <class T, int W> DEVICE void backward(T* d_x, float* partial, const T* d_y, const T* x, const T* w, const float* rstd, const T* d_residual, int rows, int C) {
    __shared__ float warps[BACKWARD_THREADS / 32];
    const int each = (rows + gridDim.x - 1) / gridDim.x, begin = min(rows, (int)blockIdx.x * each), end = min(rows, begin + each);
    partial += (size_t)blockIdx.x * C;
    float g[W], v[W], weight[W], gradient[W], residual[W] = {};
    for (int c = threadIdx.x * W; c < C; c += BACKWARD_THREADS * W) {
        #pragma unroll
        for (int i = 0; i < W; i++) gradient[i] = 0;
        store(partial + c, gradient);
    }
    for (int row = begin; row < end; row++) {
        const size_t base = (size_t)row * C; const float r = rstd[row];
        float dot = 0;
        for (int c = threadIdx.x * W; c < C; c += BACKWARD_THREADS * W) {
            load(d_y + base + c, g); load(x + base + c, v); load(w + c, weight);
            #pragma unroll
            for (int i = 0; i < W; i++) dot = fmaf(g[i] * weight[i], v[i] * r, dot);
        }
        const float mean = block_sum<BACKWARD_THREADS>(dot, warps) / C;
        for (int c = threadIdx.x * W; c < C; c += BACKWARD_THREADS * W) {
            load(d_y + base + c, g); load(x + base + c, v); load(w + c, weight); load(partial + c, gradient);
            if (d_residual) load(d_residual + base + c, residual);
            #pragma unroll
            for (int i = 0; i < W; i++) {
                const float normed = v[i] * r;
                gradient[i] = fmaf(g[i], normed, gradient[i]);
                g[i] = fmaf(r, g[i] * weight[i] - normed * mean, residual[i]);
            }
            store(d_x + base + c, g); store(partial + c, gradient);
        }
    }
}
}  // namespace norm_rows

/// A block of 128 threads a row.
/// @param y [rows, C]  @param rstd [rows]  @param x [rows, C]  @param w [C]  @param eps under the root, same unit as x²
extern "C" __global__ void __launch_bounds__(norm_rows::THREADS) norm_rows_f32(float* y, float* rstd, const float* x, const float* w, int C, float eps) {
    if (C % 4 == 0) norm_rows::forward<float, 4>(y, rstd, x, w, C, eps); else norm_rows::forward<float, 1>(y, rstd, x, w, C, eps);
}
extern "C" __global__ void __launch_bounds__(norm_rows::THREADS) norm_rows_bf16(__nv_bfloat16* y, float* rstd, const __nv_bfloat16* x, const __nv_bfloat16* w, int C, float eps) {
    if (C % 8 == 0) norm_rows::forward<__nv_bfloat16, 8>(y, rstd, x, w, C, eps); else norm_rows::forward<__nv_bfloat16, 1>(y, rstd, x, w, C, eps);
}
/// Blocks of 256 threads, any number (parts): each sums dw over ⌈rows / parts⌉ rows, for `rms_norm_weight_gradient`.
/// @param d_x [rows, C]  @param partial [parts, C]  @param d_y [rows, C]  @param x [rows, C], the norm's input  @param w [C]
/// @param rstd [rows]  @param d_residual [rows, C] or null
extern "C" __global__ void __launch_bounds__(norm_rows::BACKWARD_THREADS) norm_rows_gradient_f32(float* d_x, float* partial, const float* d_y, const float* x, const float* w, const float* rstd, const float* d_residual, int rows, int C) {
    if (C % 4 == 0) norm_rows::backward<float, 4>(d_x, partial, d_y, x, w, rstd, d_residual, rows, C); else norm_rows::backward<float, 1>(d_x, partial, d_y, x, w, rstd, d_residual, rows, C);
}
extern "C" __global__ void __launch_bounds__(norm_rows::BACKWARD_THREADS) norm_rows_gradient_bf16(__nv_bfloat16* d_x, float* partial, const __nv_bfloat16* d_y, const __nv_bfloat16* x, const __nv_bfloat16* w, const float* rstd, const __nv_bfloat16* d_residual, int rows, int C) {
    if (C % 8 == 0) norm_rows::backward<__nv_bfloat16, 8>(d_x, partial, d_y, x, w, rstd, d_residual, rows, C); else norm_rows::backward<__nv_bfloat16, 1>(d_x, partial, d_y, x, w, rstd, d_residual, rows, C);
}
