// Rotary position embedding (Su et al. 2021) with the pairing of Hugging Face, heads of 80: channel i < 40 turns with i + 40,
// y[i] = x[i]·cos − x[i + 40]·sin, y[i + 40] = x[i + 40]·cos + x[i]·sin. Forward also takes the product qkv apart into the
// head-major q, k and v that attention reads; backward turns their gradients back and puts them together again.
//
// Must move, a channel of a token: forward 4 bytes, backward 2 and 2 for bf16 or 1 for each fp8 copy.
//
// The table is f32 [positions, 80], 40 cosines then 40 sines of a position, as `ropeTable` of @danu/attention makes it.
// nvcc: -use_fast_math
#include "quantise.cuh"

namespace rope {
constexpr int D = 80, HALF = D / 2, CHUNKS = D / 8;
/// A head of the row [q heads, k heads, v heads]: its head-major matrix [tokens, 80] and whether it turns.
template <class T> struct Head { T* base; bool turns; };
template <class T> DEVICE Head<T> head_at(T* q, T* k, T* v, int head, int heads, int kv_heads, int tokens) {
    const size_t size = (size_t)tokens * D;
    if (head < heads) return {q + head * size, true};
    if (head < heads + kv_heads) return {k + (head - heads) * size, true};
    return {v + (head - heads - kv_heads) * size, false};
}
DEVICE void load8(const float* p, float (&v)[8]) {
    const float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
    v[0] = a.x; v[1] = a.y; v[2] = a.z; v[3] = a.w; v[4] = b.x; v[5] = b.y; v[6] = b.z; v[7] = b.w;
}
/// Eight pairs of channels turned forward (1) or back (−1).
DEVICE void turn(float (&a)[8], float (&b)[8], const float (&c)[8], const float (&s)[8], float direction) {
    #pragma unroll
    for (int j = 0; j < 8; j++) { const float x = a[j], y = b[j], t = s[j] * direction; a[j] = x * c[j] - y * t; b[j] = y * c[j] + x * t; }
}
DEVICE void turn(uint4& low, uint4& high, const float (&c)[8], const float (&s)[8], float direction) {
    float a[8], b[8]; unpack(low, a); unpack(high, b); turn(a, b, c, s, direction); low = pack(a); high = pack(b);
}
}  // namespace rope

/// A thread writes one chunk of 8 channels of a token for HEADS heads, TOKENS · 10 threads; it reads the chunk that turns
/// with it too, which a neighbour has brought into the first-level cache.
template <int TOKENS, int HEADS, int UNROLL> DEVICE void rope_forward_heads(const Bf16* __restrict__ qkv, const int* __restrict__ positions, const float* __restrict__ table, Bf16* __restrict__ q, Bf16* __restrict__ k, Bf16* __restrict__ v, int tokens, int heads, int kv_heads) {
    using namespace rope;
    const int all = heads + 2 * kv_heads, groups = (all + HEADS - 1) / HEADS, first = (int)(blockIdx.x % groups) * HEADS;
    const int token = (int)(blockIdx.x / groups) * TOKENS + threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS, other = chunk < 5 ? chunk + 5 : chunk - 5;
    if (token >= tokens) return;
    const Bf16* row = qkv + (size_t)token * all * D;
    uint4 own[UNROLL], pair[UNROLL];
    const auto load = [&](int h0) {
        #pragma unroll
        for (int h = 0; h < UNROLL; h++) {
            own[h] = load16(row + (h0 + h) * D + chunk * 8, h0 + h < all);
            pair[h] = load16(row + (h0 + h) * D + other * 8, h0 + h < heads + kv_heads);
        }
    };
    load(first);
    float c[8], s[8];
    const float* angles = table + (size_t)positions[token] * D + chunk % 5 * 8;
    load8(angles, c); load8(angles + HALF, s);
    #pragma unroll
    for (int j = 0; j < 8; j++) s[j] = chunk < 5 ? -s[j] : s[j];
    #pragma unroll 1
    for (int h0 = first; h0 < min(first + HEADS, all); h0 += UNROLL) {
        if (h0 > first) load(h0);
        #pragma unroll
        for (int h = 0; h < UNROLL; h++) if (h0 + h < all) {
            const Head<Bf16> head = head_at(q, k, v, h0 + h, heads, kv_heads, tokens);
            if (head.turns) {
                float a[8], b[8]; unpack(own[h], a); unpack(pair[h], b);
                #pragma unroll
                for (int j = 0; j < 8; j++) a[j] = a[j] * c[j] + b[j] * s[j];
                own[h] = pack(a);
            }
            store16(head.base + (size_t)token * D + chunk * 8, own[h]);
        }
    }
}

