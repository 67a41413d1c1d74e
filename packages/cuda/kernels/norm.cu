// Root-mean-square norm over rows of C channels (Zhang & Sennrich 2019), fused with what stands beside it in a block:
// forward x' = x + branch in bf16, rstd = 1 / sqrt(mean(x'²) + eps), y = x' · rstd · w; backward
// dx = rstd · (w · dy − x · rstd² · mean(x · w · dy)) + d_residual and dw = Σ dy · x · rstd over tokens. Sums in f32, in an order
// that only the number of blocks decides.
// Must move, a channel of a token: forward 6 bytes of x, branch and x', or 2 of x alone, and 2 of y or 1 for each fp8 copy;
// backward 8, and 1 for each fp8 copy.
// nvcc: -use_fast_math
#include "quantise.cuh"

DEVICE uint4 add_bf16(uint4 x, uint4 y) {
    float a[8], b[8]; unpack(x, a); unpack(y, b);
    #pragma unroll
    for (int j = 0; j < 8; j++) a[j] += b[j];
    return pack(a);
}
DEVICE float squares(uint4 x, float sum) {
    float v[8]; unpack(x, v);
    #pragma unroll
    for (int j = 0; j < 8; j++) sum = fmaf(v[j], v[j], sum);
    return sum;
}
/// y = x · rstd · w for eight channels.
DEVICE void normed(uint4 x, uint4 w, float rstd, float (&y)[8]) {
    float weight[8]; unpack(x, y); unpack(w, weight);
    #pragma unroll
    for (int j = 0; j < 8; j++) y[j] = y[j] * rstd * weight[j];
}

/// WARPS warps own a row, CHUNKS · 8 channels a thread, in registers from the first read to the last write; ROWS rows a block.
template <int WARPS, int ROWS, int CHUNKS> DEVICE void rms_norm_rows(const Bf16* __restrict__ x, const Bf16* __restrict__ branch, const Bf16* __restrict__ w, Bf16* __restrict__ sum, float* __restrict__ rstd, Bf16* __restrict__ y, uint8_t* __restrict__ q,
                                                                     unsigned* amax, const float* scale, int tokens, int C, float eps) {
    static_assert(WARPS == 1 || ROWS == 1);
    constexpr int G = 32 * WARPS;
    const int row = blockIdx.x * ROWS + threadIdx.x / G, lane = threadIdx.x % G;
    const bool alive = row < tokens; const size_t base = (size_t)row * C;
    float* shared = reinterpret_cast<float*>(shared_memory());
    const unsigned found = amax && threadIdx.x % 32 == 0 ? peek(amax) : 0;
    uint4 v[CHUNKS], b[CHUNKS];
    #pragma unroll
    for (int i = 0; i < CHUNKS; i++) v[i] = load16(x + base + (i * G + lane) * 8, alive && (i * G + lane) * 8 < C);
    if (branch) {
        #pragma unroll
        for (int i = 0; i < CHUNKS; i++) b[i] = load16(branch + base + (i * G + lane) * 8, alive && (i * G + lane) * 8 < C);
        #pragma unroll
        for (int i = 0; i < CHUNKS; i++) {
            v[i] = add_bf16(v[i], b[i]);
            if (alive && (i * G + lane) * 8 < C) store16(sum + base + (i * G + lane) * 8, v[i]);
        }
    }
    float total = 0;
    #pragma unroll
    for (int i = 0; i < CHUNKS; i++) total = squares(v[i], total);
    total = warp_sum(total);
    if constexpr (WARPS > 1) {
        if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = total;
        __syncthreads();
        total = 0;
        #pragma unroll
        for (int i = 0; i < WARPS; i++) total += shared[i];
    }
    const float r = rsqrtf(total / C + eps), factor = scale ? *scale : 1.f;
    if (alive && lane == 0) rstd[row] = r;
    float top = 0;
    #pragma unroll
    for (int i = 0; i < CHUNKS; i++) if (alive && (i * G + lane) * 8 < C) {
        const int c = (i * G + lane) * 8; float out[8];
        normed(v[i], *reinterpret_cast<const uint4*>(w + c), r, out);
        top = largest(top, out);
        if (y) store16(y + base + c, pack(out));
        if (q) *reinterpret_cast<uint2*>(q + base + c) = cast<Fp8::e4m3>(out, factor);
    }
    if (amax) { top = warp_max(top); if (threadIdx.x % 32 == 0) raise(amax, top, found); }
}

