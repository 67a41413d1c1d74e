// Backward of attention-portable-forward.cu.
//   P = exp(q·kᵀ·scale − lse)   dV = Pᵀ·dO   dS = P ∘ (dO·vᵀ − delta)   dK = scale·dSᵀ·q   dQ = scale·dS·k
// Two passes, so that every sum has one owner and one order: blocks of keys sum dK and dV over the queries (and q heads)
// that see them, blocks of queries sum dQ over the keys they see. The keys' side is transposed (Sᵀ = k·qᵀ), so that on both
// sides what was just computed feeds the next product from registers.
// nvcc: -use_fast_math
#include "attention-portable.cuh"

namespace attention_portable {
/// What both sides read of a query: log-sum-exp in base 2, delta = Σ_d dO·o, and the first and the last key it sees.
struct __align__(16) Query { float lse, delta; int first, last; };
constexpr int QUERY_ROWS = 64;
/// Queries lie `[B, H, query_rows(T)]`, whole tiles: those past the end see nothing.
__host__ DEVICE int query_rows(int T) { return (T + QUERY_ROWS - 1) / QUERY_ROWS * QUERY_ROWS; }

constexpr int WARPS = 4, THREADS = 32 * WARPS, OWN = 16 * WARPS;      // rows of a block, 16 a warp
/// Rows of a tile that streams past: two stages of two tiles, beside two of the block's own, in what sm_86 and sm_89 have.
template <int DP> constexpr int STREAMED = DP <= 96 ? 64 : 32;
static_assert(QUERY_ROWS % OWN == 0 && QUERY_ROWS % STREAMED<64> == 0 && QUERY_ROWS % STREAMED<128> == 0, "whole tiles of queries");

/// Sixteen lanes sum the products of a row in pieces of 8, then those in a fixed order.
template <class E> struct BackwardQueryStatistics {
    static constexpr int ROWS = 16, THREADS = 16 * ROWS;
    struct alignas(16) Piece { E element[8]; };
    static DEVICE void run(const Inputs<E>& in, const E* o, const E* d_o, const float* lse, Query* queries) {
        const int lane = threadIdx.x % 16, i = blockIdx.x * ROWS + threadIdx.x / 16, h = blockIdx.y, b = blockIdx.z;
        float delta = 0;
        if (i < in.T && lane * 8 < in.D) {
            const Piece x = *reinterpret_cast<const Piece*>(in.query(o, b, i, h) + lane * 8), y = *reinterpret_cast<const Piece*>(in.query(d_o, b, i, h) + lane * 8);
            #pragma unroll
            for (int d = 0; d < 8; d++) delta = fmaf(float(x.element[d]), float(y.element[d]), delta);
        }
        #pragma unroll
        for (int m = 8; m; m /= 2) delta += __shfl_xor_sync(~0u, delta, m);
        if (lane != 0) return;
        const size_t row = (size_t)b * in.H + h;
        Query q = {INFINITY, 0, INT32_MAX, -1};
        if (i < in.T) q = {lse[row * in.T + i] * LOG2E, delta, in.sight_start(b, in.offset() + i), in.offset() + i};
        queries[row * query_rows(in.T) + i] = q;
    }
};

template <class E, int DP> struct BackwardKeys {
    static constexpr int TILE = STREAMED<DP>, STEP = 32;      // queries of a tile, and of those whose scores are in registers
    struct __align__(16) Shared { E k[OWN * STRIDE<DP>], v[OWN * STRIDE<DP>], q[2][TILE * STRIDE<DP>], d_o[2][TILE * STRIDE<DP>]; Query queries[2][TILE]; };
    static_assert(sizeof(Shared) == 2 * (2 * OWN + 4 * TILE) * STRIDE<DP> + 2 * TILE * sizeof(Query) && sizeof(Shared) <= 99 << 10, "what a launch asks for, and a block on sm_86 and sm_89 has");

    static DEVICE void run(const Inputs<E>& in, const E* d_o, const Query* queries, E* d_k, E* d_v) {
        auto& s = *reinterpret_cast<Shared*>(shared_memory());
        const int g = blockIdx.x, k0 = blockIdx.y * OWN, b = blockIdx.z;
        const int warp0 = threadIdx.x / 32 * 16, lane = threadIdx.x % 32, low = k0 + warp0, high = low + 15;      // keys of this warp
        // Tiles of queries that see any of these keys; none where the keys are not in use.
        int first = 0, tiles = 0;
        if (k0 < in.keys) {
            const int from = max(0, k0 - in.offset()), end = in.sight_end(b, min(k0 + OWN, in.keys) - 1) - in.offset();
            first = from / TILE;
            if (end > from) tiles = (end - 1) / TILE - first + 1;
        }
        const int turns = tiles * in.group();
        const auto load_queries = [&](int turn) {
            const int h = g * in.group() + turn / tiles, from = (first + turn % tiles) * TILE, stage = turn % 2;
            load_tile<TILE, DP, THREADS>(s.q[stage], in.query(in.q, b, from, h), in.H * in.D, in.T - from, in.D);
            load_tile<TILE, DP, THREADS>(s.d_o[stage], in.query(d_o, b, from, h), in.H * in.D, in.T - from, in.D);
            if (threadIdx.x < TILE) cp_async(&s.queries[stage][threadIdx.x], queries + ((size_t)b * in.H + h) * query_rows(in.T) + from + threadIdx.x);
        };
        load_tile<OWN, DP, THREADS>(s.k, in.key(in.k, b, k0, g), in.G * in.D, in.keys - k0, in.D);
        load_tile<OWN, DP, THREADS>(s.v, in.key(in.v, b, k0, g), in.G * in.D, in.keys - k0, in.D);
        if (turns > 0) load_queries(0);
        cp_async_commit();

        float sum_k[1][DP / 8][4] = {}, sum_v[1][DP / 8][4] = {};
        for (int turn = 0; turn < turns; turn++) {
            cp_async_wait<0>();
            __syncthreads();                                   // this tile is here, and all are done with the one before
            if (turn + 1 < turns) load_queries(turn + 1);
            cp_async_commit();
            const int stage = turn % 2, from = in.offset() + (first + turn % tiles) * TILE;
            #pragma unroll 1
            for (int step = 0; step < TILE; step += STEP) {
                const Query* query = s.queries[stage] + step;
                if (from + step + STEP - 1 < low || query[0].first > high) continue;
                const bool all = from + step >= high && query[STEP - 1].first <= low;      // every query sees every key
                float score[1][STEP / 8][4] = {}, d_score[1][STEP / 8][4] = {};
                multiply<DP>(score, s.k + warp0 * STRIDE<DP>, s.q[stage] + step * STRIDE<DP>);
                multiply<DP>(d_score, s.v + warp0 * STRIDE<DP>, s.d_o[stage] + step * STRIDE<DP>);
                #pragma unroll
                for (int n = 0; n < STEP / 8; n++)
                    #pragma unroll
                    for (int c = 0; c < 2; c++) {
                        const Query x = query[8 * n + lane % 4 * 2 + c];
                        #pragma unroll
                        for (int e = c; e < 4; e += 2) {
                            const int j = low + e / 2 * 8 + lane / 4;
                            const float p = all || (x.first <= j && j <= x.last) ? exp2_fast(fmaf(score[0][n][e], in.scale * LOG2E, -x.lse)) : 0;
                            score[0][n][e] = p; d_score[0][n][e] = p * (d_score[0][n][e] - x.delta);
                        }
                    }
                uint32_t weights[1][STEP / 16][4];
                pack_weights<E>(weights, score);
                gather<DP>(sum_v, weights, s.d_o[stage] + step * STRIDE<DP>);
                pack_weights<E>(weights, d_score);
                gather<DP>(sum_k, weights, s.q[stage] + step * STRIDE<DP>);
            }
        }
        cp_async_wait<0>();
        __syncthreads();                                       // where no query sees these keys, their tile may still be on its way
        const float scale[2] = {in.scale, in.scale}, one[2] = {1, 1};
        write_sums<DP>(const_cast<E*>(in.key(d_k, b, low, g)), in.G * in.D, s.k + warp0 * STRIDE<DP>, sum_k[0], scale, in.S - low, in.D);
        write_sums<DP>(const_cast<E*>(in.key(d_v, b, low, g)), in.G * in.D, s.v + warp0 * STRIDE<DP>, sum_v[0], one, in.S - low, in.D);
    }
};

template <class E, int DP> struct BackwardQueries {
    static constexpr int TILE = STREAMED<DP>;                 // keys
    struct __align__(16) Shared { E q[OWN * STRIDE<DP>], d_o[OWN * STRIDE<DP>], k[2][TILE * STRIDE<DP>], v[2][TILE * STRIDE<DP>]; };
    static_assert(sizeof(Shared) == 2 * (2 * OWN + 4 * TILE) * STRIDE<DP> && sizeof(Shared) <= 99 << 10, "what a launch asks for, and a block on sm_86 and sm_89 has");

    static DEVICE void run(const Inputs<E>& in, const E* d_o, const Query* queries, E* d_q) {
        auto& s = *reinterpret_cast<Shared*>(shared_memory());
        // Long rows first, as in the forward pass.
        const int h = blockIdx.x, q0 = (gridDim.y - 1 - blockIdx.y) * OWN, b = blockIdx.z, g = h / in.group();
        const int warp0 = threadIdx.x / 32 * 16, lane = threadIdx.x % 32, low = in.offset() + q0 + warp0, high = low + 15;
        const int first = in.sight_start(b, in.offset() + q0) / TILE, last = (min(in.keys, in.offset() + q0 + OWN) - 1) / TILE;

        const auto load_keys = [&](int stage, int tile) {
            const int from = tile * TILE, rows = in.keys - from;
            load_tile<TILE, DP, THREADS>(s.k[stage], in.key(in.k, b, from, g), in.G * in.D, rows, in.D);
            load_tile<TILE, DP, THREADS>(s.v[stage], in.key(in.v, b, from, g), in.G * in.D, rows, in.D);
        };
        load_tile<OWN, DP, THREADS>(s.q, in.query(in.q, b, q0, h), in.H * in.D, in.T - q0, in.D);
        load_tile<OWN, DP, THREADS>(s.d_o, in.query(d_o, b, q0, h), in.H * in.D, in.T - q0, in.D);
        load_keys(last % 2, last);
        cp_async_commit();

        const Query* rows = queries + ((size_t)b * in.H + h) * query_rows(in.T) + q0 + warp0;
        const Query own[2] = {rows[lane / 4], rows[lane / 4 + 8]};
        const int start_low = rows[0].first, start_high = rows[15].first;

        float sum[1][DP / 8][4] = {};
        for (int tile = last; tile >= first; tile--) {
            cp_async_wait<0>();
            __syncthreads();                                   // this tile is here, and all are done with the one before
            if (tile > first) load_keys((tile - 1) % 2, tile - 1);
            cp_async_commit();
            const int from = tile * TILE, stage = tile % 2;
            if (from > high || from + TILE <= start_low) continue;
            const bool all = from + TILE - 1 <= low && from >= start_high;
            float score[1][TILE / 8][4] = {}, d_score[1][TILE / 8][4] = {};
            multiply<DP>(score, s.q + warp0 * STRIDE<DP>, s.k[stage]);
            multiply<DP>(d_score, s.d_o + warp0 * STRIDE<DP>, s.v[stage]);
            #pragma unroll
            for (int n = 0; n < TILE / 8; n++)
                #pragma unroll
                for (int e = 0; e < 4; e++) {
                    const int j = from + 8 * n + lane % 4 * 2 + e % 2; const Query& x = own[e / 2];
                    const float p = all || (x.first <= j && j <= x.last) ? exp2_fast(fmaf(score[0][n][e], in.scale * LOG2E, -x.lse)) : 0;
                    d_score[0][n][e] = p * (d_score[0][n][e] - x.delta);
                }
            uint32_t weights[1][TILE / 16][4];
            pack_weights<E>(weights, d_score);
            gather<DP>(sum, weights, s.k[stage]);
        }
        const float scale[2] = {in.scale, in.scale};
        write_sums<DP>(const_cast<E*>(in.query(d_q, b, q0 + warp0, h)), in.H * in.D, s.q + warp0 * STRIDE<DP>, sum[0], scale, in.T - q0 - warp0, in.D);
    }
};
}  // namespace attention_portable

