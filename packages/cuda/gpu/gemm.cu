// GEMM on the GPU: right against plain f32 loops, repeated bit by bit, and timed by variant and shape.
//
//   gemm [--small | --sustain]     --small: the cases for compute-sanitizer; --sustain: three seconds each
#include "common.cuh"
#include "../kernels/products/gemm.cuh"

using E4 = __nv_fp8_e4m3; using E5 = __nv_fp8_e5m2; using H = __nv_bfloat16;

template <class TA, class TB> __global__ void reference(const TA* a, const TB* b, float* d, int M, int N, int K, int first, float scale, bool a_mn, bool b_mn) {
    const int n = blockIdx.x * blockDim.x + threadIdx.x, m = blockIdx.y + first; if (n >= N) return;
    float sum = 0;
    for (int k = 0; k < K; k++) sum += float(a[a_mn ? (size_t)k * M + m : (size_t)m * K + k]) * float(b[b_mn ? (size_t)k * N + n : (size_t)n * K + k]);
    d[(size_t)blockIdx.y * N + n] = sum * scale;
}
template <class T> CUtensorMap operand_map(const T* x, Major major, int rows, int K, int box_rows) {
    return major == K_MAJOR ? tensor_map(x, K, rows, 128 / sizeof(T), box_rows) : tensor_map(x, rows, K, 64, 64);
}

struct Shape { int M, N, K; };

