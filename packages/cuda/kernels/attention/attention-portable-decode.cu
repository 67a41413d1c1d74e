// Attention of few queries over many keys, for every GPU since sm_80: generation, T up to 16. The keys of a kv head are
// read once for all queries of all heads of its group, and shared out over blocks, so that memory is busy with few texts
// too (Flash-Decoding, Dao et al. 2023). How many parts there are depends on shapes alone, and they are joined in order.
//
// A block takes 16 rows (query heads times queries) and a part of the keys; each warp every fourth 16 keys of it, through
// two stages of its own, so that warps wait for nobody.
// nvcc: -use_fast_math
#include "attention-portable.cuh"

namespace attention_portable {
/// Outputs and log-sum-exps that are joined: each output counts by the exponential of its log-sum-exp (base 2).
/// @param lse_of, o_of give part i's  @returns the joined output; `lse` the joined log-sum-exp
template <class Lse, class Output> DEVICE float join(int parts, float& lse, const Lse& lse_of, const Output& o_of) {
    float top = -INFINITY, total = 0, sum = 0;
    for (int i = 0; i < parts; i++) top = fmaxf(top, lse_of(i));
    const float base = top == -INFINITY ? 0 : top;             // no part saw a key
    for (int i = 0; i < parts; i++) { const float weight = exp2_fast(lse_of(i) - base); total += weight; sum = fmaf(weight, o_of(i), sum); }
    lse = top + log2f(total);
    return total > 0 ? sum / total : 0;
}

template <class E, int DP> struct Decode {
    static constexpr int WARPS = 4, THREADS = 32 * WARPS, ROWS = 16, KEYS = 16;      // KEYS of a tile of one warp
    struct Stage { E k[KEYS * STRIDE<DP>], v[KEYS * STRIDE<DP>]; };
    struct __align__(16) Shared {
        E q[ROWS * STRIDE<DP>];
        union { Stage stages[WARPS][2]; float o[WARPS][ROWS][DP]; };     // results of the warps when all are done with the keys
        float lse[WARPS][ROWS];
    };
    static_assert(sizeof(Shared) == 2 * 272 * STRIDE<DP> + 256 && sizeof(Shared) <= 99 << 10, "what a launch asks for, and a block on sm_86 and sm_89 has");

    static DEVICE void run(Inputs<E> in, const int* stored, float* part_o, float* part_lse) {
        if (stored) in.keys = min(*stored + in.T, in.S);
        auto& s = *reinterpret_cast<Shared*>(shared_memory());
        const int g = blockIdx.x % in.G, b = blockIdx.x / in.G, row0 = blockIdx.y * ROWS, part = blockIdx.z, parts = gridDim.z;
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, rows = in.group() * in.T;
        // Tiles of 16 keys from the first that any query sees by the window, shared out in runs of equal length.
        const int origin = max(0, in.offset() - in.window + 1) / KEYS, tiles = (in.keys + KEYS - 1) / KEYS - origin;
        const int each = (tiles + parts - 1) / parts, begin = origin + part * each, end = min(origin + tiles, begin + each);
        const int seen = in.sight_start(b, in.offset()) / KEYS, first = begin + (seen > begin ? (seen - begin) / WARPS * WARPS : 0) + warp;

        for (int i = threadIdx.x; i < ROWS * (DP / 8); i += THREADS) {
            const int r = i / (DP / 8), column = i % (DP / 8) * 8, row = row0 + r; const bool inside = row < rows && column < in.D;
            cp_async(s.q + r * STRIDE<DP> + column, inside ? in.query(in.q, b, row % in.T, g * in.group() + row / in.T) + column : in.q, inside ? 16 : 0);
        }
        const auto load_keys = [&](int turn, int tile) {
            Stage& stage = s.stages[warp][turn % 2];
            const int from = tile * KEYS, left = in.keys - from;
            load_tile<KEYS, DP, 32>(stage.k, in.key(in.k, b, from, g), in.G * in.D, left, in.D);
            load_tile<KEYS, DP, 32>(stage.v, in.key(in.v, b, from, g), in.G * in.D, left, in.D);
        };
        if (first < end) load_keys(0, first);
        cp_async_commit();

        int start[2], position[2];
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            position[half] = in.offset() + (row0 + lane / 4 + 8 * half) % in.T;
            start[half] = in.sight_start(b, position[half]);
        }
        float sum[1][DP / 8][4] = {};
        Softmax<1> softmax(in.scale);
        cp_async_wait<0>();
        __syncthreads();                                       // the queries are here for all
        for (int tile = first, turn = 0; tile < end; tile += WARPS, turn++) {
            if (tile + WARPS < end) load_keys(turn + 1, tile + WARPS);
            cp_async_commit();
            cp_async_wait<1>();
            __syncwarp();                                      // this tile is here
            Stage& stage = s.stages[warp][turn % 2];
            float score[1][KEYS / 8][4] = {};
            multiply<DP>(score, s.q, stage.k);
            #pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
                #pragma unroll
                for (int e = 0; e < 4; e++) {
                    const int j = tile * KEYS + 8 * n + lane % 4 * 2 + e % 2;
                    if (j > position[e / 2] || j < start[e / 2]) score[0][n][e] = -INFINITY;
                }
            softmax.weigh(score, sum);
            uint32_t weights[1][KEYS / 16][4];
            pack_weights<E>(weights, score);
            gather<DP>(sum, weights, stage.v);
            __syncwarp();                                      // all lanes are done with it
        }

        softmax.finish();
        __syncthreads();
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            const int r = lane / 4 + 8 * half; const float total = softmax.total[0][half], inverse = total > 0 ? 1 / total : 0;
            #pragma unroll
            for (int n = 0; n < DP / 8; n++) *reinterpret_cast<float2*>(&s.o[warp][r][8 * n + lane % 4 * 2]) = make_float2(sum[0][n][2 * half] * inverse, sum[0][n][2 * half + 1] * inverse);
            if (lane % 4 == 0) s.lse[warp][r] = softmax.log2_sum(0, half);
        }
        __syncthreads();
        const size_t row = ((size_t)blockIdx.x * parts + part) * rows + row0;
        for (int i = threadIdx.x; i < ROWS * in.D; i += THREADS) {
            const int r = i / in.D, d = i % in.D;
            if (row0 + r >= rows) break;
            float lse;
            part_o[(row + r) * in.D + d] = join(WARPS, lse, [&](int w) { return s.lse[w][r]; }, [&](int w) { return s.o[w][r][d]; });
            if (d == 0) part_lse[row + r] = lse;
        }
    }
};