/// For each type: what the two passes read of every query. Grid [query_rows(T) / 16, H, B], 256 threads.
/// @param o, d_o `[B, T, H, D]`  @param lse `[B, H, T]`  @param queries `[B, H, query_rows(T)]`
#define ATTENTION_PORTABLE_BACKWARD_STATISTICS(NAME, E) \
extern "C" __global__ void __launch_bounds__(256) attention_portable_backward_statistics_##NAME(const __grid_constant__ attention_portable::Inputs<E> in, const E* o, const E* d_o, const float* lse, attention_portable::Query* queries) { \
    attention_portable::BackwardQueryStatistics<E>::run(in, o, d_o, lse, queries); \
}
ATTENTION_PORTABLE_BACKWARD_STATISTICS(bf16, __nv_bfloat16)
ATTENTION_PORTABLE_BACKWARD_STATISTICS(f16, __half)

/// For each type and DP `…_keys`, grid [G, ⌈S / 64⌉, B], and `…_queries`, grid [H, ⌈T / 64⌉, B], both of 128 threads.
/// Shared memory: 2·(DP + 8)·(128 + 4·TILE) bytes, and 32·TILE more for keys, TILE being 64 for DP up to 96, and 32.
/// @param d_o `[B, T, H, D]`  @param d_k, d_v `[B, S, G, D]`, 0 for keys not in use  @param d_q `[B, T, H, D]`
#define ATTENTION_PORTABLE_BACKWARD(NAME, E, DP) \
extern "C" __global__ void __launch_bounds__(128, 2) attention_portable_backward_keys_##NAME##_##DP(const __grid_constant__ attention_portable::Inputs<E> in, const E* d_o, const attention_portable::Query* queries, E* d_k, E* d_v) { \
    attention_portable::BackwardKeys<E, DP>::run(in, d_o, queries, d_k, d_v); \
} \
extern "C" __global__ void __launch_bounds__(128, 2) attention_portable_backward_queries_##NAME##_##DP(const __grid_constant__ attention_portable::Inputs<E> in, const E* d_o, const attention_portable::Query* queries, E* d_q) { \
    attention_portable::BackwardQueries<E, DP>::run(in, d_o, queries, d_q); \
}
ATTENTION_PORTABLE_BACKWARD(bf16, __nv_bfloat16, 64)
ATTENTION_PORTABLE_BACKWARD(bf16, __nv_bfloat16, 80)
ATTENTION_PORTABLE_BACKWARD(bf16, __nv_bfloat16, 96)
ATTENTION_PORTABLE_BACKWARD(bf16, __nv_bfloat16, 112)
ATTENTION_PORTABLE_BACKWARD(bf16, __nv_bfloat16, 128)
ATTENTION_PORTABLE_BACKWARD(f16, __half, 64)
ATTENTION_PORTABLE_BACKWARD(f16, __half, 80)
ATTENTION_PORTABLE_BACKWARD(f16, __half, 96)
ATTENTION_PORTABLE_BACKWARD(f16, __half, 112)
ATTENTION_PORTABLE_BACKWARD(f16, __half, 128)
