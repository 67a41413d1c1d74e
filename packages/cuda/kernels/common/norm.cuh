// What the passes of the norms over rows of bf16 share: sums over a block, and the way back, for kernels that differ in what else
// becomes of dx. The same bits of dx wherever it is compiled with -use_fast_math.
#pragma once
#include "quantise.cuh"

namespace rms_norm {
/// The sum over WARPS warps, the same for every thread, in a fixed order. `meet` [WARPS] in shared memory
template <int WARPS> DEVICE float block_sum(float v, float* meet) {
    #pragma unroll
    for (int m = 16; m; m /= 2) v += __shfl_xor_sync(~0u, v, m);
    if (threadIdx.x % 32 == 0) meet[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
    #pragma unroll
    for (int k = 0; k < WARPS; k++) v += meet[k];
    return v;
}

/// A block has every gridDim.x-th run of `run` rows, an even number where there are several; a thread has CHUNKS · 8 channels
/// and their part of dw, and the next row is on its way while one waits for its mean.
/// @param meet [2] of warps in shared memory: rows take turns, so that one barrier a row is enough
/// @param copies `take(row, channel, dx)` gets what bf16 keeps of dx, `end_run(first)` follows each run
template <int WARPS, int CHUNKS, class Copies> DEVICE void backward(const Bf16* d_y, const Bf16* __restrict__ x, const Bf16* __restrict__ w, const float* __restrict__ rstd, const Bf16* d_residual, Bf16* d_x, float* __restrict__ partial, int rows, int C,
                                                                                int run, float (*meet)[WARPS], Copies& copies) {
    constexpr int G = 32 * WARPS;
    const auto channel = [&](int c) { return (c * G + threadIdx.x) * 8; };
    struct Row { uint4 y[CHUNKS], x[CHUNKS], residual[CHUNKS]; float rstd; } next;
    const auto load = [&](int row) {
        next.rstd = row < rows ? rstd[row] : 0.f;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const bool inside = row < rows && channel(c) < C; const size_t at = (size_t)row * C + channel(c);
            next.y[c] = load16(d_y + at, inside); next.x[c] = load16(x + at, inside); next.residual[c] = load16(d_residual + at, inside && d_residual);
        }
    };
    float gradient[CHUNKS][8] = {};
    int first = blockIdx.x * run;
    for (load(first); first < rows; first += gridDim.x * run) {
        const int end = min(rows, first + run);
        for (int row = first; row < end; row++) {
            const Row now = next;
            load(row + 1 < end ? row + 1 : first + gridDim.x * run);
            float dot = 0;
            #pragma unroll
            for (int c = 0; c < CHUNKS; c++) {
                float a[8], b[8], e[8]; unpack(now.y[c], a); unpack(now.x[c], b); unpack(load16(w + channel(c), channel(c) < C), e);
                #pragma unroll
                for (int j = 0; j < 8; j++) { dot = fmaf(a[j] * e[j], b[j], dot); gradient[c][j] = fmaf(a[j], b[j] * now.rstd, gradient[c][j]); }
            }
            const float mean = block_sum<WARPS>(dot, meet[row % 2]) / C * now.rstd * now.rstd;
            #pragma unroll
            for (int c = 0; c < CHUNKS; c++) if (channel(c) < C) {
                float a[8], b[8], e[8], residual[8]; unpack(now.y[c], a); unpack(now.x[c], b); unpack(load16(w + channel(c), true), e); unpack(now.residual[c], residual);
                #pragma unroll
                for (int j = 0; j < 8; j++) a[j] = fmaf(now.rstd, fmaf(-b[j], mean, a[j] * e[j]), residual[j]);       // spelled out: the same bits in every kernel
                const uint4 d = pack(a);
                store16(d_x + (size_t)row * C + channel(c), d);
                unpack(d, a);
                copies.take(row, channel(c), a);
            }
        }
        copies.end_run(first);
    }
    #pragma unroll
    for (int c = 0; c < CHUNKS; c++) if (channel(c) < C) {
        float4* to = reinterpret_cast<float4*>(partial + (size_t)blockIdx.x * C + channel(c)); const float* g = gradient[c];
        to[0] = make_float4(g[0], g[1], g[2], g[3]); to[1] = make_float4(g[4], g[5], g[6], g[7]);
    }
}
}  // namespace rms_norm
