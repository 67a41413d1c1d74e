// The products of a chain: warps that bring lines of weights to a ring in shared memory, and warps that multiply them with the row.
#pragma once
#include "../attention/attention-portable.cuh"
#include "chain-steps.cuh"

#include <hopper.cuh>

namespace chain {
/// Pairs of lines of this block, in tiles of at most eight, each of which takes so many turns of 512 k. Of SwiGLU's results two make a
/// word, and stay together.
struct Share {
    int begin = 0, end = 0, tiles = 0, each = 0, turns = 0;
    DEVICE Share() {}
    DEVICE explicit Share(const Step& s) {
        const uint32_t unit = s.kind == SWIGLU ? 2 : 1, units = s.kind == LINEAR ? (s.n + 1) / 2 : s.kind == SWIGLU ? s.n / 2 : (s.n + 2 * s.G) * (s.D / 2);
        begin = units * blockIdx.x / gridDim.x * unit; end = units * (blockIdx.x + 1) / gridDim.x * unit;
        tiles = (end - begin + PAIRS - 1) / PAIRS; each = tiles ? ((end - begin + tiles - 1) / tiles + (int)unit - 1) / (int)unit * (int)unit : 0;
        turns = (s.K + WARPS * STEP - 1) / (WARPS * STEP);
    }
};

/// Slots of 512 k of 16 lines, each line 64 bytes past a multiple of 128 after the one before: what eight lanes read at a time lies in
/// all banks.
struct Ring {
    static constexpr int LINE_BYTES = WARPS * STEP * 2 + 64, SLOT_BYTES = 2 * PAIRS * LINE_BYTES, BARRIERS_BYTES = 1024, MOST_SLOTS = 16;
    uint64_t *full, *empty; uint8_t* slots; int count, slot = 0, round = 0;
    DEVICE Ring(uint8_t* at, int count) : full(reinterpret_cast<uint64_t*>(at)), empty(full + MOST_SLOTS), slots(at + BARRIERS_BYTES), count(count) {}
    DEVICE void init() const { for (int i = 0; i < count; i++) { barrier_init(full + i, BRING); barrier_init(empty + i, WARPS); } barrier_init_fence(); }
    DEVICE void next() { if (++slot == count) { slot = 0; round++; } }
    DEVICE uint8_t* line(int i) const { return slots + slot * SLOT_BYTES + i * LINE_BYTES; }
};

/// One of the warps that bring the lines of all products, slot after slot, as there is room: four lines each. What lies past K, and the
/// lines that a tile lacks, become zero.
template <class E> DEVICE void bring(const Steps& all, Ring ring) {
    constexpr int LINES = 2 * PAIRS / (BRING / 32);
    const int lane = threadIdx.x % 32, first = threadIdx.x / 32 % (BRING / 32) * LINES;
    for (int i = 0; i < all.count; i++) {
        const Step& s = all.step[i];
        if (s.kind == ATTENTION) continue;
        const Share share(s);
        const int K = s.K; const E* const nothing = static_cast<const E*>(s.a);      // read once: copies are not to wait for it again
        for (int tile = 0; tile < share.tiles; tile++) {
            const E* from[LINES]; int end[LINES];              // where this lane's next piece of a line is, and one past the last k
            with_layer<E>(s, all.fault, [&](const auto& layer) {
                #pragma unroll
                for (int j = 0; j < LINES; j++) {
                    const int column = (first + j) % PAIRS, pair = share.begin + tile * share.each + column;
                    const E* line = column < share.each && pair < share.end ? layer.line(pair, (first + j) / PAIRS) : nullptr;
                    from[j] = line ? line + lane * 8 : nothing; end[j] = line ? K : 0;
                }
            });
            for (int k = lane * 8; k - lane * 8 < K; k += WARPS * STEP) {
                if (ring.round > 0) {
                    if (lane == 0) barrier_wait(ring.empty + ring.slot, (ring.round - 1) & 1);
                    __syncwarp();
                }
                uint8_t* to = ring.line(first) + lane * 16;
                #pragma unroll
                for (int j = 0; j < LINES; j++) {
                    #pragma unroll
                    for (int half = 0; half < 2; half++) {
                        const bool inside = k + half * 256 < end[j];
                        cp_async(to + j * Ring::LINE_BYTES + half * 512, inside ? from[j] + half * 256 : nothing, inside ? 16 : 0);
                    }
                    from[j] += WARPS * STEP;
                }
                cp_async_arrive(ring.full + ring.slot);
                ring.next();
            }
        }
    }
}

/// Shared memory of the warps that multiply: the sums of two tiles, the row, and the sums of its squares.
struct Workplace {
    float4* sums; uint8_t* row; float* squares;
    DEVICE Workplace(uint8_t* at, int most_k) : sums(reinterpret_cast<float4*>(at)), row(at + 2 * WARPS * 512), squares(reinterpret_cast<float*>(row + row_bytes(most_k))) {}
    static __host__ DEVICE int bytes(int most_k) { return (2 * WARPS * 512 + row_bytes(most_k) + 128 + 127) / 128 * 128; }
};

/// Brings the row to shared memory, normed where there is a norm, zero past K.
template <class E> DEVICE void stage(const Workplace& at, const Step& s, const Exchange& exchange) {
    constexpr int PIECES = 4;                                  // of 16 bytes a thread, up to K = 8192
    const int pieces = (row_bytes(s.K) - 64) / 16;
    const auto inside = [&](int j) { return (threadIdx.x + j * MULTIPLY) * 8 < s.K; };
    const auto piece = [&](const void* of, int j) { return *(static_cast<const uint4*>(of) + threadIdx.x + j * MULTIPLY); };
    uint4 x[PIECES] = {}, w[PIECES];
    #pragma unroll
    for (int j = 0; j < PIECES; j++) if (s.norm && inside(j)) w[j] = piece(s.norm, j);
    if (s.from < 0) {
        #pragma unroll
        for (int j = 0; j < PIECES; j++) if (inside(j)) x[j] = piece(s.x, j);
    } else {
        const uint64_t *words = exchange.words(s.from), *from[2 * PIECES]; uint2 v[2 * PIECES];
        #pragma unroll
        for (int j = 0; j < 2 * PIECES; j++) from[j] = inside(j / 2) ? words + (threadIdx.x + j / 2 * MULTIPLY) * 4 + j % 2 * 2 : nullptr;
        await_pairs(from, exchange.tag(s.from), v);
        #pragma unroll
        for (int j = 0; j < PIECES; j++) if (inside(j)) x[j] = make_uint4(v[2 * j].x, v[2 * j].y, v[2 * j + 1].x, v[2 * j + 1].y);
    }
    float inverse_rms = 0;
    if (s.norm) {
        float sum = 0;
        #pragma unroll
        for (int j = 0; j < PIECES; j++) if (inside(j)) {
            float v[8]; elements::load(reinterpret_cast<const E*>(&x[j]), v);
            #pragma unroll
            for (int e = 0; e < 8; e++) sum = fmaf(v[e], v[e], sum);
        }
        #pragma unroll
        for (int lanes = 16; lanes; lanes /= 2) sum += __shfl_xor_sync(~0u, sum, lanes);
        if (threadIdx.x % 32 == 0) at.squares[threadIdx.x / 32] = sum;
        group_sync(1, MULTIPLY);
        sum = 0;
        #pragma unroll
        for (int i = 0; i < WARPS; i++) sum += at.squares[i];
        inverse_rms = rsqrtf(sum / s.K + s.scale);
    }
    #pragma unroll
    for (int j = 0; j < PIECES; j++) {
        const int i = threadIdx.x + j * MULTIPLY;
        if (i >= pieces) break;
        if (s.norm && inside(j)) {
            float v[8], f[8]; elements::load(reinterpret_cast<const E*>(&x[j]), v); elements::load(reinterpret_cast<const E*>(&w[j]), f);
            #pragma unroll
            for (int e = 0; e < 8; e++) v[e] *= inverse_rms * f[e];
            elements::store(reinterpret_cast<E*>(&x[j]), v);
        }
        reinterpret_cast<uint4*>(at.row)[i] = x[j];
    }
    group_sync(1, MULTIPLY);
}

/// 64 k of 16 lines, this warp's of a slot, to be multiplied with those of the row: as few_rows::multiply does it with one row.
struct Lines {
    uint4 u[2], v[2];
    DEVICE void load(const Ring& ring) {
        const int lane = threadIdx.x % 32; const uint8_t* from = ring.line(lane / 4) + threadIdx.x / 32 * STEP * 2 + lane % 4 * 16;
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            u[half] = *reinterpret_cast<const uint4*>(from + half * 64);
            v[half] = *reinterpret_cast<const uint4*>(from + PAIRS * Ring::LINE_BYTES + half * 64);
        }
    }
    template <class E> DEVICE void multiply(float (&sum)[4], const uint8_t* row, int first, int K) const {
        const int lane = threadIdx.x % 32;
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            const int k = first + half * 32 + lane % 4 * 8;
            const uint4 x = lane < 4 && k < K ? *reinterpret_cast<const uint4*>(row + k * 2) : make_uint4(0, 0, 0, 0);
            const uint32_t left[2][4] = {{u[half].x, v[half].x, u[half].y, v[half].y}, {u[half].z, v[half].z, u[half].w, v[half].w}}, right[2][2] = {{x.x, x.y}, {x.z, x.w}};
            few_rows::multiply<E>(sum, left[0], right[0]); few_rows::multiply<E>(sum, left[1], right[1]);
        }
    }
};

