// AdamW with decoupled weight decay (Loshchilov & Hutter 2019; PyTorch's order of operations), computed in f32 with its accuracy,
// and in the same pass the copies of the parameters that products read.
//   g ← scale·g   m ← m + (g − m)(1−β₁)   v ← β₂v + (1−β₂)g²   p ← p·(1 − lr·decay) − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + eps)
// A scale that is not finite leaves p, m and v as they are; the copies are written all the same.
// Must move, an element: 28 bytes, and 2 for each of the bf16 copy and the pair of fp8 copies.
#include "../common/elements.cuh"
#include "../common/quantise.cuh"
#include "table.cuh"

/// Scalars of one step, as PyTorch rounds them.
struct AdamWScalars { float beta1_complement, beta2, beta2_complement, eps, step_size, root_bias2; };

namespace adamw {
/// Elements next to each other that a thread takes at a time, in 16 bytes of each array.
constexpr int RUN = 4, THREADS = 256;
/// Rows of a tile that a warp has on their way at a time: 128 bytes a thread.
constexpr int ROWS = 2;

/// A parameter of any shape: p, m, v [n], updated, g [n]; copy [n] gets p in bf16, or null. It shrinks by the factor `decay`. ⌈n / 1024⌉ blocks.
struct Flat { float *p, *m, *v; const float* g; Bf16* copy; size_t n; float decay; unsigned first; };
/// A matrix [rows, columns] that products read in fp8: as `Flat`, and q [rows, columns], t [columns, stride], amax raised to the
/// largest |p|, factor [1]; rows, columns, stride multiples of 4. ⌈rows / 128⌉ · ⌈columns / 128⌉ blocks.
struct Matrix { float *p, *m, *v; const float* g; Bf16* copy; uint8_t *q, *t; unsigned* amax; const float* factor; float decay; unsigned first; int rows, columns, stride; };
/// As many as 4 KiB of parameters hold.
using Flats = Table<Flat, 64>;
using Matrices = Table<Matrix, 42>;
static_assert(sizeof(Matrices) + sizeof(float*) + sizeof(AdamWScalars) <= 4096);

/// Neighbouring parameters with all that their update reads.
struct Run {
    float p[RUN], m[RUN], v[RUN], g[RUN];
    DEVICE void update(float scale, float decay, const AdamWScalars& s) {
        #pragma unroll
        for (int i = 0; i < RUN; i++) {
            const float d = g[i] * scale;
            m[i] = fmaf(d - m[i], s.beta1_complement, m[i]);
            v[i] = fmaf(d * d, s.beta2_complement, v[i] * s.beta2);
            // Which product is rounded is said here: left to the compiler, it would hang on where the factors lie.
            p[i] = fmaf(p[i], decay, -(m[i] / (sqrtf(v[i]) / s.root_bias2 + s.eps) * s.step_size));
        }
    }
};
DEVICE bool finite(float x) { return fabsf(x) < INFINITY; }
}  // namespace adamw

/// Parameters of any shape. Blocks of 256 threads, those of all parameters.
/// @param scale [1] factor of all gradients, or null for 1
extern "C" __global__ void __launch_bounds__(adamw::THREADS) adamw_flat(const __grid_constant__ adamw::Flats table, const float* scale, AdamWScalars s) {
    const adamw::Flat& own = table.own();
    const size_t at = ((size_t)(blockIdx.x - own.first) * adamw::THREADS + threadIdx.x) * adamw::RUN; const float factor = scale ? *scale : 1.f;
    if (at >= own.n) return;
    const unsigned left = min(own.n - at, (size_t)adamw::RUN);
    adamw::Run x;
    elements::load(own.g + at, x.g, left); elements::load(own.m + at, x.m, left); elements::load(own.v + at, x.v, left); elements::load(own.p + at, x.p, left);
    if (adamw::finite(factor)) {
        x.update(factor, own.decay, s);
        elements::store(own.m + at, x.m, left); elements::store(own.v + at, x.v, left); elements::store(own.p + at, x.p, left);
    }
    if (own.copy) elements::store(own.copy + at, x.p, left);
}

/// Matrices that products read in fp8: as `adamw_flat`, and q = saturate(p · factor) in e4m3, row by row and transposed. Blocks of 256
/// threads, those of all matrices. A warp takes rows, 512 bytes of each array, and leaves their fp8 in shared memory, where the 32
/// words of a row are XORed by its number / 4; then it takes four columns, a lane four rows of them.
/// @param scale [1] factor of all gradients, or null for 1
extern "C" __global__ void __launch_bounds__(adamw::THREADS, 3) adamw_matrix(const __grid_constant__ adamw::Matrices table, const float* scale, AdamWScalars s) {
    using namespace adamw;
    __shared__ uint32_t words[128][32];
    __shared__ float warps[THREADS / 32];
    const Matrix& own = table.own();
    const int rows = own.rows, columns = own.columns;
    const TilePlace tile(rows, columns, blockIdx.x - own.first);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = tile.column + lane * RUN;
    const unsigned found = peek(own.amax); const float f = *own.factor, gradient_scale = scale ? *scale : 1.f; float top = 0;
    const bool taken = finite(gradient_scale);
    #pragma unroll 1
    for (int first = warp; first < 128; first += THREADS / 32 * ROWS) {
        Run x[ROWS];
        const auto each = [&](auto what) {
            #pragma unroll
            for (int j = 0; j < ROWS; j++) {
                const int row = first + THREADS / 32 * j;
                if (tile.row + row < rows && column < columns) what(x[j], row, (size_t)(tile.row + row) * columns + column);
            }
        };
        each([&](Run& run, int, size_t at) {
            elements::load(own.g + at, run.g); elements::load(own.m + at, run.m); elements::load(own.v + at, run.v); elements::load(own.p + at, run.p);
        });
        each([&](Run& run, int row, size_t at) {
            if (taken) {
                run.update(gradient_scale, own.decay, s);
                elements::store(own.m + at, run.m); elements::store(own.v + at, run.v); elements::store(own.p + at, run.p);
            }
            if (own.copy) elements::store(own.copy + at, run.p);
            #pragma unroll
            for (int i = 0; i < RUN; i++) top = max_or_nan(top, fabsf(run.p[i]));
            const uint32_t word = cast_pair<Fp8::e4m3>(run.p[0] * f, run.p[1] * f) | cast_pair<Fp8::e4m3>(run.p[2] * f, run.p[3] * f) << 16;
            *reinterpret_cast<uint32_t*>(own.q + at) = word;
            words[row][lane ^ row / 4] = word;
        });
    }
    raise<THREADS>(own.amax, found, top, warps);     // waits for all warps
    #pragma unroll
    for (int word = warp; word < 32; word += THREADS / 32) {
        const int from = tile.column + word * 4, row = tile.row + lane * 4;
        if (from >= columns || row >= rows) continue;
        uint32_t four[4];
        #pragma unroll
        for (int j = 0; j < 4; j++) four[j] = words[lane * 4 + j][word ^ lane];
        transpose4(four[0], four[1], four[2], four[3]);
        #pragma unroll
        for (int j = 0; j < 4; j++) *reinterpret_cast<uint32_t*>(own.t + (size_t)(from + j) * own.stride + row) = four[j];
    }
}
