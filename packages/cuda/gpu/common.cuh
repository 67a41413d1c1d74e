// What the checks on a real GPU share: errors, fresh normal data, tensor maps, times, differences.
#pragma once
#include <cuda.h>
#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#define CHECK(x) do { cudaError_t check_error = (x); if (check_error != cudaSuccess) { printf("%s:%d: %s\n", __FILE__, __LINE__, cudaGetErrorString(check_error)); exit(1); } } while (0)

/// A buffer on the device, freed with its scope.
template <class T> struct Buffer {
    T* data = nullptr; size_t size;
    explicit Buffer(size_t n) : size(n) { CHECK(cudaMalloc(&data, n * sizeof(T))); }
    Buffer(const Buffer&) = delete;
    ~Buffer() { cudaFree(data); }
    operator T*() const { return data; }
    /// Fills it with NaN bit patterns, so that what no kernel writes shows.
    void poison() { CHECK(cudaMemset(data, 0xFF, size * sizeof(T))); }
    std::vector<T> read(size_t first, size_t count) const {
        std::vector<T> out(count); CHECK(cudaMemcpy(out.data(), data + first, count * sizeof(T), cudaMemcpyDeviceToHost)); return out;
    }
    std::vector<T> read() const { return read(0, size); }
    void write(const std::vector<T>& v) { CHECK(cudaMemcpy(data, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice)); }
};

// Normal numbers from a counter (Box-Muller over splitmix64): fresh for every seed.
__device__ inline float normal_at(unsigned long long i) {
    auto mix = [](unsigned long long z) { z += 0x9E3779B97F4A7C15ull; z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull; z = (z ^ (z >> 27)) * 0x94D049BB133111EBull; return z ^ (z >> 31); };
    const float u = ((mix(2 * i) >> 40) + 1) * (1.f / 16777217.f), v = (mix(2 * i + 1) >> 40) * (1.f / 16777216.f);
    return sqrtf(-2.f * logf(u)) * cospif(2.f * v);
}
template <class T> __global__ void fill_normal(T* p, size_t n, unsigned long long seed, float scale) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) p[i] = T(normal_at((seed << 36) + i) * scale);
}
template <class T> void fill(Buffer<T>& b, unsigned long long seed, float scale = 1) { fill_normal<<<2048, 256>>>(b.data, b.size, seed, scale); CHECK(cudaGetLastError()); }

