// D = scale · A · Bᵀ for A [M, K] and B [N, K] in fp8 or bf16, sums in f32: one main loop for every product of training.
//
// Persistent and warp-specialised: one producer thread keeps a ring of stages full with the copy engine, two consumer
// warpgroups multiply. A stage holds 128 bytes of k for every row of a tile, whatever the type. Two blocks of a cluster
// share one operand: each fetches half of it and multicasts it to both, which takes a quarter off the reads of L2.
#pragma once
#include <hopper.cuh>

/// The operand that the two blocks of a cluster have in common; none for no clusters.
enum class Share { none, a, b };
/// bf16 and f32 overwrite D, bf16_residual with the sum of product and residual; f32_add adds to it (the head's gradient,
/// chunk after chunk), one rounding an element.
enum class Output { bf16, bf16_residual, f32, f32_add };

/// What a kernel is made for. `PROMOTE`: sums of 128 k are added to f32 registers, because the fp8 tensor core keeps
/// about 14 bits of a sum (DeepSeek-V3 §3.3.2); else they stay in the tensor core.
template <class A_, class B_, int BM_, int BN_, int STAGES_, Share SHARE_, bool PROMOTE_, Output OUTPUT_, Major A_MAJOR_ = K_MAJOR, Major B_MAJOR_ = K_MAJOR>
struct Gemm {
    using A = A_; using B = B_;
    static constexpr int BM = BM_, BN = BN_, STAGES = STAGES_, CONSUMERS = 2, THREADS = 128 * (CONSUMERS + 1);
    static constexpr Share SHARE = SHARE_;
    static constexpr bool PROMOTE = PROMOTE_;
    static constexpr Output OUTPUT = OUTPUT_;
    static constexpr Major A_MAJOR = A_MAJOR_, B_MAJOR = B_MAJOR_;
    static constexpr int CLUSTER = SHARE == Share::none ? 1 : 2;
    static constexpr int A_PARTS = SHARE == Share::a ? 2 : 1, B_PARTS = SHARE == Share::b ? 2 : 1;
    static constexpr int ROW = 128, BK = ROW / sizeof(A);              // bytes and elements of k in a stage
    static constexpr int WAVES = BM / (64 * CONSUMERS);                // products of 64 rows that a consumer owns
    static constexpr int A_BYTES = BM * ROW, B_BYTES = BN * ROW;
    static constexpr bool RESIDUAL = OUTPUT == Output::bf16_residual, WIDE = OUTPUT == Output::f32 || OUTPUT == Output::f32_add;
    static constexpr int BOX = WIDE ? 32 : 64;                         // columns in a 128-byte row of D
    static constexpr int CHUNK = 2 * BOX, CHUNK_BYTES = 64 * 2 * ROW;  // D leaves in chunks of 64 rows × 2 boxes
    static constexpr int BUFFERS = STAGES * (A_BYTES + B_BYTES) + 4 * CHUNK_BYTES < 232448 - 1024 ? 2 : 1;
    static_assert(128 * (40 + CONSUMERS * 232) <= 65536 / THREADS / 8 * 8 * THREADS, "registers of the launch");
    static_assert(sizeof(A) == sizeof(B) && WAVES * BN <= 256, "128 sums a thread");
    static_assert(!PROMOTE || BN == 128, "promotion keeps 64 more");
    static_assert(!RESIDUAL || BUFFERS * CHUNK == WAVES * BN, "the residual of a whole tile waits where D is staged");
    struct __align__(1024) Shared {
        uint8_t a[STAGES][A_BYTES], b[STAGES][B_BYTES], d[CONSUMERS][BUFFERS][CHUNK_BYTES];
        uint64_t full[STAGES], empty[STAGES], residual[CONSUMERS];
    };
    static_assert(sizeof(Shared) <= 232448, "one block a multiprocessor");
};

/// One product. Boxes of the maps: A and B K-major 128 bytes × the rows that one block fetches, MN-major 64 × 64 elements;
/// D `Gemm::BOX` × 64. The scales lie in device memory; null for 1. M, N and K are free: boxes end with the tensors.
struct alignas(128) Problem { CUtensorMap a, b, d; const float *scale_a, *scale_b; int M, N, K; };
/// Products that one launch works through, so that the gradients of weights that read one input fill the last wave together. Of
/// a product without rows or columns nothing is read, not even its maps.
template <int COUNT> struct Problems { Problem at[COUNT]; };