/// A block of 64 threads a row, 8 bytes of shared memory; C at most 2560, a multiple of 8.
/// @param x [tokens, C]  @param branch [tokens, C] or null  @param w [C]  @param sum [tokens, C] gets x + branch; may be x or
/// branch, unused without a branch  @param rstd [tokens]  @param y [tokens, C] or null  @param q e4m3 [tokens, C] or null
/// @param amax raised to the largest |y|, or null  @param scale [1], or null for 1  @param eps under the root, same unit as x²
extern "C" __global__ void __launch_bounds__(64, 12) rms_norm_forward(const Bf16* x, const Bf16* branch, const Bf16* w, Bf16* sum, float* rstd, Bf16* y, uint8_t* q, unsigned* amax, const float* scale, int tokens, int C, float eps) {
    rms_norm_rows<2, 1, 5>(x, branch, w, sum, rstd, y, q, amax, scale, tokens, C, eps);
}
/// The same for C up to 8192: a row a block of 256 threads, 32 bytes of shared memory.
extern "C" __global__ void __launch_bounds__(256, 3) rms_norm_forward_wide(const Bf16* x, const Bf16* branch, const Bf16* w, Bf16* sum, float* rstd, Bf16* y, uint8_t* q, unsigned* amax, const float* scale, int tokens, int C, float eps) {
    rms_norm_rows<8, 1, 4>(x, branch, w, sum, rstd, y, q, amax, scale, tokens, C, eps);
}

/// 64 rows of fp8 in shared memory, [64, C rounded up to 128], from where the transposed copy leaves in pieces of 64 bytes; words
/// of 4 channels are swizzled by groups of 16 rows.
struct Slab {
    uint8_t* bytes; int pitch;
    static constexpr int ROWS = 64;
    DEVICE Slab(uint8_t* bytes, int C) : bytes(bytes), pitch((C + 127) & ~127) {}
    DEVICE uint8_t* end() const { return bytes + ROWS * pitch; }
    DEVICE void put(int row, int channel, uint2 eight) const { *reinterpret_cast<uint2*>(bytes + row * pitch + (channel ^ row / 16 * 32)) = eight; }
    /// 16 rows × 4 channels a thread, 4 × 8 of them a warp.
    template <int THREADS> DEVICE void write(uint8_t* t, size_t stride, int row0, int rows, int C) const {
        for (int unit = threadIdx.x; unit < C; unit += THREADS) {
            const int part = unit % 4, channel = unit / 4 * 4;
            if (row0 + part * 16 >= rows) continue;
            uint32_t word[16];
            #pragma unroll
            for (int i = 0; i < 16; i++) word[i] = *reinterpret_cast<const uint32_t*>(bytes + (part * 16 + i) * pitch + (channel ^ part * 32));
            #pragma unroll
            for (int i = 0; i < 16; i += 4) transpose4(word[i], word[i + 1], word[i + 2], word[i + 3]);
            #pragma unroll
            for (int j = 0; j < 4; j++) *reinterpret_cast<uint4*>(t + (channel + j) * stride + row0 + part * 16) = make_uint4(word[j], word[4 + j], word[8 + j], word[12 + j]);
        }
    }
};

/// The rows of one of the `teams` of a block that goes through slabs, every gridDim.x-th: each team every teams-th row of a slab.
struct SlabWalk {
    int slab, in, team, teams, end;
    DEVICE SlabWalk(int team, int teams, int rows) : slab(blockIdx.x), in(team), team(team), teams(teams), end(rows) {}
    DEVICE bool more() const { return slab * Slab::ROWS < end; }
    DEVICE int row() const { return slab * Slab::ROWS + in; }
    /// Whether this is the team's last row of the slab.
    DEVICE bool last() const { return in + teams >= Slab::ROWS; }
    DEVICE SlabWalk next() const { SlabWalk n = *this; if (last()) { n.slab += gridDim.x; n.in = team; } else n.in += teams; return n; }
};
/// A run of rows.
struct RowWalk {
    int at, end;
    DEVICE bool more() const { return at < end; }
    DEVICE int row() const { return at; }
    DEVICE bool last() const { return false; }
    DEVICE RowWalk next() const { return {at + 1, end}; }
};
/// The sum of a value over the WARPS warps of a team, all its threads; calls take turns between two halves of `meet` [2, WARPS].
template <int WARPS> DEVICE float team_sum(float v, int team, float* meet, int parity) {
    v = warp_sum(v);
    if (threadIdx.x % 32 == 0) meet[parity * WARPS + threadIdx.x / 32 - team * WARPS] = v;
    group_sync(1 + team, 32 * WARPS);
    v = 0;
    #pragma unroll
    for (int k = 0; k < WARPS; k++) v += meet[parity * WARPS + k];
    return v;
}

