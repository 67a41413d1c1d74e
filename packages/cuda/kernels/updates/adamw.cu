// AdamW with decoupled weight decay (Loshchilov & Hutter 2019; PyTorch's order of operations), computed in f32 with its accuracy,
// and in the same pass the copies of the parameters that products read.
//   g ← scale·g   m ← m + (g − m)(1−β₁)   v ← β₂v + (1−β₂)g²   p ← p·(1 − lr·decay) − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + eps)
// A scale that is not finite leaves p, m and v as they are; the copies are written all the same.
// Must move, an element: 28 bytes, and 2 for each of the bf16 copy and the pair of fp8 copies.
#include "../common/elements.cuh"
#include "../common/quantise.cuh"

/// Scalars of one step, as PyTorch rounds them.
struct AdamWScalars { float decay, beta1_complement, beta2, beta2_complement, eps, step_size, root_bias2; };

namespace adamw {
/// Elements next to each other that a thread takes at a time, in 16 bytes of each array.
constexpr int RUN = 4, THREADS = 256;
/// Rows of a tile that a warp has on their way at a time: 256 bytes a thread in flight.
constexpr int ROWS = 2;

/// Neighbouring parameters with all that their update reads.
struct Run {
    float p[RUN], m[RUN], v[RUN], g[RUN];
    DEVICE void update(float scale, const AdamWScalars& s) {
        #pragma unroll
        for (int i = 0; i < RUN; i++) {
            const float d = g[i] * scale;
            m[i] = fmaf(d - m[i], s.beta1_complement, m[i]);
            v[i] = fmaf(d * d, s.beta2_complement, v[i] * s.beta2);
            p[i] = p[i] * s.decay - m[i] / (sqrtf(v[i]) / s.root_bias2 + s.eps) * s.step_size;
        }
    }
};
DEVICE bool finite(float x) { return fabsf(x) < INFINITY; }
}  // namespace adamw

/// Parameters of any shape. Blocks of 256 threads, ⌈n / 1024⌉ of them.
/// @param p, m, v [n], updated  @param g [n]  @param copy [n] gets p in bf16, or null  @param scale [1] factor of g, or null for 1
extern "C" __global__ void __launch_bounds__(adamw::THREADS) adamw_flat(float* p, float* m, float* v, const float* g, Bf16* copy, const float* scale, AdamWScalars s, size_t n) {
    const size_t at = ((size_t)blockIdx.x * adamw::THREADS + threadIdx.x) * adamw::RUN; const float factor = scale ? *scale : 1.f;
    if (at >= n) return;
    adamw::Run x;
    elements::load(g + at, x.g, n - at); elements::load(m + at, x.m, n - at); elements::load(v + at, x.v, n - at); elements::load(p + at, x.p, n - at);
    if (adamw::finite(factor)) {
        x.update(factor, s);
        elements::store(m + at, x.m, n - at); elements::store(v + at, x.v, n - at); elements::store(p + at, x.p, n - at);
    }
    if (copy) elements::store(copy + at, x.p, n - at);
}

/// A matrix that products read in fp8: as `adamw_flat`, and q = saturate(p · factor) in e4m3, row by row and transposed. Blocks of 256
/// threads, ⌈rows / 128⌉ · ⌈columns / 128⌉ of them. A warp takes rows, 512 bytes of each array, and leaves their fp8 in shared
/// memory, where the 32 words of a row are XORed by its number / 4; then it takes four columns, a lane four rows of them.
/// @param p, m, v [rows, columns], updated  @param g [rows, columns]  @param copy [rows, columns] gets p in bf16, or null
/// @param scale [1] factor of g, or null for 1  @param q [rows, columns]  @param t [columns, stride]
/// @param amax raised to the largest |p|  @param factor [1]  @param rows, columns, stride multiples of 4
extern "C" __global__ void __launch_bounds__(adamw::THREADS, 2) adamw_matrix(float* p, float* m, float* v, const float* g, Bf16* copy, const float* scale, AdamWScalars s,
                                                                             uint8_t* q, uint8_t* t, unsigned* amax, const float* factor, int rows, int columns, int stride) {
    using namespace adamw;
    __shared__ uint32_t words[128][32];
    __shared__ float warps[THREADS / 32];
    const TilePlace tile(rows, columns);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, column = tile.column + lane * RUN;
    const unsigned found = peek(amax); const float f = *factor, gradient_scale = scale ? *scale : 1.f; float top = 0;
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
            elements::load(g + at, run.g); elements::load(m + at, run.m); elements::load(v + at, run.v); elements::load(p + at, run.p);
        });
        each([&](Run& run, int row, size_t at) {
            if (taken) {
                run.update(gradient_scale, s);
                elements::store(m + at, run.m); elements::store(v + at, run.v); elements::store(p + at, run.p);
            }
            if (copy) elements::store(copy + at, run.p);
            #pragma unroll
            for (int i = 0; i < RUN; i++) top = max_or_nan(top, fabsf(run.p[i]));
            const uint32_t word = cast_pair<Fp8::e4m3>(run.p[0] * f, run.p[1] * f) | cast_pair<Fp8::e4m3>(run.p[2] * f, run.p[3] * f) << 16;
            *reinterpret_cast<uint32_t*>(q + at) = word;
            words[row][lane ^ row / 4] = word;
        });
    }
    raise<THREADS>(amax, found, top, warps);     // waits for all warps
    #pragma unroll
    for (int word = warp; word < 32; word += THREADS / 32) {
        const int from = tile.column + word * 4, row = tile.row + lane * 4;
        if (from >= columns || row >= rows) continue;
        uint32_t four[4];
        #pragma unroll
        for (int j = 0; j < 4; j++) four[j] = words[lane * 4 + j][word ^ lane];
        transpose4(four[0], four[1], four[2], four[3]);
        #pragma unroll
        for (int j = 0; j < 4; j++) *reinterpret_cast<uint32_t*>(t + (size_t)(from + j) * stride + row) = four[j];
    }
}
