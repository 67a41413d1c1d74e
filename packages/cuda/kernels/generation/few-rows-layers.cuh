// What the products of generation belong to: how their lines pair, and what becomes of the sums of a pair. `finish` writes the result
// of a row and returns it, before it is rounded.
#pragma once
#include "../common/elements.cuh"
#include "../common/fault.cuh"

namespace few_rows {
/// y = x · wᵀ + residual. w [N, ldw], y and residual (null for none) [M, N] in E, or f32 where they are wide.
template <class E> struct Linear {
    void* y; const E* w; const void* residual; int N, ldw, wide;

    DEVICE int pairs() const { return (N + 1) / 2; }
    DEVICE const E* line(int pair, int second) const { const int n = 2 * pair + second; return n < N ? w + (int64_t)n * ldw : nullptr; }
    template <class R> DEVICE float added(int64_t at) const { return float(static_cast<const R*>(residual)[at]); }
    DEVICE float2 beside(int m, int pair) const {
        if (!residual) return make_float2(0, 0);
        const int64_t at = (int64_t)m * N + 2 * pair; const int second = 2 * pair + 1 < N;
        return wide ? make_float2(added<float>(at), added<float>(at + second)) : make_float2(added<E>(at), added<E>(at + second));
    }
    template <class R> DEVICE void write(int m, int pair, float first, float second) const {
        R* to = static_cast<R*>(y) + (int64_t)m * N + 2 * pair;
        to[0] = R(first);
        if (2 * pair + 1 < N) to[1] = R(second);
    }
    DEVICE float2 finish(int m, int pair, float first, float second, float2 residuals) const {
        if (residual) { first += residuals.x; second += residuals.y; }
        if (wide) write<float>(m, pair, first, second); else write<E>(m, pair, first, second);
        return make_float2(first, second);
    }
};

/// y = silu(x · gateᵀ) · (x · upᵀ). gate and up [F, K], y [M, F]
template <class E> struct Swiglu {
    E* y; const E *gate, *up; int F, K;

    DEVICE int pairs() const { return F; }
    DEVICE const E* line(int pair, int second) const { return (second ? up : gate) + (int64_t)pair * K; }
    DEVICE float2 beside(int, int) const { return make_float2(0, 0); }
    DEVICE float2 finish(int m, int pair, float first, float second, float2) const {
        const float v = first / (1 + __expf(-first)) * second;
        y[(int64_t)m * F + pair] = E(v);
        return make_float2(v, 0);
    }
};

/// Queries, keys and values, the first two turned by the angles of their positions; see rope.cu. query [H · D, K], key and value
/// [G · D, K], q [M, H, D], k and v [M, G, D], table f32 [P, D], positions [M]; D even. A row whose position is not in [0, P) is
/// reported, and its numbers mean nothing.
template <class E> struct QueryKeyValue {
    E *q, *k, *v; const E *query, *key, *value; const float* table; const int* positions; int* fault; int H, G, D, P, K;

    DEVICE int pairs() const { return (H + 2 * G) * (D / 2); }
    DEVICE int head(int pair) const { return (uint32_t)pair / (uint32_t)(D / 2); }
    DEVICE int channel(int pair) const { return pair - head(pair) * (D / 2); }
    /// A head among those of its kind.
    DEVICE int place(int h) const { return h < H ? h : h < H + G ? h - H : h - H - G; }
    DEVICE const E* line(int pair, int second) const {
        const int h = head(pair);
        const E* from = h < H ? query : h < H + G ? key : value;
        return from + ((int64_t)place(h) * D + channel(pair) + second * (D / 2)) * K;
    }
    /// Cosine and sine.
    DEVICE float2 beside(int m, int pair) const {
        const int position = positions[m];
        if (head(pair) >= H + G) return make_float2(1, 0);
        if (position < 0 || position >= P) { report_index(fault, position, P); return make_float2(0, 0); }
        const float* angles = table + (int64_t)position * D + channel(pair);
        return make_float2(angles[0], angles[D / 2]);
    }
    DEVICE float2 finish(int m, int pair, float first, float second, float2 angle) const {
        const int h = head(pair); const bool turns = h < H + G;
        E* to = h < H ? q + ((int64_t)m * H + h) * D : (turns ? k : v) + ((int64_t)m * G + place(h)) * D;
        const float2 turned = turns ? make_float2(first * angle.x - second * angle.y, second * angle.x + first * angle.y) : make_float2(first, second);
        to[channel(pair)] = E(turned.x);
        to[channel(pair) + D / 2] = E(turned.y);
        return turned;
    }
};
}  // namespace few_rows
