// The way back through a norm whose dx a product in fp8 reads next: bit for bit the dx and dw of rms_norm_backward, and the e5m2
// copies that quantise_e5m2 makes of that dx, without reading it again.
// Must move, a channel of a row: 6 bytes, 2 with a residual, and 1 for each copy.
// nvcc: -use_fast_math
#include "../common/norm.cuh"

namespace rms_norm {
/// Copies of a block's rows: row by row as they come, transposed from a slab of 32 rows in shared memory when it is full. Slabs side
/// by side are those of blocks side by side, whose pieces of 32 bytes meet in L2 as whole lines.
template <int THREADS> struct Slab {
    static constexpr int ROWS = 32;
    uint8_t *q, *t; float factor; int rows, C, pitch, stride;
    int width; float top;
    DEVICE Slab(uint8_t* q, uint8_t* t, const float* scale, int rows, int C, int pitch, int stride)
        : q(q), t(t), factor(scale ? *scale : 1.f), rows(rows), C(C), pitch(pitch), stride(stride), width(t ? (C + 127) / 128 * 128 : 0), top(0) {}
    DEVICE float* end() const { return reinterpret_cast<float*>(shared_memory() + ROWS * width); }
    /// The second 16 rows are swizzled into the banks that the first leave free where both are read.
    template <class T> DEVICE T& at(int row, int channel) const { return *reinterpret_cast<T*>(shared_memory() + row * width + (channel ^ row / 16 * 64)); }
    DEVICE void take(int row, int channel, const float (&v)[8]) {
        const uint2 eight = cast<Fp8::e5m2>(v, factor);
        top = largest(top, v);
        if (q) *reinterpret_cast<uint2*>(q + (size_t)row * pitch + channel) = eight;
        if (t) at<uint2>(row % ROWS, channel) = eight;
    }
    /// 16 rows × 4 channels a thread. No barrier after it: the slab is written to again after the sum of the next row.
    DEVICE void end_run(int first) const {
        if (!t) return;
        __syncthreads();
        for (int unit = threadIdx.x; unit < C / 2; unit += THREADS) {
            const int in = unit % 2 * 16, row = first + in, channel = unit / 2 * 4;
            if (row >= rows) continue;
            uint32_t word[16];
            #pragma unroll
            for (int i = 0; i < 16; i++) word[i] = row + i < rows ? at<uint32_t>(in + i, channel) : 0;
            store_transposed(word, t + (size_t)channel * stride + row, stride);
        }
    }
};

template <int WARPS, int CHUNKS> DEVICE void backward_fp8(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, uint8_t* q, uint8_t* t,
                                                         unsigned* amax, const float* scale, int rows, int C, int pitch, int stride) {
    const unsigned found = peek(amax);
    Slab<32 * WARPS> slab(q, t, scale, rows, C, pitch, stride);
    float(*meet)[WARPS] = reinterpret_cast<float(*)[WARPS]>(slab.end());
    backward<WARPS, CHUNKS>(d_y, x, w, rstd, d_residual, d_x, partial, rows, C, slab.ROWS, meet, slab);
    raise<32 * WARPS>(amax, found, slab.top, meet[2]);
}
/// For the sums of two rows and the largest magnitudes, of up to 16 warps, behind the slab.
[[maybe_unused]] constexpr int SUMS_BYTES = 256;
}  // namespace rms_norm

/// Blocks of 320 threads, any number (parts): each sums dw over every parts-th slab, a run of 32 rows, so that the same number gives the
/// same bits on every GPU. C at most 2560, a multiple of 8. 256 bytes of shared memory, and 32 · ⌈C / 128⌉ · 128 with t: two blocks of
/// C = 2560 share a multiprocessor of Ampere's or Hopper's, and one fits Ada's.
/// @param d_y [rows, C]  @param x [rows, C], the norm's input  @param w [C]  @param rstd [rows]  @param d_residual [rows, C]
/// or null  @param d_x [rows, C], may be d_y or d_residual  @param partial [parts, C]  @param q e5m2 [rows, C] or null, its rows
/// `pitch` bytes apart, a multiple of 8 that is C or more  @param t e5m2 [C, stride] or null  @param amax raised to the largest |dx|,
/// or null  @param scale [1], or null for 1
extern "C" __global__ void __launch_bounds__(320, 2) rms_norm_backward_fp8(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, uint8_t* q, uint8_t* t,
                                                                            unsigned* amax, const float* scale, int rows, int C, int pitch, int stride) {
    rms_norm::backward_fp8<10, 1>(d_y, x, w, rstd, d_residual, d_x, partial, q, t, amax, scale, rows, C, pitch, stride);
}
/// The same for C up to 8192, with t where the slab fits: blocks of 512 threads.
extern "C" __global__ void __launch_bounds__(512, 1) rms_norm_backward_fp8_wide(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, uint8_t* q, uint8_t* t,
                                                                                 unsigned* amax, const float* scale, int rows, int C, int pitch, int stride) {
    rms_norm::backward_fp8<16, 2>(d_y, x, w, rstd, d_residual, d_x, partial, q, t, amax, scale, rows, C, pitch, stride);
}
