// Causal, sliding-window, grouped-query attention over documents, head_dim 80 without padding of products: scores take
// five steps of 16, values m64n80k16. Softmax online in f32 (Milakov & Gimelshein 2018; Dao, FlashAttention-2/3).
//
// A block owns 64·GROUPS queries of one head. One producer thread streams tiles of keys through shared memory, latest
// first; each consumer warpgroup owns 64 queries. A tile of 80 columns lies in two panels of 128-byte rows: columns 0–63
// and, in the second, 64–79; what a box fetches beside them is never used.
#pragma once
#include <hopper.cuh>

/// GROUPS consumer warpgroups, tiles of BN keys, BLOCKS on a multiprocessor. Few large blocks read shared memory least;
/// several small ones hide each other's beginning and end, which counts where documents are short.
template <int GROUPS_, int BN_, int BLOCKS_> struct Attention {
    static constexpr int GROUPS = GROUPS_, BN = BN_, BLOCKS = BLOCKS_, STAGES = 2, D = 80, BM = 64 * GROUPS, THREADS = 128 * (GROUPS + 1);
    // What consumers grow to comes out of what the launch gave the block: more, and setmaxnreg waits for ever.
    static constexpr int REGISTERS = BLOCKS == 2 ? 104 : 160, POOL = 65536 / BLOCKS / THREADS / 8 * 8 * THREADS;
    static_assert(128 * (24 + GROUPS * REGISTERS) <= POOL, "registers of the launch");
    struct __align__(1024) Shared {
        __nv_bfloat16 q[2][BM * 64], k[STAGES][2][BN * 64], v[STAGES][2][BN * 64];
        uint64_t q_full, k_full[STAGES], v_full[STAGES], k_empty[STAGES], v_empty[STAGES];
    };
    static_assert(BLOCKS * (sizeof(Shared) + 1024) <= 233472, "shared memory of a multiprocessor");
};
using LongAttention = Attention<3, 128, 1>;      // faster where queries see more than some 2,000 keys
using ShortAttention = Attention<2, 64, 2>;

/// Where a pipeline of stages stands.
template <int STAGES> struct Ring {
    int stage = 0; uint32_t phase = 0;
    DEVICE void next() { if (++stage == STAGES) { stage = 0; phase ^= 1; } }
};

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

