// What the GPU checks of memory-bound kernels with fp8 results share: results and their comparison, lines of time.
#pragma once
#include "../kernels/common/quantise.cuh"
#include "common.cuh"

constexpr double COPY_GB_S = 4277;       // read + written, the best that a copy kernel reached on an H200

struct Counts { unsigned long long y, q, t, outside; unsigned top; };
template <Fp8 F> __device__ bool close_to(uint8_t bits, float x, float scale, float slack) {
    const float limit = F == Fp8::e4m3 ? 448 : 57344, relative = F == Fp8::e4m3 ? 1.f / 16 : 1.f / 8, least = F == Fp8::e4m3 ? 0x1p-10f : 0x1p-17f;
    float got; if constexpr (F == Fp8::e4m3) { __nv_fp8_e4m3 v; v.__x = bits; got = float(v); } else { __nv_fp8_e5m2 v; v.__x = bits; got = float(v); }
    const float s = fminf(fmaxf(x * scale, -limit), limit);
    return fabsf(got - s) <= fmaxf(least, fabsf(s) * relative) * 1.001f + fabsf(s) * slack + 1e-6f * scale;
}
/// Compares what a kernel made with `want` f32 [rows, columns]; 32 × 32 threads, a tile of 32 × 32 each.
template <Fp8 F> __global__ void count_wrong(const float* want, const Bf16* y, const uint8_t* q, const uint8_t* t, int rows, int columns, int pitch, int stride, const float* scale, float slack, Counts* counts) {
    const int c = blockIdx.x * 32 + threadIdx.x, r = blockIdx.y * 32 + threadIdx.y;
    if (c >= columns) { if (q && c < pitch && r < rows && q[(size_t)r * pitch + c] != 0xFF) atomicAdd(&counts->outside, 1); return; }
    if (r >= rows) {
        if (t && r < stride && (r < (rows + 15) / 16 * 16 ? t[(size_t)c * stride + r] & 0x7F : t[(size_t)c * stride + r] != 0xFF)) atomicAdd(&counts->outside, 1);
        return;
    }
    const size_t i = (size_t)r * columns + c, by_row = (size_t)r * pitch + c; const float x = want[i];
    if (y && !(fabsf(__bfloat162float(y[i]) - x) <= fabsf(x) * (1.f / 256 + slack) + 1e-6f)) atomicAdd(&counts->y, 1);
    if (q && !close_to<F>(q[by_row], x, *scale, slack)) atomicAdd(&counts->q, 1);
    if (t && (q ? t[(size_t)c * stride + r] != q[by_row] : !close_to<F>(t[(size_t)c * stride + r], x, *scale, slack))) atomicAdd(&counts->t, 1);
    if (__float_as_uint(fabsf(x)) > counts->top) atomicMax(&counts->top, __float_as_uint(fabsf(x)));
}

/// Results of a kernel: bf16 [rows, columns], fp8 [rows, columns] with rows `pitch` apart, fp8 transposed, the largest magnitude.
template <Fp8 F> struct Results {
    int rows, columns, pitch, stride; bool with_y, with_q, with_t, with_amax;
    Buffer<Bf16> y_; Buffer<uint8_t> q_, t_; Buffer<unsigned> amax_; Buffer<float> scale; Buffer<Counts> counts; std::string text;
    Results(int rows, int columns, float s, bool with_y, bool with_q, bool with_t, bool with_amax = true, int pitch = 0)
        : rows(rows), columns(columns), pitch(pitch ? pitch : columns), stride((rows + 15) / 16 * 16 + (rows % 128 ? 16 : 0)), with_y(with_y), with_q(with_q), with_t(with_t), with_amax(with_amax),
          y_(with_y ? (size_t)rows * columns : 1), q_(with_q ? (size_t)rows * this->pitch : 1), t_(with_t ? (size_t)columns * stride : 1), amax_(1), scale(1), counts(1) { scale.write({s}); }
    Bf16* y() { return with_y ? y_.data : nullptr; }
    uint8_t* q() { return with_q ? q_.data : nullptr; }
    uint8_t* t() { return with_t ? t_.data : nullptr; }
    unsigned* amax() { return with_amax ? amax_.data : nullptr; }
    std::string wanted() const { return std::string(with_y ? " bf16" : "") + (with_q ? " q" : "") + (with_t ? " t" : "") + (pitch > columns ? ", pitch " + std::to_string(pitch) : ""); }
    void poison() { y_.poison(); q_.poison(); t_.poison(); amax_.write({0}); }
    unsigned long long hash(const Buffer<uint8_t>& b) {
        Buffer<unsigned long long> out(2); out.write({0, 0}); const size_t n = b.size / 4;
        if (n) fingerprint_kernel<<<1024, 256>>>((const float*)b.data, n, out.data);
        return out.read()[0];
    }
    /// Runs twice from poison; whether both runs made the same bits, and those that were wanted.
    template <class L> bool check(const Buffer<float>& want, float slack, L launch) {
        unsigned long long before[4]; bool same = true;
        for (int run = 0; run < 2; run++) {
            poison(); launch(); CHECK(cudaGetLastError()); CHECK(cudaDeviceSynchronize());
            const unsigned long long now[4] = {fingerprint(y_).hash, hash(q_), hash(t_), amax_.read()[0]};
            for (int k = 0; k < 4; k++) { same = same && (!run || now[k] == before[k]); before[k] = now[k]; }
        }
        CHECK(cudaMemset(counts, 0, sizeof(Counts)));
        count_wrong<F><<<dim3((pitch + 31) / 32, (std::max(rows, stride) + 31) / 32), dim3(32, 32)>>>(want, y(), q(), t(), rows, columns, pitch, stride, scale, slack, counts);
        CHECK(cudaGetLastError()); const Counts c = counts.read()[0];
        float top, got; memcpy(&top, &c.top, 4); const unsigned bits = amax_.read()[0]; memcpy(&got, &bits, 4);
        const bool ok = same && !c.y && !c.q && !c.t && !c.outside && (with_amax ? fabs(got - top) <= top * (slack + 1e-5) : bits == 0);
        text = "";
        if (!ok) { char line[160]; snprintf(line, sizeof line, " [bf16 %llu, q %llu, t %llu, outside %llu, amax %g for %g%s]", c.y, c.q, c.t, c.outside, got, top, same ? "" : ", DIFFERS"); text = line; }
        return ok;
    }
};

/// One line: a kernel, its shape, whether it is right and, where `bytes` is not 0, its time in a row of four, which leaves most of
/// a launch out.
template <class F> void line(const char* name, const std::string& shape, bool ok, const std::string& text, double bytes, F launch) {
    printf("%-5s %-44s %-28s%s", verdict(ok), name, shape.c_str(), text.c_str());
    if (bytes) { const float ms = median_ms([&](int i) { for (int k = 0; k < 4; k++) launch(4 * i + k); }, 11) / 4; printf(" %7.4f ms, %5.0f GB/s, %5.1f %% of a copy", ms, bytes / ms / 1e6, bytes / ms / 1e4 / COPY_GB_S); }
    printf("\n"); fflush(stdout);
}
template <class K> void allow_shared(K kernel, int bytes) { CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes)); }
inline int tiles(int n) { return (n + 127) / 128; }
inline std::string shape_of(int rows, int columns) { return "[" + std::to_string(rows) + ", " + std::to_string(columns) + "]"; }
