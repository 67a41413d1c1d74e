// Attention of few queries over many keys, for every GPU since sm_80: generation, T up to 16. The keys of a kv head are
// read once for all queries of all heads of its group, and shared out over blocks, so that memory is busy with few texts
// too (Flash-Decoding, Dao et al. 2023). How many parts there are depends on shapes alone, and the block that ends last joins
// them in order. Keys and values of new positions may come beside the cache, which they are appended to in passing.
//
// A block takes 16 rows (query heads times queries) and a part of the keys; each warp every fourth 16 keys of it, through
// two stages of its own, so that warps wait for nobody.
// nvcc: -use_fast_math
#include "../common/fault.cuh"
#include "attention-portable.cuh"

namespace attention_portable {
/// Keys and values k and v `[B, T, G, D]` of the last T positions, to be written to the cache that `Inputs` names, of which
/// `stored` `[1]` are in use before; all null where the cache has them already. A position past its end is reported to `fault`
/// and not written.
template <class E> struct Fresh { const E *k, *v; E *keys, *values; const int* stored; int* fault; };
/// What the parts of a launch leave for the block that joins them: o `[B, G, parts, H / G, T, D]`, lse `[B, G, parts, H / G, T]`,
/// in base 2, −∞ where no key is seen, and a counter `[≥ blocks of one part]`, zero and left zero, for all where there are several.
struct Parts { float *o, *lse; int* done; };

template <class E, int DP> struct Decode {
    static constexpr int WARPS = 4, THREADS = 32 * WARPS, ROWS = 16, KEYS = 16, MOST_PARTS = 256;      // KEYS of a tile of one warp
    struct Stage { E k[KEYS * STRIDE<DP>], v[KEYS * STRIDE<DP>]; };
    struct __align__(16) Shared {
        E q[ROWS * STRIDE<DP>];
        // Results of the warps when all are done with the keys; weights of the parts when all are done with these.
        union { Stage stages[WARPS][2]; float o[WARPS][ROWS][DP]; float weights[ROWS][MOST_PARTS]; };
        float lse[WARPS][ROWS];
    };
    static_assert(sizeof(Shared) == 2 * 272 * STRIDE<DP> + 256 && sizeof(Shared) <= 99 << 10, "what a launch asks for, and a block on sm_86 and sm_89 has");

    static DEVICE void run(Inputs<E> in, const Fresh<E>& fresh, const Parts& all, E* o, float* lse) {
        const int stored = fresh.k ? __ldcg(fresh.stored) : in.keys;
        if (fresh.k) in.keys = min(stored + in.T, in.S);
        auto& s = *reinterpret_cast<Shared*>(shared_memory());
        const int g = blockIdx.x % in.G, b = blockIdx.x / in.G, row0 = blockIdx.y * ROWS, part = blockIdx.z, parts = gridDim.z;
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, rows = in.group() * in.T;
        // Tiles of 16 keys from the first that any query sees by the window, shared out in runs of equal length.
        const int origin = max(0, in.offset() - in.window + 1) / KEYS, tiles = (in.keys + KEYS - 1) / KEYS - origin;
        const int each = (tiles + parts - 1) / parts, begin = origin + part * each, end = min(origin + tiles, begin + each);
        const int seen = in.sight_start(b, in.offset()) / KEYS, first = begin + (seen > begin ? (seen - begin) / WARPS * WARPS : 0) + warp;

        const auto load_keys = [&](int turn, int tile) {
            Stage& stage = s.stages[warp][turn % 2];
            #pragma unroll
            for (int base = 0; base < KEYS * (DP / 8); base += 32) {
                const int i = base + lane, row = i / (DP / 8), column = i % (DP / 8) * 8, j = tile * KEYS + row, at = row * STRIDE<DP> + column;
                const bool inside = j < in.keys && column < in.D, is_fresh = j >= stored;
                const size_t from = is_fresh ? (((size_t)b * in.T + j - stored) * in.G + g) * in.D + column : (((size_t)b * in.S + j) * in.G + g) * in.D + column;
                cp_async(stage.k + at, inside ? (is_fresh ? fresh.k : in.k) + from : in.q, inside ? 16 : 0);
                cp_async(stage.v + at, inside ? (is_fresh ? fresh.v : in.v) + from : in.q, inside ? 16 : 0);
            }
        };
        const bool early = (first + 1) * KEYS <= stored;       // the cache is there before the queries are
        if (first < end && early) load_keys(0, first);
        grid_wait(); grid_release();
        if (fresh.k && blockIdx.y == 0) append(in, fresh, stored, b, g, begin * KEYS, end * KEYS);
        for (int i = threadIdx.x; i < ROWS * (DP / 8); i += THREADS) {
            const int r = i / (DP / 8), column = i % (DP / 8) * 8, row = row0 + r; const bool inside = row < rows && column < in.D;
            cp_async(s.q + r * STRIDE<DP> + column, inside ? in.query(in.q, b, row % in.T, g * in.group() + row / in.T) + column : in.q, inside ? 16 : 0);
        }
        if (first < end && !early) load_keys(0, first);
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
        const size_t own = ((size_t)blockIdx.x * parts + part) * rows + row0;
        for (int i = threadIdx.x; i < ROWS * in.D; i += THREADS) {
            const int r = i / in.D, d = i % in.D;
            if (row0 + r >= rows) break;
            float top = -INFINITY, total = 0, value = 0;
            #pragma unroll
            for (int w = 0; w < WARPS; w++) top = fmaxf(top, s.lse[w][r]);
            #pragma unroll
            for (int w = 0; w < WARPS; w++) { const float weight = weight_of(s.lse[w][r], top); total += weight; value = fmaf(weight, s.o[w][r][d], value); }
            all.o[(own + r) * in.D + d] = total > 0 ? value / total : 0;
            if (d == 0) all.lse[own + r] = top + log2f(total);
        }
        if (is_last(all.done + blockIdx.y * gridDim.x + blockIdx.x, parts)) join(in, s, all, o, lse, parts, b, g, row0);
    }

    /// How much an output counts whose log-sum-exp, in base 2, is this: no part may have seen a key.
    static DEVICE float weight_of(float lse, float top) { return top == -INFINITY ? 0 : exp2_fast(lse - top); }

    /// Writes the keys and values of the new positions from `first` up to `end` to the cache.
    static DEVICE void append(const Inputs<E>& in, const Fresh<E>& fresh, int stored, int b, int g, int first, int end) {
        const int pieces = in.D / 8;
        for (int i = threadIdx.x; i < in.T * pieces; i += THREADS) {
            const int t = i / pieces, column = i % pieces * 8, position = stored + t;
            if (position < 0 || position >= in.S) { if (column == 0) report_index(fresh.fault, position, in.S); continue; }
            if (position < first || position >= end) continue;
            const size_t from = (((size_t)b * in.T + t) * in.G + g) * in.D + column, to = (((size_t)b * in.S + position) * in.G + g) * in.D + column;
            *reinterpret_cast<uint4*>(fresh.keys + to) = *reinterpret_cast<const uint4*>(fresh.k + from);
            *reinterpret_cast<uint4*>(fresh.values + to) = *reinterpret_cast<const uint4*>(fresh.v + from);
        }
    }

    /// Whether the other parts of these rows are done and to be seen.
    static DEVICE bool is_last(int* done, int parts) {
        __shared__ bool last;
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0) {
            last = parts == 1 || atomicAdd(done, 1) == parts - 1;
            if (last && parts > 1) *done = 0;
            __threadfence();
        }
        __syncthreads();
        return last;
    }

