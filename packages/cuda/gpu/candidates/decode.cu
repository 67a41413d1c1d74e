// Not part of the device: a fused decode step, measured at 61 % of an H200's bandwidth, kept to be timed against what the
// device decodes with.
//
// One step of generation for a batch of 1 to 8 texts: products of a weight matrix with few rows, and attention of one query
// over a cache. A layer is five launches: qkv (normalises its input), attention (rotates, appends to the cache), out (adds
// the residual), gate and up (normalises, applies SwiGLU), down (adds the residual).
//   y = W · norm(x) + residual      norm(x) = x / sqrt(mean(x²) + eps) · w      swiglu(y) = silu(y[0 … N/2)) · y[N/2 … N)
// Must move: the weights, 2 or 1 bytes each; the keys and values that the queries see, 320 bytes a position and kv head.
// nvcc: -use_fast_math
#include <hopper.cuh>

namespace decode {
using Bf16 = __nv_bfloat16; using Fp8 = __nv_fp8_e4m3;
constexpr int WARPS = 8, THREADS = 32 * WARPS, MAX_BATCH = 8;
constexpr float LOG2E = 1.4426950408889634f;

/// bf16 or f32 results, or those of SwiGLU.
enum class Result { bf16, f32, swiglu };
/// Weights that a later launch reads, or the first part of them: each block asks for its share to come to L2 when its own
/// are on their way, so that memory has work while one launch ends and another waits for its input.
struct Ahead { const void* from; uint32_t bytes; };
/// What every product takes. `scale` multiplies the sums of fp8 weights; `norm` null: x as it is; `residual` null: none.
struct Product {
    void* y; const void* w; const float* scale; const Bf16 *x, *norm; float eps; const Bf16* residual;
    int N, K, batch;                 // x [batch, K], W [N, K], y and residual [batch, N], or [batch, N/2] of SwiGLU
    Ahead ahead;                     // 0 bytes: none
};
DEVICE void ask(const Ahead& a, uint32_t block, uint32_t blocks) {
    const uint32_t share = (a.bytes / 16 + blocks - 1) / blocks * 16, first = block * share;
    if (threadIdx.x == 0 && first < a.bytes) prefetch_l2(static_cast<const uint8_t*>(a.from) + first, min(share, a.bytes / 16 * 16 - first));
}

DEVICE float low(uint32_t pair) { return __uint_as_float(pair << 16); }
DEVICE float high(uint32_t pair) { return __uint_as_float(pair & 0xFFFF0000u); }
DEVICE float warp_sum(float x) {
    #pragma unroll
    for (int m = 16; m; m /= 2) x += __shfl_xor_sync(~0u, x, m);
    return x;
}
/// Two e4m3 as f32.
DEVICE float2 widen(uint32_t two) { return __half22float2(__half2(__nv_cvt_fp8x2_to_halfraw2((__nv_fp8x2_storage_t)two, __NV_E4M3))); }
/// Four e4m3 as two pairs of bf16, exactly.
DEVICE void widen(uint32_t four, uint32_t (&pairs)[2]) {
    const float2 a = widen(four), b = widen(four >> 16);
    pairs[0] = pack_bf16(a.x, a.y); pairs[1] = pack_bf16(b.x, b.y);
}

/// Bytes of a row of x in shared memory: 64 past a multiple of 128, so that rows one after another lie in different banks.
__host__ DEVICE int row_bytes(int K) { return (K * 2 + 127) / 128 * 128 + 64; }
/// Warps that share a row of x while it is staged.
DEVICE int parts(int batch) { return WARPS / batch; }
/// x · w of the norm as bf16 into `rows`, zero past K; Σ x² by row and part into `squares`. Then a sync.
DEVICE void stage(uint8_t* rows, float (*squares)[WARPS], const Product& p) {
    const int stride = row_bytes(p.K), share = parts(p.batch), warp = threadIdx.x / 32, b = warp / share, part = warp % share;
    if (b < p.batch) {
        float sum = 0;
        #pragma unroll 5
        for (int i = part * 32 + threadIdx.x % 32; i < (stride - 64) / 16; i += share * 32) {
            uint4 v = make_uint4(0, 0, 0, 0);
            if (i * 8 < p.K) {
                v = *reinterpret_cast<const uint4*>(p.x + (size_t)b * p.K + i * 8);
                if (p.norm) {
                    const uint4 n = *reinterpret_cast<const uint4*>(p.norm + i * 8);
                    uint32_t a[4] = {v.x, v.y, v.z, v.w}; const uint32_t c[4] = {n.x, n.y, n.z, n.w};
                    #pragma unroll
                    for (int k = 0; k < 4; k++) {
                        const float x0 = low(a[k]), x1 = high(a[k]);
                        sum = fmaf(x0, x0, fmaf(x1, x1, sum)); a[k] = pack_bf16(x0 * low(c[k]), x1 * high(c[k]));
                    }
                    v = make_uint4(a[0], a[1], a[2], a[3]);
                }
            }
            *reinterpret_cast<uint4*>(rows + b * stride + i * 16) = v;
        }
        if (p.norm) { sum = warp_sum(sum); if (threadIdx.x % 32 == 0) squares[b][part] = sum; }
    }
    __syncthreads();
}
/// What the sums of row b of x are multiplied by.
DEVICE float factor(const float (*squares)[WARPS], const Product& p, int b, float f) {
    if (p.norm) {
        float sum = 0;
        for (int i = 0; i < parts(p.batch); i++) sum += squares[b][i];
        f *= rsqrtf(sum / p.K + p.eps);
    }
    return f;
}
/// Writes y[b][n]: the sum of row n and the residual, or SwiGLU of the sums of rows n and n + N/2.
template <Result RESULT> DEVICE void finish(const Product& p, int b, int n, float sum, float other) {
    if constexpr (RESULT == Result::swiglu) {
        static_cast<Bf16*>(p.y)[(size_t)b * (p.N / 2) + n] = __float2bfloat16(sum / (1 + __expf(-sum)) * other);
    } else {
        const size_t at = (size_t)b * p.N + n;
        sum += other;
        if constexpr (RESULT == Result::f32) static_cast<float*>(p.y)[at] = sum; else static_cast<Bf16*>(p.y)[at] = __float2bfloat16(sum);
    }
}
/// The residual that row n is added to, asked for long before it is needed.
template <Result RESULT> DEVICE float residual(const Product& p, int b, int n, bool inside) { return RESULT != Result::swiglu && p.residual && inside ? float(p.residual[(size_t)b * p.N + n]) : 0; }
/// Blocks of a product at most: ROWS rows of W each. Fewer take several turns, and read x once for all of them.
template <int ROWS> constexpr int blocks(int N) { return (N + ROWS - 1) / ROWS; }

/// Batch 1, by ordinary arithmetic: a warp takes ROWS rows of W, its lanes 16 bytes of each in turn, DEPTH × ROWS × 512 bytes
/// on their way. Of SwiGLU, half of the rows are gates and half the ups that belong to them.
template <class W, Result RESULT, int ROWS, int DEPTH> struct Vector {
    static constexpr int BLOCK_ROWS = WARPS * ROWS, PER = 16 / sizeof(W);      // rows of W a block, elements in 16 bytes
    static DEVICE void run(const Product& p) {
        __shared__ float squares[MAX_BATCH][WARPS];
        uint8_t* xs = shared_memory();
        constexpr int OWN = RESULT == Result::swiglu ? ROWS / 2 : ROWS;            // results of a warp
        const int lane = threadIdx.x % 32, limit = RESULT == Result::swiglu ? p.N / 2 : p.N, vectors = p.K / PER, step = gridDim.x * WARPS * OWN;
        const uint4* row[ROWS]; uint4 v[DEPTH][ROWS]; float sum[ROWS];
        const auto take = [&](int first) {
            #pragma unroll
            for (int r = 0; r < ROWS; r++) {
                const int n = RESULT == Result::swiglu ? min(first + r / 2, limit - 1) + r % 2 * limit : min(first + r, limit - 1);   // what is past the end is computed and dropped
                row[r] = reinterpret_cast<const uint4*>(static_cast<const W*>(p.w) + (size_t)n * p.K) + lane; sum[r] = 0;
            }
        };
        const auto fetch = [&](int base) {
            #pragma unroll
            for (int d = 0; d < DEPTH; d++)
                #pragma unroll
                for (int r = 0; r < ROWS; r++) v[d][r] = base + d * 32 + lane < vectors ? load_once(row[r] + base + d * 32) : make_uint4(0, 0, 0, 0);
        };
        const auto multiply = [&](int base) {
            #pragma unroll
            for (int d = 0; d < DEPTH; d++) {
                const int i = base + d * 32 + lane;
                if (i >= vectors) continue;
                #pragma unroll
                for (int h = 0; h < (int)(2 / sizeof(W)); h++) {       // 8 elements of x at a time
                    const uint4 u = *reinterpret_cast<const uint4*>(xs + i * PER * 2 + h * 16); const uint32_t x[4] = {u.x, u.y, u.z, u.w};
                    #pragma unroll
                    for (int r = 0; r < ROWS; r++) {
                        const uint32_t w[4] = {v[d][r].x, v[d][r].y, v[d][r].z, v[d][r].w};
                        #pragma unroll
                        for (int k = 0; k < 4; k++) {
                            float2 e;
                            if constexpr (sizeof(W) == 1) e = widen(w[2 * h + k / 2] >> 16 * (k % 2)); else e = make_float2(low(w[k]), high(w[k]));
                            sum[r] = fmaf(e.y, high(x[k]), fmaf(e.x, low(x[k]), sum[r]));
                        }
                    }
                }
            }
        };
        int first = (blockIdx.x * WARPS + threadIdx.x / 32) * OWN;
        const float scale = p.scale ? *p.scale : 1;
        take(first); fetch(0);                                  // weights are there before x is
        grid_wait(); grid_release();
        float rest = lane < OWN ? residual<RESULT>(p, 0, first + lane, first + lane < limit) : 0;
        stage(xs, squares, p);
        const float f = factor(squares, p, 0, scale);
        ask(p.ahead, blockIdx.x, gridDim.x);
        for (;;) {
            multiply(0);
            #pragma unroll 1
            for (int base = DEPTH * 32; base < vectors; base += DEPTH * 32) { fetch(base); multiply(base); }
            float done[ROWS];
            #pragma unroll
            for (int r = 0; r < ROWS; r++) done[r] = sum[r];
            const int now = first; const float added = rest; first += step;
            if (first < limit) {                                // the next rows are on their way while these are finished
                take(first); fetch(0);
                rest = lane < OWN ? residual<RESULT>(p, 0, first + lane, first + lane < limit) : 0;
            }
            #pragma unroll
            for (int r = 0; r < ROWS; r++) done[r] = warp_sum(done[r]) * f;
            #pragma unroll
            for (int r = 0; r < OWN; r++) if (lane == r && now + r < limit) finish<RESULT>(p, 0, now + r, RESULT == Result::swiglu ? done[2 * r] : done[r], RESULT == Result::swiglu ? done[2 * r + 1] : added);
            if (first >= limit) break;
        }
    }
};

/// Batch 1 to 8, by the tensor core: a block takes 16 rows of W (of SwiGLU 8 gates and their ups), its warps every eighth
/// step of 64 bytes of k, and sums what they have in order. A lane's 16 bytes of a row are k-pairs 2t and 2t + 8 of two
/// products (bf16) or four (fp8): any order of k will do, as long as x follows it.
template <class W, Result RESULT, int DEPTH> struct Tensor {
    static constexpr int BLOCK_ROWS = 16, PER = 16 / sizeof(W), STEP = 4 * PER;
    static DEVICE void run(const Product& p) {
        __shared__ float squares[MAX_BATCH][WARPS];
        __shared__ float4 sums[2][WARPS][32];
        uint8_t* xs = shared_memory();
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4, stride = row_bytes(p.K);
        constexpr int OWN = RESULT == Result::swiglu ? 8 : 16;                     // results of a tile and row of x
        const int limit = RESULT == Result::swiglu ? p.N / 2 : p.N, tiles = (limit + OWN - 1) / OWN, steps = (p.K + STEP - 1) / STEP;
        const W* w = static_cast<const W*>(p.w); uint32_t upper, lower; int first, second;   // elements before a lane's 16 bytes of its two rows
        uint4 v[DEPTH][2]; float d[4];
        const auto take = [&](int tile) {
            first = tile * OWN + g; second = RESULT == Result::swiglu ? first + limit : first + 8;
            upper = (uint32_t)min(first, limit - 1) * p.K + t * PER; lower = (uint32_t)min(second, p.N - 1) * p.K + t * PER;
            d[0] = d[1] = d[2] = d[3] = 0;
        };
        const auto fetch = [&](int base) {
            #pragma unroll
            for (int i = 0; i < DEPTH; i++) {
                const int k = (base + i * WARPS + warp) * STEP; const bool inside = k + t * PER < p.K;
                v[i][0] = inside ? load_once(w + upper + k) : make_uint4(0, 0, 0, 0);
                v[i][1] = inside ? load_once(w + lower + k) : make_uint4(0, 0, 0, 0);
            }
        };
        const auto multiply = [&](int base) {
            #pragma unroll
            for (int i = 0; i < DEPTH; i++) {
                const int step = base + i * WARPS + warp;
                if (step >= steps) continue;        // the same for the whole warp
                const uint32_t a[4] = {v[i][0].x, v[i][0].y, v[i][0].z, v[i][0].w}, b[4] = {v[i][1].x, v[i][1].y, v[i][1].z, v[i][1].w};
                #pragma unroll
                for (int h = 0; h < (int)(2 / sizeof(W)); h++) {
                    uint4 u = make_uint4(0, 0, 0, 0);
                    if (g < p.batch) u = *reinterpret_cast<const uint4*>(xs + g * stride + (step * STEP + t * PER) * 2 + h * 16);
                    const uint32_t x[4] = {u.x, u.y, u.z, u.w};
                    #pragma unroll
                    for (int j = 0; j < 2; j++) {
                        if constexpr (sizeof(W) == 2) {
                            const uint32_t both[4] = {a[2 * j], b[2 * j], a[2 * j + 1], b[2 * j + 1]};
                            mma_bf16(d, both, x + 2 * j);
                        } else {
                            uint32_t one[2], two[2]; widen(a[2 * h + j], one); widen(b[2 * h + j], two);
                            const uint32_t both[4] = {one[0], two[0], one[1], two[1]};
                            mma_bf16(d, both, x + 2 * j);
                        }
                    }
                }
            }
        };
        const float scale = p.scale ? *p.scale : 1;
        int tile = blockIdx.x, turn = 0;
        take(tile); fetch(0);                                   // weights are there before x is
        grid_wait(); grid_release();
        stage(xs, squares, p);
        ask(p.ahead, blockIdx.x, gridDim.x);
        for (;; turn++) {
            // What this warp adds to the sums, where it is its turn to finish a tile.
            const bool mine = warp == turn % WARPS; float rest[4] = {};
            if (mine)
                #pragma unroll
                for (int i = 0; i < 4; i++) { const int n = i / 2 ? second : first, b = 2 * t + i % 2; rest[i] = residual<RESULT>(p, b, n, n < limit && b < p.batch); }
            multiply(0);
            #pragma unroll 1
            for (int base = DEPTH * WARPS; base < steps; base += DEPTH * WARPS) { fetch(base); multiply(base); }
            float4 (*part)[32] = sums[turn % 2];                // the other half may still be read
            part[warp][lane] = make_float4(d[0], d[1], d[2], d[3]);
            const int now = first, then = second; tile += gridDim.x;
            if (tile < tiles) { take(tile); fetch(0); }         // on its way while this one is finished
            __syncthreads();
            if (mine) {
                float4 all = part[0][lane];
                #pragma unroll
                for (int i = 1; i < WARPS; i++) { const float4 s = part[i][lane]; all.x += s.x; all.y += s.y; all.z += s.z; all.w += s.w; }
                #pragma unroll
                for (int c = 0; c < 2; c++) {
                    const int b = 2 * t + c;
                    if (b >= p.batch) continue;
                    const float f = factor(squares, p, b, scale), one = (c ? all.y : all.x) * f, two = (c ? all.w : all.z) * f;
                    if (now < limit) finish<RESULT>(p, b, now, one, RESULT == Result::swiglu ? two : rest[c]);
                    if (RESULT != Result::swiglu && then < limit) finish<RESULT>(p, b, then, two, rest[2 + c]);
                }
            }
            if (tile >= tiles) break;
        }
    }
};
}  // namespace decode

