// Gated activation of Shazeer 2020 between products in fp8: h = silu(g) · u with silu(g) = g · σ(g), and its gradients
// dg = dh · u · σ(g) · (1 + g · (1 − σ(g))), du = dh · g · σ(g). In f32, cast once; gate columns lie before up columns.
// Must move, a channel of h of a token: forward 4 bytes and 1; backward 6, 2 for each copy of the gradients and 1 for that of h.
// nvcc: -use_fast_math
#include "../common/quantise.cuh"

namespace swiglu_fp8 {
DEVICE float sigmoid(float x) { return __fdividef(1.f, 1.f + __expf(-x)); }

constexpr int FORWARD_THREADS = 128, BACKWARD_THREADS = 512;
[[maybe_unused]] constexpr int BACKWARD_SHARED = 3 * Columns<128>::BYTES + 64;

/// A row a block, of which a thread has 8 columns of two places on their way.
DEVICE void forward(const Bf16* __restrict__ gate_up, uint8_t* __restrict__ q, unsigned* amax, const float* scale, int F) {
    __shared__ float warps[FORWARD_THREADS / 32];
    const Bf16* row = gate_up + (size_t)blockIdx.x * 2 * F;
    const unsigned found = peek(amax); const float factor = scale ? *scale : 1.f;
    float top = 0;
    #pragma unroll 1
    for (int first = threadIdx.x * 8; first < F; first += FORWARD_THREADS * 16) {
        const auto column = [&](int i) { return first + i * FORWARD_THREADS * 8; };
        uint4 gate[2], up[2];
        #pragma unroll
        for (int i = 0; i < 2; i++) { gate[i] = load16(row + column(i), column(i) < F); up[i] = load16(row + F + column(i), column(i) < F); }
        #pragma unroll
        for (int i = 0; i < 2; i++) if (column(i) < F) {
            float g[8], h[8]; unpack(gate[i], g); unpack(up[i], h);
            #pragma unroll
            for (int j = 0; j < 8; j++) h[j] *= g[j] * sigmoid(g[j]);
            top = largest(top, h);
            if (q) *reinterpret_cast<uint2*>(q + (size_t)blockIdx.x * F + column(i)) = cast<Fp8::e4m3>(h, factor);
        }
    }
    raise<FORWARD_THREADS>(amax, found, top, warps);
}

/// A tile of 128 × 128 of dg, of du and of h a block, 4 rows × 8 columns of each a thread, two rows of them on their way: four need twice
/// the registers.
DEVICE void backward(const Bf16* __restrict__ d_h, const Bf16* __restrict__ gate_up, uint8_t* __restrict__ q, uint8_t* __restrict__ t, unsigned* amax, const float* scale,
                     uint8_t* __restrict__ h_t, const float* h_scale, int tokens, int F, int stride) {
    const TilePlace tile(tokens, F);
    const Columns<128> gate_lines{shared_memory()}, up_lines{shared_memory() + gate_lines.BYTES}, h_lines{shared_memory() + 2 * gate_lines.BYTES};
    const int group = threadIdx.x / 16, chunk = threadIdx.x % 16, row = tile.row + group * 4, column = tile.column + chunk * 8;
    const auto inside = [&](int i) { return column < F && row + i < tokens; };
    const unsigned found = peek(amax); const float factor = scale ? *scale : 1.f, h_factor = h_scale ? *h_scale : 1.f;
    uint2 out_gate[4], out_up[4], out_h[4]; float top = 0;
    #pragma unroll
    for (int first = 0; first < 4; first += 2) {
        uint4 gate[2], up[2], upstream[2];
        #pragma unroll
        for (int k = 0; k < 2; k++) {
            const int i = first + k; const Bf16* at = gate_up + (size_t)(row + i) * 2 * F + column;
            gate[k] = load16(at, inside(i)); up[k] = load16(at + F, inside(i)); upstream[k] = load16(d_h + (size_t)(row + i) * F + column, inside(i));
        }
        #pragma unroll
        for (int k = 0; k < 2; k++) {
            const int i = first + k; float g[8], u[8], h[8], d[8]; unpack(gate[k], g); unpack(up[k], u); unpack(upstream[k], d);
            #pragma unroll
            for (int j = 0; j < 8; j++) {
                const float x = g[j], on = sigmoid(x), silu = x * on;
                h[j] = u[j] * silu;
                g[j] = d[j] * u[j] * (on * (1.f + x * (1.f - on)));
                u[j] = d[j] * silu;
            }
            top = largest(largest(top, g), u); out_gate[i] = cast<Fp8::e5m2>(g, factor); out_up[i] = cast<Fp8::e5m2>(u, factor); out_h[i] = cast<Fp8::e4m3>(h, h_factor);
            if (q && inside(i)) {
                uint8_t* to = q + (size_t)(row + i) * 2 * F + column;
                *reinterpret_cast<uint2*>(to) = out_gate[i]; *reinterpret_cast<uint2*>(to + F) = out_up[i];
            }
        }
    }
    if (t) { gate_lines.put(group, chunk, out_gate); up_lines.put(group, chunk, out_up); }
    if (h_t) h_lines.put(group, chunk, out_h);
    raise<BACKWARD_THREADS>(amax, found, top, reinterpret_cast<float*>(shared_memory() + 3 * gate_lines.BYTES));
    if (t) {
        gate_lines.write<BACKWARD_THREADS>(t, stride, tile.row, tile.column, tokens, F);
        up_lines.write<BACKWARD_THREADS>(t + (size_t)F * stride, stride, tile.row, tile.column, tokens, F);
    }
    if (h_t) h_lines.write<BACKWARD_THREADS>(h_t, stride, tile.row, tile.column, tokens, F);
}
}  // namespace swiglu_fp8

/// Blocks of 128 threads, one a token. F a multiple of 8.
/// @param gate_up [tokens, 2F]  @param q e4m3 [tokens, F] or null  @param amax raised to the largest |h|, or null
/// @param scale [1], or null for 1
extern "C" __global__ void __launch_bounds__(swiglu_fp8::FORWARD_THREADS) swiglu_fp8_forward(const Bf16* gate_up, uint8_t* q, unsigned* amax, const float* scale, int tokens, int F) {
    if ((int)blockIdx.x < tokens) swiglu_fp8::forward(gate_up, q, amax, scale, F);
}
/// Blocks of 512 threads, ⌈tokens / 128⌉ · ⌈F / 128⌉ of them, swiglu_fp8::BACKWARD_SHARED = 49,216 bytes of shared memory. F a
/// multiple of 8.
/// @param d_h [tokens, F]  @param gate_up [tokens, 2F]  @param q e5m2 [tokens, 2F] or null  @param t e5m2 [2F, stride] or null
/// @param amax raised to the largest magnitude of the gradients, or null  @param scale [1] of the gradients, or null for 1
/// @param h_t e4m3 [F, stride] or null, the transposed copy of h  @param h_scale [1], or null for 1
extern "C" __global__ void __launch_bounds__(swiglu_fp8::BACKWARD_THREADS, 2) swiglu_fp8_backward(const Bf16* d_h, const Bf16* gate_up, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale,
                                                                                               uint8_t* h_t, const float* h_scale, int tokens, int F, int stride) {
    swiglu_fp8::backward(d_h, gate_up, q, t, amax, scale, h_t, h_scale, tokens, F, stride);
}