/// Where a tile is: its product, and its first row and column.
struct Tile { const Problem* problem; int row, column; };
/// Walks the tiles of all products in bands of eight rows of tiles, so that what runs at one time reads few rows of A and B.
template <class G, int COUNT> struct Tiles {
    const Problems<COUNT>& problems; int next, step, rank;
    DEVICE Tiles(const Problems<COUNT>& problems) : problems(problems), next(blockIdx.x / G::CLUSTER), step(gridDim.x / G::CLUSTER), rank(cluster_rank()) {}
    DEVICE bool take(Tile& tile) {
        int i = next; next += step;
        for (int p = 0; p < COUNT; p++) {
            const Problem& problem = problems.at[p];
            constexpr int BAND = 8, HEIGHT = G::BM * G::B_PARTS, WIDTH = G::BN * G::A_PARTS;
            const int rows = (problem.M + HEIGHT - 1) / HEIGHT, columns = (problem.N + WIDTH - 1) / WIDTH;
            if (i >= rows * columns) { i -= rows * columns; continue; }
            const int band = i / (BAND * columns), in = i % (BAND * columns), height = min(BAND, rows - band * BAND);
            tile.problem = &problem;
            tile.row = ((band * BAND + in % height) * G::B_PARTS + (G::B_PARTS > 1 ? rank : 0)) * G::BM;
            tile.column = (in / height * G::A_PARTS + (G::A_PARTS > 1 ? rank : 0)) * G::BN;
            return true;
        }
        return false;
    }
};

/// Fetches 128 bytes of k of an operand's rows, or this block's part of them for both.
template <int ROWS, int PARTS, Major MAJOR, class T> DEVICE void fetch(uint8_t* to, const CUtensorMap* map, uint64_t* full, int row, int k_block, int rank) {
    constexpr int OWN = ROWS / PARTS, BK = 128 / sizeof(T);
    const int first = PARTS > 1 ? rank * OWN : 0;
    const auto box = [&](uint8_t* at, int column, int y) {
        if constexpr (PARTS > 1) tma_load_multicast(at, map, full, column, y, (1 << PARTS) - 1); else tma_load(at, map, full, column, y);
    };
    if constexpr (MAJOR == K_MAJOR) box(to + first * 128, k_block * BK, row + first);
    else {   // panels of 64 rows: 64 lines of k, each 64 elements
        #pragma unroll
        for (int p = 0; p < OWN / 64; p++) box(to + (first / 64 + p) * 64 * 128, row + first + p * 64, k_block * BK);
    }
}
/// Descriptor of the rows from `row` on at step k of 32 bytes.
template <Major MAJOR> DEVICE uint64_t operand(const uint8_t* tile, int row, int k) {
    return MAJOR == K_MAJOR ? descriptor(tile + row * 128) + 2 * k : descriptor(tile + row / 64 * 64 * 128 + k * 16 * 128, 64 * 128);
}
/// 64 rows × BN columns × 128 bytes of k.
template <class G> DEVICE void multiply(float* sum, const uint8_t* a, const uint8_t* b, int row, bool accumulate) {
    #pragma unroll
    for (int k = 0; k < 4; k++) {
        const uint64_t x = operand<G::A_MAJOR>(a, row, k), y = operand<G::B_MAJOR>(b, 0, k);
        if constexpr (sizeof(typename G::A) == 1) wgmma_fp8<typename G::A, typename G::B, G::BN>(sum, x, y, accumulate || k > 0);
        else wgmma_bf16<G::BN, G::A_MAJOR, G::B_MAJOR>(sum, x, y, accumulate || k > 0);
    }
}