template <class A> DEVICE void attention_forward(
    const CUtensorMap& q_map, const CUtensorMap& k_map, const CUtensorMap& v_map, __nv_bfloat16* out, float* lse, const int* doc_start,
    int T, int heads, int kv_heads, int window, float scale_log2) {
    auto& s = *reinterpret_cast<typename A::Shared*>(shared_memory());
    constexpr int BN = A::BN, D = A::D, S = BN / 2;
    // Heads side by side and long rows first: what runs together shares keys, and no long block starts last.
    const int head = blockIdx.x, kv_head = head / (heads / kv_heads), q0 = (gridDim.y - 1 - blockIdx.y) * A::BM;
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    if (threadIdx.x == 0) {
        barrier_init(&s.q_full, 1);
        for (int i = 0; i < A::STAGES; i++) { barrier_init(&s.k_full[i], 1); barrier_init(&s.v_full[i], 1); barrier_init(&s.k_empty[i], A::GROUPS); barrier_init(&s.v_empty[i], A::GROUPS); }
        barrier_init_fence();
    }
    __syncthreads();
    // Tiles of keys that any of these queries sees; later rows start later, for doc_start never falls.
    const int first = max(max(0, q0 - window + 1), doc_start[q0]) / BN, last = min(T - 1, q0 + A::BM - 1) / BN;
    if (group == A::GROUPS) {
        registers_shrink<24>();
        if (threadIdx.x % 128 == 0) {
            barrier_expect(&s.q_full, sizeof(s.q));
            for (int p = 0; p < 2; p++) tma_load(s.q[p], &q_map, &s.q_full, p * 64, head * T + q0);
            Ring<A::STAGES> ring;
            for (int n = last; n >= first; n--) {
                const int y = kv_head * T + n * BN;
                barrier_wait(&s.k_empty[ring.stage], ring.phase ^ 1); barrier_expect(&s.k_full[ring.stage], sizeof(s.k[0]));
                for (int p = 0; p < 2; p++) tma_load(s.k[ring.stage][p], &k_map, &s.k_full[ring.stage], p * 64, y);
                barrier_wait(&s.v_empty[ring.stage], ring.phase ^ 1); barrier_expect(&s.v_full[ring.stage], sizeof(s.v[0]));
                for (int p = 0; p < 2; p++) tma_load(s.v[ring.stage][p], &v_map, &s.v_full[ring.stage], p * 64, y);
                ring.next();
            }
        }
        return;
    }
    registers_grow<A::REGISTERS>();
    const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32;
    const int group0 = q0 + group * 64, warp0 = group0 + warp * 16, row = warp0 + lane / 4;
    const int doc[2] = {doc_start[min(row, T - 1)], doc_start[min(row + 8, T - 1)]}, doc_last = doc_start[min(warp0 + 15, T - 1)];
    // A warpgroup leaves out the tiles that only later rows of the block see.
    const int own_last = min(last, (group0 + 63) / BN);
    float o[40] = {}, score[S], shrink[2];
    uint32_t p[S / 2];
    Softmax<S> softmax; softmax.scale = scale_log2;
    Ring<A::STAGES> ring;
    const auto release = [&](uint64_t* empty) { if (thread == 0) barrier_arrive(empty); };
    const auto issue_scores = [&] {
        barrier_wait(&s.k_full[ring.stage], ring.phase);
        pin<S>(score);
        wgmma_fence();
        #pragma unroll
        for (int k = 0; k < 5; k++) wgmma_bf16<BN>(score, descriptor(s.q[k / 4] + group * 64 * 64) + 2 * (k % 4), descriptor(s.k[ring.stage][k / 4]) + 2 * (k % 4), k != 0);
        wgmma_commit();
    };
    const auto issue_values = [&] {
        barrier_wait(&s.v_full[ring.stage], ring.phase);
        pin<40>(o);
        wgmma_fence();
        #pragma unroll
        for (int k = 0; k < BN / 16; k++) wgmma_bf16_registers<80, MN_MAJOR>(o, p + 4 * k, descriptor(s.v[ring.stage][0] + k * 16 * 64, BN * 128), 1);
        wgmma_commit();
    };
    const auto mask = [&](int n) {
        const int c0 = n * BN;
        if (c0 + BN - 1 <= warp0 && c0 > warp0 + 15 - window && c0 >= doc_last) return;      // every row sees the whole tile
        #pragma unroll
        for (int i = 0; i < S; i++) {
            const int r = row + 8 * (i / 2 % 2), c = c0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
            if (c > r || c <= r - window || c < doc[i / 2 % 2]) score[i] = -INFINITY;
        }
    };
    barrier_wait(&s.q_full, 0);
    int n = last;
    for (; n > own_last; n--) {
        barrier_wait(&s.k_full[ring.stage], ring.phase); release(&s.k_empty[ring.stage]);
        barrier_wait(&s.v_full[ring.stage], ring.phase); release(&s.v_empty[ring.stage]);
        ring.next();
    }
    for (; n >= first; n--) {
        issue_scores();
        wgmma_wait<0>(); pin<S>(score);
        release(&s.k_empty[ring.stage]);
        mask(n); softmax.weigh(score, shrink);
        #pragma unroll
        for (int i = 0; i < 40; i++) o[i] *= shrink[i / 2 % 2];
        #pragma unroll
        for (int i = 0; i < S / 2; i++) p[i] = pack_bf16(score[2 * i], score[2 * i + 1]);
        issue_values();
        wgmma_wait<0>(); pin<40>(o); pin<S / 2>(p);
        release(&s.v_empty[ring.stage]);
        ring.next();
    }
    softmax.finish();
    // Out through this warpgroup's rows of Q in shared memory, so that memory sees whole lines.
    group_sync(8 + group, 128);
    const float inverse[2] = {1.f / softmax.total[0], 1.f / softmax.total[1]};     // a query sees at least itself
    const auto place = [&](int r, int piece) { return (uint8_t*)s.q[piece / 8] + (group * 64 + r) * 128 + ((piece % 8) ^ (r % 8)) * 16; };
    #pragma unroll
    for (int j = 0; j < 5; j++) {
        const float* v = o + 8 * j;
        stmatrix4(place(warp * 16 + lane % 16, 2 * j + lane / 16), pack_bf16(v[0] * inverse[0], v[1] * inverse[0]), pack_bf16(v[2] * inverse[1], v[3] * inverse[1]),
                  pack_bf16(v[4] * inverse[0], v[5] * inverse[0]), pack_bf16(v[6] * inverse[1], v[7] * inverse[1]));
    }
    #pragma unroll
    for (int h = 0; h < 2; h++) if (lane % 4 == 0 && row + 8 * h < T) lse[head * T + row + 8 * h] = softmax.high[h] * scale_log2 * 0.6931471805599453f + logf(softmax.total[h]);
    group_sync(8 + group, 128);
    #pragma unroll
    for (int i = 0; i < 5; i++) {
        const int r = (thread + i * 128) / 10, piece = (thread + i * 128) % 10;
        if (group0 + r < T) *reinterpret_cast<uint4*>(out + ((size_t)(group0 + r) * heads + head) * D + piece * 8) = *reinterpret_cast<const uint4*>(place(r, piece));
    }
}

/// q `[H·T, 80]`, k and v `[KV·T, 80]` by maps with boxes of 64 columns × BM or BN rows; out `[T, H, 80]`; lse `[H, T]`,
/// natural log of the sum of exponentials; doc_start `[T]`, never falling: query i sees key j when doc_start[i] ≤ j ≤ i
/// and j > i − window. Grid: heads × ⌈T / BM⌉.
template <class A> __global__ void __launch_bounds__(A::THREADS, A::BLOCKS)
attention_forward_kernel(const __grid_constant__ CUtensorMap q, const __grid_constant__ CUtensorMap k, const __grid_constant__ CUtensorMap v,
                         __nv_bfloat16* out, float* lse, const int* doc_start, int T, int heads, int kv_heads, int window, float scale_log2) {
    attention_forward<A>(q, k, v, out, lse, doc_start, T, heads, kv_heads, window, scale_log2);
}
