// Softmax cross-entropy over f32 logits of any number, row by row, and its gradient in their memory.
//   loss = log Σ exp(x) − x[target]      d x = (softmax(x) − onehot(target)) · scale · factor
// A target of −100 has loss 0 and gradient 0; one that is neither −100 nor in [0, V) as well, and it is reported.
// Must move, a logit: 4 bytes in, and 4 or 2 out. A row is read twice, the second time from shared memory as far as it has room there
// and the rest from L2: so few blocks share a multiprocessor, each with row after row, that the rests of all at a time have room in it.
#include "../common/elements.cuh"
#include "../common/fault.cuh"

namespace cross_entropy {
using namespace elements;
constexpr int THREADS = 512, BLOCKS = 2, IGNORED = -100;
/// Pieces of a row that a thread has on their way at a time: 64 bytes of f32.
constexpr int PIECES = 4;
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

/// Pieces of a row of V numbers, W each, THREADS · W apart.
template <int W> struct Pieces {
    static constexpr int STRIDE = THREADS * W, STEP = PIECES * STRIDE;
    float v[PIECES][W]; const int first, V;
    DEVICE Pieces(int step, int V) : first(step * STEP + threadIdx.x * W), V(V) {}
    static DEVICE int steps(int V) { return (V + STEP - 1) / STEP; }
    template <class F> DEVICE void each(F f) {
        #pragma unroll
        for (int j = 0; j < PIECES; j++) if (first + j * STRIDE < V) f(v[j], first + j * STRIDE);
    }
};

/// Gradients of type T take the start of the row's memory: what a step writes has been read by then. The first `kept` numbers stay in
/// shared memory, where a thread finds its own again.
template <class T, int W> DEVICE void row(float* x, float* loss, int target, float scale, int* fault, int V, int kept, int gradient) {
    __shared__ Partial warps[THREADS / 32];
    T* d = reinterpret_cast<T*>(x); float* held = reinterpret_cast<float*>(shared_memory());
    if (target < 0 || target >= V) {
        if (threadIdx.x == 0) { *loss = 0; if (target != IGNORED) report_index(fault, target, V); }
        const float zeros[W] = {};
        if (gradient) for (int c = threadIdx.x * W; c < V; c += THREADS * W) store(d + c, zeros);
        return;
    }
    const float chosen = x[target]; Partial own = {LOWEST, 0};
    for (int step = 0; step < Pieces<W>::steps(V); step++) {
        Pieces<W> pieces(step, V);
        pieces.each([&](float (&v)[W], int c) { load(x + c, v); });
        if (step < kept / Pieces<W>::STEP) pieces.each([&](float (&v)[W], int c) { store(held + c, v); });
        float top = own.top, sum = 0;
        pieces.each([&](float (&v)[W], int) { for (float one : v) top = fmaxf(top, one); });
        pieces.each([&](float (&v)[W], int) { for (float one : v) sum += power(one - top); });
        own = {top, fmaf(own.sum, power(own.top - top), sum)};
    }
    const Partial all = block_join(own, warps);
    if (threadIdx.x == 0) *loss = logf(all.sum) + (all.top - chosen);
    if (!gradient) return;
    const float factor = scale / all.sum, of_target = (power(chosen - all.top) / all.sum - 1) * scale;
    for (int step = 0; step < Pieces<W>::steps(V); step++) {
        Pieces<W> pieces(step, V);
        if (step < kept / Pieces<W>::STEP) pieces.each([&](float (&v)[W], int c) { load(held + c, v); });
        else {
            pieces.each([&](float (&v)[W], int c) { load(x + c, v); });
            if constexpr (sizeof(T) < 4) __syncthreads();
        }
        pieces.each([&](float (&v)[W], int c) {
            #pragma unroll
            for (int i = 0; i < W; i++) v[i] = c + i == target ? of_target : power(v[i] - all.top) * factor;
            store(d + c, v);
        });
    }
}

template <class T, int W> DEVICE void rows(float* logits, float* losses, const int* targets, const float* factors, float scale, int* fault, int count, int V, int kept, int gradient) {
    for (int r = blockIdx.x; r < count; r += gridDim.x) {
        row<T, W>(logits + (size_t)r * V, losses + r, targets[r], factors ? scale * factors[r] : scale, fault, V, kept, gradient);
        __syncthreads();                               // the sums of the warps have been read
    }
}
}  // namespace cross_entropy

/// Blocks of 512 threads, two a multiprocessor, 4 · `kept` bytes of shared memory.
/// @param logits [rows, V], become their gradients where `gradient` is not 0  @param losses [rows]  @param targets [rows]
/// @param factors [rows], or null for ones  @param scale of all gradients  @param fault see fault.cuh
/// @param kept numbers of a row that wait in shared memory for their gradients, a multiple of 8,192; any gives the same bits
extern "C" __global__ void __launch_bounds__(cross_entropy::THREADS, cross_entropy::BLOCKS) cross_entropy_f32(float* logits, float* losses, const int* targets, const float* factors, float scale, int* fault, int rows, int V, int kept, int gradient) {
    if (V % 4 == 0) cross_entropy::rows<float, 4>(logits, losses, targets, factors, scale, fault, rows, V, kept, gradient);
    else cross_entropy::rows<float, 1>(logits, losses, targets, factors, scale, fault, rows, V, kept, gradient);
}
/// The same with gradients in bf16, which take the first half of each row's memory, so that their rows are 2V apart.
extern "C" __global__ void __launch_bounds__(cross_entropy::THREADS, cross_entropy::BLOCKS) cross_entropy_bf16(float* logits, float* losses, const int* targets, const float* factors, float scale, int* fault, int rows, int V, int kept, int gradient) {
    if (V % 4 == 0) cross_entropy::rows<__nv_bfloat16, 4>(logits, losses, targets, factors, scale, fault, rows, V, kept, gradient);
    else cross_entropy::rows<__nv_bfloat16, 1>(logits, losses, targets, factors, scale, fault, rows, V, kept, gradient);
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
