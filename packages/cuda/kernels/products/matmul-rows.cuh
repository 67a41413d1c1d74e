// Products of at most 16 rows of f32 with a matrix whose lines lie along k, as weights do: Y = alpha · A · Bᵀ + residual. The
// weights are read once, line by line, straight to registers; that is what such a product must move. Those of bf16 and f16 are
// in few-rows.cu.
#pragma once
#include "matmul.cuh"

namespace matmul {
constexpr int MOST_ROWS = 16, ROWS_WARPS = 8, ROWS_THREADS = 32 * ROWS_WARPS;

/// Four k of a line, zeros past its end. `WHOLE`: lines are whole pieces that start at multiples of 16 bytes. `ONCE`: nobody
/// reads them again.
template <bool WHOLE, bool ONCE> DEVICE uint4 piece(const float* line, int k, int K) {
    if (k >= K) return make_uint4(0, 0, 0, 0);
    if constexpr (!WHOLE) return load_some(line + k, K - k);
    else if constexpr (ONCE) return load_once(line + k);
    else return *reinterpret_cast<const uint4*>(line + k);
}

/// A lane's sums of two lines of B with all rows of A: every 32nd four k.
template <bool WHOLE> DEVICE void few_rows_f32_sums(float (&sum)[2 * MOST_ROWS], const float* const (&line)[2], const float* a, const Product& p) {
    #pragma unroll 2
    for (int k = threadIdx.x % 32 * 4; k < p.K; k += 128) {
        uint4 w[2];
        #pragma unroll
        for (int l = 0; l < 2; l++) w[l] = piece<WHOLE, true>(line[l], k, p.K);
        #pragma unroll
        for (int m = 0; m < MOST_ROWS; m++) if (m < p.M) {
            const uint4 x = piece<WHOLE, false>(a + (int64_t)m * p.lda, k, p.K);
            #pragma unroll
            for (int l = 0; l < 2; l++) {
                float& s = sum[l * MOST_ROWS + m];
                s = fmaf(__uint_as_float(x.x), __uint_as_float(w[l].x), s); s = fmaf(__uint_as_float(x.y), __uint_as_float(w[l].y), s);
                s = fmaf(__uint_as_float(x.z), __uint_as_float(w[l].z), s); s = fmaf(__uint_as_float(x.w), __uint_as_float(w[l].w), s);
            }
        }
    }
}
/// A warp takes two lines of B; its sums meet pairwise, half as many a turn, until each lane has one.
DEVICE void few_rows_f32(const Product& p) {
    constexpr int LINES = 2 * ROWS_WARPS;
    const int tiles = (p.N + LINES - 1) / LINES, batch = blockIdx.x / tiles, lane = threadIdx.x % 32;
    const int first = blockIdx.x % tiles * LINES + threadIdx.x / 32 * 2;
    const float *a = static_cast<const float*>(p.a) + batch * p.stride_a, *b = static_cast<const float*>(p.b) + batch * p.stride_b;
    const float* const line[2] = {b + (int64_t)min(first, p.N - 1) * p.ldb, b + (int64_t)min(first + 1, p.N - 1) * p.ldb};
    float sum[2 * MOST_ROWS] = {};
    const bool whole = p.K % 4 == 0 && aligned<float>(p.a, p.lda, batch * p.stride_a) && aligned<float>(p.b, p.ldb, batch * p.stride_b);
    if (whole) few_rows_f32_sums<true>(sum, line, a, p); else few_rows_f32_sums<false>(sum, line, a, p);
    #pragma unroll
    for (int turn = 0; turn < 5; turn++) {
        const int half = MOST_ROWS >> turn; const bool upper = lane & half;
        #pragma unroll
        for (int i = 0; i < MOST_ROWS; i++) if (i < half) {
            const float given = upper ? sum[i] : sum[i + half], kept = upper ? sum[i + half] : sum[i];
            sum[i] = kept + __shfl_xor_sync(~0u, given, half);
        }
    }
    const int m = lane % MOST_ROWS, n = first + lane / MOST_ROWS;
    if (m < p.M && n < p.N) finish<float>(p, batch * p.stride_y + (int64_t)m * p.ldy + n, sum[0] * factor(p));
}
}  // namespace matmul
