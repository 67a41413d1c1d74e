// Delayed scaling of fp8 (Micikevicius et al. 2022): where the factors of a linear layer's casts come from. A layer has a
// row of 20 f32 for each of its three tensors: what undoes the factor, one that nothing reads, the factor, the largest magnitude since the
// last update, and those of the 16 updates before, the latest first. packages/tensor/src/ops/fp8/fp8-scaling.ts says the same in simpler ops.
#include "../common/elements.cuh"

namespace fp8_scaling {
constexpr int INVERSE = 0, SCALE = 2, AMAX = 3, HISTORY = 4, COLUMNS = 20, ROWS = 3;

/// limit / top and its inverse, unless that is not a finite number above 0.
DEVICE void write_factor(float* row, float limit, float top) {
    const float scale = limit / top;
    if (scale > 0 && scale < INFINITY) { row[SCALE] = scale; row[INVERSE] = 1 / scale; }
}
}  // namespace fp8_scaling

/// Raises amax [1], bits of a non-negative f32, to the largest |x|. Blocks of 256 threads, ⌈n / 2048⌉ of them.
/// @param x [n]
extern "C" __global__ void __launch_bounds__(elements::THREADS) fp8_largest(const __nv_bfloat16* x, unsigned* amax, size_t n) {
    using namespace elements;
    const size_t at = first();
    float v[RUN]; unsigned top = 0;
    if (at < n) {
        load(x + at, v, n - at);
        // As integers magnitudes have the order of their numbers, and a NaN is above all.
        #pragma unroll
        for (int i = 0; i < RUN; i++) top = max(top, __float_as_uint(fabsf(v[i])));
    }
    #pragma unroll
    for (int m = 16; m; m /= 2) top = max(top, __shfl_xor_sync(~0u, top, m));
    if (threadIdx.x % 32 == 0) atomicMax(amax, top);
}

/// The factor of a tensor by its own largest magnitude, 1 where it has none. One thread.
/// @param row [4]: inverse and factor are written, the largest magnitude is read
extern "C" __global__ void fp8_calibrate(float* row, float limit) {
    using namespace fp8_scaling;
    row[SCALE] = 1; row[INVERSE] = 1;
    write_factor(row, limit, row[AMAX]);
}

/// Scalings of many layers, [3, 20] each.
struct Fp8Scalings { float* at[256]; int count; };

/// Moves the largest magnitudes into the history, and takes the factors from that: limit / largest. A block a scaling, a thread a row.
/// @param forward_limit of the first two rows  @param gradient_limit of the third
extern "C" __global__ void fp8_update(const __grid_constant__ Fp8Scalings scalings, float forward_limit, float gradient_limit) {
    using namespace fp8_scaling;
    if (threadIdx.x >= ROWS) return;
    float* row = scalings.at[blockIdx.x] + threadIdx.x * COLUMNS;
    float now = row[AMAX], top = 0; bool is_number = true;
    row[AMAX] = 0;
    for (int i = HISTORY; i < COLUMNS; i++) {
        const float before = row[i];
        row[i] = now; top = fmaxf(top, now); is_number &= now == now; now = before;
    }
    if (is_number) write_factor(row, threadIdx.x == 2 ? gradient_limit : forward_limit, top);
}