/// A block joins the parts of one query of one head.
template <class E> struct DecodeJoin {
    static DEVICE void run(const float* part_o, const float* part_lse, E* o, float* lse, int parts, int T, int H, int G, int D) {
        const int t = blockIdx.x, h = blockIdx.y, b = blockIdx.z, group = H / G, rows = group * T;
        const size_t row = ((size_t)b * G + h / group) * parts * rows + h % group * T + t;       // of part 0
        const int d = threadIdx.x;
        if (d >= D) return;
        float all;
        const float value = join(parts, all, [&](int i) { return part_lse[row + (size_t)i * rows]; }, [&](int i) { return part_o[(row + (size_t)i * rows) * D + d]; });
        o[(((size_t)b * T + t) * H + h) * D + d] = E(value);
        if (d == 0) lse[((size_t)b * H + h) * T + t] = all / LOG2E;
    }
};
}  // namespace attention_portable

/// Grid [B · G, ⌈H / G · T / 16⌉, parts], 128 threads, 2·272·(DP + 8) + 256 bytes of shared memory; T above 0. A part is a run
/// of tiles of 16 keys, none where there are more parts than tiles.
/// @param stored null, or keys in use before those of the T queries, `[1]`, in place of `in.keys`
/// @param part_o `[B, G, parts, H / G, T, D]`  @param part_lse `[B, G, parts, H / G, T]`, in base 2, −∞ where no key is seen
#define ATTENTION_PORTABLE_DECODE(NAME, E, DP) \
extern "C" __global__ void __launch_bounds__(128, 3) attention_portable_decode_##NAME##_##DP(const __grid_constant__ attention_portable::Inputs<E> in, const int* stored, float* part_o, float* part_lse) { \
    attention_portable::Decode<E, DP>::run(in, stored, part_o, part_lse); \
}
ATTENTION_PORTABLE_DECODE(bf16, __nv_bfloat16, 64)
ATTENTION_PORTABLE_DECODE(bf16, __nv_bfloat16, 80)
ATTENTION_PORTABLE_DECODE(bf16, __nv_bfloat16, 96)
ATTENTION_PORTABLE_DECODE(bf16, __nv_bfloat16, 112)
ATTENTION_PORTABLE_DECODE(bf16, __nv_bfloat16, 128)
ATTENTION_PORTABLE_DECODE(f16, __half, 64)
ATTENTION_PORTABLE_DECODE(f16, __half, 80)
ATTENTION_PORTABLE_DECODE(f16, __half, 96)
ATTENTION_PORTABLE_DECODE(f16, __half, 112)
ATTENTION_PORTABLE_DECODE(f16, __half, 128)

/// Grid [T, H, B], 128 threads.
/// @param o `[B, T, H, D]`  @param lse `[B, H, T]`, natural log of the sum of exponentials
#define ATTENTION_PORTABLE_DECODE_JOIN(NAME, E) \
extern "C" __global__ void __launch_bounds__(128) attention_portable_decode_join_##NAME(const float* part_o, const float* part_lse, E* o, float* lse, int parts, int T, int H, int G, int D) { \
    attention_portable::DecodeJoin<E>::run(part_o, part_lse, o, lse, parts, T, H, G, D); \
}
ATTENTION_PORTABLE_DECODE_JOIN(bf16, __nv_bfloat16)
ATTENTION_PORTABLE_DECODE_JOIN(f16, __half)
