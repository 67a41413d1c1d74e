// Casts to fp8 with one scale a tensor (delayed scaling: Micikevicius et al. 2022, "FP8 formats for deep learning"):
// q = saturate(x · scale), its transposed copy and the largest |x|; the transposition of a matrix of bytes; and, once a
// step, new scales from the largest magnitudes of the last steps. Must move, an element: 2 bytes and 1 for each copy; 2 to transpose.
// nvcc: -use_fast_math
#include "quantise.cuh"

/// TILES tiles of 128 × 128 a block, one after another; the next is on its way while one leaves.
template <Fp8 F, int THREADS, int BAND, int TILES> DEVICE void quantise(const Bf16* __restrict__ x, uint8_t* __restrict__ q, uint8_t* __restrict__ t, unsigned* amax, const float* scale, int rows, int columns, int stride) {
    constexpr int STEPS = 512 / THREADS;
    const Columns lines{shared_memory()};
    const float factor = scale ? *scale : 1.f; float top = 0;
    uint4 in[STEPS][4];
    const auto each = [&](const TilePlace<BAND>& tile, int s, auto f) {      // the unit of this thread at step s
        const int unit = s * THREADS + threadIdx.x; f(unit / 16, unit % 16, tile.row + unit / 16 * 4, tile.column + unit % 16 * 8);
    };
    const auto load = [&](const TilePlace<BAND>& tile) {
        #pragma unroll
        for (int s = 0; s < STEPS; s++) each(tile, s, [&](int, int, int row, int column) {
            #pragma unroll
            for (int i = 0; i < 4; i++) in[s][i] = load16(x + (size_t)(row + i) * columns + column, column < columns && row + i < rows);
        });
    };
    load({rows, columns, (int)blockIdx.x * TILES});
    #pragma unroll 1
    for (int n = 0; n < TILES; n++) {
        const TilePlace<BAND> tile(rows, columns, blockIdx.x * TILES + n);
        #pragma unroll
        for (int s = 0; s < STEPS; s++) each(tile, s, [&](int group, int chunk, int row, int column) {
            uint2 out[4];
            #pragma unroll
            for (int i = 0; i < 4; i++) {
                float v[8]; unpack(in[s][i], v);
                top = largest(top, v); out[i] = cast<F>(v, factor);
                if (q && column < columns && row + i < rows) *reinterpret_cast<uint2*>(q + (size_t)(row + i) * columns + column) = out[i];
            }
            if (t) lines.put(group, chunk, out);
        });
        const auto write = [&] { if (t) lines.write<THREADS, 128>(t, stride, tile.row, tile.column, rows, columns); };
        if (n + 1 < TILES) {
            load({rows, columns, (int)blockIdx.x * TILES + n + 1});
            __syncthreads(); write(); __syncthreads();
        } else finish_tile<THREADS>(reinterpret_cast<float*>(lines.lines + 16384), top, amax, write);
    }
}
[[maybe_unused]] constexpr int QUANTISE_SHARED = 16384 + 64;

/// Blocks of 512 threads, ⌈rows / 128⌉ · ⌈columns / 128⌉ of them, QUANTISE_SHARED bytes of shared memory.
/// @param x [rows, columns], columns a multiple of 8  @param q fp8 [rows, columns] or null  @param t fp8 [columns, stride]
/// or null  @param amax raised to the largest |x|, or null  @param scale [1], or null for 1
extern "C" __global__ void __launch_bounds__(512, 2) quantise_e4m3(const Bf16* x, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int rows, int columns, int stride) {
    quantise<Fp8::e4m3, 512, 4, 1>(x, q, t, amax, scale, rows, columns, stride);
}
extern "C" __global__ void __launch_bounds__(512, 2) quantise_e5m2(const Bf16* x, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int rows, int columns, int stride) {
    quantise<Fp8::e5m2, 512, 4, 1>(x, q, t, amax, scale, rows, columns, stride);
}

template <int THREADS, int BAND> DEVICE void transpose_bytes_tile(const uint8_t* __restrict__ q, uint8_t* __restrict__ t, int rows, int columns, int stride) {
    const TilePlace<BAND> tile(rows, columns, blockIdx.x);
    const Columns lines{shared_memory()};
    constexpr int STEPS = 256 / THREADS;
    // A unit is 4 rows × 16 columns, two chunks; a warp takes 8 chunks × 4 groups at a time, two words a bank.
    uint4 in[STEPS][4];
    #pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const int unit = s * THREADS + threadIdx.x, column = tile.column + unit % 8 * 16, row = tile.row + unit / 8 * 4;
        #pragma unroll
        for (int i = 0; i < 4; i++) in[s][i] = load16(reinterpret_cast<const Bf16*>(q + (size_t)(row + i) * columns + column), column < columns && row + i < rows);
    }
    #pragma unroll
    for (int s = 0; s < STEPS; s++) {
        const int unit = s * THREADS + threadIdx.x;
        const uint2 low[4] = {{in[s][0].x, in[s][0].y}, {in[s][1].x, in[s][1].y}, {in[s][2].x, in[s][2].y}, {in[s][3].x, in[s][3].y}};
        const uint2 high[4] = {{in[s][0].z, in[s][0].w}, {in[s][1].z, in[s][1].w}, {in[s][2].z, in[s][2].w}, {in[s][3].z, in[s][3].w}};
        lines.put(unit / 8, unit % 8 * 2, low); lines.put(unit / 8, unit % 8 * 2 + 1, high);
    }
    __syncthreads();
    lines.write<THREADS, 128>(t, stride, tile.row, tile.column, rows, columns);
}

/// Blocks of 256 threads, ⌈rows / 128⌉ · ⌈columns / 128⌉ of them, QUANTISE_SHARED bytes of shared memory.
/// @param q bytes [rows, columns], columns a multiple of 16  @param t [columns, stride]
extern "C" __global__ void __launch_bounds__(256, 6) transpose_bytes(const uint8_t* q, uint8_t* t, int rows, int columns, int stride) {
    transpose_bytes_tile<256, 4>(q, t, rows, columns, stride);
}

constexpr int AMAX_HISTORY = 16;
/// New scales of all tensors, one thread each: the oldest entry of a history makes way for `amax`, which starts again at
/// zero; scale = limit / (max(history) · margin), 1 while the history is all zero. A magnitude that is not finite enters
/// as zero: the step that made it is not taken.
/// @param amax [tensors], bits of f32  @param history f32 [tensors, 16], newest first  @param limit f32 [tensors], the largest
/// number of the tensor's type: 448 for e4m3, 57344 for e5m2  @param scale [tensors] factor of the cast
/// @param inverse [tensors] factor that undoes it  @param margin 1 or more: how far magnitudes may grow before they saturate
extern "C" __global__ void update_scales(unsigned* amax, float* history, const float* limit, float* scale, float* inverse, int tensors, float margin) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= tensors) return;
    const unsigned bits = amax[i];
    float now = bits < 0x7F800000u ? __uint_as_float(bits) : 0.f, top = 0;
    amax[i] = 0;
    #pragma unroll
    for (int k = 0; k < AMAX_HISTORY; k++) {
        const float before = history[i * AMAX_HISTORY + k];
        history[i * AMAX_HISTORY + k] = now; top = fmaxf(top, now); now = before;
    }
    const float s = top > 0 ? limit[i] / (top * margin) : 1.f;
    scale[i] = s; inverse[i] = 1 / s;
}
