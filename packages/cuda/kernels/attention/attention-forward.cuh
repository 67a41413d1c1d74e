// Causal, sliding-window, grouped-query attention over documents, without padding of products: scores take ⌈D / 16⌉ steps,
// values m64nDk16. Softmax online in f32 (Milakov & Gimelshein 2018; Dao, FlashAttention-2/3).
//
// A block owns 64·GROUPS queries of one head. One producer thread streams tiles of keys through shared memory, latest
// first; each consumer warpgroup owns 64 queries.
#pragma once
#include "attention-tiles.cuh"

namespace attention_forward {
using namespace attention_tiles;

/// GROUPS consumer warpgroups of REGISTERS a thread, tiles of KEYS keys, BLOCKS on a multiprocessor. A consumer holds D / 2
/// sums and KEYS / 2 scores, which become half as many registers of weights.
template <int D_, int GROUPS_, int KEYS_, int BLOCKS_, int REGISTERS_> struct Forward {
    static constexpr int D = D_, GROUPS = GROUPS_, KEYS = KEYS_, BLOCKS = BLOCKS_, REGISTERS = REGISTERS_, STAGES = 2, QUERIES = BOX * GROUPS, THREADS = 128 * (GROUPS + 1);
    struct __align__(1024) Shared {
        Bf16 q[PANELS<D>][QUERIES * BOX], k[STAGES][PANELS<D>][KEYS * BOX], v[STAGES][PANELS<D>][KEYS * BOX];
        uint64_t q_full, k_full[STAGES], v_full[STAGES], k_empty[STAGES], v_empty[STAGES];
    };
    static_assert(registers_fit(GROUPS, REGISTERS, BLOCKS), "registers of the launch");
    static_assert(shared_fits(sizeof(Shared), BLOCKS), "shared memory of a multiprocessor");
};
// Few large blocks read shared memory least: faster where queries see more than some 2,000 keys.
using Long64 = Forward<64, 3, 128, 1, 160>;
using Long80 = Forward<80, 3, 128, 1, 160>;
using Long96 = Forward<96, 3, 128, 1, 160>;
using Long120 = Forward<120, 3, 128, 1, 160>;
using Long128 = Forward<128, 3, 128, 1, 160>;
// Two small ones hide each other's beginning and end, which counts where documents are short; heads of 96 and more have no
// registers for it.
using Short64 = Forward<64, 2, 64, 2, 104>;
using Short80 = Forward<80, 2, 64, 2, 104>;

/// The softmax state of the two rows that a thread has N/2 scores each of.
template <int N> struct Softmax {
    float high[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    float scale;    // of scores, times log2(e)
    /// Turns scores into weights relative to the highest score so far; `shrink` is what earlier weights are worth now.
    DEVICE void weigh(float (&score)[N], float (&shrink)[2]) {
        #pragma unroll
        for (int h = 0; h < 2; h++) {
            float top = high[h];
            #pragma unroll
            for (int i = 0; i < N; i++) if (i / 2 % 2 == h) top = fmaxf(top, score[i]);
            top = fmaxf(top, __shfl_xor_sync(~0u, top, 1)); top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
            const float base = top == -INFINITY ? 0.f : top * scale;      // a row that has seen no key yet
            shrink[h] = exp2_fast(high[h] * scale - base); high[h] = top;
            float sum = 0;
            #pragma unroll
            for (int i = 0; i < N; i++) if (i / 2 % 2 == h) { score[i] = exp2_fast(fmaf(score[i], scale, -base)); sum += score[i]; }
            total[h] = total[h] * shrink[h] + sum;
        }
    }
    DEVICE void finish() {
        #pragma unroll
        for (int h = 0; h < 2; h++) { total[h] += __shfl_xor_sync(~0u, total[h], 1); total[h] += __shfl_xor_sync(~0u, total[h], 2); }
    }
};

template <class F> DEVICE void run(const CUtensorMap& q_map, const CUtensorMap& k_map, const CUtensorMap& v_map, const CUtensorMap& out_map, float* lse, const AttentionShape& shape) {
    auto& s = *reinterpret_cast<typename F::Shared*>(shared_memory());
    constexpr int QUERIES = F::QUERIES, KEYS = F::KEYS, D = F::D, SCORES = KEYS / 2, SUMS = D / 2;
    // Heads side by side and long rows first: what runs together shares keys, and no long block starts last.
    const int head = blockIdx.x, kv_head = head / (shape.heads / shape.kv_heads), q0 = (gridDim.y - 1 - blockIdx.y) * QUERIES, T = shape.tokens;
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    if (threadIdx.x == 0) {
        barrier_init(&s.q_full, 1);
        for (int i = 0; i < F::STAGES; i++) { barrier_init(&s.k_full[i], 1); barrier_init(&s.v_full[i], 1); barrier_init(&s.k_empty[i], 4 * F::GROUPS); barrier_init(&s.v_empty[i], 4 * F::GROUPS); }
        barrier_init_fence();
    }
    __syncthreads();
    const int first = shape.start(q0) / KEYS, last = min(T - 1, q0 + QUERIES - 1) / KEYS;      // tiles of keys that any of these queries sees; later ones start later
    if (group == F::GROUPS) {
        registers_shrink<PRODUCER_REGISTERS>();
        if (threadIdx.x % 128 == 0) {
            barrier_expect(&s.q_full, sizeof(s.q));
            load_tile<D>(s.q[0], QUERIES, q_map, &s.q_full, head, q0);
            Ring<F::STAGES> ring;
            for (int n = last; n >= first; n--) {
                barrier_wait(&s.k_empty[ring.stage], ring.phase ^ 1); barrier_expect(&s.k_full[ring.stage], sizeof(s.k[0]));
                load_tile<D>(s.k[ring.stage][0], KEYS, k_map, &s.k_full[ring.stage], kv_head, n * KEYS);
                barrier_wait(&s.v_empty[ring.stage], ring.phase ^ 1); barrier_expect(&s.v_full[ring.stage], sizeof(s.v[0]));
                load_tile<D>(s.v[ring.stage][0], KEYS, v_map, &s.v_full[ring.stage], kv_head, n * KEYS);
                ring.next();
            }
        }
        return;
    }
    registers_grow<F::REGISTERS>();
    const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32;
    const int group0 = q0 + group * BOX, warp0 = group0 + warp * 16, row = warp0 + lane / 4;
    const int starts[2] = {shape.start(row), shape.start(row + 8)}, full_start = shape.start(warp0 + 15);
    // A warpgroup leaves out the tiles that only later rows of the block see.
    const int own_last = min(last, (group0 + BOX - 1) / KEYS);
    float o[SUMS] = {}, score[SCORES], shrink[2];
    uint32_t p[SCORES / 2];
    Softmax<SCORES> softmax; softmax.scale = shape.scale * LOG2E;
    Ring<F::STAGES> ring;
    const auto issue_scores = [&] {
        barrier_wait(&s.k_full[ring.stage], ring.phase);
        pin<SCORES>(score);
        wgmma_fence();
        #pragma unroll
        for (int k = 0; k < STEPS<D>; k++) wgmma_bf16<KEYS>(score, columns(descriptor(s.q[0] + group * BOX * BOX), QUERIES, k), columns(descriptor(s.k[ring.stage][0]), KEYS, k), k != 0);
        wgmma_commit();
    };
    const auto issue_values = [&] {
        barrier_wait(&s.v_full[ring.stage], ring.phase);
        pin<SUMS>(o);
        wgmma_fence();
        #pragma unroll
        for (int k = 0; k < KEYS / 16; k++) wgmma_bf16_registers<D, MN_MAJOR>(o, p + 4 * k, descriptor(s.v[ring.stage][0] + k * 16 * BOX, KEYS * 128), 1);
        wgmma_commit();
    };
    const auto mask = [&](int n) {
        const int c0 = n * KEYS;
        if (c0 + KEYS - 1 <= warp0 && c0 >= full_start) return;      // every row sees the whole tile
        #pragma unroll
        for (int i = 0; i < SCORES; i++) {
            const int c = c0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
            if (c > row + 8 * (i / 2 % 2) || c < starts[i / 2 % 2]) score[i] = -INFINITY;
        }
    };
    barrier_wait(&s.q_full, 0);
    int n = last;
    for (; n > own_last; n--) {
        barrier_wait(&s.k_full[ring.stage], ring.phase); barrier_wait(&s.v_full[ring.stage], ring.phase); __syncwarp();
        release(&s.k_empty[ring.stage]); release(&s.v_empty[ring.stage]);
        ring.next();
    }
    for (; n >= first; n--) {
        issue_scores();
        wgmma_wait<0>(); pin<SCORES>(score);
        release(&s.k_empty[ring.stage]);
        mask(n); softmax.weigh(score, shrink);
        #pragma unroll
        for (int i = 0; i < SUMS; i++) o[i] *= shrink[i / 2 % 2];
        #pragma unroll
        for (int i = 0; i < SCORES / 2; i++) p[i] = pack_bf16(score[2 * i], score[2 * i + 1]);
        issue_values();
        wgmma_wait<0>(); pin<SUMS>(o); pin<SCORES / 2>(p);
        release(&s.v_empty[ring.stage]);
        ring.next();
    }
    softmax.finish();
    store_rows<D>(s.q[0] + group * BOX * BOX, QUERIES, o, {1.f / softmax.total[0], 1.f / softmax.total[1]}, out_map, head, group0, group);     // a query sees at least itself
    #pragma unroll
    for (int h = 0; h < 2; h++) if (lane % 4 == 0 && row + 8 * h < T) lse[shape.lse_at(head, row + 8 * h)] = softmax.high[h] * softmax.scale * 0.6931471805599453f + logf(softmax.total[h]);
    tma_wait_read();
}
}  // namespace attention_forward
