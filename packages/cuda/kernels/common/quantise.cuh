// What the kernels that write fp8 share: saturating casts, the largest magnitude of a tensor, and tiles of 128 × 128 bytes
// through which a matrix is written row by row and, transposed, column by column, both in whole lines of 128 bytes.
//
// fp8 results are q = cast(x · scale) and the same bytes transposed. The transposed copy of [rows, columns] is
// [columns, stride], with `stride` at least `rows` and a multiple of 16; bytes between `rows` and the next multiple of 16
// are written as zero of either sign. The largest |x| joins `*amax`, the bits of a non-negative f32: an integer maximum has no order.
#pragma once
#include <warp.cuh>

using Bf16 = __nv_bfloat16;
enum class Fp8 { e4m3, e5m2 };

// ---- Eight numbers of a row: 16 bytes of bf16, 8 of fp8

DEVICE void unpack(uint4 pairs, float (&v)[8]) {
    const uint32_t word[4] = {pairs.x, pairs.y, pairs.z, pairs.w};
    #pragma unroll
    for (int i = 0; i < 4; i++) { v[2 * i] = __uint_as_float(word[i] << 16); v[2 * i + 1] = __uint_as_float(word[i] & 0xFFFF0000u); }
}
DEVICE uint4 pack(const float (&v)[8]) { return make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7])); }
/// 16 bytes, or zeros where there is nothing to read.
DEVICE uint4 load16(const Bf16* p, bool inside) { return inside ? *reinterpret_cast<const uint4*>(p) : make_uint4(0, 0, 0, 0); }
DEVICE void store16(Bf16* p, uint4 v) { *reinterpret_cast<uint4*>(p) = v; }

template <Fp8 F> DEVICE uint32_t cast_pair(float a, float b) {
    return __nv_cvt_float2_to_fp8x2(make_float2(a, b), __NV_SATFINITE, F == Fp8::e4m3 ? __NV_E4M3 : __NV_E5M2);
}
template <Fp8 F> DEVICE uint2 cast(const float (&v)[8], float scale) {
    uint2 out;
    out.x = cast_pair<F>(v[0] * scale, v[1] * scale) | cast_pair<F>(v[2] * scale, v[3] * scale) << 16;
    out.y = cast_pair<F>(v[4] * scale, v[5] * scale) | cast_pair<F>(v[6] * scale, v[7] * scale) << 16;
    return out;
}
/// y = x · rstd · w, what a norm gives whose rstd is known: in f32, the same bits wherever it is computed.
DEVICE void normalise(float (&x)[8], float rstd, const float (&w)[8]) {
    #pragma unroll
    for (int i = 0; i < 8; i++) x[i] = x[i] * rstd * w[i];
}

// ---- The largest magnitude, NaN where there is one

DEVICE float largest(float top, const float (&v)[8]) {
    #pragma unroll
    for (int i = 0; i < 8; i++) top = max_or_nan(top, fabsf(v[i]));
    return top;
}
DEVICE float warp_max(float x) {
    #pragma unroll
    for (int m = 16; m; m /= 2) x = max_or_nan(x, __shfl_xor_sync(~0u, x, m));
    return x;
}
/// What `*amax` is when a block begins, for its first thread.
DEVICE unsigned peek(const unsigned* amax) { return amax && threadIdx.x == 0 ? *reinterpret_cast<const volatile unsigned*>(amax) : 0; }
/// The largest magnitude of a block of THREADS joins the tensor's, once all threads have come here. Most blocks have found it high
/// enough already, which saves their atomic; what they found may be old.
/// @param warps [THREADS / 32] in shared memory
template <int THREADS> DEVICE void raise(unsigned* amax, unsigned found, float top, float* warps) {
    top = warp_max(top);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = top;
    __syncthreads();
    if (!amax || threadIdx.x >= 32) return;
    top = warp_max(threadIdx.x < THREADS / 32 ? warps[threadIdx.x] : 0.f);
    if (threadIdx.x == 0 && __float_as_uint(top) > found) atomicMax(amax, __float_as_uint(top));
}

// ---- Transposition

