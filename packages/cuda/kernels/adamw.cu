// AdamW with decoupled weight decay, in one pass that also clears the gradient and refreshes the copies that the products
// read. Loshchilov & Hutter 2019; PyTorch's order of operations.
//   g ← clip·g   m ← m + (g − m)(1−β₁)   v ← β₂v + (1−β₂)g²   p ← p − lr·decay·p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + eps)
// A clip factor that is not finite leaves p, m and v as they are; the gradient is cleared and the copies written all the same.
// Must move, a parameter: 32 bytes of p, m, v and g, read and written; 2 for each of the bf16 copy or the pair of fp8 copies
// W and Wᵀ: 34 bytes, or 36 where both are kept.
// nvcc: -use_fast_math
#include <warp.cuh>

/// Scalars of one step, as PyTorch rounds them; written once a step by `adamw_prepare`, read by every block.
struct AdamWStep { float clip, decay, beta1_complement, beta2, beta2_complement, eps, step_size, inverse_root_bias2; };

/// One matrix W [rows, columns] of a grouped launch. Rows and columns are multiples of 16; fewer than 2³² elements.
struct AdamWMatrix {
    float *p, *m, *v, *g;                    // each [rows, columns]
    __nv_bfloat16* bf16;                     // [rows, columns], or null
    uint8_t *fp8, *fp8_transposed;           // e4m3 of scale · W: [rows, columns] and [columns, rows]
    const float* scale; unsigned* amax;      // amax: bits of a non-negative f32, joined with the largest |W| written
    int rows, columns;
    int first_tile;                          // tiles of the matrices before it in the table; tiles are 128 × 128
    int decays;                              // whether weight decay applies
};

