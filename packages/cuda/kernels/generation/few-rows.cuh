// Products of at most 16 rows with weights whose lines lie along k: what generation computes. The weights are read once, and
// nothing else of such a product takes time, so that
//
// - every multiprocessor has a block with an equal share of the lines, to one pair;
// - a warp has the next bytes of its lines on their way at all times, in a ring of its own in shared memory, from before the
//   rows are there until its last line;
// - what comes before (the norm) and after (residual, SwiGLU, rotation) happens in the same launch.
//
// Lines come in pairs, which meet in one thread at the end: two neighbours, a gate and its up, the halves of a rotated head. A
// line's sum has the same order whatever the number of rows, blocks and multiprocessors.
#pragma once
#include "../common/elements.cuh"

#include <type_traits>

namespace few_rows {
using elements::load, elements::store;
constexpr int WARPS = 8, THREADS = 32 * WARPS, MOST_ROWS = 16;
/// A warp takes 64 k of eight pairs of lines at a time, every eighth 64 of a tile of them: a slot of its ring.
constexpr int STEP = 64, PAIRS = 8, SLOT_BYTES = 2 * PAIRS * STEP * 2;
/// Slots of a ring: 80 KiB of them in a block, for half of a multiprocessor of an A100 or H100, or 32 KiB where there is less.
constexpr int DEEP = 5, SHALLOW = 2;

/// Rows that are multiplied, `norm(x) = x / sqrt(mean(x²) + eps) · norm`, rounded to their type, or x where `norm` is null.
/// x [M, ldx], norm [K]; M from 1 to 16, K and ldx multiples of 8; `slots` of a ring, DEEP or SHALLOW.
template <class E> struct Rows { const E *x, *norm; float eps; int M, K, ldx, slots; };

/// Bytes of a row in shared memory: 64 past a multiple of 128, so that rows one after another lie in different banks.
__host__ DEVICE int row_bytes(int K) { return (K * 2 + 127) / 128 * 128 + 64; }
/// Dynamic shared memory of a block: rings, sums of two tiles, rows, the norm.
__host__ DEVICE int shared_bytes(int slots, int M, int K, bool normed) { return WARPS * slots * SLOT_BYTES + (M > 8 ? 2 : 1) * 2 * WARPS * 512 + (M + normed) * row_bytes(K); }
/// Where 16 bytes of a line lie in a slot: what lanes bring and what they read at a time lies in different banks.
DEVICE int place(int line, int piece) { return line * 2 * STEP + (piece ^ line % 2 * 4) * 16; }

template <class E> DEVICE void multiply(float* d, const uint32_t* a, const uint32_t* b) { if constexpr (std::is_same_v<E, __half>) mma_f16(d, a, b); else mma_bf16(d, a, b); }

/// 32 k of 16 lines with all rows: a lane has 16 bytes of lines g and g + 8, and `row` is where the same k of row g begin. They are
/// pairs of k of two products: any order will do that both operands follow.
template <class E> DEVICE void multiply(float (&sum)[2][4], uint4 u, uint4 v, const uint8_t* row, const Rows<E>& in) {
    const uint32_t left[2][4] = {{u.x, v.x, u.y, v.y}, {u.z, v.z, u.w, v.w}};
    #pragma unroll
    for (int n = 0; n < 2; n++) if (n == 0 || in.M > 8) {
        const uint4 x = threadIdx.x % 32 / 4 + 8 * n < in.M ? *reinterpret_cast<const uint4*>(row + 8 * n * row_bytes(in.K)) : make_uint4(0, 0, 0, 0);
        const uint32_t right[2][2] = {{x.x, x.y}, {x.z, x.w}};
        multiply<E>(sum[n], left[0], right[0]); multiply<E>(sum[n], left[1], right[1]);
    }
}

/// Brings the rows to shared memory, zero past K. The squares of a row are summed by all threads, however many rows there are.
template <class E> DEVICE void stage(uint8_t* rows, const uint8_t* norm, const Rows<E>& in) {
    __shared__ float squares[MOST_ROWS][WARPS];
    constexpr int AT_ONCE = 4;                                 // pieces that a thread asks for before it waits for one
    const int stride = row_bytes(in.K), pieces = (stride - 64) / 16;
    for (int m = 0, first = 0; m < in.M;) {
        uint4 v[AT_ONCE]; uint8_t* to[AT_ONCE];
        #pragma unroll
        for (int j = 0; j < AT_ONCE; j++) {
            const int i = first + threadIdx.x;
            to[j] = m < in.M && i < pieces ? rows + m * stride + i * 16 : nullptr;
            if (to[j]) v[j] = i * 8 < in.K ? *reinterpret_cast<const uint4*>(in.x + (int64_t)m * in.ldx + i * 8) : make_uint4(0, 0, 0, 0);
            first += THREADS;
            if (first >= pieces) { first = 0; m++; }
        }
        #pragma unroll
        for (int j = 0; j < AT_ONCE; j++) if (to[j]) *reinterpret_cast<uint4*>(to[j]) = v[j];
    }
    if (in.norm) for (int m = 0; m < in.M; m++) {
        float sum = 0;
        for (int i = threadIdx.x; i < pieces; i += THREADS) {  // those that this thread has brought
            float x[8]; load(reinterpret_cast<const E*>(rows + m * stride) + i * 8, x);
            #pragma unroll
            for (int j = 0; j < 8; j++) sum = fmaf(x[j], x[j], sum);
        }
        #pragma unroll
        for (int lanes = 16; lanes; lanes /= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
        if (threadIdx.x % 32 == 0) squares[m][threadIdx.x / 32] = sum;
    }
    group_sync(1, THREADS);
    if (!in.norm) return;
    for (int m = 0; m < in.M; m++) {
        float sum = 0;
        #pragma unroll
        for (int w = 0; w < WARPS; w++) sum += squares[m][w];
        const float inverse_rms = rsqrtf(sum / in.K + in.eps);
        for (int i = threadIdx.x; i * 8 < in.K; i += THREADS) {
            E* at = reinterpret_cast<E*>(rows + m * stride) + i * 8;
            float x[8], w[8]; load(at, x); load(reinterpret_cast<const E*>(norm) + i * 8, w);
            #pragma unroll
            for (int j = 0; j < 8; j++) x[j] *= inverse_rms * w[j];
            store(at, x);
        }
    }
    group_sync(1, THREADS);
}

/// The sums of a pair of lines with row m, of all warps in order.
DEVICE float2 joined(const float4* part, int groups, int m, int column) {
    float2 both = make_float2(0, 0);
    #pragma unroll
    for (int w = 0; w < WARPS; w++) {
        const float* of = reinterpret_cast<const float*>(part + (w * groups + m / 8) * 32 + column * 4 + m % 8 / 2) + m % 2;
        both.x += of[0]; both.y += of[2];
    }
    return both;
}

/// A layer says how many `pairs` of lines there are, where the `line(pair, 0 or 1)` starts (null for none), what else the result
/// of a pair and row takes (`beside(m, pair)`, read early), and what becomes of its sums (`finish`); see few-rows-layers.cuh.
template <class E, class Layer> DEVICE void run(const Rows<E>& in, const Layer& layer) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4, groups = in.M > 8 ? 2 : 1;
    const int begin = (int64_t)layer.pairs() * blockIdx.x / gridDim.x, end = (int64_t)layer.pairs() * (blockIdx.x + 1) / gridDim.x;
    const int tiles = (end - begin + PAIRS - 1) / PAIRS, each = (end - begin + tiles - 1) / tiles, turns = (in.K + WARPS * STEP - 1) / (WARPS * STEP);
    uint8_t *shared = shared_memory(), *ring = shared + warp * in.slots * SLOT_BYTES;
    float4* sums = reinterpret_cast<float4*>(shared + WARPS * in.slots * SLOT_BYTES);
    const int stride = row_bytes(in.K);
    uint8_t *rows = reinterpret_cast<uint8_t*>(sums + 2 * WARPS * groups * 32), *norm = rows + in.M * stride;
    const auto k_of = [&](int turn) { return (turn * WARPS + warp) * STEP; };

    // What a lane brings: 16 bytes of four lines of a tile.
    const E* line[4]; int next_tile = 0, next_turn = 0;
    const auto fetch = [&](int slot) {
        if (next_tile < tiles) {
            if (next_turn == 0)
                #pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int place = lane / 8 + i % 2 * 4, pair = begin + next_tile * each + place;
                    line[i] = place < each && pair < end ? layer.line(pair, i / 2) : nullptr;
                }
            const int k = k_of(next_turn) + lane % 8 * 8;
            #pragma unroll
            for (int i = 0; i < 4; i++) {
                const bool inside = line[i] && k < in.K;
                cp_async(ring + slot * SLOT_BYTES + place(lane / 8 + i * 4, lane % 8), inside ? line[i] + k : in.x, inside ? 16 : 0);
            }
            if (++next_turn == turns) { next_turn = 0; next_tile++; }
        }
        cp_async_commit();
    };
    if (in.norm) for (int i = threadIdx.x; i * 8 < in.K; i += THREADS) cp_async(norm + i * 16, in.norm + i * 8);
    cp_async_commit();
    for (int slot = 0; slot < in.slots - 1; slot++) fetch(slot);
    grid_wait();                                               // weights are on their way before the rows are there
    if (in.slots == DEEP) cp_async_wait<DEEP - 1>(); else cp_async_wait<SHALLOW - 1>();
    stage(rows, norm, in);