// ---- Attention

namespace decode_attention {
using decode::Bf16; using decode::LOG2E;
constexpr int D = 80, ROW = 2 * D, MAX_GROUP = 8;       // bytes of a key or value; q heads that share a kv head

/// Sizes for KEYS keys a block: 16 a warp.
template <int KEYS> struct Tile {
    static constexpr int WARPS = KEYS / 16, THREADS = 32 * WARPS;
    struct __align__(128) Shared {
        union { uint8_t k[KEYS * ROW]; float out[WARPS][MAX_GROUP][D]; };     // of the warps, when all have read the keys
        uint8_t v[KEYS * ROW];
        Bf16 q[MAX_GROUP][D];
        float top[WARPS][MAX_GROUP], sum[WARPS][MAX_GROUP];
        uint64_t full[2]; int last;
    };
};
/// Everything a launch takes; see `decode_attention`.
struct Arguments {
    Bf16* out; float* partial; unsigned* tickets; Bf16 *k_cache, *v_cache; const Bf16* qkv; const float* table; const int* positions;
    int heads, kv_heads, capacity, window; float scale; decode::Ahead ahead;
};
/// Element d of a head turned by the angles of a row of the table: pairs are (d, d + D/2).
DEVICE float rotated(const Bf16* head, const float* angles, int d) {
    const int i = d % (D / 2); const float a = float(head[i]), b = float(head[i + D / 2]), c = angles[i], s = angles[i + D / 2];
    return d < D / 2 ? fmaf(a, c, -b * s) : fmaf(b, c, a * s);
}

/// Grid [splits, kv_heads, batch]: a block takes KEYS keys of one kv head for all q heads of its group. The block of the new
/// position rotates its key and puts key and value into the cache. The last block of a text and kv head to finish, by a
/// ticket, joins the parts of all in order.
template <int KEYS> DEVICE void run(const Arguments& a) {
    using T = Tile<KEYS>;
    auto& s = *reinterpret_cast<typename T::Shared*>(shared_memory());
    const int split = blockIdx.x, kv = blockIdx.y, text = blockIdx.z, lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int group = a.heads / a.kv_heads, position = a.positions[text], first = max(0, position + 1 - a.window), count = position + 1 - first;
    const int from = first + split * KEYS, keys = min(KEYS, position + 1 - from), splits = (count + KEYS - 1) / KEYS;
    if (split >= splits) { grid_wait(); grid_release(); return; }
    const bool newest = split == splits - 1; const int stored = newest ? keys - 1 : keys;      // the newest key is not in the cache yet
    const size_t cache = ((size_t)text * a.kv_heads + kv) * a.capacity;
    const Bf16* qkv = a.qkv + (size_t)text * (a.heads + 2 * a.kv_heads) * D; const float* angles = a.table + (size_t)position * D;

    if (threadIdx.x == 0) {
        barrier_init(&s.full[0], 1); barrier_init(&s.full[1], 1); barrier_init_fence();
        const int slot = from % a.capacity, straight = min(stored, a.capacity - slot), around = stored - straight;   // the ring ends at most once
        for (int i = 0; i < 2; i++) {
            uint8_t* to = i ? s.v : s.k; const Bf16* source = (i ? a.v_cache : a.k_cache) + cache * D;
            barrier_expect(&s.full[i], stored * ROW);
            if (straight > 0) bulk_load(to, source + (size_t)slot * D, &s.full[i], straight * ROW);
            if (around > 0) bulk_load(to + straight * ROW, source, &s.full[i], around * ROW);
        }
    }
    grid_wait(); grid_release();                               // the cache but for the newest position is there before qkv is
    for (int i = threadIdx.x; i < group * D; i += T::THREADS) {
        const int h = i / D;
        s.q[h][i % D] = __float2bfloat16(rotated(qkv + (kv * group + h) * D, angles, i % D));
    }
    for (int i = threadIdx.x; i < MAX_GROUP * D; i += T::THREADS) if (i >= group * D) s.q[i / D][i % D] = __float2bfloat16(0);
    // Values past the last key would be 0 · garbage.
    for (int i = keys * (ROW / 4) + threadIdx.x; i < KEYS * (ROW / 4); i += T::THREADS) reinterpret_cast<uint32_t*>(s.v)[i] = 0;
    if (newest) {
        const int slot = position % a.capacity;
        for (int i = threadIdx.x; i < D; i += T::THREADS) {
            const Bf16 k = __float2bfloat16(rotated(qkv + (a.heads + kv) * D, angles, i)), v = qkv[(a.heads + a.kv_heads + kv) * D + i];
            reinterpret_cast<Bf16*>(s.k)[stored * D + i] = k; reinterpret_cast<Bf16*>(s.v)[stored * D + i] = v;
            a.k_cache[(cache + slot) * D + i] = k; a.v_cache[(cache + slot) * D + i] = v;
        }
    }
    __syncthreads();

    decode::ask(a.ahead, (text * a.kv_heads + kv) * splits + split, gridDim.z * a.kv_heads * splits);

    // Scores of the warp's 16 keys: row g is a q head, columns 2t and 2t + 1 of two tiles of 8 keys; rows from 8 on are unused.
    uint32_t q[5][4];
    #pragma unroll
    for (int k = 0; k < 5; k++) {
        q[k][0] = *reinterpret_cast<const uint32_t*>(&s.q[g][16 * k + 2 * t]); q[k][2] = *reinterpret_cast<const uint32_t*>(&s.q[g][16 * k + 2 * t + 8]);
        q[k][1] = q[k][3] = 0;
    }
    float score[2][4] = {}, o[10][4] = {};
    barrier_wait(&s.full[0], 0);
    #pragma unroll
    for (int k = 0; k < 5; k++) {
        uint32_t b[4];
        ldmatrix4(b, s.k + (warp * 16 + lane / 16 * 8 + lane % 8) * ROW + k * 32 + lane / 8 % 2 * 16);
        mma_bf16(score[0], q[k], b); mma_bf16(score[1], q[k], b + 2);
    }
    float top = -1e30f, sum = 0;
    #pragma unroll
    for (int i = 0; i < 4; i++) {
        float& x = score[i / 2][i % 2];
        x = warp * 16 + i / 2 * 8 + 2 * t + i % 2 < keys ? x * (a.scale * LOG2E) : -INFINITY;
        top = fmaxf(top, x);
    }
    top = fmaxf(top, __shfl_xor_sync(~0u, top, 1)); top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
    #pragma unroll
    for (int i = 0; i < 4; i++) { float& x = score[i / 2][i % 2]; x = exp2_fast(x - top); sum += x; }
    sum += __shfl_xor_sync(~0u, sum, 1); sum += __shfl_xor_sync(~0u, sum, 2);
    const uint32_t p[4] = {pack_bf16(score[0][0], score[0][1]), 0, pack_bf16(score[1][0], score[1][1]), 0};
    barrier_wait(&s.full[1], 0);
    #pragma unroll
    for (int j = 0; j < 5; j++) {
        uint32_t b[4];
        ldmatrix4_transposed(b, s.v + (warp * 16 + lane / 8 % 2 * 8 + lane % 8) * ROW + j * 32 + lane / 16 * 16);
        mma_bf16(o[2 * j], p, b); mma_bf16(o[2 * j + 1], p, b + 2);
    }

    // The warps of the block, in order.
    __syncthreads();
    #pragma unroll
    for (int j = 0; j < 10; j++) *reinterpret_cast<float2*>(&s.out[warp][g][8 * j + 2 * t]) = make_float2(o[j][0], o[j][1]);
    if (t == 0) { s.top[warp][g] = top; s.sum[warp][g] = sum; }
    __syncthreads();
    // Part of a split: [MAX_GROUP][D] sums, then [MAX_GROUP] tops and [MAX_GROUP] sums of exponentials.
    constexpr int PART = MAX_GROUP * (D + 2);
    float* parts = a.partial + ((size_t)text * a.kv_heads + kv) * gridDim.x * PART; float* part = parts + (size_t)split * PART;
    for (int i = threadIdx.x; i < group * (D / 4); i += T::THREADS) {
        const int h = i / (D / 4), d = i % (D / 4) * 4; float all = -1e30f, total = 0; float4 value = make_float4(0, 0, 0, 0);
        #pragma unroll
        for (int w = 0; w < T::WARPS; w++) all = fmaxf(all, s.top[w][h]);
        #pragma unroll
        for (int w = 0; w < T::WARPS; w++) {
            const float f = exp2_fast(s.top[w][h] - all); const float4 x = *reinterpret_cast<const float4*>(&s.out[w][h][d]);
            total = fmaf(s.sum[w][h], f, total); value.x = fmaf(x.x, f, value.x); value.y = fmaf(x.y, f, value.y); value.z = fmaf(x.z, f, value.z); value.w = fmaf(x.w, f, value.w);
        }
        *reinterpret_cast<float4*>(part + h * D + d) = value;
        if (d == 0) { part[MAX_GROUP * D + h] = all; part[MAX_GROUP * (D + 1) + h] = total; }
    }

    // The splits, in order, by whoever finishes last.
    __threadfence();
    __syncthreads();
    unsigned* ticket = a.tickets + text * a.kv_heads + kv;
    if (threadIdx.x == 0) s.last = atomicAdd(ticket, 1u) == (unsigned)splits - 1;
    __syncthreads();
    if (!s.last) return;
    if (threadIdx.x == 0) *ticket = 0;
    __threadfence();
    float* weights = &s.out[0][0][0];                            // [group][splits]
    float* const tops = &s.top[0][0];
    for (int h = warp; h < group; h += T::WARPS) {
        const auto top_of = [&](int i) { return __ldcg(parts + (size_t)i * PART + MAX_GROUP * D + h); };
        const auto sum_of = [&](int i) { return __ldcg(parts + (size_t)i * PART + MAX_GROUP * (D + 1) + h); };
        const float own_top = lane < splits ? top_of(lane) : -1e30f, own_sum = lane < splits ? sum_of(lane) : 0;    // for up to 32 splits that is all
        float all = own_top, total = 0;
        for (int i = lane + 32; i < splits; i += 32) all = fmaxf(all, top_of(i));
        #pragma unroll
        for (int m = 16; m; m /= 2) all = fmaxf(all, __shfl_xor_sync(~0u, all, m));
        for (int i = lane; i < splits; i += 32) {
            const float f = exp2_fast((i == lane ? own_top : top_of(i)) - all);
            total = fmaf(i == lane ? own_sum : sum_of(i), f, total); weights[h * splits + i] = f;
        }
        total = decode::warp_sum(total);
        if (lane == 0) tops[h] = 1 / total;
    }
    __syncthreads();
    // A thread takes four channels of a head and, where there are threads enough, one of several shares of the splits.
    const int items = group * (D / 4), shares = max(1, T::THREADS / items), each = (splits + shares - 1) / shares;
    float4* joined = reinterpret_cast<float4*>(s.v);             // [shares][items]
    for (int i = threadIdx.x; i < items * shares; i += T::THREADS) {
        const int h = i % items / (D / 4), d = i % (D / 4) * 4, begin = min(splits, i / items * each), end = min(splits, begin + each);
        float4 value = make_float4(0, 0, 0, 0);
        constexpr int BATCH = 8;                                // on their way together
        for (int base = begin; base < end; base += BATCH) {
            float4 x[BATCH];
            #pragma unroll
            for (int j = 0; j < BATCH; j++) if (base + j < end) x[j] = __ldcg(reinterpret_cast<const float4*>(parts + (size_t)(base + j) * PART + h * D + d));
            #pragma unroll
            for (int j = 0; j < BATCH; j++) if (base + j < end) {
                const float f = weights[h * splits + base + j];
                value.x = fmaf(x[j].x, f, value.x); value.y = fmaf(x[j].y, f, value.y); value.z = fmaf(x[j].z, f, value.z); value.w = fmaf(x[j].w, f, value.w);
            }
        }
        joined[i] = value;
    }
    __syncthreads();
    for (int i = threadIdx.x; i < items; i += T::THREADS) {
        const int h = i / (D / 4), d = i % (D / 4) * 4; float4 value = joined[i];
        for (int k = 1; k < shares; k++) { const float4 x = joined[k * items + i]; value.x += x.x; value.y += x.y; value.z += x.z; value.w += x.w; }
        const float f = tops[h];
        *reinterpret_cast<uint2*>(a.out + ((size_t)text * a.heads + kv * group + h) * D + d) = make_uint2(pack_bf16(value.x * f, value.y * f), pack_bf16(value.z * f, value.w * f));
    }
}
}  // namespace decode_attention