/// Writes 64 rows × two boxes of sums in the layout that the copy engine stores: rows of 128 bytes, swizzled. Where D has a
/// residual, that of these elements lies there already.
template <Output OUTPUT> DEVICE void stage_chunk(uint8_t* to, const float* sum, float scale) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32;
    if constexpr (OUTPUT == Output::bf16 || OUTPUT == Output::bf16_residual) {
        #pragma unroll
        for (int j = 0; j < 8; j++) {   // 16 columns at a time
            const float* v = sum + 8 * j;
            const int row = warp * 16 + lane % 16, panel = j / 4, piece = j % 4 * 2 + lane / 16;
            uint8_t* at = to + panel * 64 * 128 + row * 128 + (piece ^ row % 8) * 16;
            uint32_t pair[4] = {};
            if constexpr (OUTPUT == Output::bf16_residual) ldmatrix4(pair, at);
            #pragma unroll
            for (int i = 0; i < 4; i++)
                pair[i] = pack_bf16(fmaf(v[2 * i], scale, __uint_as_float(pair[i] << 16)), fmaf(v[2 * i + 1], scale, __uint_as_float(pair[i] & 0xFFFF0000u)));
            stmatrix4(at, pair[0], pair[1], pair[2], pair[3]);
        }
    } else {
        #pragma unroll
        for (int i = 0; i < 16; i++) {   // 8 columns × rows 0 … 7 or 8 … 15 of a warp's 16
            const int row = warp * 16 + lane / 4 + i % 2 * 8, column = i / 2 * 8 + lane % 4 * 2, piece = column % 32 / 4;
            float* at = (float*)(to + column / 32 * 64 * 128 + row * 128 + (piece ^ row % 8) * 16) + column % 4;
            at[0] = sum[2 * i] * scale; at[1] = sum[2 * i + 1] * scale;
        }
    }
}

template <class G, int COUNT> DEVICE void produce(typename G::Shared& s, Tiles<G, COUNT> tiles) {
    Tile tile; int stage = 0; uint32_t phase = 1;
    while (tiles.take(tile)) for (int k = 0; k < (tile.problem->K + G::BK - 1) / G::BK; k++) {
        barrier_wait(&s.empty[stage], phase);
        barrier_expect(&s.full[stage], G::A_BYTES + G::B_BYTES);
        fetch<G::BM, G::A_PARTS, G::A_MAJOR, typename G::A>(s.a[stage], &tile.problem->a, &s.full[stage], tile.row, k, tiles.rank);
        fetch<G::BN, G::B_PARTS, G::B_MAJOR, typename G::B>(s.b[stage], &tile.problem->b, &s.full[stage], tile.column, k, tiles.rank);
        if (++stage == G::STAGES) { stage = 0; phase ^= 1; }
    }
}