namespace adamw {
constexpr int THREADS = 256;

DEVICE void update(float& p, float& m, float& v, float g, float decay, const AdamWStep& s) {
    g *= s.clip;
    m = fmaf(g - m, s.beta1_complement, m);
    v = fmaf(v, s.beta2, g * g * s.beta2_complement);
    p = fmaf(p, decay, -s.step_size * __fdividef(m, fmaf(sqrtf(v), s.inverse_root_bias2, s.eps)));
}
DEVICE void update(float4& p, float4& m, float4& v, const float4& g, float decay, const AdamWStep& s) {
    update(p.x, m.x, v.x, g.x, decay, s); update(p.y, m.y, v.y, g.y, decay, s);
    update(p.z, m.z, v.z, g.z, decay, s); update(p.w, m.w, v.w, g.w, decay, s);
}
DEVICE bool finite(float x) { return fabsf(x) < INFINITY; }
template <class I> DEVICE float4& at4(float* p, I i) { return *reinterpret_cast<float4*>(p + i); }
DEVICE void store_bf16(__nv_bfloat16* to, const float4& p) { *reinterpret_cast<uint2*>(to) = make_uint2(pack_bf16(p.x, p.y), pack_bf16(p.z, p.w)); }

/// A block takes LOADS × 1024 parameters, each thread LOADS × four 16-byte loads in flight.
template <int LOADS> DEVICE void flat(float* p, float* m, float* v, float* g, __nv_bfloat16* bf16, const AdamWStep* step, int decays, size_t n) {
    const AdamWStep s = *step; const float decay = decays ? s.decay : 1; const bool go = finite(s.clip);
    float4 a[LOADS], b[LOADS], c[LOADS], d[LOADS];
    const size_t first = ((size_t)blockIdx.x * LOADS * THREADS + threadIdx.x) * 4;
    #pragma unroll
    for (int j = 0; j < LOADS; j++) {
        const size_t i = first + (size_t)j * THREADS * 4;
        if (i < n) { d[j] = at4(g, i); b[j] = at4(m, i); c[j] = at4(v, i); a[j] = at4(p, i); }
    }
    #pragma unroll
    for (int j = 0; j < LOADS; j++) {
        const size_t i = first + (size_t)j * THREADS * 4;
        if (i >= n) continue;
        if (go) {
            update(a[j], b[j], c[j], d[j], decay, s);
            at4(m, i) = b[j]; at4(v, i) = c[j]; at4(p, i) = a[j];
        }
        at4(g, i) = make_float4(0, 0, 0, 0);
        if (bf16) store_bf16(bf16 + i, a[j]);
    }
}

DEVICE float largest(float top, const float4& p) { return fmaxf(fmaxf(fmaxf(top, fabsf(p.x)), fmaxf(fabsf(p.y), fabsf(p.z))), fabsf(p.w)); }
DEVICE uint32_t quantise(const float4& p, float scale) {
    return (uint32_t)__nv_cvt_float2_to_fp8x2(make_float2(p.x * scale, p.y * scale), __NV_SATFINITE, __NV_E4M3)
         | (uint32_t)__nv_cvt_float2_to_fp8x2(make_float2(p.z * scale, p.w * scale), __NV_SATFINITE, __NV_E4M3) << 16;
}
/// Turns 4 rows of 4 bytes into 4 columns.
DEVICE void transpose(uint32_t (&w)[4]) {
    const uint32_t a = __byte_perm(w[0], w[1], 0x5140), b = __byte_perm(w[2], w[3], 0x5140), c = __byte_perm(w[0], w[1], 0x7362), d = __byte_perm(w[2], w[3], 0x7362);
    w[0] = __byte_perm(a, b, 0x5410); w[1] = __byte_perm(a, b, 0x7632); w[2] = __byte_perm(c, d, 0x5410); w[3] = __byte_perm(c, d, 0x7632);
}

/// The matrix of this block's tile: the last that starts at or before it. A warp looks at 32 of the table at a time.
DEVICE int matrix_of(const AdamWMatrix* table, int count, int tile) {
    int before = 0;
    for (int i = threadIdx.x % 32; i < (count + 31) / 32 * 32; i += 32) before += __popc(__ballot_sync(~0u, i < count && table[i].first_tile <= tile));
    return before - 1;
}

/// A tile of 128 × 128: a warp takes rows ROWS at a time, 512 bytes of each of p, m, v and g, and keeps their fp8 in shared
/// memory, where a row's 32 words are XORed by its number / 4. Then a warp takes four columns at a time, a lane four rows of
/// them. Every access to memory is of whole 128-byte lines. Without UPDATE the copies alone are made, of p as it is.
template <int ROWS, bool UPDATE> DEVICE void tile(const AdamWMatrix* table, int count, const AdamWStep* step) {
    __shared__ uint32_t words[128][32];
    __shared__ float tops[THREADS / 32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const AdamWMatrix& w = table[matrix_of(table, count, blockIdx.x)];
    const int rows = w.rows, columns = w.columns, index = blockIdx.x - w.first_tile, across = (columns + 127) / 128;
    const int row0 = index / across * 128, column0 = index % across * 128, column = column0 + lane * 4;
    AdamWStep s; float decay = 1; bool go = false;
    if constexpr (UPDATE) { s = *step; decay = w.decays ? s.decay : 1; go = finite(s.clip); }
    float *p = w.p, *m = w.m, *v = w.v, *g = w.g; __nv_bfloat16* bf16 = w.bf16; uint8_t *fp8 = w.fp8, *fp8_transposed = w.fp8_transposed;
    const float scale = *w.scale; float top = 0;
    #pragma unroll 1
    for (int first = warp; first < 128; first += 8 * ROWS) {
        float4 a[ROWS], b[ROWS], c[ROWS], d[ROWS];
        #pragma unroll
        for (int j = 0; j < ROWS; j++) {
            const int row = row0 + first + 8 * j; const uint32_t i = (uint32_t)row * columns + column;
            if (row >= rows || column >= columns) continue;
            if constexpr (UPDATE) { d[j] = at4(g, i); b[j] = at4(m, i); c[j] = at4(v, i); }
            a[j] = at4(p, i);
        }
        #pragma unroll
        for (int j = 0; j < ROWS; j++) {
            const int local = first + 8 * j, row = row0 + local; const uint32_t i = (uint32_t)row * columns + column;
            if (row >= rows || column >= columns) continue;
            if constexpr (UPDATE) {
                if (go) {
                    update(a[j], b[j], c[j], d[j], decay, s);
                    at4(m, i) = b[j]; at4(v, i) = c[j]; at4(p, i) = a[j];
                }
                at4(g, i) = make_float4(0, 0, 0, 0);
            }
            if (bf16) store_bf16(bf16 + i, a[j]);
            top = largest(top, a[j]);
            const uint32_t q = quantise(a[j], scale);
            *reinterpret_cast<uint32_t*>(fp8 + i) = q;
            words[local][lane ^ local / 4] = q;
        }
    }
    #pragma unroll
    for (int x = 16; x; x /= 2) top = fmaxf(top, __shfl_xor_sync(~0u, top, x));
    if (lane == 0) tops[warp] = top;
    __syncthreads();
    if (threadIdx.x == 0) {
        #pragma unroll
        for (int i = 1; i < THREADS / 32; i++) top = fmaxf(top, tops[i]);
        atomicMax(w.amax, __float_as_uint(top));
    }
    #pragma unroll
    for (int word = warp; word < 32; word += 8) {
        if (column0 + word * 4 >= columns || row0 + lane * 4 >= rows) continue;
        uint32_t four[4];
        #pragma unroll
        for (int j = 0; j < 4; j++) four[j] = words[lane * 4 + j][word ^ lane];
        transpose(four);
        #pragma unroll
        for (int j = 0; j < 4; j++) *reinterpret_cast<uint32_t*>(fp8_transposed + (uint32_t)(column0 + word * 4 + j) * rows + row0 + lane * 4) = four[j];
    }
}
}  // namespace adamw

/// One thread.
/// @param settings [5]: learning rate, β₁, β₂, eps, weight decay  @param step [1], from 1  @param clip [1], as `gradient_norm_clip` leaves it
extern "C" __global__ void adamw_prepare(AdamWStep* out, const double* settings, const int* step, const float* clip) {
    const double rate = settings[0], beta1 = settings[1], beta2 = settings[2], t = *step;
    *out = {*clip, (float)(1 - rate * settings[4]), (float)(1 - beta1), (float)beta2, (float)(1 - beta2), (float)settings[3],
            (float)(rate / (1 - pow(beta1, t))), (float)(1 / sqrt(1 - pow(beta2, t)))};
}

/// A flat arena of parameters that no fp8 product reads. Blocks: n / 1024, rounded up.
/// @param p, m, v, g [n]  @param bf16 [n] or null  @param decays whether weight decay applies  @param n a multiple of 4
extern "C" __global__ void __launch_bounds__(adamw::THREADS) adamw_flat(float* p, float* m, float* v, float* g, __nv_bfloat16* bf16, const AdamWStep* step, int decays, size_t n) {
    adamw::flat<1>(p, m, v, g, bf16, step, decays, n);
}

/// All matrices that fp8 products read, in one launch, so that the GPU runs empty only once. Blocks: tiles of all.
extern "C" __global__ void __launch_bounds__(adamw::THREADS, 2) adamw_matrices(const AdamWMatrix* table, int count, const AdamWStep* step) {
    adamw::tile<2, true>(table, count, step);
}

/// The copies alone, of weights that come from elsewhere; m, v and g may be null.
extern "C" __global__ void __launch_bounds__(adamw::THREADS, 3) weight_copies(const AdamWMatrix* table, int count) {
    adamw::tile<4, false>(table, count, nullptr);
}
