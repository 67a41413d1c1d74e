// What both passes of attention backward read of every query: its log-sum-exp in base 2, and delta = Σ_d dO·out.
#pragma once
#include "attention-tiles.cuh"

namespace attention_backward {
using namespace attention_tiles;
constexpr int TILE = BOX;               // rows of a warpgroup and of a tile that streams past it

/// `statistics[2][heads][statistics_rows(tokens)]`: lse · log2 e, then delta. Whole tiles: rows past the end see nothing, so
/// their lse is infinite.
__host__ DEVICE int statistics_rows(int tokens) { return (tokens + TILE - 1) / TILE * TILE; }

/// A block for 16 tokens of 4 heads, in pieces of 16 bytes: a thread sums 8 products of two pieces each, then the sums of a
/// head are added in a fixed order.
template <int D_> struct Statistics { static constexpr int D = D_, TOKENS = 16, HEADS = 4, PIECES = D / 8, THREADS = 32 * PIECES, SHARED = 4 * TOKENS * HEADS * PIECES; };
struct __align__(16) Piece { __nv_bfloat162 pairs[4]; };

template <class S> DEVICE void run_statistics(const Bf16* out, const Bf16* d_out, const float* lse, float* statistics, const AttentionShape& shape) {
    constexpr int PIECES = S::PIECES, HEADS = S::HEADS, TOKENS = S::TOKENS;
    float* partial = reinterpret_cast<float*>(shared_memory());
    const int row0 = blockIdx.x * TOKENS, head0 = blockIdx.y * HEADS, T = shape.tokens, heads = shape.heads;
    #pragma unroll
    for (int i = threadIdx.x; i < TOKENS * HEADS * PIECES; i += S::THREADS) {
        const int row = row0 + i / (HEADS * PIECES), head = head0 + i / PIECES % HEADS;
        float sum = 0;
        if (row < T && head < heads) {
            const size_t at = ((size_t)row * heads + head) * S::D + i % PIECES * 8;
            const Piece a = *reinterpret_cast<const Piece*>(out + at), b = *reinterpret_cast<const Piece*>(d_out + at);
            #pragma unroll
            for (int j = 0; j < 4; j++) {
                const float2 u = __bfloat1622float2(a.pairs[j]), v = __bfloat1622float2(b.pairs[j]);
                sum = fmaf(u.x, v.x, sum); sum = fmaf(u.y, v.y, sum);
            }
        }
        partial[i] = sum;
    }
    __syncthreads();
    const int row = row0 + threadIdx.x % TOKENS, local = threadIdx.x / TOKENS, head = head0 + local, rows = statistics_rows(T);
    if (local < HEADS && head < heads && row < rows) {
        const float* pieces = partial + (threadIdx.x % TOKENS * HEADS + local) * PIECES;
        float sum = 0;
        #pragma unroll
        for (int j = 0; j < PIECES; j++) sum += pieces[j];
        float* to = statistics + (size_t)head * rows + row;
        to[0] = row < T ? lse[shape.lse_at(head, row)] * LOG2E : INFINITY; to[(size_t)heads * rows] = sum;
    }
}
}  // namespace attention_backward
