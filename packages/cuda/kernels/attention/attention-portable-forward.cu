// Causal, sliding-window, grouped-query attention over documents, forward, for every GPU since sm_80: bf16 and f16, head_dim
// any multiple of 8 up to 128. Dao 2023, FlashAttention-2.
//
// A block owns 128 queries of one head, a warp 32 of them: two pieces of 16 rows, so that what ldmatrix brings of the keys
// serves twice, since shared memory is what limits mma.sync. Keys and values stream past in two stages, latest first; a
// tile is on its way while the one before it is multiplied.
// nvcc: -use_fast_math
#include "attention-portable.cuh"

namespace attention_portable {
template <class E, int DP> struct Forward {
    static constexpr int M = 2, WARPS = 4, THREADS = 32 * WARPS, QUERIES = 16 * M * WARPS;
    static constexpr int KEYS = DP <= 80 ? 64 : 32;      // as many as registers hold scores of
    struct __align__(16) Shared { E q[QUERIES * STRIDE<DP>], k[2][KEYS * STRIDE<DP>], v[2][KEYS * STRIDE<DP>]; };
    static_assert(sizeof(Shared) == 2 * (QUERIES + 4 * KEYS) * STRIDE<DP> && sizeof(Shared) <= 99 << 10, "what a launch asks for, and a block on sm_86 and sm_89 has");

    static DEVICE void run(const Inputs<E>& in, E* o, float* lse) {
        auto& s = *reinterpret_cast<Shared*>(shared_memory());
        // Heads side by side and long rows first: what runs together shares keys, and no long block starts last.
        const int h = blockIdx.x, q0 = (gridDim.y - 1 - blockIdx.y) * QUERIES, b = blockIdx.z, g = h / in.group();
        const int warp0 = threadIdx.x / 32 * 16 * M, lane = threadIdx.x % 32;
        const int low = in.offset() + q0 + warp0, high = low + 16 * M - 1;      // positions of this warp
        const int first = in.sight_start(b, in.offset() + q0) / KEYS, last = (min(in.keys, in.offset() + q0 + QUERIES) - 1) / KEYS;

        const auto load_keys = [&](int stage, int tile) {
            const int from = tile * KEYS, rows = in.keys - from;
            load_tile<KEYS, DP, THREADS>(s.k[stage], in.key(in.k, b, from, g), in.G * in.D, rows, in.D);
            load_tile<KEYS, DP, THREADS>(s.v[stage], in.key(in.v, b, from, g), in.G * in.D, rows, in.D);
        };
        load_tile<QUERIES, DP, THREADS>(s.q, in.query(in.q, b, q0, h), in.H * in.D, in.T - q0, in.D);
        load_keys(last % 2, last);
        cp_async_commit();

        int start[M][2];       // the first key that each row of this lane sees
        #pragma unroll
        for (int m = 0; m < M; m++)
            #pragma unroll
            for (int half = 0; half < 2; half++) start[m][half] = in.sight_start(b, low + 16 * m + 8 * half + lane / 4);
        const int start_low = in.sight_start(b, low), start_high = in.sight_start(b, high);

        float sum[M][DP / 8][4] = {};
        Softmax<M> softmax(in.scale);
        for (int tile = last; tile >= first; tile--) {
            cp_async_wait<0>();
            __syncthreads();                                   // this tile is here, and all are done with the one before
            if (tile > first) load_keys((tile - 1) % 2, tile - 1);
            cp_async_commit();
            const int from = tile * KEYS;
            if (from > high || from + KEYS <= start_low) continue;
            float score[M][KEYS / 8][4] = {};
            multiply<DP>(score, s.q + warp0 * STRIDE<DP>, s.k[tile % 2]);
            if (from + KEYS - 1 > low || from < start_high) {
                #pragma unroll
                for (int m = 0; m < M; m++)
                    #pragma unroll
                    for (int n = 0; n < KEYS / 8; n++)
                        #pragma unroll
                        for (int e = 0; e < 4; e++) {
                            const int j = from + 8 * n + lane % 4 * 2 + e % 2, i = low + 16 * m + e / 2 * 8 + lane / 4;
                            if (j > i || j < start[m][e / 2]) score[m][n][e] = -INFINITY;
                        }
            }
            softmax.weigh(score, sum);
            uint32_t weights[M][KEYS / 16][4];
            pack_weights<E>(weights, score);
            gather<DP>(sum, weights, s.v[tile % 2]);
        }

        softmax.finish();
        #pragma unroll
        for (int m = 0; m < M; m++) {
            const int row = q0 + warp0 + 16 * m;
            const float inverse[2] = {1 / softmax.total[m][0], 1 / softmax.total[m][1]};
            write_sums<DP>(const_cast<E*>(in.query(o, b, row, h)), in.H * in.D, s.q + (warp0 + 16 * m) * STRIDE<DP>, sum[m], inverse, in.T - row, in.D);
            #pragma unroll
            for (int half = 0; half < 2; half++) {
                const int i = row + 8 * half + lane / 4;
                if (lane % 4 == 0 && i < in.T) lse[((size_t)b * in.H + h) * in.T + i] = softmax.log2_sum(m, half) / LOG2E;
            }
        }
    }
};
}  // namespace attention_portable

/// Grid [H, ⌈T / 128⌉, B], 128 threads; T above 0. DP is the least of 64, 80, 96, 112 and 128 that is not below D.
/// Shared memory: 2·(DP + 8)·(128 + 4·KEYS) bytes, KEYS being 64 for DP up to 80, and 32.
/// @param in see `Inputs`  @param o `[B, T, H, D]`  @param lse `[B, H, T]`, natural log of the sum of exponentials
#define ATTENTION_PORTABLE_FORWARD(NAME, E, DP) \
extern "C" __global__ void __launch_bounds__(128, 2) attention_portable_forward_##NAME##_##DP(const __grid_constant__ attention_portable::Inputs<E> in, E* o, float* lse) { \
    attention_portable::Forward<E, DP>::run(in, o, lse); \
}
ATTENTION_PORTABLE_FORWARD(bf16, __nv_bfloat16, 64)
ATTENTION_PORTABLE_FORWARD(bf16, __nv_bfloat16, 80)
ATTENTION_PORTABLE_FORWARD(bf16, __nv_bfloat16, 96)
ATTENTION_PORTABLE_FORWARD(bf16, __nv_bfloat16, 112)
ATTENTION_PORTABLE_FORWARD(bf16, __nv_bfloat16, 128)
ATTENTION_PORTABLE_FORWARD(f16, __half, 64)
ATTENTION_PORTABLE_FORWARD(f16, __half, 80)
ATTENTION_PORTABLE_FORWARD(f16, __half, 96)
ATTENTION_PORTABLE_FORWARD(f16, __half, 112)
ATTENTION_PORTABLE_FORWARD(f16, __half, 128)