/// One launch over COUNT products: checked row by row, repeated, timed.
template <class G, int COUNT> void run(const char* name, const std::array<Shape, COUNT>& shapes, bool timed, double limit = 1e-5) {
    using Element = std::conditional_t<G::OUTPUT == Output::bf16, H, float>;
    const int sets = timed ? 3 : 1;    // inputs in rotation, so that no run finds its own in L2
    std::vector<std::unique_ptr<Buffer<typename G::A>>> a; std::vector<std::unique_ptr<Buffer<typename G::B>>> b; std::vector<std::unique_ptr<Buffer<Element>>> d;
    Buffer<float> scales(2); const float scale[2] = {0.5f, 0.25f}; scales.write({scale[0], scale[1]});
    std::vector<Problems<COUNT>> problems(sets); double flops = 0;
    for (const auto& [M, N, K] : shapes) d.push_back(std::make_unique<Buffer<Element>>((size_t)M * N)), flops += 2.0 * M * N * K;
    for (int i = 0; i < sets; i++) for (int p = 0; p < COUNT; p++) {
        const auto [M, N, K] = shapes[p];
        a.push_back(std::make_unique<Buffer<typename G::A>>((size_t)M * K)); b.push_back(std::make_unique<Buffer<typename G::B>>((size_t)N * K));
        fill(*a.back(), 1 + i * COUNT + p); fill(*b.back(), 77 + i * COUNT + p);
        problems[i].at[p] = {operand_map(a.back()->data, G::A_MAJOR, M, K, G::BM / G::A_PARTS), operand_map(b.back()->data, G::B_MAJOR, N, K, G::BN / G::B_PARTS),
                             tensor_map(d[p]->data, N, M, G::BOX, 64), scales, scales + 1, M, N, K};
    }
    const int blocks = multiprocessors() / G::CLUSTER * G::CLUSTER, shared = sizeof(typename G::Shared);
    CHECK(cudaFuncSetAttribute(gemm_kernel<G, COUNT>, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
    const auto launch = [&](int i) { gemm_kernel<G, COUNT><<<blocks, G::THREADS, shared>>>(problems[i % sets]); };
    const auto once = [&] {
        for (auto& x : d) if (G::OUTPUT == Output::f32_add) CHECK(cudaMemset(x->data, 0, x->size * sizeof(Element))); else x->poison();
        launch(0); CHECK(cudaDeviceSynchronize());
        std::vector<Fingerprint> prints; for (auto& x : d) prints.push_back(fingerprint(*x));
        return prints;
    };
    const auto first_prints = once(); const bool same = once() == first_prints; bool holes = false; for (const auto& f : first_prints) holes |= f.nans > 0;
    double worst = 0;                  // the first and the last 32 rows against plain loops
    for (int p = 0; p < COUNT; p++) {
        const auto [M, N, K] = shapes[p]; const int rows = std::min(32, M);
        for (int first : {0, M - rows}) {
            Buffer<float> want((size_t)rows * N);
            reference<<<dim3((N + 127) / 128, rows), 128>>>(a[p]->data, b[p]->data, want.data, M, N, K, first, scale[0] * scale[1], G::A_MAJOR == MN_MAJOR, G::B_MAJOR == MN_MAJOR);
            CHECK(cudaGetLastError());
            worst = std::max(worst, difference(want.read(), d[p]->read((size_t)first * N, (size_t)rows * N)));
        }
    }
    const auto [M, N, K] = shapes[0];
    printf("%-64s %6d x %6d x %6d%s  difference %.1e%s%s %s", name, M, N, K, COUNT > 1 ? " …" : "", worst, same ? "" : " REPEAT DIFFERS", holes ? " HOLES" : "", verdict(worst < limit && same && !holes));
    if (timed) { const float ms = median_ms(launch); printf("  %.3f ms %5.0f TFLOP/s", ms, flops / ms / 1e9); }
    printf("\n"); fflush(stdout);
}
#define RUN(M, N, K, TIMED, ...) run<Gemm<__VA_ARGS__>, 1>(#__VA_ARGS__, {Shape{M, N, K}}, TIMED)

void small() {
    RUN(512, 512, 384, false, E4, E4, 256, 128, 3, Share::b, true, Output::bf16);
    RUN(512, 512, 384, false, E4, E4, 256, 128, 4, Share::a, true, Output::bf16);
    RUN(256, 768, 1024, false, E4, E4, 256, 128, 4, Share::none, false, Output::bf16);
    RUN(256, 512, 384, false, E4, E4, 128, 256, 4, Share::none, false, Output::bf16);
    RUN(256, 256, 640, false, E5, E4, 256, 128, 4, Share::none, true, Output::f32);
    RUN(512, 512, 1024, false, H, H, 128, 256, 4, Share::none, false, Output::bf16);
    RUN(512, 512, 1024, false, H, H, 128, 256, 4, Share::none, false, Output::bf16, K_MAJOR, MN_MAJOR);
    RUN(512, 512, 1024, false, H, H, 128, 256, 4, Share::none, false, Output::f32_add, MN_MAJOR, MN_MAJOR);
    RUN(200, 136, 208, false, H, H, 128, 256, 4, Share::b, false, Output::bf16);
    RUN(264, 336, 272, false, E4, E4, 256, 128, 3, Share::none, true, Output::bf16);
    run<Gemm<E5, E4, 256, 128, 4, Share::a, true, Output::f32>, 3>("three products", {Shape{256, 512, 640}, {320, 272, 640}, {256, 128, 640}}, false);
}
void fp8(int M, int N, int K) {
    RUN(M, N, K, true, E4, E4, 256, 128, 3, Share::none, true, Output::bf16);
    RUN(M, N, K, true, E4, E4, 256, 128, 3, Share::a, true, Output::bf16);
    RUN(M, N, K, true, E4, E4, 256, 128, 4, Share::a, true, Output::bf16);
    RUN(M, N, K, true, E4, E4, 128, 256, 4, Share::none, false, Output::bf16);
    RUN(M, N, K, true, E4, E4, 128, 256, 4, Share::b, false, Output::bf16);
}
void bf16(int M, int N, int K) {
    RUN(M, N, K, true, H, H, 128, 256, 4, Share::none, false, Output::bf16);
    RUN(M, N, K, true, H, H, 128, 256, 4, Share::b, false, Output::bf16);
}
/// The same product for seconds, as training runs it; the first tenth of a second and all of it.
template <class G> void sustain(const char* name, Shape shape, float seconds) {
    const auto [M, N, K] = shape;
    Buffer<typename G::A> a((size_t)M * K); Buffer<typename G::B> b((size_t)N * K); Buffer<H> d((size_t)M * N); fill(a, 1); fill(b, 2);
    const Problems<1> problems{{{operand_map(a.data, G::A_MAJOR, M, K, G::BM / G::A_PARTS), operand_map(b.data, G::B_MAJOR, N, K, G::BN / G::B_PARTS), tensor_map(d.data, N, M, G::BOX, 64), nullptr, nullptr, M, N, K}}};
    const int shared = sizeof(typename G::Shared), blocks = multiprocessors() / G::CLUSTER * G::CLUSTER;
    CHECK(cudaFuncSetAttribute(gemm_kernel<G, 1>, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
    const auto timed = [&](int n) {
        cudaEvent_t begin, end; CHECK(cudaEventCreate(&begin)); CHECK(cudaEventCreate(&end));
        CHECK(cudaEventRecord(begin)); for (int i = 0; i < n; i++) gemm_kernel<G, 1><<<blocks, G::THREADS, shared>>>(problems);
        CHECK(cudaEventRecord(end)); CHECK(cudaEventSynchronize(end)); float ms; CHECK(cudaEventElapsedTime(&ms, begin, end));
        return ms / n;
    };
    timed(3); const float one = timed(10), all = timed((int)(seconds * 1000 / one));
    printf("%-40s ten runs %5.0f TFLOP/s, %.0f s %5.0f TFLOP/s\n", name, 2.0 * M * N * K / one / 1e9, seconds, 2.0 * M * N * K / all / 1e9); fflush(stdout);
}
int main(int count, char** words) {
    if (count > 1 && !strcmp(words[1], "--sustain")) {
        sustain<Gemm<E4, E4, 256, 128, 4, Share::a, true, Output::bf16>>("fp8, promoted", {16384, 13824, 2560}, 3);
        sustain<Gemm<E4, E4, 128, 256, 4, Share::b, false, Output::bf16>>("fp8, not promoted", {16384, 13824, 2560}, 3);
        sustain<Gemm<H, H, 128, 256, 4, Share::b, false, Output::bf16>>("bf16", {16384, 13824, 2560}, 3);
        return 0;
    }
    small();
    if (count > 1 && !strcmp(words[1], "--small")) return failures;
    for (auto s : {Shape{16384, 2560, 2560}, {16384, 3840, 2560}, {16384, 13824, 2560}, {16384, 2560, 6912}, {8192, 8192, 8192}}) { fp8(s.M, s.N, s.K); bf16(s.M, s.N, s.K); }
    bf16(4096, 32000, 2560);
    // Gradients of inputs: e5m2 times e4m3; bf16 reads W [N, K] as it is stored, MN-major.
    for (auto s : {Shape{16384, 2560, 3840}, {16384, 2560, 2560}, {16384, 2560, 13824}, {16384, 6912, 2560}}) {
        RUN(s.M, s.N, s.K, true, E5, E4, 256, 128, 3, Share::none, true, Output::bf16);
        RUN(s.M, s.N, s.K, true, E5, E4, 256, 128, 4, Share::a, true, Output::bf16);
        RUN(s.M, s.N, s.K, true, H, H, 128, 256, 4, Share::b, false, Output::bf16, K_MAJOR, MN_MAJOR);
    }
    // Gradients of weights: one by one, and those of a group in one launch.
    const Shape query{2560, 2560, 16384}, key{640, 2560, 16384}, gate{6912, 2560, 16384}, down{2560, 6912, 16384};
    for (auto s : {query, key, gate, down}) {
        RUN(s.M, s.N, s.K, true, E5, E4, 256, 128, 4, Share::a, true, Output::f32);
        RUN(s.M, s.N, s.K, true, H, H, 128, 256, 4, Share::b, false, Output::f32, MN_MAJOR, MN_MAJOR);
    }
    for (auto group : {std::array<Shape, 3>{gate, gate, down}, {query, key, key}}) {
        run<Gemm<E5, E4, 256, 128, 3, Share::none, true, Output::f32>, 3>("fp8, 256 x 128, three stages, three gradients", group, true);
        run<Gemm<E5, E4, 256, 128, 3, Share::a, true, Output::f32>, 3>("fp8, the same, A shared", group, true);
        run<Gemm<E5, E4, 256, 128, 4, Share::a, true, Output::f32>, 3>("fp8, the same, A shared, four stages", group, true);
    }
    // The head's gradient, added chunk after chunk.
    RUN(32000, 2560, 4096, true, H, H, 128, 256, 4, Share::b, false, Output::f32_add, MN_MAJOR, MN_MAJOR);
    // What the tensor core's own sums lose, with no rounding of the result to hide it.
    for (int K : {2560, 16384, 131072}) {
        run<Gemm<E4, E4, 256, 128, 4, Share::none, true, Output::f32>, 1>("sums promoted every 128", {Shape{512, 512, K}}, false);
        run<Gemm<E4, E4, 256, 128, 4, Share::none, false, Output::f32>, 1>("sums in the tensor core alone", {Shape{512, 512, K}}, false, 1e-3);
    }
    return failures;
}
