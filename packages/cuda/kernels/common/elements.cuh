// What the kernels of any shape and element type share: neighbouring elements read and written in one access and computed with
// in f32, and the sum over a block. Offsets are 64-bit where they reach into a tensor.
#pragma once
#include <warp.cuh>

namespace elements {
/// N neighbours in memory, from a multiple of their bytes, or of 16 where they are more.
template <class T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) Pack { T element[N]; };

template <class T, int N> DEVICE void load(const T* from, float (&v)[N]) {
    const Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
    #pragma unroll
    for (int i = 0; i < N; i++) v[i] = float(pack.element[i]);
}
template <class T, int N> DEVICE void store(T* to, const float (&v)[N]) {
    Pack<T, N> pack;
    #pragma unroll
    for (int i = 0; i < N; i++) pack.element[i] = T(v[i]);
    *reinterpret_cast<Pack<T, N>*>(to) = pack;
}
/// The first `count` of them; the rest is read as zero and not written.
template <class T, int N> DEVICE void load(const T* from, float (&v)[N], size_t count) {
    if (count >= N) return load(from, v);
    #pragma unroll
    for (int i = 0; i < N; i++) v[i] = i < count ? float(from[i]) : 0.f;
}
template <class T, int N> DEVICE void store(T* to, const float (&v)[N], size_t count) {
    if (count >= N) return store(to, v);
    #pragma unroll
    for (int i = 0; i < N; i++) if (i < count) to[i] = T(v[i]);
}

/// Flat tensors: blocks of 256 threads, a thread RUN elements; ⌈n / 2048⌉ blocks.
constexpr int THREADS = 256, RUN = 8;
/// First element of this thread.
DEVICE size_t first() { return ((size_t)blockIdx.x * THREADS + threadIdx.x) * RUN; }

/// The same for every thread, in a fixed order. `warps` [N / 32] in shared memory, free for the next call.
template <int N> DEVICE float block_sum(float x, float* warps) {
    #pragma unroll
    for (int m = 16; m; m /= 2) x += __shfl_xor_sync(~0u, x, m);
    __syncthreads();
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
    __syncthreads();
    x = 0;
    #pragma unroll
    for (int i = 0; i < N / 32; i++) x += warps[i];
    return x;
}
}  // namespace elements
