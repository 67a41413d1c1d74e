// Softmax cross-entropy over the logits of a chunk of tokens, and its gradient in the memory of the logits.
//   loss = log Σ exp(x) − x[target]      d x = (softmax(x) − onehot(target)) · scale
// A target of −100 has loss 0 and gradient 0; one that is neither −100 nor in [0, V) as well, and it is reported.
// Must move: 2 bytes in and 2 out a logit. Instructions: two exponentials a logit, 16 a clock and multiprocessor, which is
// more than half of the time that the memory takes: blocks of different rows must overlap.
// nvcc: -use_fast_math
#include <hopper.cuh>
#include "fault.cuh"

namespace cross_entropy {
constexpr float LOG2E = 1.4426950408889634f, LN2 = 0.6931471805599453f, LOWEST = -1e38f;   // finite, so that no difference is NaN

/// Σ exp2(x − top) of numbers x in base 2.
struct Partial { float top, sum; };
DEVICE Partial join(Partial a, Partial b) {
    const float top = fmaxf(a.top, b.top);
    return {top, a.sum * exp2_fast(a.top - top) + b.sum * exp2_fast(b.top - top)};
}
DEVICE Partial warp_join(Partial p) {
    #pragma unroll
    for (int m = 16; m; m /= 2) p = join(p, {__shfl_xor_sync(~0u, p.top, m), __shfl_xor_sync(~0u, p.sum, m)});
    return p;
}
/// The same for every thread, in a fixed order; syncs once.
template <int THREADS> DEVICE Partial block_join(Partial p, Partial* warps) {
    p = warp_join(p);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = p;
    __syncthreads();
    p = {LOWEST, 0};
    if (threadIdx.x % 32 < THREADS / 32) p = warps[threadIdx.x % 32];
    return warp_join(p);
}
DEVICE float low(uint32_t pair) { return __uint_as_float(pair << 16); }
DEVICE float high(uint32_t pair) { return __uint_as_float(pair & 0xFFFF0000u); }
/// Puts the gradient of the target among the four pairs that hold it.
DEVICE void put(uint32_t (&pairs)[4], int place, float value) {
    const uint32_t both = pack_bf16(value, value), half = place & 1 ? 0xFFFF0000u : 0xFFFFu;
    #pragma unroll
    for (int k = 0; k < 4; k++) { const uint32_t mask = place >> 1 == k ? half : 0; pairs[k] = (pairs[k] & ~mask) | (both & mask); }
}
/// Whether the row has a loss; else thread 0 settles it.
DEVICE bool wanted(int target, int V, float* loss, int* fault) {
    if (target >= 0 && target < V) return true;
    if (threadIdx.x == 0) { *loss = 0; if (target != -100) report_index(fault, target, V); }
    return false;
}

/// A block a row, which the copy engine brings to shared memory in PIECES, each read as soon as it is there; several blocks
/// share a multiprocessor, so that rows arrive while others are computed. Shared memory: 128 + 2V bytes.
template <int THREADS, int PIECES> DEVICE void row_in_shared(__nv_bfloat16* logits, float* losses, const int* targets, const float* scale, int* fault, int V) {
    __shared__ Partial warps[THREADS / 32];
    uint64_t* full = reinterpret_cast<uint64_t*>(shared_memory()); const uint4* row_vectors = reinterpret_cast<const uint4*>(shared_memory() + 128);
    const int row = blockIdx.x, target = targets[row], vectors = V / 8, piece = (vectors + PIECES - 1) / PIECES;
    uint4* to = reinterpret_cast<uint4*>(logits + (size_t)row * V);
    if (!wanted(target, V, losses + row, fault)) {
        for (int i = threadIdx.x; i < vectors; i += THREADS) to[i] = make_uint4(0, 0, 0, 0);
        return;
    }
    if (threadIdx.x == 0) {
        for (int p = 0; p < PIECES; p++) barrier_init(full + p, 1);
        barrier_init_fence();
        for (int p = 0; p < PIECES; p++) {
            const int first = min(vectors, p * piece), count = min(piece, vectors - first);
            barrier_expect(full + p, count * 16);
            if (count > 0) bulk_load(const_cast<uint4*>(row_vectors) + first, to + first, full + p, count * 16);
        }
    }
    __syncthreads();
    const float s = *scale; Partial own = {LOWEST, 0};
    #pragma unroll 1
    for (int p = 0; p < PIECES; p++) {
        barrier_wait(full + p, 0);
        #pragma unroll 2
        for (int i = p * piece + threadIdx.x; i < min(vectors, (p + 1) * piece); i += THREADS) {
            const uint4 u = row_vectors[i]; const uint32_t w[4] = {u.x, u.y, u.z, u.w};
            __nv_bfloat162 pair = *reinterpret_cast<const __nv_bfloat162*>(&w[0]);
            #pragma unroll
            for (int k = 1; k < 4; k++) pair = __hmax2(pair, *reinterpret_cast<const __nv_bfloat162*>(&w[k]));
            const float top = fmaxf(__low2float(pair), __high2float(pair)) * LOG2E;
            if (top > own.top) own = {top, own.sum * exp2_fast(own.top - top)};
            float a = 0, b = 0;
            #pragma unroll
            for (int k = 0; k < 4; k++) { a += exp2_fast(fmaf(low(w[k]), LOG2E, -own.top)); b += exp2_fast(fmaf(high(w[k]), LOG2E, -own.top)); }
            own.sum += a + b;
        }
    }
    const Partial all = block_join<THREADS>(own, warps);
    const float factor = s / all.sum, chosen = float(reinterpret_cast<const __nv_bfloat16*>(row_vectors)[target]);
    #pragma unroll 2
    for (int i = threadIdx.x; i < vectors; i += THREADS) {
        const uint4 u = row_vectors[i]; const uint32_t w[4] = {u.x, u.y, u.z, u.w}; uint32_t g[4];
        #pragma unroll
        for (int k = 0; k < 4; k++) g[k] = pack_bf16(exp2_fast(fmaf(low(w[k]), LOG2E, -all.top)) * factor, exp2_fast(fmaf(high(w[k]), LOG2E, -all.top)) * factor);
        if (target >> 3 == i) put(g, target & 7, (exp2_fast(fmaf(chosen, LOG2E, -all.top)) / all.sum - 1) * s);
        to[i] = make_uint4(g[0], g[1], g[2], g[3]);
    }
    if (threadIdx.x == 0) losses[row] = fmaf(all.top, LN2, logf(all.sum)) - chosen;
}

DEVICE void load(float (&x)[8], const __nv_bfloat16* from) {
    const uint4 v = *reinterpret_cast<const uint4*>(from); const uint32_t w[4] = {v.x, v.y, v.z, v.w};
    #pragma unroll
    for (int k = 0; k < 4; k++) { x[2 * k] = low(w[k]); x[2 * k + 1] = high(w[k]); }
}
/// A block a row of any length, read twice: sums that follow the largest so far, then gradients.
template <int THREADS> DEVICE void row_in_two_passes(__nv_bfloat16* logits, float* losses, const int* targets, const float* scale, int* fault, int V) {
    __shared__ Partial warps[THREADS / 32];
    const int row = blockIdx.x, target = targets[row], vectors = V / 8;
    const __nv_bfloat16* x = logits + (size_t)row * V; uint4* to = reinterpret_cast<uint4*>(logits + (size_t)row * V);
    if (!wanted(target, V, losses + row, fault)) {
        for (int i = threadIdx.x; i < vectors; i += THREADS) to[i] = make_uint4(0, 0, 0, 0);
        return;
    }
    const float chosen = float(x[target]), s = *scale; Partial own = {LOWEST, 0}; float v[8];
    for (int i = threadIdx.x; i < vectors; i += THREADS) {
        load(v, x + i * 8);
        float top = v[0], sum = 0;
        #pragma unroll
        for (int k = 1; k < 8; k++) top = fmaxf(top, v[k]);
        top = fmaxf(own.top, top * LOG2E);
        #pragma unroll
        for (int k = 0; k < 8; k++) sum += exp2_fast(fmaf(v[k], LOG2E, -top));
        own = {top, fmaf(own.sum, exp2_fast(own.top - top), sum)};
    }
    const Partial all = block_join<THREADS>(own, warps);
    const float factor = s / all.sum;
    for (int i = threadIdx.x; i < vectors; i += THREADS) {
        load(v, x + i * 8);
        uint32_t g[4];
        #pragma unroll
        for (int k = 0; k < 4; k++) g[k] = pack_bf16(exp2_fast(fmaf(v[2 * k], LOG2E, -all.top)) * factor, exp2_fast(fmaf(v[2 * k + 1], LOG2E, -all.top)) * factor);
        if (target >> 3 == i) put(g, target & 7, (exp2_fast(fmaf(chosen, LOG2E, -all.top)) / all.sum - 1) * s);
        to[i] = make_uint4(g[0], g[1], g[2], g[3]);
    }
    if (threadIdx.x == 0) losses[row] = fmaf(all.top, LN2, logf(all.sum)) - chosen;
}
}  // namespace cross_entropy