/// TEAMS teams of WARPS warps go through slabs of 64 rows, CHUNKS · 8 channels a thread. The next row is always on its way, also
/// while a slab leaves; a slab moves a tenth of the bytes of its rows.
template <int TEAMS, int WARPS, int CHUNKS> DEVICE void rms_norm_slabs(const Bf16* __restrict__ x, const Bf16* __restrict__ branch, const Bf16* __restrict__ w, Bf16* __restrict__ sum, float* __restrict__ rstd, Bf16* __restrict__ y, uint8_t* __restrict__ q, uint8_t* __restrict__ t,
                                                                      unsigned* amax, const float* scale, int tokens, int C, int stride, float eps) {
    constexpr int G = 32 * WARPS, THREADS = G * TEAMS;
    const int team = threadIdx.x / G, thread = threadIdx.x % G;
    const Slab slab(shared_memory(), C);
    float* meet = reinterpret_cast<float*>(slab.end()) + team * 2 * WARPS;
    const auto channel = [&](int c) { return (c * G + thread) * 8; };
    const auto inside = [&](int row, int c) { return row < tokens && channel(c) < C; };
    uint4 next_x[CHUNKS], next_branch[CHUNKS];
    const auto load = [&](int row) {
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) { const size_t at = (size_t)row * C + channel(c); next_x[c] = load16(x + at, inside(row, c)); next_branch[c] = load16(branch + at, branch && inside(row, c)); }
    };
    const float factor = scale ? *scale : 1.f; float top = 0;
    SlabWalk here(team, TEAMS, tokens);
    load(here.row());
    for (int parity = 0; here.more(); here = here.next(), parity ^= 1) {
        const int row = here.row(); uint4 v[CHUNKS]; float total = 0;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            v[c] = next_x[c];
            if (branch) { v[c] = add_bf16(v[c], next_branch[c]); if (inside(row, c)) store16(sum + (size_t)row * C + channel(c), v[c]); }
        }
        load(here.next().row());
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) total = squares(v[c], total);
        const float r = rsqrtf(team_sum<WARPS>(total, team, meet, parity) / C + eps);
        if (row < tokens && thread == 0) rstd[row] = r;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) if (channel(c) < C) {
            const size_t at = (size_t)row * C + channel(c); float out[8];
            normed(v[c], *reinterpret_cast<const uint4*>(w + channel(c)), r, out);
            const uint2 cast8 = cast<Fp8::e4m3>(out, factor);
            top = largest(top, out);
            if (row < tokens) { if (y) store16(y + at, pack(out)); if (q) *reinterpret_cast<uint2*>(q + at) = cast8; }
            slab.put(here.in, channel(c), cast8);
        }
        if (here.last()) { __syncthreads(); if (t) slab.write<THREADS>(t, stride, here.slab * Slab::ROWS, tokens, C); __syncthreads(); }
    }
    finish_tile<THREADS>(reinterpret_cast<float*>(slab.end()) + TEAMS * 2 * WARPS, top, amax, [] {});
}

/// Blocks of 960 threads, one a multiprocessor, 64 · (C rounded up to 128) + 512 bytes of shared memory; C at most 2560, a multiple
/// of 8. Parameters as of rms_norm_forward; @param t e4m3 [C, stride] or null
extern "C" __global__ void __launch_bounds__(960, 1) rms_norm_transposed(const Bf16* x, const Bf16* branch, const Bf16* w, Bf16* sum, float* rstd, Bf16* y, uint8_t* q, uint8_t* t,
                                                                          unsigned* amax, const float* scale, int tokens, int C, int stride, float eps) {
    rms_norm_slabs<6, 5, 2>(x, branch, w, sum, rstd, y, q, t, amax, scale, tokens, C, stride, eps);
}

