// The attention of a chain: a block takes a part of the keys of a head, and what the parts make of their keys goes to all blocks of the
// head, each of which joins some of the outputs.
#pragma once
#include "../attention/attention-portable-decode.cuh"
#include "chain-steps.cuh"

namespace chain {
template <class E, int DP> struct Attention {
    using Decode = attention_portable::Decode<E, DP>; using Stage = typename Decode::Stage;
    struct Pair { const E *k, *v; };
    /// The new key and value, zero past D.
    struct Fresh { E k[DP], v[DP]; };
    struct Shared { typename Decode::Shared decode; Fresh fresh; };

    const Step& s; const Exchange& exchange; int* fault; Shared& shared; int step;
    DEVICE int rows() const { return s.n / s.G; }
    // Where the words of the step are: its results, as the next step reads them; o [G, parts, rows, D] and lse [G, parts, rows] of the parts.
    DEVICE uint64_t* results() const { return exchange.words(step); }
    DEVICE uint64_t* part_o(int g, int part) const { return results() + s.n * (s.D / 2) + (g * s.parts + part) * rows() * s.D; }
    DEVICE uint64_t* part_lse(int g, int part) const { return results() + s.n * (s.D / 2) + s.n * s.parts * s.D + (g * s.parts + part) * rows(); }

    DEVICE void run() const {
        // A block may have several parts, which are all attended before it waits for those of others.
        const auto each = [&](auto f) { for (int item = blockIdx.x; item < s.G * s.parts; item += gridDim.x) { f(item % s.G, item / s.G); Decode::sync(); } };
        each([&](int g, int part) { attend(g, part); });
        each([&](int g, int part) { join(g, part); });
    }

    DEVICE void attend(int g, int part) const {
        const E *keys = static_cast<const E*>(s.a), *values = static_cast<const E*>(s.b);
        const int stored = *static_cast<const int*>(s.c);
        const attention_portable::Inputs<E> in{keys, keys, values, nullptr, 1, s.K, min(stored + 1, s.K), s.n, s.G, s.D, s.extra, s.scale};
        auto& d = shared.decode; const typename Decode::Run run(in, 0, part, s.parts);
        const auto ask = [&](int turn, int tile) {
            Decode::load(in, d.stages[Decode::warp()][turn % 2], tile, [&](int j, int column) -> Pair {
                if (j >= min(stored, in.keys) || column >= s.D) return {nullptr, nullptr};
                return {in.key(keys, 0, j, g) + column, in.key(values, 0, j, g) + column};
            });
        };
        if (run.first < run.end) ask(0, run.first);            // the cache is there before the queries are
        cp_async_commit();
        read_heads(g);
        cp_async_wait<0>();
        Decode::sync();
        append(stored, g, run);
        Decode::attend(in, d, 0, 0, run, ask, [&](Stage& stage, int tile) {
            const int r = stored - tile * Decode::KEYS, piece = threadIdx.x % 32;
            if (r < 0 || r >= Decode::KEYS || stored >= s.K) return;       // the same for the whole warp
            if (piece < DP / 8) {
                reinterpret_cast<uint4*>(stage.k + r * attention_portable::STRIDE<DP>)[piece] = reinterpret_cast<const uint4*>(shared.fresh.k)[piece];
                reinterpret_cast<uint4*>(stage.v + r * attention_portable::STRIDE<DP>)[piece] = reinterpret_cast<const uint4*>(shared.fresh.v)[piece];
            }
            __syncwarp();
        });
        const uint32_t tag = exchange.tag(step);
        for (int i = Decode::thread(); i < rows() * (s.D / 4); i += Decode::THREADS) {
            const int r = i / (s.D / 4), channel = i % (s.D / 4) * 4; const auto of_part = Decode::of_warps(d, r, channel); uint64_t* to = part_o(g, part) + i * 4;
            put_word(to, __float_as_uint(of_part.o.x), tag); put_word(to + 1, __float_as_uint(of_part.o.y), tag);
            put_word(to + 2, __float_as_uint(of_part.o.z), tag); put_word(to + 3, __float_as_uint(of_part.o.w), tag);
            if (channel == 0) put_word(part_lse(g, part) + r, __float_as_uint(of_part.lse), tag);      // last: who has waited for it finds the others there
        }
    }

    /// Queries, and the new key and value, from the words of the step before. A word has a channel and the one half a head further; what
    /// lies past D is zero.
    DEVICE void read_heads(int g) const {
        const uint64_t* words = exchange.words(s.from); const uint32_t tag = exchange.tag(s.from); const int half = s.D / 2;
        for (int i = Decode::thread(); i < (Decode::ROWS + 2) * (DP / 4); i += Decode::THREADS) {
            const int r = i / (DP / 4) - 2, c = i % (DP / 4) * 2;      // key and value first: all that is waited for is asked for at once
            E* to = r >= 0 ? shared.decode.q + r * attention_portable::STRIDE<DP> : r == -2 ? shared.fresh.k : shared.fresh.v;
            uint2 v[1] = {make_uint2(0, 0)};
            if (c < half && r < rows()) {
                const int head = r >= 0 ? g * rows() + r : s.n + (r + 2) * s.G + g;
                const uint64_t* const at[1] = {words + head * half + c};
                await_pairs(at, tag, v);
            }
            const int first = c < half ? c : s.D + (c - half) * 2, second = c < half ? half + c : first + 2;
            if (first < DP) *reinterpret_cast<uint32_t*>(to + first) = (v[0].x & 0xFFFF) | v[0].y << 16;
            if (second < DP) *reinterpret_cast<uint32_t*>(to + second) = v[0].x >> 16 | (v[0].y & 0xFFFF0000u);
        }
    }

    /// Writes the new key and value to the cache, where this part has their position.
    DEVICE void append(int stored, int g, const typename Decode::Run& run) const {
        const int i = Decode::thread();
        if (stored < 0 || stored >= s.K) { if (i == 0) report_index(fault, stored, s.K); return; }
        if (i >= s.D / 8 || stored < run.begin * Decode::KEYS || stored >= run.end * Decode::KEYS) return;
        const size_t to = ((size_t)stored * s.G + g) * s.D + i * 8;
        *reinterpret_cast<uint4*>(static_cast<E*>(const_cast<void*>(s.a)) + to) = reinterpret_cast<const uint4*>(shared.fresh.k)[i];
        *reinterpret_cast<uint4*>(static_cast<E*>(const_cast<void*>(s.b)) + to) = reinterpret_cast<const uint4*>(shared.fresh.v)[i];
    }

    /// Joins a run of the outputs of a head's parts, two at a time.
    DEVICE void join(int g, int part) const {
        const uint32_t tag = exchange.tag(step); auto& weights = shared.decode.weights;
        for (int r = Decode::warp(); r < rows(); r += Decode::WARPS) {
            const float lse = Decode::weigh(shared.decode, r, s.parts, [&](int i) { return __uint_as_float(await_word(part_lse(g, i) + r, tag)); });
            if (part == 0 && threadIdx.x % 32 == 0) static_cast<float*>(s.y2)[g * rows() + r] = lse;
        }
        Decode::sync();
        const int pairs = rows() * (s.D / 2), each = (pairs + s.parts - 1) / s.parts, end = min(pairs, (part + 1) * each);
        for (int i = part * each + Decode::thread(); i < end; i += Decode::THREADS) {
            constexpr int AT_ONCE = DP > 96 ? 4 : 8;           // for more there are no registers
            const int r = i / (s.D / 2), channel = i % (s.D / 2) * 2; float2 sum = make_float2(0, 0);
            for (int first = 0; first < s.parts; first += AT_ONCE) {
                const uint64_t* at[AT_ONCE]; uint2 v[AT_ONCE];
                #pragma unroll
                for (int j = 0; j < AT_ONCE; j++) at[j] = first + j < s.parts ? part_o(g, first + j) + r * s.D + channel : nullptr;
                await_pairs(at, tag, v);
                #pragma unroll
                for (int j = 0; j < AT_ONCE; j++) if (at[j]) {
                    const float weight = weights[r][first + j];
                    sum.x = fmaf(weight, __uint_as_float(v[j].x), sum.x); sum.y = fmaf(weight, __uint_as_float(v[j].y), sum.y);
                }
            }
            const int to = (g * rows() + r) * s.D + channel; const uint32_t pair = attention_portable::pack(sum.x, sum.y, E());
            *reinterpret_cast<uint32_t*>(static_cast<E*>(s.y) + to) = pair;
            put_word(results() + to / 2, pair, tag);
        }
    }
};
}  // namespace chain
