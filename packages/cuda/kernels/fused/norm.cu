// Root-mean-square norm over rows of C channels (Zhang & Sennrich 2019), bf16 rows that stay in registers: forward
// rstd = 1 / sqrt(mean(x²) + eps), y = x · rstd · w, as bf16, as fp8 or only its rstd; backward
// dx = rstd · (w · dy − x · rstd² · mean(x · w · dy)) + d_residual and dw = Σ dy · x · rstd over rows. Sums in f32, in an order that
// only the number of blocks decides.
// Must move, a channel of a row: forward 2 bytes of x and 2 of y or 1 of its fp8 copy; backward 6, and 2 with a residual.
// nvcc: -use_fast_math
#include "../common/norm.cuh"

namespace rms_norm {
/// A row a block, CHUNKS · 8 channels a thread.
template <int WARPS, int CHUNKS> DEVICE void forward(const Bf16* __restrict__ x, const Bf16* __restrict__ w, float* __restrict__ rstd, Bf16* __restrict__ y, uint8_t* __restrict__ q, unsigned* amax, const float* scale, int C, float eps) {
    constexpr int G = 32 * WARPS;
    __shared__ float sums[WARPS], tops[WARPS];
    const size_t base = (size_t)blockIdx.x * C;
    const auto channel = [&](int c) { return (c * G + threadIdx.x) * 8; };
    const unsigned found = peek(amax); const float factor = scale ? *scale : 1.f;
    uint4 in[CHUNKS]; float squares = 0, top = 0;
    #pragma unroll
    for (int c = 0; c < CHUNKS; c++) in[c] = load16(x + base + channel(c), channel(c) < C);
    #pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        float v[8]; unpack(in[c], v);
        #pragma unroll
        for (int j = 0; j < 8; j++) squares = fmaf(v[j], v[j], squares);
    }
    const float r = rsqrtf(block_sum<WARPS>(squares, sums) / C + eps);
    if (threadIdx.x == 0) rstd[blockIdx.x] = r;
    if (!y && !q && !amax) return;
    #pragma unroll
    for (int c = 0; c < CHUNKS; c++) if (channel(c) < C) {
        float v[8], weight[8]; unpack(in[c], v); unpack(load16(w + channel(c), true), weight);
        normalise(v, r, weight);
        top = largest(top, v);
        if (y) store16(y + base + channel(c), pack(v));
        if (q) *reinterpret_cast<uint2*>(q + base + channel(c)) = cast<Fp8::e4m3>(v, factor);
    }
    if (amax) raise<G>(amax, found, top, tops);
}

/// The way back without copies.
template <int WARPS, int CHUNKS> DEVICE void backward(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, int rows, int C, int run) {
    __shared__ float meet[2][WARPS];
    struct { DEVICE void take(int, int, const float (&)[8]) {} DEVICE void end_run(int) {} } none;
    backward<WARPS, CHUNKS>(d_y, x, w, rstd, d_residual, d_x, partial, rows, C, run, meet, none);
}
}  // namespace rms_norm

/// Blocks of 64 threads, one a row; C at most 2560, a multiple of 8.
/// @param x [rows, C]  @param w [C]  @param rstd [rows]  @param y [rows, C] or null  @param q e4m3 [rows, C] or null
/// @param amax raised to the largest |y|, or null  @param scale [1] of q, or null for 1  @param eps under the root, same unit as x²
extern "C" __global__ void __launch_bounds__(64, 12) rms_norm_forward(const Bf16* x, const Bf16* w, float* rstd, Bf16* y, uint8_t* q, unsigned* amax, const float* scale, int rows, int C, float eps) {
    if ((int)blockIdx.x < rows) rms_norm::forward<2, 5>(x, w, rstd, y, q, amax, scale, C, eps);
}
/// The same for C up to 8192: blocks of 256 threads.
extern "C" __global__ void __launch_bounds__(256, 3) rms_norm_forward_wide(const Bf16* x, const Bf16* w, float* rstd, Bf16* y, uint8_t* q, unsigned* amax, const float* scale, int rows, int C, float eps) {
    if ((int)blockIdx.x < rows) rms_norm::forward<8, 4>(x, w, rstd, y, q, amax, scale, C, eps);
}

/// Blocks of 320 threads, any number (parts): each sums dw over every parts-th run of rows, so that the same number gives the same
/// bits on every GPU. C at most 2560, a multiple of 8.
/// @param d_y [rows, C]  @param x [rows, C], the norm's input  @param w [C]  @param rstd [rows]  @param d_residual [rows, C]
/// or null  @param d_x [rows, C], may be d_y or d_residual  @param partial [parts, C]
/// @param run rows, an even number or ⌈rows / parts⌉
extern "C" __global__ void __launch_bounds__(320, 3) rms_norm_backward(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, int rows, int C, int run) {
    rms_norm::backward<10, 1>(d_y, x, w, rstd, d_residual, d_x, partial, rows, C, run);
}
/// The same for C up to 8192: blocks of 512 threads.
extern "C" __global__ void __launch_bounds__(512, 1) rms_norm_backward_wide(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, int rows, int C, int run) {
    rms_norm::backward<16, 2>(d_y, x, w, rstd, d_residual, d_x, partial, rows, C, run);
}

/// d_w[c] = Σ partial[p, c]. Blocks of 512 threads, ⌈C / 32⌉ of them: 16 warps sum every 16th part, then their sums in order.
/// @param partial [parts, C]  @param d_w [C]
extern "C" __global__ void __launch_bounds__(512) rms_norm_weight_gradient(const float* partial, float* d_w, int parts, int C) {
    __shared__ float sums[16 * 32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
    float sum = 0;
    #pragma unroll 8
    for (int p = warp; p < parts; p += 16) sum += c < C ? partial[(size_t)p * C + c] : 0.f;
    sums[warp * 32 + lane] = sum;
    __syncthreads();
    if (warp > 0 || c >= C) return;
    sum = 0;
    for (int k = 0; k < 16; k++) sum += sums[k * 32 + lane];
    d_w[c] = sum;
}
