// Attention of few queries over a part of the keys: what a block makes of it, wherever queries and keys come from and wherever parts
// go (Flash-Decoding, Dao et al. 2023). A block takes 16 rows (query heads times queries) and a run of keys; each warp every fourth
// 16 keys of it, through two stages of its own, so that warps wait for nobody.
#pragma once
#include "attention-portable.cuh"

namespace attention_portable {
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

    // The threads that do it are THREADS one after another of their block.
    static DEVICE int thread() { return threadIdx.x % THREADS; }
    static DEVICE int warp() { return thread() / 32; }
    static DEVICE void sync() { group_sync(2, THREADS); }

    /// Tiles of 16 keys of a part, and the first of this warp.
    struct Run {
        int begin, end, first;
        /// From the first that any query sees by the window, shared out in runs of equal length.
        DEVICE Run(const Inputs<E>& in, int b, int part, int parts) {
            const int origin = max(0, in.offset() - in.window + 1) / KEYS, tiles = (in.keys + KEYS - 1) / KEYS - origin, each = (tiles + parts - 1) / parts;
            begin = origin + part * each; end = min(origin + tiles, begin + each);
            const int seen = in.sight_start(b, in.offset()) / KEYS;
            first = begin + (seen > begin ? (seen - begin) / WARPS * WARPS : 0) + warp();
        }
    };

    /// Asks for a tile of this warp's: `at(j, column)` is where the key and the value of a position are, null for what is left zero.
    template <class At> static DEVICE void load(const Inputs<E>& in, Stage& stage, int tile, At at) {
        const int lane = threadIdx.x % 32;
        #pragma unroll
        for (int base = 0; base < KEYS * (DP / 8); base += 32) {
            const int i = base + lane, row = i / (DP / 8), column = i % (DP / 8) * 8, j = tile * KEYS + row, to = row * STRIDE<DP> + column;
            const auto [k, v] = at(j, column); const bool inside = k != nullptr;
            cp_async(stage.k + to, inside ? k : in.k, inside ? 16 : 0);
            cp_async(stage.v + to, inside ? v : in.v, inside ? 16 : 0);
        }
    }

    /// Queries are in shared memory and the first tile of this warp is there; what the warps make of their keys is in `s.o` and `s.lse`
    /// then. `ask(turn, tile)` asks for a tile, `arrived(stage, tile)` is called when it is there.
    template <class Ask, class Arrived> static DEVICE void attend(const Inputs<E>& in, Shared& s, int b, int row0, const Run& run, Ask ask, Arrived arrived) {
        const int lane = threadIdx.x % 32;
        int start[2], position[2];
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            position[half] = in.offset() + (row0 + lane / 4 + 8 * half) % in.T;
            start[half] = in.sight_start(b, position[half]);
        }
        float sum[1][DP / 8][4] = {};
        Softmax<1> softmax(in.scale);
        for (int tile = run.first, turn = 0; tile < run.end; tile += WARPS, turn++) {
            if (tile + WARPS < run.end) ask(turn + 1, tile + WARPS);
            cp_async_commit();
            cp_async_wait<1>();
            Stage& stage = s.stages[warp()][turn % 2];
            __syncwarp();                                      // this tile is here
            arrived(stage, tile);
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
        sync();
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            const int r = lane / 4 + 8 * half; const float total = softmax.total[0][half], inverse = total > 0 ? 1 / total : 0;
            #pragma unroll
            for (int n = 0; n < DP / 8; n++) *reinterpret_cast<float2*>(&s.o[warp()][r][8 * n + lane % 4 * 2]) = make_float2(sum[0][n][2 * half] * inverse, sum[0][n][2 * half + 1] * inverse);
            if (lane % 4 == 0) s.lse[warp()][r] = softmax.log2_sum(0, half);
        }
        sync();
    }

    /// How much an output counts whose log-sum-exp, in base 2, is this: no part may have seen a key.
    static DEVICE float weight_of(float lse, float top) { return top == -INFINITY ? 0 : exp2_fast(lse - top); }

    /// Four channels of the output of a part, and its log-sum-exp in base 2, of the warps together.
    struct Output { float4 o; float lse; };
    static DEVICE Output of_warps(const Shared& s, int r, int d) {
        float top = -INFINITY, total = 0; float4 o = make_float4(0, 0, 0, 0);
        #pragma unroll
        for (int w = 0; w < WARPS; w++) top = fmaxf(top, s.lse[w][r]);
        #pragma unroll
        for (int w = 0; w < WARPS; w++) {
            const float weight = weight_of(s.lse[w][r], top); const float4 x = *reinterpret_cast<const float4*>(&s.o[w][r][d]);
            total += weight; o.x = fmaf(weight, x.x, o.x); o.y = fmaf(weight, x.y, o.y); o.z = fmaf(weight, x.z, o.z); o.w = fmaf(weight, x.w, o.w);
        }
        const float inverse = total > 0 ? 1 / total : 0;
        return {make_float4(o.x * inverse, o.y * inverse, o.z * inverse, o.w * inverse), top + log2f(total)};
    }

    /// This warp's lanes find what the parts of a row count by, `s.weights[r]`. `lse_of(part)` is in base 2.
    /// @returns the log-sum-exp of all parts, natural
    template <class Lse> static DEVICE float weigh(Shared& s, int r, int parts, Lse lse_of) {
        const int lane = threadIdx.x % 32; float top = -INFINITY, total = 0;
        for (int i = lane; i < parts; i += 32) { const float x = lse_of(i); s.weights[r][i] = x; top = fmaxf(top, x); }
        #pragma unroll
        for (int m = 16; m; m /= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, m));
        for (int i = lane; i < parts; i += 32) { const float weight = weight_of(s.weights[r][i], top); s.weights[r][i] = weight; total += weight; }
        #pragma unroll
        for (int m = 16; m; m /= 2) total += __shfl_xor_sync(~0u, total, m);
        for (int i = lane; i < parts; i += 32) s.weights[r][i] *= total > 0 ? 1 / total : 0;
        return (top + log2f(total)) / LOG2E;
    }
};
}  // namespace attention_portable
