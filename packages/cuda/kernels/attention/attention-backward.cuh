// Backward of causal sliding-window grouped-query attention with documents, without padding of products.
//   P = exp(q·kᵀ·scale − lse)   dV = Pᵀ·dO   dS = P ∘ (dO·vᵀ − delta)   dK = scale·dSᵀ·q   dQ = scale·dS·k
// Two passes, so that every sum has one owner and one order: blocks of keys sum dK and dV over the queries (and q heads)
// that see them, blocks of queries sum dQ over the keys they see. The keys' side is transposed (Sᵀ = k·qᵀ), so that on
// both sides what was just computed feeds the next product from registers. A tile is read K-major (for S and dP) and
// MN-major (for dK, dV, dQ).
#pragma once
#include "attention-statistics.cuh"

namespace attention_backward {
using namespace attention_tiles;

// ---- Products

/// scores[64, 64] = A[64, D] · B[64, D]ᵀ, both from shared memory: A is part of a tile of `rows` rows.
template <int D> DEVICE void scores(float* d, uint64_t a, int rows, uint64_t b) {
    #pragma unroll
    for (int k = 0; k < STEPS<D>; k++) wgmma_bf16<TILE>(d, columns(a, rows, k), columns(b, TILE, k), k != 0);
}
/// The same with A from registers.
template <int D> DEVICE void scores(float* d, const uint32_t* a, uint64_t b) {
    #pragma unroll
    for (int k = 0; k < STEPS<D>; k++) wgmma_bf16_registers<TILE, K_MAJOR>(d, a + 4 * k, columns(b, TILE, k), k != 0);
}
/// d[64, D] = A[64, 64] · B[64, D]: added to d where `more` is not 0 (zeros moved into d would make the compiler serialise
/// products in flight); A packed from the scores, B MN-major.
template <int D> DEVICE void gather(float* d, const uint32_t* a, uint64_t b, int more) {
    #pragma unroll
    for (int k = 0; k < TILE / 16; k++) wgmma_bf16_registers<D, MN_MAJOR>(d, a + 4 * k, b + k * (16 * 128 / 16), k ? 1 : more);
}

// ---- The two sides: GROUPS consumer warpgroups and one of the producer. Grids put heads first and the longest tiles before
// shorter ones, and a block has a multiprocessor to itself.

/// dK and dV of 128 keys of a kv head, over tiles of queries. A consumer needs registers for D sums, 64 scores, 32 of their
/// pairs, and some 25 around them. At 80, K, an operand at every tile, stays in registers, and shared memory has the more time;
/// at 64, ptxas 13.0 gave K's registers to dS while the loop still needed them, and from 96 on there are too few. From 120 on
/// the pairs of the last tile and the scores of dP do not fit beside each other: dP waits.
template <int D_> struct Keys {
    static constexpr int D = D_, GROUPS = 2, KEYS = GROUPS * TILE, STAGES = 3, THREADS = 128 * (GROUPS + 1), REGISTERS = 240;
    static constexpr bool K_IN_REGISTERS = D == 80, D_P_WAITS = D > 96;
    struct __align__(1024) Shared {
        Bf16 q[STAGES][PANELS<D>][TILE * BOX], d_out[STAGES][PANELS<D>][TILE * BOX], k[PANELS<D>][KEYS * BOX], v[PANELS<D>][KEYS * BOX];
        float lse[STAGES][TILE], delta[STAGES][TILE];
        uint64_t keys_full, q_full[STAGES], d_out_full[STAGES], empty[STAGES];
        int ends[KEYS];
    };
    static_assert(registers_fit(GROUPS, REGISTERS, 1), "registers of the launch");
    static_assert(shared_fits(sizeof(Shared), 1), "shared memory of a block");
};

template <class P> DEVICE void run_keys(const CUtensorMap& q_map, const CUtensorMap& k_map, const CUtensorMap& v_map, const CUtensorMap& d_out_map, const CUtensorMap& d_k_map, const CUtensorMap& d_v_map,
                                        const float* statistics, const AttentionShape& shape) {
    constexpr int D = P::D, KEYS = P::KEYS, STAGES = P::STAGES, GROUPS = P::GROUPS;
    auto& s = *reinterpret_cast<typename P::Shared*>(shared_memory());
    const int kv_head = blockIdx.x, k0 = blockIdx.y * KEYS, T = shape.tokens, heads = shape.heads, shared_heads = heads / shape.kv_heads;
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    if (threadIdx.x == 0) {
        barrier_init(&s.keys_full, 1);
        for (int i = 0; i < STAGES; i++) { barrier_init(&s.q_full[i], 1); barrier_init(&s.d_out_full[i], 1); barrier_init(&s.empty[i], 4 * GROUPS); }
        barrier_init_fence();
    }
    if (threadIdx.x < KEYS) s.ends[threadIdx.x] = shape.end(min(k0 + (int)threadIdx.x, T - 1));
    __syncthreads();
    const int end = s.ends[KEYS - 1], rows = statistics_rows(T);    // tiles of queries start at the block's first key; none from `end` on sees its keys
    if (group == GROUPS) {
        registers_shrink<PRODUCER_REGISTERS>();
        if (threadIdx.x % 128 == 0) {
            barrier_expect(&s.keys_full, sizeof(s.k) + sizeof(s.v));
            load_tile<D>(s.k[0], KEYS, k_map, &s.keys_full, kv_head, k0);
            load_tile<D>(s.v[0], KEYS, v_map, &s.keys_full, kv_head, k0);
            Ring<STAGES> ring;
            for (int h = 0; h < shared_heads; h++) {
                const int head = kv_head * shared_heads + h;
                for (int q0 = k0; q0 < end; q0 += TILE) {
                    barrier_wait(&s.empty[ring.stage], ring.phase ^ 1);
                    barrier_expect(&s.q_full[ring.stage], sizeof(s.q[0]) + sizeof(s.lse[0]) + sizeof(s.delta[0]));
                    load_tile<D>(s.q[ring.stage][0], TILE, q_map, &s.q_full[ring.stage], head, q0);
                    const float* lse = statistics + (size_t)head * rows + q0;
                    bulk_load(s.lse[ring.stage], lse, &s.q_full[ring.stage], sizeof(s.lse[0]));
                    bulk_load(s.delta[ring.stage], lse + (size_t)heads * rows, &s.q_full[ring.stage], sizeof(s.delta[0]));
                    barrier_expect(&s.d_out_full[ring.stage], sizeof(s.d_out[0]));
                    load_tile<D>(s.d_out[ring.stage][0], TILE, d_out_map, &s.d_out_full[ring.stage], head, q0);
                    ring.next();
                }
            }
        }
        return;
    }
    registers_grow<P::REGISTERS>();
    const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32, keys0 = k0 + group * TILE, warp0 = keys0 + warp * 16, row = warp0 + lane / 4;
    const int ends[2] = {s.ends[row - k0], s.ends[row + 8 - k0]};
    const int full_end = s.ends[warp0 - k0], group_end = s.ends[group * TILE + TILE - 1];   // seen by whole tiles before the one, by none from the other on
    const float scale_log2 = shape.scale * LOG2E;
    Bf16 *const own_k = s.k[0] + group * TILE * BOX, *const own_v = s.v[0] + group * TILE * BOX;
    uint32_t k_registers[P::K_IN_REGISTERS ? 4 * STEPS<D> : 1];
    barrier_wait(&s.keys_full, 0);
    if (P::K_IN_REGISTERS) {
        #pragma unroll
        for (int k = 0; k < STEPS<D>; k++) ldmatrix4(k_registers + 4 * k, piece_at(own_k, KEYS, warp * 16 + lane % 16, 2 * k + lane / 16));
    }
    const uint64_t k_shared = descriptor(own_k), v_shared = descriptor(own_v);
    float sum_k[D / 2], sum_v[D / 2];
    uint32_t p[TILE / 4], d_s[TILE / 4];
    Ring<STAGES> ring;
    int held = -1, more = 0;       // more: there are sums to add to; held: the stage that products in flight still read
    const auto last_is_done = [&] { pin<TILE / 4>(p); pin<TILE / 4>(d_s); if (held >= 0) release(&s.empty[held]); };
    for (int h = 0; h < shared_heads; h++) for (int q0 = k0; q0 < end; q0 += TILE) {
        barrier_wait(&s.q_full[ring.stage], ring.phase);
        if (q0 + TILE > keys0 && q0 < group_end) {
            float score[TILE / 2], d_score[TILE / 2];
            const uint64_t q_tile = descriptor(s.q[ring.stage][0]), q_columns = descriptor(s.q[ring.stage][0], TILE * 128);
            const uint64_t d_out_tile = descriptor(s.d_out[ring.stage][0]), d_out_columns = descriptor(s.d_out[ring.stage][0], TILE * 128);
            wgmma_fence();
            if constexpr (P::K_IN_REGISTERS) scores<D>(score, k_registers, q_tile); else scores<D>(score, k_shared, KEYS, q_tile);
            wgmma_commit();
            barrier_wait(&s.d_out_full[ring.stage], ring.phase);
            if (P::D_P_WAITS) { wgmma_wait<1>(); last_is_done(); wgmma_fence(); }
            scores<D>(d_score, v_shared, KEYS, d_out_tile);
            wgmma_commit();
            float2 column[TILE / 8];
            #pragma unroll
            for (int j = 0; j < TILE / 8; j++) column[j] = reinterpret_cast<const float2*>(s.lse[ring.stage])[4 * j + lane % 4];
            wgmma_wait<1>();                           // score is done, and what ran before it: the stage of the last tile is free
            pin<TILE / 2>(score);
            if (!P::D_P_WAITS) last_is_done();
            #pragma unroll
            for (int i = 0; i < TILE / 2; i++) score[i] = exp2_fast(fmaf(score[i], scale_log2, i % 2 ? -column[i / 4].y : -column[i / 4].x));
            if (q0 < warp0 + 15 || q0 + TILE > full_end) {   // a mask edge passes through these 16 keys
                #pragma unroll
                for (int i = 0; i < TILE / 2; i++) {
                    const int query = q0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
                    if (query < row + 8 * (i / 2 % 2) || query >= ends[i / 2 % 2]) score[i] = 0;
                }
            }
            #pragma unroll
            for (int i = 0; i < TILE / 4; i++) p[i] = pack_bf16(score[2 * i], score[2 * i + 1]);
            wgmma_fence();
            gather<D>(sum_v, p, d_out_columns, more);
            wgmma_commit();
            #pragma unroll
            for (int j = 0; j < TILE / 8; j++) column[j] = reinterpret_cast<const float2*>(s.delta[ring.stage])[4 * j + lane % 4];
            wgmma_wait<1>();                           // d_score is done
            pin<TILE / 2>(d_score);
            #pragma unroll
            for (int i = 0; i < TILE / 4; i++) d_s[i] = pack_bf16(score[2 * i] * (d_score[2 * i] - column[i / 2].x), score[2 * i + 1] * (d_score[2 * i + 1] - column[i / 2].y));
            wgmma_fence();
            gather<D>(sum_k, d_s, q_columns, more);
            wgmma_commit();
            held = ring.stage; more = 1;
        } else {                                       // these 64 keys are not seen by this tile, but others of the block are
            wgmma_wait<0>();
            barrier_wait(&s.d_out_full[ring.stage], ring.phase); __syncwarp();
            if (held >= 0) release(&s.empty[held]);
            release(&s.empty[ring.stage]);
            held = -1;
        }
        ring.next();
    }
    wgmma_wait<0>();
    pin<D / 2>(sum_k); pin<D / 2>(sum_v);
    store_rows<D>(own_k, KEYS, sum_k, {shape.scale, shape.scale}, d_k_map, kv_head, keys0, group);
    store_rows<D>(own_v, KEYS, sum_v, {1, 1}, d_v_map, kv_head, keys0, group);
    tma_wait_read();
}

/// dQ of 192 queries of a head, over tiles of keys, latest first. A consumer needs registers for D / 2 sums, 64 scores, 16 of
/// their pairs, and some 25 around them: from 120 on dP waits here as well.
template <int D_> struct Queries {
    static constexpr int D = D_, GROUPS = 3, QUERIES = GROUPS * TILE, STAGES = 3, THREADS = 128 * (GROUPS + 1), REGISTERS = 160;
    static constexpr bool D_P_WAITS = D > 96;
    struct __align__(1024) Shared {
        Bf16 k[STAGES][PANELS<D>][TILE * BOX], v[STAGES][PANELS<D>][TILE * BOX], q[PANELS<D>][QUERIES * BOX], d_out[PANELS<D>][QUERIES * BOX];
        uint64_t queries_full, k_full[STAGES], v_full[STAGES], k_empty[STAGES], v_empty[STAGES];
    };
    static_assert(registers_fit(GROUPS, REGISTERS, 1), "registers of the launch");
    static_assert(shared_fits(sizeof(Shared), 1), "shared memory of a block");
};

template <class P> DEVICE void run_queries(const CUtensorMap& q_map, const CUtensorMap& k_map, const CUtensorMap& v_map, const CUtensorMap& d_out_map, const CUtensorMap& d_q_map,
                                           const float* statistics, const AttentionShape& shape) {
    constexpr int D = P::D, QUERIES = P::QUERIES, STAGES = P::STAGES, GROUPS = P::GROUPS;
    auto& s = *reinterpret_cast<typename P::Shared*>(shared_memory());
    const int T = shape.tokens, heads = shape.heads, head = blockIdx.x, kv_head = head / (heads / shape.kv_heads), q0 = (gridDim.y - 1 - blockIdx.y) * QUERIES;
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    if (threadIdx.x == 0) {
        barrier_init(&s.queries_full, 1);
        for (int i = 0; i < STAGES; i++) { barrier_init(&s.k_full[i], 1); barrier_init(&s.v_full[i], 1); barrier_init(&s.k_empty[i], 4 * GROUPS); barrier_init(&s.v_empty[i], 4 * GROUPS); }
        barrier_init_fence();
    }
    __syncthreads();
    const int first = shape.start(q0) / TILE, last = min(T - 1, q0 + QUERIES - 1) / TILE;   // tiles of keys seen by these queries
    if (group == GROUPS) {
        registers_shrink<PRODUCER_REGISTERS>();
        if (threadIdx.x % 128 == 0) {
            barrier_expect(&s.queries_full, sizeof(s.q) + sizeof(s.d_out));
            load_tile<D>(s.q[0], QUERIES, q_map, &s.queries_full, head, q0);
            load_tile<D>(s.d_out[0], QUERIES, d_out_map, &s.queries_full, head, q0);
            Ring<STAGES> ring;
            for (int tile = last; tile >= first; tile--) {
                barrier_wait(&s.k_empty[ring.stage], ring.phase ^ 1); barrier_expect(&s.k_full[ring.stage], sizeof(s.k[0]));
                load_tile<D>(s.k[ring.stage][0], TILE, k_map, &s.k_full[ring.stage], kv_head, tile * TILE);
                barrier_wait(&s.v_empty[ring.stage], ring.phase ^ 1); barrier_expect(&s.v_full[ring.stage], sizeof(s.v[0]));
                load_tile<D>(s.v[ring.stage][0], TILE, v_map, &s.v_full[ring.stage], kv_head, tile * TILE);
                ring.next();
            }
        }
        return;
    }
    registers_grow<P::REGISTERS>();
    const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32, queries0 = q0 + group * TILE, warp0 = queries0 + warp * 16, row = warp0 + lane / 4;
    const int starts[2] = {shape.start(row), shape.start(row + 8)}, group_start = shape.start(queries0), full_start = shape.start(warp0 + 15);
    const float scale_log2 = shape.scale * LOG2E;
    float lse[2] = {INFINITY, INFINITY}, delta[2] = {};
    #pragma unroll
    for (int i = 0; i < 2; i++) if (row + 8 * i < T) {
        const float* from = statistics + (size_t)head * statistics_rows(T) + row + 8 * i;
        lse[i] = from[0]; delta[i] = from[(size_t)heads * statistics_rows(T)];
    }
    barrier_wait(&s.queries_full, 0);
    const uint64_t q_shared = descriptor(s.q[0] + group * TILE * BOX), d_out_shared = descriptor(s.d_out[0] + group * TILE * BOX);
    float sum[D / 2];
    uint32_t d_s[TILE / 4];
    Ring<STAGES> ring;
    int held = -1, more = 0;       // more: there are sums to add to; held: the stage whose keys a product in flight still reads
    const auto last_is_done = [&] { pin<TILE / 4>(d_s); if (held >= 0) release(&s.k_empty[held]); };
    for (int tile = last; tile >= first; tile--) {
        const int k0 = tile * TILE;
        barrier_wait(&s.k_full[ring.stage], ring.phase);
        if (k0 <= queries0 + TILE - 1 && k0 + TILE > group_start && queries0 < T) {
            float score[TILE / 2], d_score[TILE / 2];
            const uint64_t k_tile = descriptor(s.k[ring.stage][0]), k_columns = descriptor(s.k[ring.stage][0], TILE * 128), v_tile = descriptor(s.v[ring.stage][0]);
            wgmma_fence();
            scores<D>(score, q_shared, QUERIES, k_tile);
            wgmma_commit();
            barrier_wait(&s.v_full[ring.stage], ring.phase);
            if (P::D_P_WAITS) { wgmma_wait<1>(); last_is_done(); wgmma_fence(); }
            scores<D>(d_score, d_out_shared, QUERIES, v_tile);
            wgmma_commit();
            wgmma_wait<1>();                           // score is done, and the last tile's product before it
            pin<TILE / 2>(score);
            if (!P::D_P_WAITS) last_is_done();
            #pragma unroll
            for (int i = 0; i < TILE / 2; i++) score[i] = exp2_fast(fmaf(score[i], scale_log2, -lse[i / 2 % 2]));
            if (k0 + TILE - 1 > warp0 || k0 < full_start) {     // a mask edge passes through these 16 queries
                #pragma unroll
                for (int i = 0; i < TILE / 2; i++) {
                    const int key = k0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
                    if (key > row + 8 * (i / 2 % 2) || key < starts[i / 2 % 2]) score[i] = 0;
                }
            }
            wgmma_wait<0>();
            pin<TILE / 2>(d_score);
            release(&s.v_empty[ring.stage]);
            #pragma unroll
            for (int i = 0; i < TILE / 4; i++) d_s[i] = pack_bf16(score[2 * i] * (d_score[2 * i] - delta[i % 2]), score[2 * i + 1] * (d_score[2 * i + 1] - delta[i % 2]));
            wgmma_fence();
            gather<D>(sum, d_s, k_columns, more);
            wgmma_commit();
            held = ring.stage; more = 1;
        } else {                                       // these 64 queries do not see this tile, but others of the block do
            wgmma_wait<0>();
            barrier_wait(&s.v_full[ring.stage], ring.phase); __syncwarp();
            if (held >= 0) release(&s.k_empty[held]);
            release(&s.k_empty[ring.stage]); release(&s.v_empty[ring.stage]);
            held = -1;
        }
        ring.next();
    }
    wgmma_wait<0>();
    pin<D / 2>(sum);
    store_rows<D>(s.q[0] + group * TILE * BOX, QUERIES, sum, {shape.scale, shape.scale}, d_q_map, head, queries0, group);
    tma_wait_read();
}
}  // namespace attention_backward
