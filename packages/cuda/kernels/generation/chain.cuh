// Steps of one row, one after another in one launch: what a token goes through. All blocks run at the same time, one a multiprocessor.
// Weights, which no step writes, are on their way from the first step to the last: while blocks wait for each other, for attention or
// for a norm, a ring in shared memory fills with what comes next, and memory does not rest.
//
// Results go from block to block as words that carry a tag, so that a reader sees by the word itself that it is there: no barrier, and
// no fence, for which a block would wait until all that it has asked for has come. Steps write them into areas of global memory by
// turns; who writes into an area again has read all of the step after, which everybody has made from all of the one before.
//
// The warps of a block have their parts: eight multiply, four attend, four bring weights. The bits are those of few-rows.cuh and of
// attention-portable-decode.cu, in whose order sums are.
#pragma once
#include "chain-attention.cuh"
#include "chain-products.cuh"

namespace chain {
/// Bytes of shared memory.
template <class E, int DP> __host__ DEVICE int shared_bytes(int slots, int most_k) {
    return Ring::BARRIERS_BYTES + slots * Ring::SLOT_BYTES + Workplace::bytes(most_k) + (int)sizeof(typename Attention<E, DP>::Shared);
}
template <class E, int DP> DEVICE void run(const Steps& all) {
    const Ring ring(shared_memory(), all.slots); const Exchange exchange(all.exchange);
    uint8_t *workplace = ring.slots + all.slots * Ring::SLOT_BYTES, *attention = workplace + Workplace::bytes(all.most_k);
    if (threadIdx.x == 0) ring.init();
    __syncthreads();
    // 512 threads start with 128 registers each.
    if (threadIdx.x < MULTIPLY) {
        registers_grow<144>();
        products<E>(all, exchange, ring, Workplace(workplace, all.most_k));
    } else if (threadIdx.x < MULTIPLY + ATTEND) {
        registers_grow<184>();
        auto& shared = *reinterpret_cast<typename Attention<E, DP>::Shared*>(attention);
        for (int i = 0; i < all.count; i++) if (all.step[i].kind == ATTENTION) Attention<E, DP>{all.step[i], exchange, all.fault, shared, i}.run();
    } else {
        registers_shrink<40>();
        bring<E>(all, ring);
    }
    __syncthreads();
    if (threadIdx.x == 0) exchange.leave();
}
}  // namespace chain