/// 4 rows × 4 bytes: word j of the result is column j.
DEVICE void transpose4(uint32_t& a, uint32_t& b, uint32_t& c, uint32_t& d) {
    const uint32_t ab = __byte_perm(a, b, 0x5140), cd = __byte_perm(c, d, 0x5140), AB = __byte_perm(a, b, 0x7362), CD = __byte_perm(c, d, 0x7362);
    a = __byte_perm(ab, cd, 0x5410); b = __byte_perm(ab, cd, 0x7632); c = __byte_perm(AB, CD, 0x5410); d = __byte_perm(AB, CD, 0x7632);
}

/// 16 rows × 4 bytes, a word a row, as 16 bytes of each of 4 lines `stride` apart.
DEVICE void store_transposed(uint32_t (&row)[16], uint8_t* t, size_t stride) {
    #pragma unroll
    for (int i = 0; i < 16; i += 4) transpose4(row[i], row[i + 1], row[i + 2], row[i + 3]);
    #pragma unroll
    for (int j = 0; j < 4; j++) *reinterpret_cast<uint4*>(t + j * stride) = make_uint4(row[j], row[4 + j], row[8 + j], row[12 + j]);
}

/// A tile of 128 rows × WIDTH columns, held column by column in shared memory: WIDTH lines of 128 bytes. A thread puts units of
/// 4 rows (a group of 32) × 8 columns (a chunk); units of one warp are all chunks × 2 groups, or 4 of a tile half as wide, so that
/// its accesses to global memory are whole lines or halves, and the swizzle spreads its words over all 32 banks.
template <int WIDTH> struct Columns {
    uint8_t* lines;
    static constexpr int ROWS = 128, BYTES = WIDTH * ROWS;
    /// Where 4 rows of a column lie: 16-byte pieces by the chunk's low bits, pairs of words by its fourth.
    static DEVICE int place(int group, int chunk) { return (((group / 4) ^ (chunk & 7)) * 4 + ((group & 3) ^ (chunk >> 2 & 2))) * 4; }
    DEVICE void put(int group, int chunk, const uint2 (&rows)[4]) const {
        uint32_t* to = reinterpret_cast<uint32_t*>(lines + chunk * 8 * ROWS + place(group, chunk));
        uint32_t x[4] = {rows[0].x, rows[1].x, rows[2].x, rows[3].x}, y[4] = {rows[0].y, rows[1].y, rows[2].y, rows[3].y};
        transpose4(x[0], x[1], x[2], x[3]); transpose4(y[0], y[1], y[2], y[3]);
        #pragma unroll
        for (int j = 0; j < 4; j++) { to[j * ROWS / 4] = x[j]; to[(j + 4) * ROWS / 4] = y[j]; }
    }
    /// 16 rows of a column.
    DEVICE uint4 get(int column, int piece) const {
        const int chunk = column / 8;
        const uint4 v = *reinterpret_cast<const uint4*>(lines + column * ROWS + (piece ^ (chunk & 7)) * 16);
        return chunk & 8 ? make_uint4(v.z, v.w, v.x, v.y) : v;
    }
    /// Writes the tile to the transposed copy, whose line `column0` is its first; 8 threads a line.
    template <int THREADS> DEVICE void write(uint8_t* t, size_t stride, int row0, int column0, int rows, int columns) const {
        #pragma unroll
        for (int i = 0; i < WIDTH * 8 / THREADS; i++) {
            const int at = i * THREADS + threadIdx.x, column = at / 8, piece = at % 8;
            if (column0 + column < columns && row0 + piece * 16 < rows)
                *reinterpret_cast<uint4*>(t + (column0 + column) * stride + row0 + piece * 16) = get(column, piece);
        }
    }
};

/// First row and column of a block's tile of 128 rows × WIDTH columns: bands of four rows of tiles, down first, so that neighbours in
/// time are neighbours in the row-major and in the transposed matrix.
template <int WIDTH = 128> struct TilePlace {
    int row, column;
    static constexpr int BAND = 4;
    DEVICE TilePlace(int rows, int columns, int index = blockIdx.x) {
        const int down = (rows + 127) / 128, across = (columns + WIDTH - 1) / WIDTH;
        const int band = index / (BAND * across), in = index % (BAND * across), height = min(BAND, down - band * BAND);
        row = (band * BAND + in % height) * 128; column = in / height * WIDTH;
    }
};
