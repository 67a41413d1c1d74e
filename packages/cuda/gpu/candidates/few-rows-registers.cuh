// Not part of the device: the products of few-rows.cuh with weights straight to registers, kept to be timed against those that come
// through a ring in shared memory. The bits are the same.
//
// Two blocks a multiprocessor, and in each of them 80 KiB on their way, where the ring has 64 on a multiprocessor: all weights of a
// product of 3,840 or 2,560 lines of 2,560 are asked for before its rows are there. The next kernel finds no room until blocks of
// this one are done, as registers are all taken; for as long, memory may bring a part of what it reads to L2.
#pragma once
#include "../../kernels/generation/few-rows.cuh"

#include <hopper.cuh>

namespace few_rows {
/// Turns of a warp that are on their way: ten pieces of 16 bytes of each of a lane's two lines.
constexpr int TURNS = 5;
/// Registers are filled again all at once when all of them are multiplied, or each turn's after its own product.
enum class Refill { together, in_turn };

/// Weights of the next kernel, or the first of them: every block asks for its share to come to L2. 0 bytes: none.
struct Ahead { const void* from; uint32_t bytes; };
DEVICE void ask(const Ahead& a) {
    const uint32_t share = (a.bytes / 16 + gridDim.x - 1) / gridDim.x * 16, first = blockIdx.x * share;
    if (threadIdx.x == 0 && first < a.bytes) prefetch_l2(static_cast<const uint8_t*>(a.from) + first, min(share, a.bytes / 16 * 16 - first));
}

/// The same as `run`, for two blocks a multiprocessor of `shared_bytes(0, …)`: `in.slots` is 0.
template <Refill REFILL, class E, class Layer> DEVICE void run_in_registers(const Rows<E>& in, const Layer& layer, const Ahead& ahead) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4, groups = in.M > 8 ? 2 : 1;
    const int begin = (int64_t)layer.pairs() * blockIdx.x / gridDim.x, end = (int64_t)layer.pairs() * (blockIdx.x + 1) / gridDim.x;
    const int tiles = (end - begin + PAIRS - 1) / PAIRS, each = (end - begin + tiles - 1) / tiles, turns = (in.K + WARPS * STEP - 1) / (WARPS * STEP);
    float4* sums = reinterpret_cast<float4*>(shared_memory());
    const int stride = row_bytes(in.K);
    uint8_t *rows = reinterpret_cast<uint8_t*>(sums + 2 * WARPS * groups * 32), *norm = rows + in.M * stride;
    const auto k_of = [&](int turn) { return (turn * WARPS + warp) * STEP; };

    // What a lane brings: 16 bytes of the two lines of a pair, of each half of a step.
    const E* line[2]; uint4 weight[TURNS][2][2];
    const auto take = [&](int tile) {
        const int pair = begin + tile * each + g;
        #pragma unroll
        for (int i = 0; i < 2; i++) line[i] = g < each && pair < end ? layer.line(pair, i) : nullptr;
    };
    const auto fetch = [&](uint4 (&to)[2][2], int turn) {
        #pragma unroll
        for (int half = 0; half < 2; half++)
            #pragma unroll
            for (int i = 0; i < 2; i++) {
                const int k = k_of(turn) + half * 32 + t * 8;
                to[half][i] = line[i] && k < in.K ? load_once(line[i] + k) : make_uint4(0, 0, 0, 0);
            }
    };
    if (in.norm) for (int i = threadIdx.x; i * 8 < in.K; i += THREADS) cp_async(norm + i * 16, in.norm + i * 8);
    cp_async_commit();
    take(0);
    #pragma unroll
    for (int i = 0; i < TURNS; i++) fetch(weight[i], i);
    grid_wait(); grid_release();                               // weights are on their way before the rows are there
    cp_async_wait<0>();
    stage(rows, norm, in);

    for (int tile = 0; tile < tiles; tile++) {
        if (tile == tiles - 1) ask(ahead);                     // behind the first weights of the block's last tile
        const int mine = (threadIdx.x + tile * 128) % THREADS, m = mine / PAIRS, column = mine % PAIRS, pair = begin + tile * each + column;
        const bool finishes = m < in.M && column < each && pair < end;
        const float2 beside = finishes ? layer.beside(m, pair) : make_float2(0, 0);
        float sum[2][4] = {};
        #pragma unroll 1
        for (int first = 0; first < turns; first += TURNS) {
            const int next = first + TURNS < turns ? first + TURNS : 0;
            if (next == 0) take(tile + 1);                     // past the last tile there is nothing to ask for
            #pragma unroll
            for (int i = 0; i < TURNS; i++) {
                const int k = k_of(first + i);
                #pragma unroll
                for (int half = 0; half < 2; half++)
                    if (k < in.K) multiply(sum, weight[i][half][0], weight[i][half][1], rows + g * stride + (k + half * 32 + t * 8) * 2, in);
                if constexpr (REFILL == Refill::in_turn) fetch(weight[i], next + i);
            }
            #pragma unroll
            for (int i = 0; i < TURNS; i++) if constexpr (REFILL == Refill::together) fetch(weight[i], next + i);
        }
        float4* part = sums + tile % 2 * WARPS * groups * 32;
        #pragma unroll
        for (int n = 0; n < 2; n++) if (n < groups) part[(warp * groups + n) * 32 + lane] = make_float4(sum[n][0], sum[n][1], sum[n][2], sum[n][3]);
        __syncthreads();
        if (!finishes) continue;
        const float2 both = joined(part, groups, m, column);
        layer.finish(m, pair, both.x, both.y, beside);
    }
}

template <Refill REFILL, class E, class Layer> __global__ void __launch_bounds__(THREADS, 2) in_registers(const __grid_constant__ Rows<E> in, const __grid_constant__ Layer layer, const __grid_constant__ Ahead ahead) { run_in_registers<REFILL>(in, layer, ahead); }
}  // namespace few_rows
