// Casts to fp8 with one scale a tensor (delayed scaling: Micikevicius et al. 2022, "FP8 formats for deep learning"):
// q = saturate(x · scale), its transposed copy and the largest |x|. Must move, an element: 2 bytes and 1 for each copy.
// nvcc: -use_fast_math
#include "../common/quantise.cuh"

constexpr int QUANTISE_WIDTH = 64, QUANTISE_THREADS = 4 * QUANTISE_WIDTH, QUANTISE_BLOCKS = 5;

/// A tile of 128 rows × 64 columns a block, 4 rows × 8 columns a thread. With NORMED, what is cast is x · rstd[row] · w[column].
template <Fp8 F, bool NORMED> DEVICE void quantise(const Bf16* __restrict__ x, [[maybe_unused]] const float* __restrict__ rstd, [[maybe_unused]] const Bf16* __restrict__ w, uint8_t* __restrict__ q, uint8_t* __restrict__ t,
                                                   unsigned* amax, const float* scale, int rows, int columns, int pitch, int stride) {
    const TilePlace<QUANTISE_WIDTH> tile(rows, columns);
    const Columns<QUANTISE_WIDTH> lines{shared_memory()};
    constexpr int CHUNKS = QUANTISE_WIDTH / 8;
    const int group = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS, row = tile.row + group * 4, column = tile.column + chunk * 8;
    const auto inside = [&](int i) { return column < columns && row + i < rows; };
    const unsigned found = peek(amax); const float factor = scale ? *scale : 1.f;
    uint4 in[4]; uint2 out[4]; float top = 0;
    [[maybe_unused]] float weight[8], of_row[4];
    #pragma unroll
    for (int i = 0; i < 4; i++) {
        in[i] = load16(x + (size_t)(row + i) * columns + column, inside(i));
        if constexpr (NORMED) of_row[i] = inside(i) ? rstd[row + i] : 0;
    }
    if constexpr (NORMED) unpack(load16(w + column, column < columns), weight);
    #pragma unroll
    for (int i = 0; i < 4; i++) {
        float v[8]; unpack(in[i], v);
        if constexpr (NORMED) if (inside(i)) normalise(v, of_row[i], weight);
        top = largest(top, v); out[i] = cast<F>(v, factor);
        if (q && inside(i)) *reinterpret_cast<uint2*>(q + (size_t)(row + i) * pitch + column) = out[i];
    }
    if (t) lines.put(group, chunk, out);
    raise<QUANTISE_THREADS>(amax, found, top, reinterpret_cast<float*>(lines.lines + lines.BYTES));
    if (t) lines.write<QUANTISE_THREADS>(t, stride, tile.row, tile.column, rows, columns);
}
[[maybe_unused]] constexpr int QUANTISE_SHARED = Columns<QUANTISE_WIDTH>::BYTES + QUANTISE_THREADS / 32 * 4;

/// Blocks of 256 threads, ⌈rows / 128⌉ · ⌈columns / 64⌉ of them, QUANTISE_SHARED = 8,224 bytes of shared memory.
/// @param x [rows, columns], columns a multiple of 8  @param q fp8 [rows, columns] or null, its rows `pitch` bytes apart, a multiple
/// of 8 that is `columns` or more  @param t fp8 [columns, stride] or null  @param amax raised to the largest |x|, or null
/// @param scale [1], or null for 1
extern "C" __global__ void __launch_bounds__(QUANTISE_THREADS, QUANTISE_BLOCKS) quantise_e4m3(const Bf16* x, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int rows, int columns, int pitch, int stride) {
    quantise<Fp8::e4m3, false>(x, nullptr, nullptr, q, t, amax, scale, rows, columns, pitch, stride);
}
extern "C" __global__ void __launch_bounds__(QUANTISE_THREADS, QUANTISE_BLOCKS) quantise_e5m2(const Bf16* x, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int rows, int columns, int pitch, int stride) {
    quantise<Fp8::e5m2, false>(x, nullptr, nullptr, q, t, amax, scale, rows, columns, pitch, stride);
}
/// The same of y = x · rstd · w, what a norm gives, in f32 until the cast: bit for bit the q of `rms_norm_forward`.
/// @param rstd [rows]  @param w [columns]
extern "C" __global__ void __launch_bounds__(QUANTISE_THREADS, QUANTISE_BLOCKS) quantise_normed_e4m3(const Bf16* x, const float* rstd, const Bf16* w, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int rows, int columns, int pitch, int stride) {
    quantise<Fp8::e4m3, true>(x, rstd, w, q, t, amax, scale, rows, columns, pitch, stride);
}