/// The same where a thread turns the chunks p and p + 5 of a token, TOKENS · 5 threads: nothing is read twice, and writes are
/// pieces of 80 bytes.
template <int TOKENS, int HEADS, int UNROLL> DEVICE void rope_forward_pairs(const Bf16* __restrict__ qkv, const int* __restrict__ positions, const float* __restrict__ table, Bf16* __restrict__ q, Bf16* __restrict__ k, Bf16* __restrict__ v, int tokens, int heads, int kv_heads) {
    using namespace rope;
    const int all = heads + 2 * kv_heads, groups = (all + HEADS - 1) / HEADS, first = (int)(blockIdx.x % groups) * HEADS;
    const int token = (int)(blockIdx.x / groups) * TOKENS + threadIdx.x / 5, p = threadIdx.x % 5 * 8;
    if (token >= tokens) return;
    const Bf16* row = qkv + (size_t)token * all * D + p;
    uint4 low[UNROLL], high[UNROLL];
    const auto load = [&](int h0) {
        #pragma unroll
        for (int h = 0; h < UNROLL; h++) { low[h] = load16(row + (h0 + h) * D, h0 + h < all); high[h] = load16(row + (h0 + h) * D + HALF, h0 + h < all); }
    };
    load(first);
    float c[8], s[8];
    const float* angles = table + (size_t)positions[token] * D + p;
    load8(angles, c); load8(angles + HALF, s);
    #pragma unroll 1
    for (int h0 = first; h0 < min(first + HEADS, all); h0 += UNROLL) {
        if (h0 > first) load(h0);
        #pragma unroll
        for (int h = 0; h < UNROLL; h++) if (h0 + h < all) {
            const Head<Bf16> head = head_at(q, k, v, h0 + h, heads, kv_heads, tokens);
            if (head.turns) turn(low[h], high[h], c, s, 1);
            Bf16* to = head.base + (size_t)token * D + p;
            store16(to, low[h]); store16(to + HALF, high[h]);
        }
    }
}

// Heads on their way at a time, as many as the 64 registers of a thread have room for.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
constexpr int ROPE_FORWARD_UNROLL = 2;
#else
constexpr int ROPE_FORWARD_UNROLL = 4;
#endif

/// Blocks of 320 threads, ⌈tokens / 32⌉ · ⌈(heads + 2 kv_heads) / 8⌉ of them.
/// @param qkv [tokens, (heads + 2 kv_heads)·80]  @param positions [tokens], rows of the table  @param table [positions, 80]
/// @param q [heads, tokens, 80]  @param k [kv_heads, tokens, 80]  @param v [kv_heads, tokens, 80]
extern "C" __global__ void __launch_bounds__(320, 3) rope_forward(const Bf16* qkv, const int* positions, const float* table, Bf16* q, Bf16* k, Bf16* v, int tokens, int heads, int kv_heads) {
    rope_forward_heads<32, 8, ROPE_FORWARD_UNROLL>(qkv, positions, table, q, k, v, tokens, heads, kv_heads);
}

