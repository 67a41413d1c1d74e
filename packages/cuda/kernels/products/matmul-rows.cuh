// Products of at most 16 rows with a matrix whose lines lie along k, as weights do: Y = alpha · A · Bᵀ + residual. The weights
// are read once, line by line, straight to registers; that is what such a product must move.
#pragma once
#include "matmul-tensor-core.cuh"

namespace matmul {
constexpr int MOST_ROWS = 16, ROWS_WARPS = 8, ROWS_THREADS = 32 * ROWS_WARPS;

/// 16 bytes of a line of k, zeros past its end. `WHOLE`: lines are whole pieces that start at multiples of 16 bytes.
/// `ONCE`: nobody reads them again.
template <bool WHOLE, bool ONCE, class T> DEVICE uint4 piece(const T* line, int k, int K) {
    if (k >= K) return make_uint4(0, 0, 0, 0);
    if constexpr (!WHOLE) return load_some(line + k, K - k);
    else if constexpr (ONCE) return load_once(line + k);
    else return *reinterpret_cast<const uint4*>(line + k);
}
/// Whether the lines of both operands are whole pieces.
template <class T> DEVICE bool whole_lines(const Product& p, int batch) {
    return p.K % (16 / sizeof(T)) == 0 && aligned<T>(p.a, p.lda, batch * p.stride_a) && aligned<T>(p.b, p.ldb, batch * p.stride_b);
}

/// What a warp has of 16 lines of B and 8 or 16 rows of A: every eighth 128 bytes of k, DEPTH of them on their way. A lane's
/// 16 bytes of a line are pairs of k of two products: any order will do that both operands follow.
template <class T, int DEPTH, bool WHOLE> DEVICE void few_rows_sums(float (&d)[2][4], const T* const (&line)[2], const T* const (&row)[2], int K, bool many) {
    constexpr int STEP = 64;
    const int warp = threadIdx.x / 32, t = threadIdx.x % 4;
    #pragma unroll 1
    for (int base = warp * STEP; base < K; base += ROWS_WARPS * STEP * DEPTH) {
        uint4 w[DEPTH][2][2];
        #pragma unroll
        for (int i = 0; i < DEPTH; i++)
            #pragma unroll
            for (int h = 0; h < 2; h++)
                #pragma unroll
                for (int l = 0; l < 2; l++) w[i][h][l] = piece<WHOLE, true>(line[l], base + i * ROWS_WARPS * STEP + h * 32 + t * 8, K);
        #pragma unroll
        for (int i = 0; i < DEPTH; i++)
            #pragma unroll
            for (int h = 0; h < 2; h++) {
                const int k = base + i * ROWS_WARPS * STEP + h * 32 + t * 8;
                const uint4 u = w[i][h][0], v = w[i][h][1];
                const uint32_t left[2][4] = {{u.x, v.x, u.y, v.y}, {u.z, v.z, u.w, v.w}};
                #pragma unroll
                for (int n = 0; n < 2; n++) if (n == 0 || many) {
                    const uint4 x = piece<WHOLE, false>(row[n], k, K);
                    const uint32_t right[2][2] = {{x.x, x.y}, {x.z, x.w}};
                    multiply<T, T, false>(d[n], left[0], right[0]); multiply<T, T, false>(d[n], left[1], right[1]);
                }
            }
    }
}
/// bf16 and f16: a block takes 16 lines of B, its warps share k, and it sums what they have in order.
template <class T> DEVICE void few_rows(const Product& p) {
    __shared__ float4 sums[ROWS_WARPS][2][32];
    constexpr int LINES = 16;
    const int tiles = (p.N + LINES - 1) / LINES, batch = blockIdx.x / tiles, first = blockIdx.x % tiles * LINES;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4;
    const T *a = static_cast<const T*>(p.a) + batch * p.stride_a, *b = static_cast<const T*>(p.b) + batch * p.stride_b;
    // Lines and rows past the end are the last one again, and what comes of them is dropped.
    const T* const line[2] = {b + (int64_t)min(first + g, p.N - 1) * p.ldb, b + (int64_t)min(first + g + 8, p.N - 1) * p.ldb};
    const T* const row[2] = {a + (int64_t)min(g, p.M - 1) * p.lda, a + (int64_t)min(g + 8, p.M - 1) * p.lda};
    float d[2][4] = {};
    if (whole_lines<T>(p, batch)) few_rows_sums<T, 3, true>(d, line, row, p.K, p.M > 8);
    else few_rows_sums<T, 1, false>(d, line, row, p.K, p.M > 8);
    #pragma unroll
    for (int n = 0; n < 2; n++) sums[warp][n][lane] = make_float4(d[n][0], d[n][1], d[n][2], d[n][3]);
    __syncthreads();
    const int n = threadIdx.x % LINES, m = threadIdx.x / LINES;     // lane n % 8 · 4 + m % 8 / 2 has the sum
    if (m >= p.M || first + n >= p.N) return;
    float sum = 0;
    #pragma unroll
    for (int w = 0; w < ROWS_WARPS; w++) sum += reinterpret_cast<const float*>(&sums[w][m / 8][n % 8 * 4 + m % 8 / 2])[n / 8 * 2 + m % 2];
    const int64_t at = batch * p.stride_y + (int64_t)m * p.ldy + first + n;
    if (p.wide) finish<float>(p, at, sum * factor(p)); else finish<T>(p, at, sum * factor(p));
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
/// f32: a warp takes two lines of B; its sums meet pairwise, half as many a turn, until each lane has one.
DEVICE void few_rows_f32(const Product& p) {
    constexpr int LINES = 2 * ROWS_WARPS;
    const int tiles = (p.N + LINES - 1) / LINES, batch = blockIdx.x / tiles, lane = threadIdx.x % 32;
    const int first = blockIdx.x % tiles * LINES + threadIdx.x / 32 * 2;
    const float *a = static_cast<const float*>(p.a) + batch * p.stride_a, *b = static_cast<const float*>(p.b) + batch * p.stride_b;
    const float* const line[2] = {b + (int64_t)min(first, p.N - 1) * p.ldb, b + (int64_t)min(first + 1, p.N - 1) * p.ldb};
    float sum[2 * MOST_ROWS] = {};
    if (whole_lines<float>(p, batch)) few_rows_f32_sums<true>(sum, line, a, p); else few_rows_f32_sums<false>(sum, line, a, p);
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