/// The warps that multiply.
template <class E> DEVICE void products(const Steps& all, const Exchange& exchange, Ring ring, const Workplace& at) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const auto product_from = [&](int i) { while (i < all.count && all.step[i].kind == ATTENTION) i++; return i; };
    const auto share_of = [&](int i) { return i < all.count ? Share(all.step[i]) : Share(); };
    int i = product_from(0), after; Share share = share_of(i), next_share;
    for (; i < all.count; i = after, share = next_share) {
        // Of the step after this one, while there is time.
        after = product_from(i + 1); next_share = share_of(after);
        if (share.tiles == 0) continue;                        // whoever adds nothing is not waited for, and words may be gone before it looks
        const Step& s = all.step[i]; const int K = s.K;
        const int unit = s.kind == SWIGLU ? 2 : 1;
        with_layer<E>(s, all.fault, [&](const auto& layer) {
            // A pair of a tile that this thread finishes, or −1; two warps take turns.
            const auto pair_of = [&](int tile) {
                const int column = (threadIdx.x + tile * 128) % MULTIPLY, pair = share.begin + tile * share.each + column;
                return column < share.each && pair < share.end ? pair : -1;
            };
            const auto beside_of = [&](int pair) { return pair >= 0 ? layer.beside(0, pair) : make_float2(0, 0); };
            float2 beside = beside_of(pair_of(0));
            stage<E>(at, s, exchange);
            for (int tile = 0; tile < share.tiles; tile++) {
                float sum[4] = {}; Lines now, next;
                const auto first = [&](int turn) { return (turn * WARPS + warp) * STEP; };
                const auto take = [&](Lines& to) {
                    barrier_wait(ring.full + ring.slot, ring.round & 1);
                    to.load(ring);
                    __syncwarp();
                    if (lane == 0) barrier_arrive(ring.empty + ring.slot);
                    ring.next();
                };
                take(now);
                for (int turn = 0; turn < share.turns; turn += 2) {      // the next are read while these are multiplied
                    if (turn + 1 < share.turns) take(next);
                    now.multiply<E>(sum, at.row, first(turn), K);
                    if (turn + 2 < share.turns) take(now);
                    if (turn + 1 < share.turns) next.multiply<E>(sum, at.row, first(turn + 1), K);
                }
                float4* part = at.sums + tile % 2 * WARPS * 32;      // the other half may still be read
                part[warp * 32 + lane] = make_float4(sum[0], sum[1], sum[2], sum[3]);
                const int pair = pair_of(tile); const float2 beside_next = beside_of(pair_of(tile + 1));
                group_sync(1, MULTIPLY);
                float2 y = make_float2(0, 0);
                if (pair >= 0) { const float2 both = few_rows::joined(part, 1, 0, lane % PAIRS); y = layer.finish(0, pair, both.x, both.y, beside); }
                if (unit == 2) y.y = __shfl_xor_sync(~0u, y.x, 1);
                if (pair >= 0 && pair % unit == 0) put_word(exchange.words(i) + pair / unit, attention_portable::pack(y.x, y.y, E()), exchange.tag(i));
                beside = beside_next;
            }
        });
    }
}
}  // namespace chain
