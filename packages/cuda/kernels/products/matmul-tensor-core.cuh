// Products by the tensor core of a warp, for every GPU since sm_80: a block fetches 64 bytes of k for every row and column of
// its tile into a ring of stages, its warps multiply rectangles of the tile.
#pragma once
#include "matmul.cuh"

namespace matmul {

/// Two fp8 in the low half of a word as a pair of f16, exactly; NaN stays NaN.
template <class F> DEVICE uint32_t widen(uint32_t two) {
    constexpr bool e5m2 = std::is_same_v<F, E5m2>;
#if __CUDA_ARCH__ >= 890
    const __half2_raw pair = __nv_cvt_fp8x2_to_halfraw2((__nv_fp8x2_storage_t)two, e5m2 ? __NV_E5M2 : __NV_E4M3);
    return pair.x | (uint32_t)pair.y << 16;
#else
    const uint32_t high = __byte_perm(two, 0, 0x1404);      // each in the high byte of its half: e5m2 is f16 cut short
    if (e5m2) return high;
    const uint32_t bits = (high & 0x80008000u) | (high & 0x7F007F00u) >> 1;
    const __half2 small = *reinterpret_cast<const __half2*>(&bits);      // the value / 256, as the exponents' biases differ by 8
    // What would be 480 is NaN: alone it leaves the range of f16 when multiplied by 36864, and infinity times 0 is NaN.
    const __half2 nan = __hmul2(__hmul2(small, __float2half2_rn(36864.f)), __float2half2_rn(0.f));
    const __half2 value = __hadd2(__hmul2(small, __float2half2_rn(256.f)), nan);
    return *reinterpret_cast<const uint32_t*>(&value);
#endif
}

/// d[16, 8] += A[16, 32 bytes of k] · B[32 bytes of k, 8].
template <class A, class B, bool FP8> DEVICE void multiply(float* d, const uint32_t* a, const uint32_t* b) {
    if constexpr (sizeof(A) == 2) { if constexpr (std::is_same_v<A, Bf16>) mma_bf16(d, a, b); else mma_f16(d, a, b); }
    else if constexpr (FP8) mma_fp8<A, B>(d, a, b);
    else {   // two products of f16, in an order of k that both operands follow
        #pragma unroll
        for (int half = 0; half < 2; half++) {
            const uint32_t left[4] = {widen<A>(a[2 * half]), widen<A>(a[2 * half + 1]), widen<A>(a[2 * half] >> 16), widen<A>(a[2 * half + 1] >> 16)};
            const uint32_t right[2] = {widen<B>(b[half]), widen<B>(b[half] >> 16)};
            mma_f16(d, left, right);
        }
    }
}

/// A tile of BM × BN by warps of WM × WN. `PROMOTE` adds the sums of 128 k to f32 registers, because tensor cores keep about
/// 14 bits of a sum of fp8 (see gemm.cuh). `FP8`: whether the chip multiplies fp8.
template <class A_, class B_, Major A_MAJOR_, Major B_MAJOR_, int BM_, int BN_, int WM_, int WN_, int STAGES_, bool FP8_ = FP8_PRODUCTS>
struct TensorCore {
    using A = A_; using B = B_;
    static constexpr Major A_MAJOR = A_MAJOR_, B_MAJOR = B_MAJOR_;
    static constexpr int BM = BM_, BN = BN_, WM = WM_, WN = WN_, STAGES = STAGES_;
    static constexpr bool FP8 = FP8_, PROMOTE = sizeof(A) == 1;
    static constexpr int THREADS = BM / WM * (BN / WN) * 32, LINE = 64, BK = LINE / sizeof(A);
    static constexpr int A_BYTES = BM * LINE, B_BYTES = BN * LINE, SHARED = STAGES * (A_BYTES + B_BYTES);
    static constexpr int RESULT_STRIDE = WN + 8;       // f32 between rows that are staged, so that eight of them lie in different banks
    static_assert(SHARED >= BM / WM * (BN / WN) * 16 * RESULT_STRIDE * 4, "sums leave through the stages");
    static_assert(sizeof(A) == 2 || (A_MAJOR == Major::k && B_MAJOR == Major::k), "bytes cannot be transposed on their way to registers");
};

/// An operand in shared memory: lines along k of 64 bytes, or along ROWS of 64 bytes of k; eight lines lie in different banks.
template <class T, Major MAJOR, int ROWS> struct Operand {
    static constexpr int PER = 16 / sizeof(T), LINE = MAJOR == Major::k ? 64 : ROWS * sizeof(T), PIECES = LINE / 16, LINES = ROWS * 64 / LINE;
    static DEVICE int place(int line, int piece) { return line * LINE + (piece ^ (MAJOR == Major::k ? line / 2 % 4 : line % 8)) * 16; }

    /// Fetches the k from `k` on, zeros past the ends.
    template <int THREADS> static DEVICE void fetch(uint8_t* to, const T* from, int stride, int row, int rows, int k, int end_k, bool whole) {
        #pragma unroll
        for (int i = 0; i < LINES * PIECES / THREADS; i++) {
            const int index = threadIdx.x + i * THREADS, line = index / PIECES, piece = index % PIECES;
            const int outer = (MAJOR == Major::k ? row : k) + line, inner = (MAJOR == Major::k ? k : row) + piece * PER;
            const int valid = outer < (MAJOR == Major::k ? rows : end_k) ? max(0, min(PER, (MAJOR == Major::k ? end_k : rows) - inner)) : 0;
            const T* at = valid ? from + (int64_t)outer * stride + inner : from;
            uint8_t* place16 = to + place(line, piece);
            if (whole) cp_async(place16, at, valid * sizeof(T)); else *reinterpret_cast<uint4*>(place16) = load_some(at, valid);
        }
    }
    /// Four 8×8 matrices: of 16 rows from `row` on and step `k` of 32 bytes, rows first (as A wants them) or k first (as B).
    template <bool ROWS_FIRST> static DEVICE void load(uint32_t* r, const uint8_t* tile, int row, int k) {
        const int matrix = threadIdx.x % 32 / 8, in = threadIdx.x % 8, rows8 = ROWS_FIRST ? matrix % 2 : matrix / 2, k8 = ROWS_FIRST ? matrix / 2 : matrix % 2;
        if constexpr (MAJOR == Major::k) ldmatrix4(r, tile + place(row + 8 * rows8 + in, 2 * k + k8));
        else ldmatrix4_transposed(r, tile + place(16 * k + 8 * k8 + in, row / 8 + rows8));
    }
};

/// Writes what a warp has: 16 rows at a time through shared memory, so that its lanes write neighbours.
template <class G, class R> DEVICE void write(const Product& p, const Tile& tile, float* staged, const float (&sum)[G::WM / 16][G::WN / 8][4], int row, int column) {
    const int lane = threadIdx.x % 32; const float f = factor(p); const bool pieces = in_pieces<R, 8>(p, tile);
    #pragma unroll
    for (int m = 0; m < G::WM / 16; m++) {
        __syncwarp();
        #pragma unroll
        for (int n = 0; n < G::WN / 8; n++)
            #pragma unroll
            for (int half = 0; half < 2; half++)
                *reinterpret_cast<float2*>(staged + (lane / 4 + 8 * half) * G::RESULT_STRIDE + n * 8 + lane % 4 * 2) = make_float2(sum[m][n][2 * half] * f, sum[m][n][2 * half + 1] * f);
        __syncwarp();
        const int step = pieces ? 8 : 1;
        #pragma unroll 1
        for (int i = lane * step; i < 16 * G::WN; i += 32 * step) {
            const int y = i / G::WN, x = i % G::WN, r = row + m * 16 + y, c = column + x;
            const float* from = staged + y * G::RESULT_STRIDE + x; const int64_t at = tile.y + (int64_t)r * p.ldy + c;
            if (r >= p.M || c >= p.N) continue;
            if (pieces) { float v[8]; elements::load(from, v); finish<R>(p, at, v); } else finish<R>(p, at, *from);
        }
    }
}

template <class G> DEVICE void tensor_core(const Product& p) {
    using Left = Operand<typename G::A, G::A_MAJOR, G::BM>; using Right = Operand<typename G::B, G::B_MAJOR, G::BN>;
    using Result = std::conditional_t<sizeof(typename G::A) == 1, Bf16, typename G::A>;
    const Tile tile(p, G::BM, G::BN);
    const auto* a = static_cast<const typename G::A*>(p.a) + tile.a; const auto* b = static_cast<const typename G::B*>(p.b) + tile.b;
    const bool whole_a = aligned<typename G::A>(p.a, p.lda, tile.a), whole_b = aligned<typename G::B>(p.b, p.ldb, tile.b);
    const int steps = (tile.end_k - tile.first_k + G::BK - 1) / G::BK, warp = threadIdx.x / 32;
    const int row = warp / (G::BN / G::WN) * G::WM, column = warp % (G::BN / G::WN) * G::WN;   // of the warp, in the tile
    uint8_t* shared = shared_memory();

    const auto fetch = [&](int step) {
        if (step < steps) {
            uint8_t* to = shared + step % G::STAGES * (G::A_BYTES + G::B_BYTES); const int k = tile.first_k + step * G::BK;
            Left::template fetch<G::THREADS>(to, a, p.lda, tile.row, p.M, k, tile.end_k, whole_a);
            Right::template fetch<G::THREADS>(to + G::A_BYTES, b, p.ldb, tile.column, p.N, k, tile.end_k, whole_b);
        }
        cp_async_commit();
    };
    float sum[G::WM / 16][G::WN / 8][4] = {}, part[G::PROMOTE ? G::WM / 16 : 1][G::WN / 8][4] = {};
    for (int step = 1 - G::STAGES; step < steps; step++) {
        if (step >= 0) {                    // this stage has landed for all, and all are done with the one before, which is fetched anew
            cp_async_wait<G::STAGES - 2>();
            __syncthreads();
        }
        fetch(step + G::STAGES - 1);
        if (step < 0) continue;
        const uint8_t *left = shared + step % G::STAGES * (G::A_BYTES + G::B_BYTES), *right = left + G::A_BYTES;
        #pragma unroll
        for (int k = 0; k < 2; k++) {
            uint32_t x[G::WM / 16][4], y[G::WN / 16][4];
            #pragma unroll
            for (int m = 0; m < G::WM / 16; m++) Left::template load<true>(x[m], left, row + m * 16, k);
            #pragma unroll
            for (int n = 0; n < G::WN / 16; n++) Right::template load<false>(y[n], right, column + n * 16, k);
            #pragma unroll
            for (int m = 0; m < G::WM / 16; m++)
                #pragma unroll
                for (int n = 0; n < G::WN / 8; n++)
                    multiply<typename G::A, typename G::B, G::FP8>(G::PROMOTE ? part[m][n] : sum[m][n], x[m], y[n / 2] + n % 2 * 2);
        }
        if constexpr (G::PROMOTE) if (step % 2 == 1 || step == steps - 1) {
            #pragma unroll
            for (int m = 0; m < G::WM / 16; m++)
                #pragma unroll
                for (int n = 0; n < G::WN / 8; n++)
                    #pragma unroll
                    for (int i = 0; i < 4; i++) { sum[m][n][i] += part[m][n][i]; part[m][n][i] = 0; }
        }
    }
    cp_async_wait<0>();
    __syncthreads();
    float* staged = reinterpret_cast<float*>(shared) + warp * 16 * G::RESULT_STRIDE;
    if (p.wide) write<G, float>(p, tile, staged, sum, tile.row + row, tile.column + column);
    else write<G, Result>(p, tile, staged, sum, tile.row + row, tile.column + column);
}
}  // namespace matmul
