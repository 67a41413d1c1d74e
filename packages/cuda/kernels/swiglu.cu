// Gated activation of Shazeer 2020: h = silu(g) · u with silu(g) = g · σ(g), and its gradients
// dg = dh · u · σ(g) · (1 + g · (1 − σ(g))), du = dh · g · σ(g). In f32; gate columns lie before up columns.
// Must move, a channel of h of a token: forward 4 bytes and 2 for bf16 or 1 for each fp8 copy; backward 6 and 4, or 2 each.
// nvcc: -use_fast_math
#include "quantise.cuh"

DEVICE float sigmoid(float x) { return __fdividef(1.f, 1.f + __expf(-x)); }

/// One tile of 128 × 128 of h a block.
template <int THREADS, int BAND> DEVICE void swiglu_forward_tile(const Bf16* __restrict__ gate_up, Bf16* __restrict__ h, uint8_t* __restrict__ q, uint8_t* __restrict__ t, unsigned* amax, const float* scale, int tokens, int F, int stride) {
    const TilePlace<BAND> tile(tokens, F, blockIdx.x);
    const Columns lines{shared_memory()};
    const float factor = scale ? *scale : 1.f;
    float top = 0;
    #pragma unroll
    for (int s = 0; s < 512 / THREADS; s++) {
        const int unit = s * THREADS + threadIdx.x, column = tile.column + unit % 16 * 8, row = tile.row + unit / 16 * 4;
        uint4 gate[4], up[4]; uint2 out[4];
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            const bool inside = column < F && row + i < tokens; const Bf16* at = gate_up + (size_t)(row + i) * 2 * F + column;
            gate[i] = load16(at, inside); up[i] = load16(at + F, inside);
        }
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            float g[8], u[8]; unpack(gate[i], g); unpack(up[i], u);
            #pragma unroll
            for (int j = 0; j < 8; j++) u[j] *= g[j] * sigmoid(g[j]);
            top = largest(top, u); out[i] = cast<Fp8::e4m3>(u, factor);
            if (column < F && row + i < tokens) {
                const size_t at = (size_t)(row + i) * F + column;
                if (h) store16(h + at, pack(u));
                if (q) *reinterpret_cast<uint2*>(q + at) = out[i];
            }
        }
        if (t) lines.put(unit / 16, unit % 16, out);
    }
    finish_tile<THREADS>(reinterpret_cast<float*>(lines.lines + 16384), top, amax, [&] {
        if (t) lines.write<THREADS, 128>(t, stride, tile.row, tile.column, tokens, F); });
}
[[maybe_unused]] constexpr int SWIGLU_FORWARD_SHARED = 16384 + 64;

/// Blocks of 512 threads, ⌈tokens / 128⌉ · ⌈F / 128⌉ of them, SWIGLU_FORWARD_SHARED bytes of shared memory. F a multiple of 8.
/// @param gate_up [tokens, 2F]  @param h [tokens, F] or null  @param q e4m3 [tokens, F] or null  @param t e4m3 [F, stride] or
/// null  @param amax raised to the largest |h|, or null  @param scale [1], or null for 1
extern "C" __global__ void __launch_bounds__(512, 2) swiglu_forward(const Bf16* gate_up, Bf16* h, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int tokens, int F, int stride) {
    swiglu_forward_tile<512, 4>(gate_up, h, q, t, amax, scale, tokens, F, stride);
}

/// One tile of 128 × 128 of dg and the same of du a block; a thread reads ROWS of its 4 rows at a time.
template <int THREADS, int BAND, int ROWS> DEVICE void swiglu_backward_tile(const Bf16* __restrict__ d_h, const Bf16* __restrict__ gate_up, Bf16* __restrict__ d, uint8_t* __restrict__ q, uint8_t* __restrict__ t, unsigned* amax, const float* scale, int tokens, int F, int stride) {
    const TilePlace<BAND> tile(tokens, F, blockIdx.x);
    const Columns gate_lines{shared_memory()}, up_lines{shared_memory() + 16384};
    const float factor = scale ? *scale : 1.f;
    float top = 0;
    #pragma unroll 1
    for (int s = 0; s < 512 / THREADS; s++) {
        const int unit = s * THREADS + threadIdx.x, column = tile.column + unit % 16 * 8, row = tile.row + unit / 16 * 4;
        uint4 gate[ROWS], up[ROWS], upstream[ROWS]; uint2 out_gate[4], out_up[4];
        #pragma unroll
        for (int i = 0; i < 4; i++) {
            if (i % ROWS == 0) {
                #pragma unroll
                for (int k = 0; k < ROWS; k++) {
                    const bool inside = column < F && row + i + k < tokens; const Bf16* at = gate_up + (size_t)(row + i + k) * 2 * F + column;
                    gate[k] = load16(at, inside); up[k] = load16(at + F, inside); upstream[k] = load16(d_h + (size_t)(row + i + k) * F + column, inside);
                }
            }
            float g[8], u[8], y[8]; unpack(gate[i % ROWS], g); unpack(up[i % ROWS], u); unpack(upstream[i % ROWS], y);
            #pragma unroll
            for (int j = 0; j < 8; j++) {
                const float on = sigmoid(g[j]), x = g[j];
                g[j] = y[j] * u[j] * (on * (1.f + x * (1.f - on)));
                u[j] = y[j] * (x * on);
            }
            top = largest(largest(top, g), u); out_gate[i] = cast<Fp8::e5m2>(g, factor); out_up[i] = cast<Fp8::e5m2>(u, factor);
            if (column < F && row + i < tokens) {
                const size_t at = (size_t)(row + i) * 2 * F + column;
                if (d) { store16(d + at, pack(g)); store16(d + at + F, pack(u)); }
                if (q) { *reinterpret_cast<uint2*>(q + at) = out_gate[i]; *reinterpret_cast<uint2*>(q + at + F) = out_up[i]; }
            }
        }
        if (t) { gate_lines.put(unit / 16, unit % 16, out_gate); up_lines.put(unit / 16, unit % 16, out_up); }
    }
    finish_tile<THREADS>(reinterpret_cast<float*>(gate_lines.lines + 2 * 16384), top, amax, [&] {
        if (!t) return;
        gate_lines.write<THREADS, 128>(t, stride, tile.row, tile.column, tokens, F);
        up_lines.write<THREADS, 128>(t + (size_t)F * stride, stride, tile.row, tile.column, tokens, F);
    });
}
[[maybe_unused]] constexpr int SWIGLU_BACKWARD_SHARED = 2 * 16384 + 64;

/// Blocks of 256 threads, ⌈tokens / 128⌉ · ⌈F / 128⌉ of them, SWIGLU_BACKWARD_SHARED bytes of shared memory. F a multiple of 8.
/// @param d_h [tokens, F]  @param gate_up [tokens, 2F]  @param d [tokens, 2F] or null  @param q e5m2 [tokens, 2F] or null
/// @param t e5m2 [2F, stride] or null  @param amax raised to the largest |d|, or null  @param scale [1], or null for 1
extern "C" __global__ void __launch_bounds__(256, 2) swiglu_backward(const Bf16* d_h, const Bf16* gate_up, Bf16* d, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int tokens, int F, int stride) {
    swiglu_backward_tile<256, 4, 4>(d_h, gate_up, d, q, t, amax, scale, tokens, F, stride);
}
