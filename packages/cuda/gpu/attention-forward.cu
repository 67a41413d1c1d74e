// Attention forward on the GPU: right against plain f32 loops, repeated bit by bit, and timed by variant.
//
//   attention-forward [--small]     --small: the cases for compute-sanitizer
#include "common.cuh"
#include "../kernels/attention/attention-forward.cu"

using H = __nv_bfloat16;

/// One block a row and head, D threads.
__global__ void reference(const H* q, const H* k, const H* v, float* out, float* lse, const int* doc, int T, int heads, int kv_heads, int window, float scale, int first) {
    const int i = first + blockIdx.x, h = blockIdx.y, kv = h / (heads / kv_heads), d = threadIdx.x, D = blockDim.x;
    float top = -INFINITY, sum = 0, mean = 0;
    for (int j = max(max(0, i - window + 1), doc[i]); j <= i; j++) {
        float s = 0; for (int e = 0; e < D; e++) s += float(q[((size_t)i * heads + h) * D + e]) * float(k[((size_t)j * kv_heads + kv) * D + e]);
        s *= scale; const float high = fmaxf(top, s), w = expf(top - high), p = expf(s - high);
        top = high; sum = sum * w + p; mean = mean * w + p * float(v[((size_t)j * kv_heads + kv) * D + d]);
    }
    out[((size_t)blockIdx.x * heads + h) * D + d] = mean / sum;
    if (d == 0) lse[(size_t)blockIdx.x * heads + h] = top + logf(sum);
}

template <class A> void run(const char* name, decltype(&attention_forward_80) kernel, int T, int heads, int kv_heads, int window, int document, bool timed) {
    constexpr int D = A::D;
    Buffer<H> q((size_t)heads * T * D), k((size_t)kv_heads * T * D), v((size_t)kv_heads * T * D), out((size_t)T * heads * D); Buffer<float> lse((size_t)heads * T); Buffer<int> doc(T);
    fill(q, 5); fill(k, 6); fill(v, 7); out.poison(); lse.poison();
    std::vector<int> starts(T); for (int i = 0; i < T; i++) starts[i] = document ? i / document * document : 0; doc.write(starts);
    const auto q_map = heads_map(q, D, heads, T), k_map = heads_map(k, D, kv_heads, T), v_map = heads_map(v, D, kv_heads, T), out_map = heads_map(out, D, heads, T);
    const float scale = 1 / sqrtf(D); const int shared = sizeof(typename A::Shared);
    const AttentionShape shape{doc, T, T, heads, kv_heads, window, scale};
    CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared));
    const auto launch = [&](int) { kernel<<<dim3(heads, (T + A::QUERIES - 1) / A::QUERIES), A::THREADS, shared>>>(q_map, k_map, v_map, out_map, lse, shape); };
    launch(0); CHECK(cudaDeviceSynchronize());
    const auto once = fingerprint(out), once_lse = fingerprint(lse);
    out.poison(); launch(0); CHECK(cudaDeviceSynchronize());
    const bool same = fingerprint(out) == once && fingerprint(lse) == once_lse, holes = once.nans + once_lse.nans > 0;
    const auto all_lse = lse.read();
    double worst = 0, worst_lse = 0; const int rows = std::min(64, T);
    for (int first : {0, T / 2 - rows / 2, T - rows}) {
        Buffer<float> want((size_t)rows * heads * D), want_lse((size_t)rows * heads);
        reference<<<dim3(rows, heads), D>>>(q, k, v, want, want_lse, doc, T, heads, kv_heads, window, scale, first); CHECK(cudaGetLastError());
        worst = std::max(worst, difference(want.read(), out.read((size_t)first * heads * D, (size_t)rows * heads * D)));
        const auto l = want_lse.read();
        for (int r = 0; r < rows; r++) for (int h = 0; h < heads; h++) { const double e = fabs(l[r * heads + h] - all_lse[(size_t)h * T + first + r]); worst_lse = std::max(worst_lse, std::isnan(e) ? INFINITY : e); }
    }
    const bool ok = worst < 1e-5 && worst_lse < 1e-3 && same && !holes;
    printf("attention %-9s T %5d heads %d/%d window %5d document %4d  difference %.1e lse %.0e%s%s %s", name, T, heads, kv_heads, window, document, worst, worst_lse, same ? "" : " REPEAT DIFFERS", holes ? " HOLES" : "", verdict(ok));
    if (timed) {
        double pairs = 0; for (int i = 0; i < T; i++) pairs += i - std::max(std::max(0, i - window + 1), starts[i]) + 1;
        const float ms = median_ms(launch); printf("  %.3f ms %4.0f TFLOP/s", ms, 4.0 * pairs * heads * D / ms / 1e9);
    }
    printf("\n"); fflush(stdout);
}
#define LONG(D, ...) run<attention_forward::Long##D>("long " #D, attention_forward_##D, __VA_ARGS__)
#define SHORT(D, ...) run<attention_forward::Short##D>("short " #D, attention_forward_short_##D, __VA_ARGS__)
void all(int T, int heads, int kv_heads, int window, int document, bool timed) {
    LONG(80, T, heads, kv_heads, window, document, timed); SHORT(80, T, heads, kv_heads, window, document, timed);
    LONG(64, T, heads, kv_heads, window, document, timed); SHORT(64, T, heads, kv_heads, window, document, timed);
    LONG(96, T, heads, kv_heads, window, document, timed); LONG(120, T, heads, kv_heads, window, document, timed); LONG(128, T, heads, kv_heads, window, document, timed);
}
int main(int count, char** words) {
    all(450, 2, 1, 200, 150, false); all(333, 4, 2, 64, 41, false);
    if (count > 1 && !strcmp(words[1], "--small")) return failures;
    all(2048, 32, 8, 4096, 0, true); all(16384, 32, 8, 4096, 2048, true); all(16384, 32, 8, 4096, 1500, true); all(16384, 32, 8, 4096, 0, true); all(16384, 32, 8, 16384, 0, true);
    return failures;
}
