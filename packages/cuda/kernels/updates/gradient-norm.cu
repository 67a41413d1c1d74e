// Global norm of all f32 gradients together, and the factor that clips them. PyTorch, clip_grad_norm_.
//   norm = sqrt(Σ g²)      clip = min(1, limit / (norm + 1e-6)), NaN where the norm is not finite: then no step is taken
// Sums of fixed chunks, each by one block, then one block over those sums: the order hangs neither on the grid nor on the
// GPU. Must move: 4 bytes a gradient.
#include "table.cuh"

namespace gradient_norm {
constexpr int THREADS = 256, FINAL_THREADS = 1024;

DEVICE double warp_sum(double x) {
    #pragma unroll
    for (int m = 16; m; m /= 2) x += __shfl_xor_sync(~0u, x, m);
    return x;
}
/// For thread 0.
template <int N> DEVICE double block_sum(double x) {
    __shared__ double warps[N / 32];
    x = warp_sum(x);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
    __syncthreads();
    return threadIdx.x < 32 ? warp_sum(threadIdx.x < N / 32 ? warps[threadIdx.x] : 0) : 0;
}

/// A gradient [n], from a multiple of 16 bytes. A block a chunk.
struct Gradient { const float* g; size_t n; unsigned first; };
/// As many as 4 KiB of parameters hold.
using Gradients = Table<Gradient, 168>;
static_assert(sizeof(Gradients) + sizeof(double*) <= 4096);

/// A block sums ROUNDS × LOADS × 1024 gradients, LOADS × 16 bytes a thread in flight. Four squares add up in f32, all else
/// in f64: an overflow shows as in f32, and a sum over billions loses nothing.
template <int LOADS, int ROUNDS> struct Squares {
    static constexpr size_t CHUNK = (size_t)ROUNDS * LOADS * THREADS * 4;
    static DEVICE void run(double* sums, const Gradients& gradients) {
        const auto [g, n, first_block] = gradients.own();
        const size_t chunk = blockIdx.x - first_block;
        double sum = 0;
        #pragma unroll 1
        for (int round = 0; round < ROUNDS; round++) {
            const size_t first = chunk * CHUNK + ((size_t)round * LOADS * THREADS + threadIdx.x) * 4;
            float4 v[LOADS];
            #pragma unroll
            for (int i = 0; i < LOADS; i++) {
                const size_t at = first + (size_t)i * THREADS * 4;
                if (at + 4 <= n) v[i] = *reinterpret_cast<const float4*>(g + at);
                else v[i] = make_float4(at < n ? g[at] : 0, at + 1 < n ? g[at + 1] : 0, at + 2 < n ? g[at + 2] : 0, 0);
            }
            #pragma unroll
            for (int i = 0; i < LOADS; i++) sum += fmaf(v[i].x, v[i].x, fmaf(v[i].y, v[i].y, fmaf(v[i].z, v[i].z, v[i].w * v[i].w)));
        }
        sum = block_sum<THREADS>(sum);
        if (threadIdx.x == 0) sums[blockIdx.x] = sum;
    }
};
using Chosen = Squares<8, 8>;
}  // namespace gradient_norm

/// One block a chunk of 65,536 of a gradient, those of all gradients.
/// @param sums [blocks]
extern "C" __global__ void __launch_bounds__(gradient_norm::THREADS) gradient_norm_squares(double* sums, const __grid_constant__ gradient_norm::Gradients gradients) {
    gradient_norm::Chosen::run(sums, gradients);
}

/// One block of 1024.
/// @param total [1]  @param sums [count], of all gradients
extern "C" __global__ void __launch_bounds__(gradient_norm::FINAL_THREADS) gradient_norm_sum(float* total, const double* sums, int count) {
    using namespace gradient_norm;
    double sum = 0;
    #pragma unroll 4
    for (int i = threadIdx.x; i < count; i += FINAL_THREADS) sum += sums[i];
    sum = block_sum<FINAL_THREADS>(sum);
    if (threadIdx.x == 0) *total = (float)sum;
}

/// One thread: the norm and the clip factor of a sum of squares.
/// @param scale [1]  @param norm [1]  @param squares [1]  @param limit infinite only to measure
extern "C" __global__ void gradient_norm_scale(float* scale, float* norm, const float* squares, double limit) {
    *norm = (float)sqrt((double)*squares);
    *scale = *norm < INFINITY ? (float)min(1.0, limit / ((double)*norm + 1e-6)) : NAN;
}
