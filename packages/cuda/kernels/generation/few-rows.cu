// The products of generation, of at most 16 rows: linear layers, and those that read a normed input with what follows them.
//
// All take blocks of 256 threads, as many as there are multiprocessors but no more than pairs of lines, and
// `few_rows::shared_bytes(slots, M, K, whether there is a norm)` of shared memory. K is above 0; lines start at multiples of 16
// bytes.
// nvcc: -use_fast_math
#include "few-rows.cuh"
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
    DEVICE void finish(int m, int pair, float first, float second, float2 residuals) const {
        if (residual) { first += residuals.x; second += residuals.y; }
        if (wide) write<float>(m, pair, first, second); else write<E>(m, pair, first, second);
    }
};

/// y = silu(x · gateᵀ) · (x · upᵀ). gate and up [F, K], y [M, F]
template <class E> struct Swiglu {
    E* y; const E *gate, *up; int F, K;

    DEVICE int pairs() const { return F; }
    DEVICE const E* line(int pair, int second) const { return (second ? up : gate) + (int64_t)pair * K; }
    DEVICE float2 beside(int, int) const { return make_float2(0, 0); }
    DEVICE void finish(int m, int pair, float first, float second, float2) const { y[(int64_t)m * F + pair] = E(first / (1 + __expf(-first)) * second); }
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
    DEVICE void finish(int m, int pair, float first, float second, float2 angle) const {
        const int h = head(pair); const bool turns = h < H + G;
        E* to = h < H ? q + ((int64_t)m * H + h) * D : (turns ? k : v) + ((int64_t)m * G + place(h)) * D;
        to[channel(pair)] = E(turns ? first * angle.x - second * angle.y : first);
        to[channel(pair) + D / 2] = E(turns ? second * angle.x + first * angle.y : second);
    }
};
}  // namespace few_rows

#define FEW_ROWS(NAME, LAYER, E) \
extern "C" __global__ void __launch_bounds__(few_rows::THREADS, 2) NAME(const __grid_constant__ few_rows::Rows<E> in, const __grid_constant__ few_rows::LAYER<E> layer) { few_rows::run(in, layer); }
FEW_ROWS(few_rows_linear_bf16, Linear, __nv_bfloat16)
FEW_ROWS(few_rows_linear_f16, Linear, __half)
FEW_ROWS(few_rows_swiglu_bf16, Swiglu, __nv_bfloat16)
FEW_ROWS(few_rows_swiglu_f16, Swiglu, __half)
FEW_ROWS(few_rows_query_key_value_bf16, QueryKeyValue, __nv_bfloat16)
FEW_ROWS(few_rows_query_key_value_f16, QueryKeyValue, __half)
