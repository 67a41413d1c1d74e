// The best token of a text, and on to the next: what a token's work ends with where the GPU chooses. One block, which no other
// could help: the scores are 64 KB.
#include "../common/elements.cuh"

namespace choose_next {
constexpr int THREADS = 1024, WARPS = THREADS / 32, RUN = 8;
struct Best { float score; int id; };
/// Whether a comes before b: NaN first, then the larger, of equals the first.
DEVICE bool before(Best a, Best b) {
    const bool a_nan = isnan(a.score), b_nan = isnan(b.score);
    if (a_nan != b_nan) return a_nan;
    return a.score > b.score || ((a.score == b.score || a_nan) && a.id < b.id);
}
DEVICE Best best_of_warp(Best best) {
    #pragma unroll
    for (int lanes = 16; lanes; lanes /= 2) {
        const Best other{__shfl_xor_sync(~0u, best.score, lanes), __shfl_xor_sync(~0u, best.id, lanes)};
        if (before(other, best)) best = other;
    }
    return best;
}
template <class T> DEVICE void run(int* id, int* position, int* stored, const T* logits, int V) {
    __shared__ float scores[WARPS]; __shared__ int ids[WARPS];
    grid_wait(); grid_release();
    Best best{-INFINITY, V};
    #pragma unroll 4
    for (int i = threadIdx.x * RUN; i < V; i += THREADS * RUN) {
        float v[RUN]; elements::load(logits + i, v, V - i);
        #pragma unroll
        for (int j = 0; j < RUN; j++) if (i + j < V && before({v[j], i + j}, best)) best = {v[j], i + j};
    }
    best = best_of_warp(best);
    if (threadIdx.x % 32 == 0) { scores[threadIdx.x / 32] = best.score; ids[threadIdx.x / 32] = best.id; }
    __syncthreads();
    if (threadIdx.x >= 32) return;
    best = best_of_warp({scores[threadIdx.x], ids[threadIdx.x]});
    if (threadIdx.x == 0) { *id = best.id; ++*position; ++*stored; }
}
}  // namespace choose_next

/// One block of 1,024 threads.
/// @param id [1], the first of the largest scores, NaN before all  @param position, stored [1], grow by 1
/// @param logits [V], from a multiple of 16 bytes on; V above 0
#define CHOOSE_NEXT(NAME, T) \
extern "C" __global__ void __launch_bounds__(choose_next::THREADS) choose_next_##NAME(int* id, int* position, int* stored, const T* logits, int V) { choose_next::run(id, position, stored, logits, V); }
CHOOSE_NEXT(f32, float)
CHOOSE_NEXT(bf16, __nv_bfloat16)
CHOOSE_NEXT(f16, __half)