    int slot = 0;
    for (int tile = 0; tile < tiles; tile++) {
        // A pair and row that this thread finishes; warps take turns, so that the others go on.
        const int mine = (threadIdx.x + tile * 128) % THREADS, m = mine / PAIRS, column = mine % PAIRS, pair = begin + tile * each + column;
        const bool finishes = m < in.M && column < each && pair < end;
        const float2 beside = finishes ? layer.beside(m, pair) : make_float2(0, 0);
        float sum[2][4] = {};
        for (int turn = 0; turn < turns; turn++) {
            if (in.slots == DEEP) cp_async_wait<DEEP - 2>(); else cp_async_wait<SHALLOW - 2>();
            __syncwarp();                                      // this slot is here, and the one before is read
            fetch(slot == 0 ? in.slots - 1 : slot - 1);
            if (next_tile == tiles) grid_release();            // the next kernel's weights follow the last of these
            const uint8_t* from = ring + slot * SLOT_BYTES;
            slot = slot + 1 == in.slots ? 0 : slot + 1;
            if (k_of(turn) >= in.K) continue;                  // the same for the whole warp
            #pragma unroll
            for (int half = 0; half < 2; half++)
                multiply(sum, *reinterpret_cast<const uint4*>(from + place(g, half * 4 + t)), *reinterpret_cast<const uint4*>(from + place(g + 8, half * 4 + t)),
                         rows + g * stride + (k_of(turn) + half * 32 + t * 8) * 2, in);
        }
        float4* part = sums + tile % 2 * WARPS * groups * 32;  // the other half may still be read
        #pragma unroll
        for (int n = 0; n < 2; n++) if (n < groups) part[(warp * groups + n) * 32 + lane] = make_float4(sum[n][0], sum[n][1], sum[n][2], sum[n][3]);
        group_sync(1, THREADS);
        if (!finishes) continue;
        const float2 both = joined(part, groups, m, column);
        layer.finish(m, pair, both.x, both.y, beside);
    }
}
}  // namespace few_rows