inline decltype(&cuTensorMapEncodeTiled) tensor_map_encoder() {
    static decltype(&cuTensorMapEncodeTiled) encode = [] {
        void* f; cudaDriverEntryPointQueryResult found;
        CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &found));
        return (decltype(&cuTensorMapEncodeTiled))f;
    }();
    return encode;
}
template <class T> constexpr CUtensorMapDataType tensor_map_type() {
    return sizeof(T) == 1 ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : sizeof(T) == 2 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
}
/// A tensor map of a row-major matrix with boxes of `box_columns` × `box_rows`, swizzled by 128 bytes.
template <class T> CUtensorMap tensor_map(const T* base, uint64_t columns, uint64_t rows, uint32_t box_columns, uint32_t box_rows, uint64_t stride = 0) {
    CUtensorMap map; const cuuint64_t size[2] = {columns, rows}, strides[1] = {(stride ? stride : columns) * sizeof(T)};
    const cuuint32_t box[2] = {box_columns, box_rows}, step[2] = {1, 1};
    const CUresult status = tensor_map_encoder()(&map, tensor_map_type<T>(), 2, (void*)base, size, strides, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
        CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (status != CUDA_SUCCESS) { printf("tensor map: driver error %d\n", (int)status); exit(1); }
    return map;
}

/// A tensor map {D, heads, tokens} as attention takes it; strides in elements from head to head and from token to token.
inline CUtensorMap heads_map(const __nv_bfloat16* base, uint64_t D, uint64_t heads, uint64_t tokens, uint64_t head_stride, uint64_t token_stride) {
    CUtensorMap map; const cuuint64_t size[3] = {D, heads, tokens}, strides[2] = {head_stride * 2, token_stride * 2};
    const cuuint32_t box[3] = {64, 1, 64}, step[3] = {1, 1, 1};
    const CUresult status = tensor_map_encoder()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, (void*)base, size, strides, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
        CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (status != CUDA_SUCCESS) { printf("tensor map: driver error %d\n", (int)status); exit(1); }
    return map;
}
/// The same of `[tokens, heads, D]`.
inline CUtensorMap heads_map(const __nv_bfloat16* base, uint64_t D, uint64_t heads, uint64_t tokens) { return heads_map(base, D, heads, tokens, D, heads * D); }

/// Median time of f(i) in milliseconds, by events around each run. i counts up, so that f can rotate its buffers.
template <class F> float median_ms(F f, int runs = 15) {
    std::vector<float> times; cudaEvent_t begin, end; CHECK(cudaEventCreate(&begin)); CHECK(cudaEventCreate(&end));
    for (int i = 0; i < 3; i++) f(i);
    for (int i = 0; i < runs; i++) {
        CHECK(cudaEventRecord(begin)); f(i); CHECK(cudaEventRecord(end)); CHECK(cudaEventSynchronize(end));
        float ms; CHECK(cudaEventElapsedTime(&ms, begin, end)); times.push_back(ms);
    }
    CHECK(cudaGetLastError()); CHECK(cudaEventDestroy(begin)); CHECK(cudaEventDestroy(end));
    std::sort(times.begin(), times.end()); return times[times.size() / 2];
}

__device__ inline bool is_nan(float x) { return isnan(x); }
__device__ inline bool is_nan(__nv_bfloat16 x) { return __hisnan(x); }
template <class T> __global__ void fingerprint_kernel(const T* p, size_t n, unsigned long long* out) {
    unsigned long long hash = 0, nans = 0;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        unsigned bits = 0; memcpy(&bits, p + i, sizeof(T));
        unsigned long long z = (i << 32 | bits) * 0x9E3779B97F4A7C15ull; hash += (z ^ (z >> 29)) * 0xBF58476D1CE4E5B9ull; nans += is_nan(p[i]);
    }
    atomicAdd(out, hash); atomicAdd(out + 1, nans);
}
/// Says of a buffer on the device whether all its bits are the same as before, and how many NaNs it holds.
struct Fingerprint { unsigned long long hash, nans; bool operator==(const Fingerprint& o) const { return hash == o.hash && nans == o.nans; } };
template <class T> Fingerprint fingerprint(const Buffer<T>& b) {
    Buffer<unsigned long long> out(2); out.write({0, 0}); fingerprint_kernel<<<1024, 256>>>(b.data, b.size, out.data); CHECK(cudaGetLastError());
    const auto v = out.read(); return {v[0], v[1]};
}

inline float number(float x) { return x; }
inline float number(__nv_bfloat16 x) { return __bfloat162float(x); }
/// 1 − 2⟨x, y⟩ / (⟨x, x⟩ + ⟨y, y⟩): 0 for equal vectors, about half the squared relative error for close ones; NaN shows.
template <class X, class Y> double difference(const std::vector<X>& x, const std::vector<Y>& y) {
    double xy = 0, n = 0;
    for (size_t i = 0; i < x.size(); i++) { const double a = number(x[i]), b = number(y[i]); xy += a * b; n += a * a + b * b; }
    return 1 - 2 * xy / n;
}
inline int multiprocessors() { cudaDeviceProp p; CHECK(cudaGetDeviceProperties(&p, 0)); return p.multiProcessorCount; }
/// Failed checks so far; a program exits with it.
inline int failures = 0;
inline const char* verdict(bool ok) { if (!ok) failures++; return ok ? "ok" : "WRONG"; }
