// Products of f32 by ordinary arithmetic, each sum one chain of fused multiply-adds in the order of k: a block has 128 × 128
// sums, a thread 8 × 8 of them. Elements are copied one by one, so that they may lie anywhere and turn on their way.
#pragma once
#include "matmul.cuh"

namespace matmul {
constexpr int F32_TILE = 128, F32_K = 8, F32_THREADS = 256, F32_STAGES = 4;
/// Eight k of an operand; four banks further for each.
using F32Stage = float[F32_K][F32_TILE + 4];

/// Fetches the k from `k` on of 128 rows, neighbours in memory by neighbouring threads; zeros past the ends.
template <Major MAJOR> DEVICE void fetch_f32(F32Stage& to, const float* from, int stride, int row, int rows, int k, int end_k) {
    constexpr int TURNS = F32_K * F32_TILE / F32_THREADS, ROWS = MAJOR == Major::k ? F32_TILE / TURNS : 0, KS = MAJOR == Major::k ? 0 : F32_K / TURNS;
    const int own_row = MAJOR == Major::k ? threadIdx.x / F32_K : threadIdx.x % F32_TILE, own_k = MAJOR == Major::k ? threadIdx.x % F32_K : threadIdx.x / F32_TILE;
    row += own_row; k += own_k;
    const float* at = from + (MAJOR == Major::k ? (int64_t)row * stride + k : (int64_t)k * stride + row);
    #pragma unroll
    for (int i = 0; i < TURNS; i++, row += ROWS, k += KS, at += (ROWS + KS) * (int64_t)stride)
        cp_async_word(&to[own_k + i * KS][own_row + i * ROWS], row < rows && k < end_k ? at : from, row < rows && k < end_k);
}

template <Major A_MAJOR, Major B_MAJOR> DEVICE void f32(const Product& p) {
    __shared__ __align__(16) F32Stage left[F32_STAGES], right[F32_STAGES];
    const Tile tile(p, F32_TILE, F32_TILE);
    const float *a = static_cast<const float*>(p.a) + tile.a, *b = static_cast<const float*>(p.b) + tile.b;
    const int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;    // and 64 further
    const auto fetch = [&](int k, int stage) {
        if (k < tile.end_k) {
            fetch_f32<A_MAJOR>(left[stage], a, p.lda, tile.row, p.M, k, tile.end_k);
            fetch_f32<B_MAJOR>(right[stage], b, p.ldb, tile.column, p.N, k, tile.end_k);
        }
        cp_async_commit();
    };
    float sum[2][4][2][4] = {};
    for (int s = 0; s < F32_STAGES - 1; s++) fetch(tile.first_k + s * F32_K, s);
    for (int k = tile.first_k, stage = 0; k < tile.end_k; k += F32_K, stage = (stage + 1) % F32_STAGES) {
        cp_async_wait<F32_STAGES - 2>();
        __syncthreads();                    // this stage has landed for all, and all are done with the one before, which is fetched anew
        fetch(k + (F32_STAGES - 1) * F32_K, (stage + F32_STAGES - 1) % F32_STAGES);
        #pragma unroll 2      // more at once would need more registers than two blocks leave each other
        for (int i = 0; i < F32_K; i++) {
            float x[2][4], y[2][4];
            #pragma unroll
            for (int h = 0; h < 2; h++) { elements::load(&left[stage][i][row + 64 * h], x[h]); elements::load(&right[stage][i][column + 64 * h], y[h]); }
            #pragma unroll
            for (int u = 0; u < 8; u++)
                #pragma unroll
                for (int v = 0; v < 8; v++) sum[u / 4][u % 4][v / 4][v % 4] = fmaf(x[u / 4][u % 4], y[v / 4][v % 4], sum[u / 4][u % 4][v / 4][v % 4]);
        }
    }

    const float f = factor(p);
    const bool pieces = in_pieces<float, 4>(p, tile);
    #pragma unroll
    for (int u = 0; u < 8; u++)
        #pragma unroll
        for (int h = 0; h < 2; h++) {
            const int r = tile.row + row + u / 4 * 64 + u % 4, c = tile.column + column + 64 * h;
            const int64_t at = tile.y + (int64_t)r * p.ldy + c;
            float (&v)[4] = sum[u / 4][u % 4][h];
            #pragma unroll
            for (int i = 0; i < 4; i++) v[i] *= f;
            if (r >= p.M || c >= p.N) continue;
            if (pieces) { finish<float>(p, at, v); continue; }
            #pragma unroll
            for (int i = 0; i < 4; i++) if (c + i < p.N) finish<float>(p, at + i, v[i]);
        }
}
}  // namespace matmul