/// One block of 512 a row; 128 + 2V bytes of shared memory, so that at 32,000 logits three rows share a multiprocessor, and
/// that chunks of many rows pay least for the last, partly empty turn.
/// @param logits [rows, V], becomes its gradient; V a multiple of 8, at most 115,000  @param losses [rows]
/// @param targets [rows]  @param scale [1], usually one over the trained tokens of the step
/// @param fault see fault.cuh
extern "C" __global__ void __launch_bounds__(512, 3) cross_entropy_bf16(__nv_bfloat16* logits, float* losses, const int* targets, const float* scale, int* fault, int V) {
    cross_entropy::row_in_shared<512, 4>(logits, losses, targets, scale, fault, V);
}
/// The same for rows of any length.
extern "C" __global__ void __launch_bounds__(1024) cross_entropy_bf16_long(__nv_bfloat16* logits, float* losses, const int* targets, const float* scale, int* fault, int V) {
    cross_entropy::row_in_two_passes<1024>(logits, losses, targets, scale, fault, V);
}

/// One block of 1024: total = scale · Σ losses, in a fixed order and f64.
/// @param total [1]  @param losses [n]
extern "C" __global__ void __launch_bounds__(1024) loss_total(float* total, const float* losses, int n, const float* scale) {
    __shared__ double warps[32];
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += 1024) sum += losses[i];
    #pragma unroll
    for (int m = 16; m; m /= 2) sum += __shfl_xor_sync(~0u, sum, m);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x >= 32) return;
    sum = warps[threadIdx.x];
    #pragma unroll
    for (int m = 16; m; m /= 2) sum += __shfl_xor_sync(~0u, sum, m);
    if (threadIdx.x == 0) *total = (float)(sum * *scale);
}