template <class G, int COUNT> DEVICE void consume(typename G::Shared& s, Tiles<G, COUNT> tiles, const CUtensorMap* residual, int group) {
    constexpr int CHUNKS = G::BN / G::CHUNK;
    const int thread = threadIdx.x % 128;
    Tile tile; int stage = 0, chunks = 0; uint32_t phase = 0, residual_phase = 0;
    // A stage is free when the consumers of every block that it is shared with have read it.
    const auto release = [&](int st) {
        if constexpr (G::CLUSTER == 1) { if (thread == 0) barrier_arrive(&s.empty[st]); }
        else if (thread < G::CLUSTER) barrier_arrive_remote(&s.empty[st], thread);
    };
    while (tiles.take(tile)) {
        const int k_blocks = (tile.problem->K + G::BK - 1) / G::BK;
        const float scale = tile.problem->scale_a ? *tile.problem->scale_a * *tile.problem->scale_b : 1.f;
        if constexpr (G::RESIDUAL) if (thread == 0) {      // on its way while the products run
            tma_wait_read<0>();
            barrier_expect(&s.residual[group], G::BUFFERS * G::CHUNK_BYTES);
            #pragma unroll
            for (int box = 0; box < 2 * G::BUFFERS; box++)
                tma_load(s.d[group][box / 2] + box % 2 * 64 * 128, residual, &s.residual[group], tile.column + box / 2 % CHUNKS * G::CHUNK + box % 2 * G::BOX, tile.row + box / 2 / CHUNKS * 128 + group * 64);
        }
        float sum[G::WAVES * G::BN / 2];
        if constexpr (G::PROMOTE) {
            float part[G::BN / 2];
            #pragma unroll
            for (int i = 0; i < G::WAVES * G::BN / 2; i++) sum[i] = 0;
            for (int k = 0; k < k_blocks; k++) {
                barrier_wait(&s.full[stage], phase);
                #pragma unroll
                for (int wave = 0; wave < G::WAVES; wave++) {
                    pin<G::BN / 2>(part);
                    wgmma_fence();
                    multiply<G>(part, s.a[stage], s.b[stage], wave * 128 + group * 64, false);
                    wgmma_commit();
                    pin<G::BN / 2>(part);
                    wgmma_wait<0>();
                    pin<G::BN / 2>(part);
                    if (wave == G::WAVES - 1) release(stage);
                    #pragma unroll
                    for (int i = 0; i < G::BN / 2; i++) sum[wave * G::BN / 2 + i] += part[i];
                }
                if (++stage == G::STAGES) { stage = 0; phase ^= 1; }
            }
        } else {
            int last = 0;
            for (int k = 0; k < k_blocks; k++) {
                barrier_wait(&s.full[stage], phase);
                wgmma_fence();
                #pragma unroll
                for (int wave = 0; wave < G::WAVES; wave++) multiply<G>(sum + wave * G::BN / 2, s.a[stage], s.b[stage], wave * 128 + group * 64, k > 0);
                wgmma_commit();
                if (k > 0) { wgmma_wait<1>(); release(last); }     // one stage's products always run while the next is issued
                last = stage;
                if (++stage == G::STAGES) { stage = 0; phase ^= 1; }
            }
            wgmma_wait<0>();
            release(last);
            pin<G::WAVES * G::BN / 2>(sum);
        }
        if constexpr (G::RESIDUAL) { barrier_wait(&s.residual[group], residual_phase); residual_phase ^= 1; }
        #pragma unroll
        for (int c = 0; c < G::WAVES * CHUNKS; c++) {
            uint8_t* to = s.d[group][chunks++ % G::BUFFERS];
            if constexpr (!G::RESIDUAL) {
                if (thread == 0) tma_wait_read<G::BUFFERS - 1>();
                group_sync(1 + group, 128);
            }
            stage_chunk<G::OUTPUT>(to, sum + c * G::CHUNK / 2, scale);
            async_fence();
            group_sync(1 + group, 128);
            if (thread == 0) {
                const int x = tile.column + c % CHUNKS * G::CHUNK, y = tile.row + c / CHUNKS * 128 + group * 64;
                #pragma unroll
                for (int box = 0; box < 2; box++) {
                    const uint8_t* from = to + box * 64 * 128;
                    if constexpr (G::OUTPUT == Output::f32_add) tma_add(&tile.problem->d, from, x + box * G::BOX, y); else tma_store(&tile.problem->d, from, x + box * G::BOX, y);
                }
                tma_commit();
            }
        }
    }
    if (thread == 0) tma_wait();
}

/// `residual`: the map of R [M, N] in bf16, boxes and all like that of D, which may be the same memory; null where D has none.
template <class G, int COUNT> DEVICE void gemm(const Problems<COUNT>& problems, const CUtensorMap* residual = nullptr) {
    auto& s = *reinterpret_cast<typename G::Shared*>(shared_memory());
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    if (threadIdx.x == 0) {
        for (int i = 0; i < G::STAGES; i++) { barrier_init(&s.full[i], 1); barrier_init(&s.empty[i], G::CONSUMERS * G::CLUSTER); }
        for (int i = 0; i < G::CONSUMERS; i++) barrier_init(&s.residual[i], 1);
        barrier_init_fence();
    }
    cluster_sync();
    const Tiles<G, COUNT> tiles(problems);
    if (group == G::CONSUMERS) {
        registers_shrink<40>();
        if (threadIdx.x % 128 == 0) produce<G, COUNT>(s, tiles);
        __syncwarp();
    } else {
        registers_grow<232>();
        consume<G, COUNT>(s, tiles, residual, group);
    }
    cluster_sync();     // a block may still arrive on the barriers of the other
}
template <class G, int COUNT> __global__ void __launch_bounds__(G::THREADS, 1) __cluster_dims__(G::CLUSTER, 1, 1)
gemm_kernel(const __grid_constant__ Problems<COUNT> problems) { gemm<G, COUNT>(problems); }