/// 128 tokens × HEADS heads a block. First a thread turns the chunks p and p + 5 of a token for UNROLL heads at a time, and their
/// fp8 bytes meet in shared memory row by row; then both copies leave in whole lines.
template <int THREADS, int HEADS, int UNROLL> DEVICE void rope_backward_heads(const Bf16* __restrict__ d_q, const Bf16* __restrict__ d_k, const Bf16* __restrict__ d_v, const int* __restrict__ positions, const float* __restrict__ table,
                                                                              Bf16* __restrict__ d, uint8_t* __restrict__ q, uint8_t* __restrict__ t, unsigned* amax, const float* scale, int tokens, int heads, int kv_heads, int stride) {
    using namespace rope;
    static_assert(THREADS % 5 == 0 && HEADS % UNROLL == 0);
    constexpr int WIDTH = HEADS * D, PITCH = (WIDTH + 127) / 128 * 128, PIECES = WIDTH / 16;
    const int all = heads + 2 * kv_heads, groups = (all + HEADS - 1) / HEADS, first = (int)(blockIdx.x % groups) * HEADS, token0 = (int)(blockIdx.x / groups) * 128, columns = all * D;
    uint8_t* bytes = shared_memory();       // [128, PITCH], 16-byte pieces swizzled by the row and by its group of 16
    const auto place = [&](int row, int byte) { return bytes + row * PITCH + (byte ^ ((row ^ row / 16) & 7) * 16); };
    const float factor = scale ? *scale : 1.f; float top = 0;
    #pragma unroll 1
    for (int unit = threadIdx.x; unit < 128 * 5; unit += THREADS) {
        const int row = unit / 5, token = token0 + row, p = unit % 5 * 8; const bool inside = token < tokens; const uint32_t offset = row * D + p;
        uint4 low[UNROLL], high[UNROLL];
        const auto load = [&](int h0) {
            #pragma unroll
            for (int h = 0; h < UNROLL; h++) {
                const int head = first + h0 + h;
                const Bf16* at = head_at(d_q, d_k, d_v, head, heads, kv_heads, tokens).base + (size_t)token0 * D + offset;
                low[h] = load16(at, inside && head < all); high[h] = load16(at + HALF, inside && head < all);
            }
        };
        load(0);
        float c[8], s[8];
        const float* angles = table + (size_t)(inside ? positions[token] : 0) * D + p;
        load8(angles, c); load8(angles + HALF, s);
        #pragma unroll 1
        for (int h0 = 0; h0 < HEADS; h0 += UNROLL) {
            if (h0) load(h0);
            #pragma unroll
            for (int h = 0; h < UNROLL; h++) {
                const int head = first + h0 + h, column = (h0 + h) * D + p;
                float a[8], b[8]; unpack(low[h], a); unpack(high[h], b);
                if (head < heads + kv_heads) turn(a, b, c, s, -1);
                top = largest(largest(top, a), b);
                *reinterpret_cast<uint2*>(place(row, column)) = cast<Fp8::e5m2>(a, factor); *reinterpret_cast<uint2*>(place(row, column + HALF)) = cast<Fp8::e5m2>(b, factor);
                if (d && inside && head < all) { Bf16* to = d + (size_t)token * columns + head * D + p; store16(to, pack(a)); store16(to + HALF, pack(b)); }
            }
        }
    }
    finish_tile<THREADS>(reinterpret_cast<float*>(bytes + 128 * PITCH), top, amax, [&] {
        if (q) for (int at = threadIdx.x; at < 128 * PIECES; at += THREADS) {
            const int row = at / PIECES, byte = at % PIECES * 16;
            if (token0 + row < tokens && first * D + byte < columns)
                *reinterpret_cast<uint4*>(q + (size_t)(token0 + row) * columns + first * D + byte) = *reinterpret_cast<const uint4*>(place(row, byte));
        }
        if (t) for (int unit = threadIdx.x; unit < WIDTH / 4 * 8; unit += THREADS) {      // 16 rows × 4 columns a thread, 8 × 4 of them a warp
            const int part = unit % 8, column = unit / 8 * 4;
            if (token0 + part * 16 >= tokens || first * D + column >= columns) continue;
            uint32_t word[16];
            #pragma unroll
            for (int i = 0; i < 16; i++) word[i] = *reinterpret_cast<const uint32_t*>(place(part * 16 + i, column));
            #pragma unroll
            for (int i = 0; i < 16; i += 4) transpose4(word[i], word[i + 1], word[i + 2], word[i + 3]);
            #pragma unroll
            for (int j = 0; j < 4; j++) *reinterpret_cast<uint4*>(t + (size_t)(first * D + column + j) * stride + token0 + part * 16) = make_uint4(word[j], word[4 + j], word[8 + j], word[12 + j]);
        }
    });
}
template <int HEADS> constexpr int rope_backward_shared() { return 128 * ((HEADS * 80 + 127) / 128 * 128) + 128; }

/// Blocks of 320 threads, ⌈tokens / 128⌉ · ⌈(heads + 2 kv_heads) / 4⌉ of them, rope_backward_shared<4>() bytes of shared memory.
/// @param d_q [heads, tokens, 80]  @param d_k [kv_heads, tokens, 80]  @param d_v [kv_heads, tokens, 80]  @param positions [tokens]
/// @param table [positions, 80]  @param d [tokens, (heads + 2 kv_heads)·80] or null  @param q e5m2, the same or null
/// @param t e5m2 [(heads + 2 kv_heads)·80, stride] or null  @param amax raised to the largest |d|, or null
/// @param scale [1], or null for 1
extern "C" __global__ void __launch_bounds__(320, 2) rope_backward(const Bf16* d_q, const Bf16* d_k, const Bf16* d_v, const int* positions, const float* table,
                                                                    Bf16* d, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int tokens, int heads, int kv_heads, int stride) {
    rope_backward_heads<320, 4, 4>(d_q, d_k, d_v, positions, table, d, q, t, amax, scale, tokens, heads, kv_heads, stride);
}