// ---- Entry points

/// Products, by blocks of 256 threads: as many as multiprocessors × the number below hold at a time, or one for BLOCK_ROWS
/// rows of W where those are fewer; batch × `row_bytes(K)` bytes of shared memory. `..._one` are for batch 1.
/// @param y see `Product`  @param w [N, K]; K a multiple of 8 (bf16) or 16 (fp8)  @param x [batch, K]
#define DECODE_PRODUCT(NAME, BLOCKS, ...) \
extern "C" __global__ void __launch_bounds__(decode::THREADS, BLOCKS) NAME(const __grid_constant__ decode::Product p) { \
    using namespace decode; \
    __VA_ARGS__::run(p); \
}
DECODE_PRODUCT(decode_bf16, 2, Tensor<Bf16, Result::bf16, 10>)
DECODE_PRODUCT(decode_bf16_swiglu, 2, Tensor<Bf16, Result::swiglu, 10>)
DECODE_PRODUCT(decode_bf16_logits, 2, Tensor<Bf16, Result::f32, 10>)
DECODE_PRODUCT(decode_fp8, 2, Tensor<Fp8, Result::bf16, 5>)
DECODE_PRODUCT(decode_fp8_swiglu, 2, Tensor<Fp8, Result::swiglu, 5>)
DECODE_PRODUCT(decode_bf16_one, 3, Vector<Bf16, Result::bf16, 1, 5>)
DECODE_PRODUCT(decode_bf16_swiglu_one, 3, Vector<Bf16, Result::swiglu, 2, 5>)
DECODE_PRODUCT(decode_bf16_logits_one, 3, Vector<Bf16, Result::f32, 1, 5>)
DECODE_PRODUCT(decode_fp8_one, 3, Vector<Fp8, Result::bf16, 2, 5>)
DECODE_PRODUCT(decode_fp8_swiglu_one, 3, Vector<Fp8, Result::swiglu, 2, 5>)

/// Attention of one new position of every text; the position is `positions[text]`, from 0. Grid [ceil(min(window, longest
/// text) / 128), kv_heads, batch], 256 threads, `Tile<128>::Shared` bytes of shared memory, at most 640 splits.
/// In `Arguments`: out [batch, heads, 80]; partial [batch, kv_heads, grid.x, 8, 82] f32; tickets [batch, kv_heads], zero, and
/// left zero; caches [batch, kv_heads, capacity, 80], position j in slot j % capacity, capacity ≥ min(window, longest text);
/// qkv [batch, heads + 2 kv_heads, 80], not rotated; table [P, 80] f32 of cosines and sines; at most 8 q heads a kv head.
extern "C" __global__ void __launch_bounds__(256, 4) decode_attention_128(const __grid_constant__ decode_attention::Arguments a) { decode_attention::run<128>(a); }
