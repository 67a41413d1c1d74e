// Attention of few queries over many keys, for every GPU since sm_80: generation, T up to 16. The keys of a kv head are
// read once for all queries of all heads of its group, and shared out over blocks, so that memory is busy with few texts
// too; see attention-portable-decode.cuh. How many parts there are depends on shapes alone, and the block that ends last joins
// them in order. Keys and values of new positions may come beside the cache, which they are appended to in passing.
// nvcc: -use_fast_math
#include "../common/fault.cuh"
#include "attention-portable-decode.cuh"

namespace attention_portable {
/// Keys and values k and v `[B, T, G, D]` of the last T positions, to be written to the cache that `Inputs` names, of which
/// `stored` `[1]` are in use before; all null where the cache has them already. A position past its end is reported to `fault`
/// and not written.
template <class E> struct Fresh { const E *k, *v; E *keys, *values; const int* stored; int* fault; };
/// What the parts of a launch leave for the block that joins them: o `[B, G, parts, H / G, T, D]`, lse `[B, G, parts, H / G, T]`,
/// in base 2, −∞ where no key is seen, and a counter `[≥ blocks of one part]`, zero and left zero, for all where there are several.
struct Parts { float *o, *lse; int* done; };

template <class E, int DP> struct Blocks : Decode<E, DP> {
    using Of = Decode<E, DP>; using typename Of::Shared; using typename Of::Stage;
    using Of::ROWS, Of::THREADS, Of::WARPS, Of::thread, Of::sync;

    static DEVICE void run(Inputs<E> in, const Fresh<E>& fresh, const Parts& all, E* o, float* lse) {
        const int stored = fresh.k ? __ldcg(fresh.stored) : in.keys;
        if (fresh.k) in.keys = min(stored + in.T, in.S);
        auto& s = *reinterpret_cast<Shared*>(shared_memory());
        const int g = blockIdx.x % in.G, b = blockIdx.x / in.G, row0 = blockIdx.y * ROWS, part = blockIdx.z, parts = gridDim.z, rows = in.group() * in.T;
        const typename Of::Run run(in, b, part, parts);

        const auto ask = [&](int turn, int tile) {
            Of::load(in, s.stages[Of::warp()][turn % 2], tile, [&](int j, int column) -> Pair {
                if (j >= in.keys || column >= in.D) return {nullptr, nullptr};
                if (j < stored) return {in.key(in.k, b, j, g) + column, in.key(in.v, b, j, g) + column};
                const size_t from = (((size_t)b * in.T + j - stored) * in.G + g) * in.D + column;
                return {fresh.k + from, fresh.v + from};
            });
        };
        const bool early = (run.first + 1) * Of::KEYS <= stored;       // the cache is there before the queries are
        if (run.first < run.end && early) ask(0, run.first);
        grid_wait(); grid_release();
        if (fresh.k && blockIdx.y == 0) append(in, fresh, stored, b, g, run.begin * Of::KEYS, run.end * Of::KEYS);
        for (int i = thread(); i < ROWS * (DP / 8); i += THREADS) {
            const int r = i / (DP / 8), column = i % (DP / 8) * 8, row = row0 + r; const bool inside = row < rows && column < in.D;
            cp_async(s.q + r * STRIDE<DP> + column, inside ? in.query(in.q, b, row % in.T, g * in.group() + row / in.T) + column : in.q, inside ? 16 : 0);
        }
        if (run.first < run.end && !early) ask(0, run.first);
        cp_async_commit();
        cp_async_wait<0>();
        sync();                                                // the queries are here for all
        Of::attend(in, s, b, row0, run, ask, [](Stage&, int) {});

        const size_t own = ((size_t)blockIdx.x * parts + part) * rows + row0;
        for (int i = thread(); i < ROWS * (in.D / 4); i += THREADS) {
            const int r = i / (in.D / 4), d = i % (in.D / 4) * 4;
            if (row0 + r >= rows) break;
            const auto part = Of::of_warps(s, r, d);
            *reinterpret_cast<float4*>(all.o + (own + r) * in.D + d) = part.o;
            if (d == 0) all.lse[own + r] = part.lse;
        }
        if (is_last(all.done + blockIdx.y * gridDim.x + blockIdx.x, parts)) join(in, s, all, o, lse, parts, b, g, row0);
    }

    struct Pair { const E *k, *v; };
    /// Writes the keys and values of the new positions from `first` up to `end` to the cache.
    static DEVICE void append(const Inputs<E>& in, const Fresh<E>& fresh, int stored, int b, int g, int first, int end) {
        const int pieces = in.D / 8;
        for (int i = thread(); i < in.T * pieces; i += THREADS) {
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
        sync();
        if (thread() == 0) {
            last = parts == 1 || atomicAdd(done, 1) == parts - 1;
            if (last && parts > 1) *done = 0;
            __threadfence();
        }
        sync();
        return last;
    }

    /// Joins the parts of 16 rows: each output counts by the exponential of its log-sum-exp.
    static DEVICE void join(const Inputs<E>& in, Shared& s, const Parts& all, E* o, float* lse, int parts, int b, int g, int row0) {
        const int rows = in.group() * in.T, here = min(ROWS, rows - row0);
        const size_t first = (size_t)blockIdx.x * parts * rows + row0;       // row row0 of part 0
        const auto place = [&](int r) { const int t = (row0 + r) % in.T, h = g * in.group() + (row0 + r) / in.T; return make_int2(t, h); };
        for (int r = Of::warp(); r < here; r += WARPS) {
            const float of_row = Of::weigh(s, r, parts, [&](int i) { return __ldcg(all.lse + first + (size_t)i * rows + r); });
            const int2 at = place(r);
            if (threadIdx.x % 32 == 0) lse[((size_t)b * in.H + at.y) * in.T + at.x] = of_row;
        }
        sync();
        const int pieces = in.D / 4;
        for (int i = thread(); i < here * pieces; i += THREADS) {
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
    attention_portable::Blocks<E, DP>::run(in, fresh, parts, o, lse); \
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
