// Backward of causal sliding-window grouped-query attention with documents, head_dim 80 without padding of products.
//   P = exp(q·kᵀ·scale − lse)   dV = Pᵀ·dO   dS = P ∘ (dO·vᵀ − delta)   dK = scale·dSᵀ·q   dQ = scale·dS·k
// Two passes, so that every sum has one owner and one order: blocks of keys sum dK and dV over the queries (and q heads)
// that see them, blocks of queries sum dQ over the keys they see. The keys' side is transposed (Sᵀ = k·qᵀ), so that on
// both sides what was just computed feeds the next product from registers.
// Shared layout of a [rows][80] tile: 64 columns in one 128-byte-swizzled panel, 16 columns (and 48 unused) in a second one;
// the same copy is read K-major (for S and dP) and MN-major (for dK, dV, dQ).
// nvcc: -use_fast_math
#include <hopper.cuh>

namespace attention_backward {
constexpr int D = 80, PANEL = 64, TILE = 64;    // TILE: rows of a warpgroup, of a tile that streams past it, and of a box
constexpr float LOG2E = 1.4426950408889634f;

// ---- What both sides read of every query: lse in base 2, and delta = Σ_d dO·out

/// `statistics[2][heads][statistics_rows(T)]`: lse · log2 e, then delta. Whole tiles: rows past the end see nothing, so
/// their lse is infinite.
__host__ DEVICE int statistics_rows(int T) { return (T + TILE - 1) / TILE * TILE; }

constexpr int DELTA_TOKENS = 16, DELTA_HEADS = 4, DELTA_THREADS = 320, DELTA_PIECES = D / 8, DELTA_SHARED = 4 * DELTA_TOKENS * DELTA_HEADS * DELTA_PIECES;   // a piece is 16 bytes
struct __align__(16) Piece { __nv_bfloat162 pairs[4]; };
/// A block for 16 tokens of 4 heads: sums of 8 in a thread, then ten of those in a fixed order.
/// Grid: statistics_rows(T) / 16 × ceil(heads / 4) of DELTA_THREADS, with DELTA_SHARED bytes.
extern "C" __global__ void __launch_bounds__(DELTA_THREADS)
attention_backward_statistics(const __nv_bfloat16* out, const __nv_bfloat16* d_out, const float* lse, float* statistics, int T, int heads) {
    float* partial = reinterpret_cast<float*>(shared_memory());
    const int row0 = blockIdx.x * DELTA_TOKENS, head0 = blockIdx.y * DELTA_HEADS;
    #pragma unroll
    for (int i = threadIdx.x; i < DELTA_TOKENS * DELTA_HEADS * DELTA_PIECES; i += DELTA_THREADS) {
        const int row = row0 + i / (DELTA_HEADS * DELTA_PIECES), head = head0 + i / DELTA_PIECES % DELTA_HEADS;
        float sum = 0;
        if (row < T && head < heads) {
            const size_t at = ((size_t)row * heads + head) * D + i % DELTA_PIECES * 8;
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
    const int row = row0 + threadIdx.x % DELTA_TOKENS, local = threadIdx.x / DELTA_TOKENS, head = head0 + local;
    if (local < DELTA_HEADS && head < heads && row < statistics_rows(T)) {
        const float* pieces = partial + (threadIdx.x % DELTA_TOKENS * DELTA_HEADS + local) * DELTA_PIECES;
        float sum = 0;
        #pragma unroll
        for (int j = 0; j < DELTA_PIECES; j++) sum += pieces[j];
        float* to = statistics + (size_t)head * statistics_rows(T) + row;
        to[0] = row < T ? lse[(size_t)head * T + row] * LOG2E : INFINITY; to[(size_t)heads * statistics_rows(T)] = sum;
    }
}

// ---- Shared pieces

/// One past the last query that sees a key: where the window ends, or the last document that starts at or before the key.
DEVICE int sight_end(const int* doc_start, int key, int T, int window) {
    int low = key + 1, high = min(T, key + min(window, T));
    if (doc_start[high - 1] <= key) return high;
    while (low < high) { const int middle = (low + high) / 2; if (doc_start[middle] > key) high = middle; else low = middle + 1; }
    return high;
}
/// The first key that a query sees.
DEVICE int sight_start(const int* doc_start, int query, int T, int window) { return max(doc_start[min(query, T - 1)], max(0, query - window + 1)); }

/// Both panels of `rows` rows, box by box, into [2][rows][64]: of a [rows][80] tensor, or of one head of a [rows][heads][80] one.
DEVICE void load_tile(__nv_bfloat16* to, int rows, const CUtensorMap* map, uint64_t* full, int row) {
    for (int p = 0; p < 2; p++) for (int r = 0; r < rows; r += TILE) tma_load(to + (p * rows + r) * PANEL, map, full, p * PANEL, row + r);
}
DEVICE void load_tile_of_head(__nv_bfloat16* to, int rows, const CUtensorMap* map, uint64_t* full, int head, int row) {
    for (int p = 0; p < 2; p++) for (int r = 0; r < rows; r += TILE) tma_load_3d(to + (p * rows + r) * PANEL, map, full, p * PANEL, head, row + r);
}
/// A warp no longer reads a stage.
DEVICE void release(uint64_t* empty) { if (threadIdx.x % 32 == 0) barrier_arrive(empty); }

/// Columns 16k … 16k + 15 of a tile of `rows` rows, read K-major.
DEVICE uint64_t columns(uint64_t tile, int rows, int k) { return tile + (k < 4 ? 2 * k : rows * PANEL * 2 / 16); }
/// scores[64, 64] = A[64, 80] · B[64, 80]ᵀ, both from shared memory: A is part of a tile of `rows` rows.
DEVICE void scores(float* d, uint64_t a, int rows, uint64_t b) {
    #pragma unroll
    for (int k = 0; k < D / 16; k++) wgmma_bf16<TILE>(d, columns(a, rows, k), columns(b, TILE, k), k != 0);
}
/// The same with A from registers.
DEVICE void scores(float* d, const uint32_t* a, uint64_t b) {
    #pragma unroll
    for (int k = 0; k < D / 16; k++) wgmma_bf16_registers<TILE, K_MAJOR>(d, a + 4 * k, columns(b, TILE, k), k != 0);
}
/// The 64×80 A of a warpgroup, from rows of 80: this thread's pairs of rows `row` and `row + 8`, zero from `end` on.
DEVICE void load_fragments(uint32_t* a, const __nv_bfloat16* base, int row, int end) {
    const __nv_bfloat16* from = base + (size_t)row * D + threadIdx.x % 4 * 2;
    #pragma unroll
    for (int i = 0; i < 20; i++)   // i / 4 is the step of k; i % 4: row, row + 8, and both again 8 columns on
        a[i] = row + i % 2 * 8 < end ? *reinterpret_cast<const uint32_t*>(from + i % 2 * 8 * D + i / 4 * 16 + i % 4 / 2 * 8) : 0;
}
/// d[64, 80] = A[64, 64] · B[64, 80]: added to d where `more` is not 0 (zeros moved into d would
/// make the compiler serialise products in flight); A packed from the scores, B MN-major.
DEVICE void gather(float* d, const uint32_t* a, uint64_t b, int more) {
    #pragma unroll
    for (int k = 0; k < TILE / 16; k++) wgmma_bf16_registers<80, MN_MAJOR>(d, a + 4 * k, b + k * (16 * 128 / 16), k ? 1 : more);
}
/// Writes this thread's part of a 64×80 result, times `scale`, to rows of 80.
DEVICE void write_rows(__nv_bfloat16* to, const float* d, float scale, int row, int end) {
    #pragma unroll
    for (int h = 0; h < 2; h++) if (row + 8 * h < end) {
        #pragma unroll
        for (int j = 0; j < 10; j++)
            *reinterpret_cast<uint32_t*>(to + (size_t)(row + 8 * h) * D + j * 8 + threadIdx.x % 4 * 2) = pack_bf16(d[j * 4 + 2 * h] * scale, d[j * 4 + 2 * h + 1] * scale);
    }
}

// ---- The two sides: GROUPS consumer warpgroups and one of the producer. They take the same parameters, grids put heads
// first and the longest tiles before shorter ones, and a block has a multiprocessor to itself: sizeof(Shared) bytes of
// shared memory, or simply all 232448.
// Maps: q [heads · T][80], k and v [kv_heads · T][80], d_out [T][heads][80] in three dimensions (its planes are heads), all
// with boxes of 64 columns of 64 rows.

/// What the launch gives a block: were consumers to grow to more than that and the producer's leave, setmaxnreg would wait for ever.
constexpr int registers_of_launch(int threads) { return 65536 / threads / 8 * 8 * threads; }
constexpr int PRODUCER_REGISTERS = 24;

namespace keys {
constexpr int GROUPS = 2, KEYS = GROUPS * TILE, STAGES = 3, THREADS = 128 * (GROUPS + 1), REGISTERS = 240;
static_assert(128 * (PRODUCER_REGISTERS + GROUPS * REGISTERS) <= registers_of_launch(THREADS), "registers of the launch");
struct __align__(1024) Shared {
    __nv_bfloat16 q[STAGES][2][TILE * PANEL], d_out[STAGES][2][TILE * PANEL], v[2][KEYS * PANEL];
    float lse[STAGES][TILE], delta[STAGES][TILE];
    uint64_t v_full, q_full[STAGES], d_out_full[STAGES], empty[STAGES];
    int sight_end[KEYS];
};
static_assert(sizeof(Shared) <= 232448, "shared memory of a block");
}  // namespace keys

/// dK and dV: a block for a kv head and 128 keys, over tiles of queries. k, an operand at every tile, stays in registers, and
/// shared memory has the more time for the tiles.
/// Grid: kv heads × tiles of 128 keys, of which the first are seen longest.
extern "C" __global__ void __launch_bounds__(keys::THREADS, 1) attention_backward_keys(
    const __grid_constant__ CUtensorMap q_map, const __grid_constant__ CUtensorMap k_map, const __grid_constant__ CUtensorMap v_map, const __grid_constant__ CUtensorMap d_out_map,
    const __nv_bfloat16* q, const __nv_bfloat16* k, const __nv_bfloat16* v, const __nv_bfloat16* d_out, const float* statistics, const int* doc_start,
    __nv_bfloat16* d_q, __nv_bfloat16* d_k, __nv_bfloat16* d_v, int T, int heads, int kv_heads, int window, float scale) {
    using namespace keys;
    Shared& s = *reinterpret_cast<Shared*>(shared_memory());
    const int kv_head = blockIdx.x, k0 = blockIdx.y * KEYS, shared_heads = heads / kv_heads;
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    if (threadIdx.x == 0) {
        barrier_init(&s.v_full, 1);
        for (int i = 0; i < STAGES; i++) { barrier_init(&s.q_full[i], 1); barrier_init(&s.d_out_full[i], 1); barrier_init(&s.empty[i], 4 * GROUPS); }
        barrier_init_fence();
    }
    if (threadIdx.x < KEYS) s.sight_end[threadIdx.x] = sight_end(doc_start, min(k0 + (int)threadIdx.x, T - 1), T, window);
    __syncthreads();
    const int end = s.sight_end[KEYS - 1], rows = statistics_rows(T);    // tiles of queries start at the block's first key; none from `end` on sees its keys
    if (group == GROUPS) {
        registers_shrink<PRODUCER_REGISTERS>();
        if (threadIdx.x % 128 == 0) {
            barrier_expect(&s.v_full, sizeof(s.v));
            load_tile(s.v[0], KEYS, &v_map, &s.v_full, kv_head * T + k0);
            int stage = 0; uint32_t phase = 1;
            for (int h = 0; h < shared_heads; h++) {
                const int head = kv_head * shared_heads + h;
                for (int q0 = k0; q0 < end; q0 += TILE) {
                    barrier_wait(&s.empty[stage], phase);
                    barrier_expect(&s.q_full[stage], sizeof(s.q[0]) + sizeof(s.lse[0]) + sizeof(s.delta[0]));
                    load_tile(s.q[stage][0], TILE, &q_map, &s.q_full[stage], head * T + q0);
                    const float* lse = statistics + (size_t)head * rows + q0;
                    bulk_load(s.lse[stage], lse, &s.q_full[stage], sizeof(s.lse[0]));
                    bulk_load(s.delta[stage], lse + (size_t)heads * rows, &s.q_full[stage], sizeof(s.delta[0]));
                    barrier_expect(&s.d_out_full[stage], sizeof(s.d_out[0]));
                    load_tile_of_head(s.d_out[stage][0], TILE, &d_out_map, &s.d_out_full[stage], head, q0);
                    if (++stage == STAGES) { stage = 0; phase ^= 1; }
                }
            }
        }
        return;
    }
    registers_grow<REGISTERS>();
    const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32, keys0 = k0 + group * TILE, warp0 = keys0 + warp * 16, row = warp0 + lane / 4;
    const int ends[2] = {s.sight_end[row - k0], s.sight_end[row + 8 - k0]};
    const int full_end = s.sight_end[warp0 - k0], group_end = s.sight_end[group * TILE + TILE - 1];   // seen by whole tiles before the one, by none from the other on
    const float scale_log2 = scale * LOG2E;
    const size_t head_base = (size_t)kv_head * T * D;
    uint32_t k_registers[20];
    load_fragments(k_registers, k + head_base, row, T);
    barrier_wait(&s.v_full, 0);
    const uint64_t v_shared = descriptor(s.v[0] + group * TILE * PANEL);
    float sum_k[40], sum_v[40];
    uint32_t p[TILE / 4], d_s[TILE / 4];
    int stage = 0, held = -1, more = 0; uint32_t phase = 0;   // more: there are sums to add to; held: the stage that products in flight still read
    for (int h = 0; h < shared_heads; h++) for (int q0 = k0; q0 < end; q0 += TILE) {
        barrier_wait(&s.q_full[stage], phase);
        if (q0 + TILE > keys0 && q0 < group_end) {
            float score[TILE / 2], d_score[TILE / 2];
            const uint64_t q_tile = descriptor(s.q[stage][0]), q_columns = descriptor(s.q[stage][0], TILE * 128);
            const uint64_t d_out_tile = descriptor(s.d_out[stage][0]), d_out_columns = descriptor(s.d_out[stage][0], TILE * 128);
            wgmma_fence();
            scores(score, k_registers, q_tile);
            wgmma_commit();
            barrier_wait(&s.d_out_full[stage], phase);
            scores(d_score, v_shared, KEYS, d_out_tile);
            wgmma_commit();
            float2 column[TILE / 8];
            #pragma unroll
            for (int j = 0; j < TILE / 8; j++) column[j] = reinterpret_cast<const float2*>(s.lse[stage])[4 * j + lane % 4];
            wgmma_wait<1>();                           // score is done, and what ran before it: the stage of the last tile is free
            pin<TILE / 2>(score); pin<TILE / 4>(p); pin<TILE / 4>(d_s);
            if (held >= 0) release(&s.empty[held]);
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
            gather(sum_v, p, d_out_columns, more);
            wgmma_commit();
            #pragma unroll
            for (int j = 0; j < TILE / 8; j++) column[j] = reinterpret_cast<const float2*>(s.delta[stage])[4 * j + lane % 4];
            wgmma_wait<1>();                           // d_score is done
            pin<TILE / 2>(d_score);
            #pragma unroll
            for (int i = 0; i < TILE / 4; i++) d_s[i] = pack_bf16(score[2 * i] * (d_score[2 * i] - column[i / 2].x), score[2 * i + 1] * (d_score[2 * i + 1] - column[i / 2].y));
            wgmma_fence();
            gather(sum_k, d_s, q_columns, more);
            wgmma_commit();
            held = stage; more = 1;
        } else {                                       // these 64 keys are not seen by this tile, but others of the block are
            wgmma_wait<0>();
            barrier_wait(&s.d_out_full[stage], phase);
            if (held >= 0) release(&s.empty[held]);
            release(&s.empty[stage]);
            held = -1;
        }
        if (++stage == STAGES) { stage = 0; phase ^= 1; }
    }
    wgmma_wait<0>();
    pin<40>(sum_k); pin<40>(sum_v);
    write_rows(d_k + head_base, sum_k, scale, row, T);
    write_rows(d_v + head_base, sum_v, 1, row, T);
}

namespace queries {
constexpr int GROUPS = 3, QUERIES = GROUPS * TILE, STAGES = 3, THREADS = 128 * (GROUPS + 1), REGISTERS = 160;
static_assert(128 * (PRODUCER_REGISTERS + GROUPS * REGISTERS) <= registers_of_launch(THREADS), "registers of the launch");
struct __align__(1024) Shared {
    __nv_bfloat16 k[STAGES][2][TILE * PANEL], v[STAGES][2][TILE * PANEL], q[2][QUERIES * PANEL], d_out[2][QUERIES * PANEL];
    uint64_t queries_full, k_full[STAGES], v_full[STAGES], k_empty[STAGES], v_empty[STAGES];
};
static_assert(sizeof(Shared) <= 232448, "shared memory of a block");
}  // namespace queries

/// dQ: a block for a q head and 192 queries, over tiles of keys, latest first.
/// Grid: q heads × tiles of 192 queries, of which the last see most.
extern "C" __global__ void __launch_bounds__(queries::THREADS, 1) attention_backward_queries(
    const __grid_constant__ CUtensorMap q_map, const __grid_constant__ CUtensorMap k_map, const __grid_constant__ CUtensorMap v_map, const __grid_constant__ CUtensorMap d_out_map,
    const __nv_bfloat16* q, const __nv_bfloat16* k, const __nv_bfloat16* v, const __nv_bfloat16* d_out, const float* statistics, const int* doc_start,
    __nv_bfloat16* d_q, __nv_bfloat16* d_k, __nv_bfloat16* d_v, int T, int heads, int kv_heads, int window, float scale) {
    using namespace queries;
    Shared& s = *reinterpret_cast<Shared*>(shared_memory());
    const int head = blockIdx.x, kv_head = head / (heads / kv_heads), q0 = (gridDim.y - 1 - blockIdx.y) * QUERIES;
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    if (threadIdx.x == 0) {
        barrier_init(&s.queries_full, 1);
        for (int i = 0; i < STAGES; i++) { barrier_init(&s.k_full[i], 1); barrier_init(&s.v_full[i], 1); barrier_init(&s.k_empty[i], 4 * GROUPS); barrier_init(&s.v_empty[i], 4 * GROUPS); }
        barrier_init_fence();
    }
    __syncthreads();
    const int first = sight_start(doc_start, q0, T, window) / TILE, last = min(T - 1, q0 + QUERIES - 1) / TILE;   // tiles of keys seen by these queries
    if (group == GROUPS) {
        registers_shrink<PRODUCER_REGISTERS>();
        if (threadIdx.x % 128 == 0) {
            barrier_expect(&s.queries_full, sizeof(s.q) + sizeof(s.d_out));
            load_tile(s.q[0], QUERIES, &q_map, &s.queries_full, head * T + q0);
            load_tile_of_head(s.d_out[0], QUERIES, &d_out_map, &s.queries_full, head, q0);
            int stage = 0; uint32_t phase = 1;
            for (int tile = last; tile >= first; tile--) {
                barrier_wait(&s.k_empty[stage], phase); barrier_expect(&s.k_full[stage], sizeof(s.k[0]));
                load_tile(s.k[stage][0], TILE, &k_map, &s.k_full[stage], kv_head * T + tile * TILE);
                barrier_wait(&s.v_empty[stage], phase); barrier_expect(&s.v_full[stage], sizeof(s.v[0]));
                load_tile(s.v[stage][0], TILE, &v_map, &s.v_full[stage], kv_head * T + tile * TILE);
                if (++stage == STAGES) { stage = 0; phase ^= 1; }
            }
        }
        return;
    }
    registers_grow<REGISTERS>();
    const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32, queries0 = q0 + group * TILE, warp0 = queries0 + warp * 16, row = warp0 + lane / 4;
    const int starts[2] = {sight_start(doc_start, row, T, window), sight_start(doc_start, row + 8, T, window)};
    const int group_start = sight_start(doc_start, queries0, T, window), full_start = sight_start(doc_start, warp0 + 15, T, window);
    const float scale_log2 = scale * LOG2E;
    float lse[2] = {INFINITY, INFINITY}, delta[2] = {};
    #pragma unroll
    for (int i = 0; i < 2; i++) if (row + 8 * i < T) {
        const float* from = statistics + (size_t)head * statistics_rows(T) + row + 8 * i;
        lse[i] = from[0]; delta[i] = from[(size_t)heads * statistics_rows(T)];
    }
    barrier_wait(&s.queries_full, 0);
    const uint64_t q_shared = descriptor(s.q[0] + group * TILE * PANEL), d_out_shared = descriptor(s.d_out[0] + group * TILE * PANEL);
    float sum[40];
    uint32_t d_s[TILE / 4];
    int stage = 0, held = -1, more = 0; uint32_t phase = 0;   // more: there are sums to add to; held: the stage whose keys a product in flight still reads
    for (int tile = last; tile >= first; tile--) {
        const int k0 = tile * TILE;
        barrier_wait(&s.k_full[stage], phase);
        if (k0 <= queries0 + TILE - 1 && k0 + TILE > group_start && queries0 < T) {
            float score[TILE / 2], d_score[TILE / 2];
            const uint64_t k_tile = descriptor(s.k[stage][0]), k_columns = descriptor(s.k[stage][0], TILE * 128), v_tile = descriptor(s.v[stage][0]);
            wgmma_fence();
            scores(score, q_shared, QUERIES, k_tile);
            wgmma_commit();
            barrier_wait(&s.v_full[stage], phase);
            scores(d_score, d_out_shared, QUERIES, v_tile);
            wgmma_commit();
            wgmma_wait<1>();                           // score is done, and the last tile's product before it
            pin<TILE / 2>(score); pin<TILE / 4>(d_s);
            if (held >= 0) release(&s.k_empty[held]);
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
            release(&s.v_empty[stage]);
            #pragma unroll
            for (int i = 0; i < TILE / 4; i++) d_s[i] = pack_bf16(score[2 * i] * (d_score[2 * i] - delta[i % 2]), score[2 * i + 1] * (d_score[2 * i + 1] - delta[i % 2]));
            wgmma_fence();
            gather(sum, d_s, k_columns, more);
            wgmma_commit();
            held = stage; more = 1;
        } else {                                       // these 64 queries do not see this tile, but others of the block do
            wgmma_wait<0>();
            barrier_wait(&s.v_full[stage], phase);
            if (held >= 0) release(&s.k_empty[held]);
            release(&s.k_empty[stage]); release(&s.v_empty[stage]);
            held = -1;
        }
        if (++stage == STAGES) { stage = 0; phase ^= 1; }
    }
    wgmma_wait<0>();
    pin<40>(sum);
    write_rows(d_q + (size_t)head * T * D, sum, scale, row, T);
}
}  // namespace attention_backward

using attention_backward::attention_backward_statistics;
using attention_backward::attention_backward_keys;
using attention_backward::attention_backward_queries;
