// What the products of matmul.cu share: what a launch takes, which tile and which part of k is a block's, how sums become
// elements of Y.
#pragma once
#include "../common/elements.cuh"

#include <type_traits>

namespace matmul {
using Bf16 = __nv_bfloat16; using F16 = __half; using E4m3 = __nv_fp8_e4m3; using E5m2 = __nv_fp8_e5m2;

/// Whether an operand's elements lie one after another along k, or along the rows of A and the columns of B.
enum class Major { k, mn };

/// Y = alpha · scale_a · scale_b · op(A) · op(B) + residual. Leading dimensions and strides count elements, of a matrix as
/// it is stored and from one product of a batch to the next: 0 for the same matrix again.
struct Product {
    void* y; const void *a, *b, *residual;      // residual: laid out as Y and of its type, Y itself to add to it, null for none
    const float *scale_a, *scale_b;             // in device memory; null for 1
    int64_t stride_a, stride_b, stride_y;
    int M, N, K, lda, ldb, ldy;
    /// Blocks that share the k of a tile. With more than one, Y is f32 [batch, parts, M, N], for `matmul_combine` to sum.
    int parts;
    int wide;                                   // Y is f32 whatever the operands
    float alpha;
};

/// What a block computes: a tile of Y from k in [first_k, end_k), its matrices found.
struct Tile {
    int row, column, first_k, end_k; int64_t a, b, y;
    /// Tiles follow one another in bands of eight rows of tiles, so that what runs at one time reads few rows of A and B.
    DEVICE Tile(const Product& p, int height, int width) {
        const int rows = (p.M + height - 1) / height, columns = (p.N + width - 1) / width;
        const int product = blockIdx.x / (rows * columns), i = blockIdx.x % (rows * columns), batch = product / p.parts, part = product % p.parts;
        constexpr int BAND = 8;
        const int band = i / (BAND * columns), in = i % (BAND * columns), tall = min(BAND, rows - band * BAND);
        row = (band * BAND + in % tall) * height; column = in / tall * width;
        const int share = ((p.K + p.parts - 1) / p.parts + 127) / 128 * 128;
        first_k = min(part * share, p.K); end_k = min(first_k + share, p.K);
        a = batch * p.stride_a; b = batch * p.stride_b; y = batch * p.stride_y + (int64_t)part * p.M * p.N;
    }
};

DEVICE float factor(const Product& p) { return p.alpha * (p.scale_a ? *p.scale_a : 1.f) * (p.scale_b ? *p.scale_b : 1.f); }
/// Whether rows that start `stride` elements apart, in matrices `batch` elements apart, start at multiples of 16 bytes.
template <class T> DEVICE bool aligned(const void* p, int stride, int64_t batch) {
    constexpr int PER = 16 / sizeof(T);
    return reinterpret_cast<uintptr_t>(p) % 16 == 0 && stride % PER == 0 && batch % PER == 0;
}

// ---- Sixteen bytes of elements

/// The first `valid` elements of those from `from` on, the rest zero.
template <class T> DEVICE uint4 load_some(const T* from, int valid) {
    uint32_t word[4] = {0, 0, 0, 0};
    constexpr int PER = 4 / sizeof(T);
    #pragma unroll
    for (int i = 0; i < 4 * PER; i++) if (i < valid) {
        uint32_t bits = 0;
        if constexpr (sizeof(T) == 4) bits = *reinterpret_cast<const uint32_t*>(from + i);
        else if constexpr (sizeof(T) == 2) bits = *reinterpret_cast<const uint16_t*>(from + i);
        else bits = *reinterpret_cast<const uint8_t*>(from + i);
        word[i / PER] |= bits << i % PER * 8 * sizeof(T);
    }
    return make_uint4(word[0], word[1], word[2], word[3]);
}
// ---- From sums to Y

/// Whether Y and the residual can be read and written N elements of a row at a time.
template <class R, int N> DEVICE bool in_pieces(const Product& p, const Tile& tile) {
    return p.N % N == 0 && aligned<R>(p.y, p.ldy, tile.y) && aligned<R>(p.residual, p.ldy, tile.y);
}
/// Adds the residual to N sums of a row and writes them in one piece.
template <class R, int N> DEVICE void finish(const Product& p, int64_t at, float (&v)[N]) {
    if (p.residual) {
        float r[N]; elements::load(static_cast<const R*>(p.residual) + at, r);
        #pragma unroll
        for (int i = 0; i < N; i++) v[i] += r[i];
    }
    elements::store(static_cast<R*>(p.y) + at, v);
}
template <class R> DEVICE void finish(const Product& p, int64_t at, float v) {
    static_cast<R*>(p.y)[at] = R(p.residual ? v + float(static_cast<const R*>(p.residual)[at]) : v);
}
}  // namespace matmul