    /// Joins the parts of 16 rows: each output counts by the exponential of its log-sum-exp.
    static DEVICE void join(const Inputs<E>& in, Shared& s, const Parts& all, E* o, float* lse, int parts, int b, int g, int row0) {
        const int rows = in.group() * in.T, here = min(ROWS, rows - row0), warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const size_t first = (size_t)blockIdx.x * parts * rows + row0;       // row row0 of part 0
        const auto place = [&](int r) { const int t = (row0 + r) % in.T, h = g * in.group() + (row0 + r) / in.T; return make_int2(t, h); };
        for (int r = warp; r < here; r += WARPS) {
            float top = -INFINITY, total = 0;
            for (int i = lane; i < parts; i += 32) { const float x = __ldcg(all.lse + first + (size_t)i * rows + r); s.weights[r][i] = x; top = fmaxf(top, x); }
            #pragma unroll
            for (int m = 16; m; m /= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, m));
            for (int i = lane; i < parts; i += 32) { const float weight = weight_of(s.weights[r][i], top); s.weights[r][i] = weight; total += weight; }
            #pragma unroll
            for (int m = 16; m; m /= 2) total += __shfl_xor_sync(~0u, total, m);
            for (int i = lane; i < parts; i += 32) s.weights[r][i] *= total > 0 ? 1 / total : 0;
            const int2 at = place(r);
            if (lane == 0) lse[((size_t)b * in.H + at.y) * in.T + at.x] = (top + log2f(total)) / LOG2E;
        }
        __syncthreads();
        const int pieces = in.D / 4;
        for (int i = threadIdx.x; i < here * pieces; i += THREADS) {
            const int r = i / pieces, d = i % pieces * 4;
            const float* from = all.o + (first + r) * in.D + d;
            float4 sum = make_float4(0, 0, 0, 0);
            #pragma unroll 8
            for (int p = 0; p < parts; p++) {
                const float weight = s.weights[r][p]; const float4 x = __ldcg(reinterpret_cast<const float4*>(from + (size_t)p * rows * in.D));
                sum.x = fmaf(weight, x.x, sum.x); sum.y = fmaf(weight, x.y, sum.y); sum.z = fmaf(weight, x.z, sum.z); sum.w = fmaf(weight, x.w, sum.w);
            }
            const int2 at = place(r);
            *reinterpret_cast<uint2*>(o + (((size_t)b * in.T + at.x) * in.H + at.y) * in.D + d) = make_uint2(pack(sum.x, sum.y, E()), pack(sum.z, sum.w, E()));
        }
    }
};
}  // namespace attention_portable

/// Grid [B · G, ⌈H / G · T / 16⌉, parts], 128 threads, 2·272·(DP + 8) + 256 bytes of shared memory; T above 0, at most 256
/// parts. A part is a run of tiles of 16 keys, none where there are more parts than tiles.
/// @param o `[B, T, H, D]`  @param lse `[B, H, T]`, natural log of the sum of exponentials
#define ATTENTION_PORTABLE_DECODE(NAME, E, DP) \
extern "C" __global__ void __launch_bounds__(128, 3) attention_portable_decode_##NAME##_##DP(const __grid_constant__ attention_portable::Inputs<E> in, const __grid_constant__ attention_portable::Fresh<E> fresh, const __grid_constant__ attention_portable::Parts parts, E* o, float* lse) { \
    attention_portable::Decode<E, DP>::run(in, fresh, parts, o, lse); \
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