/// A team of WARPS warps walks through rows, a thread CHUNKS · 8 channels and their part of dw; the next row is on its way while one
/// waits for its mean. `put(walk, channel, dx)` takes eight results, zeros below the matrix; `done(walk)` comes after each row.
template <int WARPS, int CHUNKS, class Walk, class Put, class Done> DEVICE void rms_norm_backward_walk(const Bf16* __restrict__ d_y, const Bf16* __restrict__ x, const Bf16* __restrict__ w, const float* __restrict__ rstd, const Bf16* d_residual,
                                                                                                    int C, Walk here, int team, float* meet, float (&gradient)[CHUNKS][8], Put put, Done done) {
    constexpr int G = 32 * WARPS;
    const int thread = threadIdx.x - team * G;
    const auto channel = [&](int c) { return (c * G + thread) * 8; };
    struct Row { uint4 y[CHUNKS], x[CHUNKS], residual[CHUNKS]; float rstd; } next;
    const auto load = [&](int row) {
        next.rstd = row < here.end ? rstd[row] : 0.f;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            const bool inside = row < here.end && channel(c) < C; const size_t at = (size_t)row * C + channel(c);
            next.y[c] = load16(d_y + at, inside); next.x[c] = load16(x + at, inside); next.residual[c] = load16(d_residual + at, inside && d_residual);
        }
    };
    load(here.row());
    for (int parity = 0; here.more(); here = here.next(), parity ^= 1) {
        const Row now = next;
        load(here.next().row());
        float dot = 0;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            float a[8], b[8], e[8]; unpack(now.y[c], a); unpack(now.x[c], b); unpack(load16(w + channel(c), channel(c) < C), e);
            #pragma unroll
            for (int j = 0; j < 8; j++) { dot = fmaf(a[j] * e[j], b[j], dot); gradient[c][j] = fmaf(a[j], b[j] * now.rstd, gradient[c][j]); }
        }
        const float mean = team_sum<WARPS>(dot, team, meet, parity) / C * now.rstd * now.rstd;
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) if (channel(c) < C) {
            float a[8], b[8], e[8], residual[8]; unpack(now.y[c], a); unpack(now.x[c], b); unpack(*reinterpret_cast<const uint4*>(w + channel(c)), e); unpack(now.residual[c], residual);
            #pragma unroll
            for (int j = 0; j < 8; j++) a[j] = fmaf(now.rstd, a[j] * e[j] - b[j] * mean, residual[j]);
            put(here, channel(c), a);
        }
        done(here);
    }
}
DEVICE void store_partial(float* to, const float (&v)[8]) {
    reinterpret_cast<float4*>(to)[0] = make_float4(v[0], v[1], v[2], v[3]); reinterpret_cast<float4*>(to)[1] = make_float4(v[4], v[5], v[6], v[7]);
}
/// A block a run of ⌈tokens / blocks⌉ rows.
template <int WARPS, int CHUNKS> DEVICE void rms_norm_backward_rows(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* __restrict__ partial, int tokens, int C) {
    const int each = (tokens + gridDim.x - 1) / gridDim.x, first = min(tokens, (int)blockIdx.x * each);
    float gradient[CHUNKS][8] = {};
    rms_norm_backward_walk<WARPS, CHUNKS>(d_y, x, w, rstd, d_residual, C, RowWalk{first, min(tokens, first + each)}, 0, reinterpret_cast<float*>(shared_memory()), gradient,
        [&](const RowWalk& at, int channel, const float (&v)[8]) { store16(d_x + (size_t)at.row() * C + channel, pack(v)); }, [](const RowWalk&) {});
    #pragma unroll
    for (int c = 0; c < CHUNKS; c++) if (const int channel = (c * 32 * WARPS + threadIdx.x) * 8; channel < C) store_partial(partial + (size_t)blockIdx.x * C + channel, gradient[c]);
}
/// TEAMS teams go through slabs of 64 rows; dx leaves as bf16, fp8 and transposed fp8.
template <int TEAMS, int WARPS, int CHUNKS> DEVICE void rms_norm_backward_slabs(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* __restrict__ partial, uint8_t* q, uint8_t* t,
                                                                               unsigned* amax, const float* scale, int tokens, int C, int stride) {
    constexpr int G = 32 * WARPS, THREADS = G * TEAMS;
    const int team = threadIdx.x / G;
    const Slab slab(shared_memory(), C);
    float *gradients = reinterpret_cast<float*>(slab.end()), *meet = gradients + (TEAMS - 1) * C;      // [TEAMS − 1, C], [TEAMS, 2, WARPS]
    float gradient[CHUNKS][8] = {}, top = 0; const float factor = scale ? *scale : 1.f;
    rms_norm_backward_walk<WARPS, CHUNKS>(d_y, x, w, rstd, d_residual, C, SlabWalk(team, TEAMS, tokens), team, meet + team * 2 * WARPS, gradient,
        [&](const SlabWalk& here, int channel, const float (&v)[8]) {
            const size_t at = (size_t)here.row() * C + channel; const uint2 cast8 = cast<Fp8::e5m2>(v, factor);
            top = largest(top, v);
            if (here.row() < tokens) { store16(d_x + at, pack(v)); if (q) *reinterpret_cast<uint2*>(q + at) = cast8; }
            slab.put(here.in, channel, cast8);
        },
        [&](const SlabWalk& here) { if (here.last()) { __syncthreads(); if (t) slab.write<THREADS>(t, stride, here.slab * Slab::ROWS, tokens, C); __syncthreads(); } });
    #pragma unroll
    for (int c = 0; c < CHUNKS; c++) if (const int channel = (c * G + threadIdx.x % G) * 8; team && channel < C) store_partial(gradients + (team - 1) * C + channel, gradient[c]);
    finish_tile<THREADS>(meet + TEAMS * 2 * WARPS, top, amax, [&] {
        #pragma unroll
        for (int c = 0; c < CHUNKS; c++) if (const int channel = (c * G + threadIdx.x) * 8; team == 0 && channel < C) {
            for (int k = 0; k + 1 < TEAMS; k++) {
                #pragma unroll
                for (int j = 0; j < 8; j++) gradient[c][j] += gradients[k * C + channel + j];
            }
            store_partial(partial + (size_t)blockIdx.x * C + channel, gradient[c]);
        }
    });
}

