// What the attention kernels of every GPU since sm_80 share: who sees whom, tiles in shared memory, and the products of one
// warp. bf16 and f16 operands, f32 sums and softmax. Dao 2023, FlashAttention-2.
//
// head_dim is any multiple of 8 up to 128; a kernel made for DP columns serves every head_dim up to DP, with zeros beside.
#pragma once
#include <warp.cuh>

namespace attention_portable {
constexpr float LOG2E = 1.4426950408889634f;

/// What every kernel takes: q `[B, T, H, D]`, k and v `[B, S, G, D]`, document_start `[B, S]`, never falling within a row, or
/// null; all addresses multiples of 16. The queries stand at the last T of the first `keys` positions; query at i sees key j
/// when document_start[i] ≤ j ≤ i and j > i − window. `scale`, above 0, multiplies the scores.
template <class E> struct Inputs {
    const E *q, *k, *v; const int* document_start;
    int T, S, keys, H, G, D, window; float scale;

    DEVICE int group() const { return H / G; }
    /// The position of query 0.
    DEVICE int offset() const { return keys - T; }
    DEVICE const E* query(const E* base, int b, int i, int h) const { return base + (((size_t)b * T + i) * H + h) * D; }
    DEVICE const E* key(const E* base, int b, int j, int g) const { return base + (((size_t)b * S + j) * G + g) * D; }
    DEVICE int document(int b, int position) const { return document_start ? document_start[(size_t)b * S + position] : 0; }
    /// The first key that a position sees; positions past the end see what the last one sees.
    DEVICE int sight_start(int b, int position) const {
        const int i = min(position, keys - 1);
        return max(document(b, i), i - window + 1);
    }
    /// One past the last position that sees a key: where the window ends, or the last document that starts at or before it.
    DEVICE int sight_end(int b, int key) const {
        int low = key, high = keys - key < window ? keys : key + window;
        if (document(b, high - 1) <= key) return high;
        while (low < high) { const int middle = (low + high) / 2; if (document(b, middle) > key) high = middle; else low = middle + 1; }
        return high;
    }
};

// ---- Tiles

/// Elements from row to row of a tile in shared memory: an odd number of 16-byte pieces, so that the eight rows which
/// ldmatrix reads at a time lie in different banks.
template <int DP> constexpr int STRIDE = DP + 8;

/// Asks for a tile `[ROWS, DP]` of rows `stride` elements apart; rows from `rows` on and columns from `columns` on are zero.
/// THREADS one after another share the work: 32 are a warp that does it alone.
template <int ROWS, int DP, int THREADS, class E> DEVICE void load_tile(E* to, const E* from, int stride, int rows, int columns) {
    constexpr int PIECES = DP / 8;
    #pragma unroll
    for (int base = 0; base < ROWS * PIECES; base += THREADS) {
        const int i = base + threadIdx.x % THREADS, row = i / PIECES, column = i % PIECES * 8;
        if (ROWS * PIECES % THREADS != 0 && i >= ROWS * PIECES) break;
        const bool inside = row < rows && column < columns;
        cp_async(to + row * STRIDE<DP> + column, inside ? from + row * stride + column : from, inside ? 16 : 0);
    }
}
/// Writes 16 rows `[DP]` of one warp from shared memory to rows `stride` elements apart, 16 bytes a lane.
template <int DP, class E> DEVICE void store_rows(E* to, int stride, const E* from, int rows, int columns) {
    constexpr int PIECES = DP / 8;
    #pragma unroll
    for (int base = 0; base < 16 * PIECES; base += 32) {
        const int i = base + threadIdx.x % 32, row = i / PIECES, column = i % PIECES * 8;
        if (row < rows && column < columns) *reinterpret_cast<uint4*>(to + row * stride + column) = *reinterpret_cast<const uint4*>(from + row * STRIDE<DP> + column);
    }
}

// ---- Products of one warp

DEVICE void mma(float* d, const uint32_t* a, const uint32_t* b, __nv_bfloat16) { mma_bf16(d, a, b); }
DEVICE void mma(float* d, const uint32_t* a, const uint32_t* b, __half) { mma_f16(d, a, b); }
DEVICE uint32_t pack(float low, float high, __nv_bfloat16) { return pack_bf16(low, high); }
DEVICE uint32_t pack(float low, float high, __half) { return pack_f16(low, high); }

/// c[16·M, 8·N] += A[16·M, DP] · B[8·N, DP]ᵀ, both tiles in shared memory. A lane has of each 16 × 8 piece rows lane / 4
/// (0, 1) and 8 on (2, 3), columns 2(lane % 4) and the next.
template <int DP, int M, int N, class E> DEVICE void multiply(float (&c)[M][N][4], const E* a, const E* b) {
    const int lane = threadIdx.x % 32;
    a += lane % 16 * STRIDE<DP> + lane / 16 * 8;
    b += (lane / 16 * 8 + lane % 8) * STRIDE<DP> + lane / 8 % 2 * 8;
    #pragma unroll
    for (int k = 0; k < DP; k += 16) {
        uint32_t left[M][4];
        #pragma unroll
        for (int m = 0; m < M; m++) ldmatrix4(left[m], a + m * 16 * STRIDE<DP> + k);
        #pragma unroll
        for (int n = 0; n < N; n += 2) {
            uint32_t right[4];
            ldmatrix4(right, b + n * 8 * STRIDE<DP> + k);
            #pragma unroll
            for (int m = 0; m < M; m++) { mma(c[m][n], left[m], right, E()); mma(c[m][n + 1], left[m], right + 2, E()); }
        }
    }
}
/// Weights [16·M, 8·N] as the left operand of the next product: pieces that lie side by side make its 16 × 16 steps.
template <class E, int M, int N> DEVICE void pack_weights(uint32_t (&w)[M][N / 2][4], const float (&c)[M][N][4]) {
    #pragma unroll
    for (int m = 0; m < M; m++)
        #pragma unroll
        for (int n = 0; n < N; n++) { w[m][n / 2][n % 2 * 2] = pack(c[m][n][0], c[m][n][1], E()); w[m][n / 2][n % 2 * 2 + 1] = pack(c[m][n][2], c[m][n][3], E()); }
}
/// c[16·M, DP] += W[16·M, 16·K] · B[16·K, DP], W in registers and B in shared memory.
template <int DP, int M, int K, class E> DEVICE void gather(float (&c)[M][DP / 8][4], const uint32_t (&w)[M][K][4], const E* b) {
    const int lane = threadIdx.x % 32;
    b += lane % 16 * STRIDE<DP> + lane / 16 * 8;
    #pragma unroll
    for (int k = 0; k < K; k++)
        #pragma unroll
        for (int n = 0; n < DP / 8; n += 2) {
            uint32_t right[4];
            ldmatrix4_transposed(right, b + k * 16 * STRIDE<DP> + n * 8);
            #pragma unroll
            for (int m = 0; m < M; m++) { mma(c[m][n], w[m][k], right, E()); mma(c[m][n + 1], w[m][k], right + 2, E()); }
        }
}
/// Sums [16, DP] times a factor for each half, into 16 rows of shared memory that this warp alone uses, and from there to
/// rows `stride` elements apart.
template <int DP, class E> DEVICE void write_sums(E* to, int stride, E* by, const float (&c)[DP / 8][4], const float (&factor)[2], int rows, int columns) {
    const int lane = threadIdx.x % 32;
    E* place = by + lane / 4 * STRIDE<DP> + lane % 4 * 2;
    __syncwarp();
    #pragma unroll
    for (int n = 0; n < DP / 8; n++)
        #pragma unroll
        for (int h = 0; h < 2; h++) *reinterpret_cast<uint32_t*>(place + h * 8 * STRIDE<DP> + n * 8) = pack(c[n][2 * h] * factor[h], c[n][2 * h + 1] * factor[h], E());
    __syncwarp();
    store_rows<DP>(to, stride, by, rows, columns);
}

// ---- Softmax

/// The online softmax of the 16·M rows of one warp (Milakov & Gimelshein 2018): highest score, and sum of the weights
/// relative to it, of the two rows of each piece that a lane has.
template <int M> struct Softmax {
    float high[M][2], total[M][2];
    float scale;    // of scores, times log2(e)
    DEVICE explicit Softmax(float by) : scale(by * LOG2E) {
        #pragma unroll
        for (int m = 0; m < M; m++) { high[m][0] = high[m][1] = -INFINITY; total[m][0] = total[m][1] = 0; }
    }
    /// Turns scores into weights relative to the highest so far, and brings earlier sums down to it.
    template <int N, int COLUMNS> DEVICE void weigh(float (&score)[M][N][4], float (&sum)[M][COLUMNS][4]) {
        #pragma unroll
        for (int m = 0; m < M; m++)
            #pragma unroll
            for (int h = 0; h < 2; h++) {
                float top = high[m][h];
                #pragma unroll
                for (int n = 0; n < N; n++) top = fmaxf(top, fmaxf(score[m][n][2 * h], score[m][n][2 * h + 1]));
                top = fmaxf(top, __shfl_xor_sync(~0u, top, 1)); top = fmaxf(top, __shfl_xor_sync(~0u, top, 2));
                const float base = top == -INFINITY ? 0.f : top * scale;      // a row that has seen no key yet
                const float shrink = exp2_fast(high[m][h] * scale - base);
                float own = 0;
                #pragma unroll
                for (int n = 0; n < N; n++)
                    #pragma unroll
                    for (int e = 2 * h; e < 2 * h + 2; e++) own += score[m][n][e] = exp2_fast(fmaf(score[m][n][e], scale, -base));
                high[m][h] = top; total[m][h] = fmaf(total[m][h], shrink, own);
                #pragma unroll
                for (int n = 0; n < COLUMNS; n++) { sum[m][n][2 * h] *= shrink; sum[m][n][2 * h + 1] *= shrink; }
            }
    }
    /// Sums of the four lanes that share a row.
    DEVICE void finish() {
        #pragma unroll
        for (int m = 0; m < M; m++)
            #pragma unroll
            for (int h = 0; h < 2; h++) { total[m][h] += __shfl_xor_sync(~0u, total[m][h], 1); total[m][h] += __shfl_xor_sync(~0u, total[m][h], 2); }
    }
    /// log2 of the sum of exponentials; −∞ where no key was seen.
    DEVICE float log2_sum(int m, int h) const { return high[m][h] * scale + log2f(total[m][h]); }
};
}  // namespace attention_portable
