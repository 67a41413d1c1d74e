// Softmax cross-entropy over f32 logits of any number, row by row, and its gradient in their memory.
//   loss = log Σ exp(x) − x[target]      d x = (softmax(x) − onehot(target)) · scale · factor
// A target of −100 has loss 0 and gradient 0; one that is neither −100 nor in [0, V) as well, and it is reported.
// Must move, a logit: 4 bytes in, the second reading mostly from L2, and 4 or 2 out.
#include "../common/elements.cuh"
#include "../common/fault.cuh"

namespace cross_entropy {
using namespace elements;
constexpr int THREADS = 512, IGNORED = -100;
constexpr float LOG2E = 1.4426950408889634f, LOWEST = -3e38f;   // finite, so that the difference to a logit of −∞ is −∞

/// Σ exp(x − top). The largest is subtracted first: a loss is then as exact as its logits, however large they are.
struct Partial { float top, sum; };
DEVICE float power(float difference) { return exp2_fast(difference * LOG2E); }
DEVICE Partial join(Partial a, Partial b) {
    const float top = fmaxf(a.top, b.top);
    return {top, a.sum * power(a.top - top) + b.sum * power(b.top - top)};
}
DEVICE Partial warp_join(Partial p) {
    #pragma unroll
    for (int m = 16; m; m /= 2) p = join(p, {__shfl_xor_sync(~0u, p.top, m), __shfl_xor_sync(~0u, p.sum, m)});
    return p;
}
/// The same for every thread, in a fixed order; syncs once.
DEVICE Partial block_join(Partial p, Partial* warps) {
    p = warp_join(p);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = p;
    __syncthreads();
    p = {LOWEST, 0};
    if (threadIdx.x % 32 < THREADS / 32) p = warps[threadIdx.x % 32];
    return warp_join(p);
}

/// Gradients of type T take the start of the row's memory: what a step writes has been read by then.
template <class T, int W> DEVICE void row(float* logits, float* losses, const int* targets, const float* factors, float scale, int* fault, int V, int gradient) {
    __shared__ Partial warps[THREADS / 32];
    const int target = targets[blockIdx.x];
    const float* x = logits + (size_t)blockIdx.x * V; T* d = reinterpret_cast<T*>(logits + (size_t)blockIdx.x * V);
    float v[W];
    if (target < 0 || target >= V) {
        if (threadIdx.x == 0) { losses[blockIdx.x] = 0; if (target != IGNORED) report_index(fault, target, V); }
        #pragma unroll
        for (int i = 0; i < W; i++) v[i] = 0;
        if (gradient) for (int c = threadIdx.x * W; c < V; c += THREADS * W) store(d + c, v);
        return;
    }
    const float chosen = x[target]; Partial own = {LOWEST, 0};
    for (int c = threadIdx.x * W; c < V; c += THREADS * W) {
        load(x + c, v);
        float top = own.top, sum = 0;
        #pragma unroll
        for (int i = 0; i < W; i++) top = fmaxf(top, v[i]);
        #pragma unroll
        for (int i = 0; i < W; i++) sum += power(v[i] - top);
        own = {top, fmaf(own.sum, power(own.top - top), sum)};
    }
    const Partial all = block_join(own, warps);
    if (threadIdx.x == 0) losses[blockIdx.x] = logf(all.sum) + (all.top - chosen);
    if (!gradient) return;
    if (factors) scale *= factors[blockIdx.x];
    const float factor = scale / all.sum, of_target = (power(chosen - all.top) / all.sum - 1) * scale;
    for (int first = 0; first < V; first += THREADS * W) {
        const int c = first + threadIdx.x * W;
        if (c < V) load(x + c, v);
        if constexpr (sizeof(T) < 4) __syncthreads();
        if (c >= V) continue;
        #pragma unroll
        for (int i = 0; i < W; i++) v[i] = c + i == target ? of_target : power(v[i] - all.top) * factor;
        store(d + c, v);
    }
}
}  // namespace cross_entropy

/// A block of 512 threads a row.
/// @param logits [rows, V], become their gradients where `gradient` is not 0  @param losses [rows]  @param targets [rows]
/// @param factors [rows], or null for ones  @param scale of all gradients  @param fault see fault.cuh
extern "C" __global__ void __launch_bounds__(cross_entropy::THREADS) cross_entropy_f32(float* logits, float* losses, const int* targets, const float* factors, float scale, int* fault, int V, int gradient) {
    if (V % 4 == 0) cross_entropy::row<float, 4>(logits, losses, targets, factors, scale, fault, V, gradient);
    else cross_entropy::row<float, 1>(logits, losses, targets, factors, scale, fault, V, gradient);
}
/// The same with gradients in bf16, which take the first half of each row's memory, so that their rows are 2V apart.
extern "C" __global__ void __launch_bounds__(cross_entropy::THREADS) cross_entropy_bf16(float* logits, float* losses, const int* targets, const float* factors, float scale, int* fault, int V, int gradient) {
    if (V % 4 == 0) cross_entropy::row<__nv_bfloat16, 4>(logits, losses, targets, factors, scale, fault, V, gradient);
    else cross_entropy::row<__nv_bfloat16, 1>(logits, losses, targets, factors, scale, fault, V, gradient);
}

/// One block of 1024: total = scale · Σ losses, in a fixed order and f64.
/// @param total [1]  @param losses [n]
extern "C" __global__ void __launch_bounds__(1024) cross_entropy_sum(float* total, const float* losses, int n, float scale) {
    __shared__ double warps[32];
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += 1024) sum += losses[i];
    #pragma unroll
    for (int m = 16; m; m /= 2) sum += __shfl_xor_sync(~0u, sum, m);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = warps[threadIdx.x % 32];
    #pragma unroll
    for (int m = 16; m; m /= 2) sum += __shfl_xor_sync(~0u, sum, m);
    if (threadIdx.x == 0) *total = (float)sum * scale;
}