/// Blocks of 320 threads, any number (parts): each sums dw over ⌈tokens / parts⌉ rows, so that the same number gives the same
/// bits on every GPU. 80 bytes of shared memory; C at most 2560, a multiple of 8.
/// @param d_y [tokens, C]  @param x [tokens, C], the norm's input  @param w [C]  @param rstd [tokens]  @param d_residual [tokens, C]
/// or null  @param d_x [tokens, C], may be d_y or d_residual  @param partial [parts, C]
extern "C" __global__ void __launch_bounds__(320, 3) rms_norm_backward(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, int tokens, int C) {
    rms_norm_backward_rows<10, 1>(d_y, x, w, rstd, d_residual, d_x, partial, tokens, C);
}
/// The same for C up to 8192: blocks of 512 threads, 128 bytes of shared memory.
extern "C" __global__ void __launch_bounds__(512, 1) rms_norm_backward_wide(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, int tokens, int C) {
    rms_norm_backward_rows<16, 2>(d_y, x, w, rstd, d_residual, d_x, partial, tokens, C);
}

/// The same with e5m2 copies of dx for the products that follow: blocks of 960 threads, one a multiprocessor, and
/// 64 · (C rounded up to 128) + 8 · C + 512 bytes of shared memory; C at most 2560, a multiple of 8.
/// @param q e5m2 [tokens, C] or null  @param t e5m2 [C, stride] or null  @param amax raised to the largest |dx|, or null
/// @param scale [1], or null for 1
extern "C" __global__ void __launch_bounds__(960, 1) rms_norm_backward_transposed(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, uint8_t* q, uint8_t* t,
                                                                                   unsigned* amax, const float* scale, int tokens, int C, int stride) {
    rms_norm_backward_slabs<3, 10, 1>(d_y, x, w, rstd, d_residual, d_x, partial, q, t, amax, scale, tokens, C, stride);
}

/// d_w[c] = Σ partial[p, c], added to d_w where `accumulate` is not 0. Blocks of 512 threads, ⌈C / 32⌉ of them, 2048 bytes of
/// shared memory: 16 warps sum every 16th part, then their sums in order.
/// @param partial [parts, C]  @param d_w [C]
extern "C" __global__ void __launch_bounds__(512) rms_norm_weight_gradient(const float* partial, float* d_w, int parts, int C, int accumulate) {
    float* sums = reinterpret_cast<float*>(shared_memory());
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, c = blockIdx.x * 32 + lane;
    float sum = 0;
    #pragma unroll 8
    for (int p = warp; p < parts; p += 16) sum += c < C ? partial[(size_t)p * C + c] : 0.f;
    sums[warp * 32 + lane] = sum;
    __syncthreads();
    if (warp > 0 || c >= C) return;
    sum = accumulate ? d_w[c] : 0.f;
    for (int k = 0; k < 16; k++) sum += sums[k * 32 + lane];
    d_w[c] = sum;
}
