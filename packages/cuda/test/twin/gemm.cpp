// The unmodified GEMM kernels on the CPU twin against plain loops.
#include "../../kernels/gemm.cuh"

#include <chrono>
#include <random>

static std::mt19937 rng(1);
static int failures = 0;

template <class T> std::vector<T> normal(size_t n) {
    std::normal_distribution<float> draw; std::vector<T> v(n); for (auto& x : v) x = T(draw(rng)); return v;
}
/// Element (row, k) of an operand of `rows` × K, stored as its major says.
template <class T> float at(const std::vector<T>& x, Major major, int rows, int K, int row, int k) {
    return float(major == K_MAJOR ? x[(size_t)row * K + k] : x[(size_t)k * rows + row]);
}
template <class T> CUtensorMap operand_map(const std::vector<T>& x, Major major, int rows, int K, int box_rows) {
    return major == K_MAJOR ? tensor_map(x.data(), sizeof(T), K, rows, 128 / sizeof(T), box_rows) : tensor_map(x.data(), sizeof(T), rows, K, 64, 64);
}

template <class G> void check(const char* name, int M, int N, int K) {
    using Element = std::conditional_t<G::OUTPUT == Output::bf16, __nv_bfloat16, float>;
    const auto start = std::chrono::steady_clock::now();
    const auto a = normal<typename G::A>((size_t)M * K); const auto b = normal<typename G::B>((size_t)N * K);
    std::vector<Element> d((size_t)M * N, Element(G::OUTPUT == Output::bf16 ? NAN : 1.f));
    const float scale_a = 0.5f, scale_b = 0.25f;
    const auto am = operand_map(a, G::A_MAJOR, M, K, G::BM / G::A_PARTS), bm = operand_map(b, G::B_MAJOR, N, K, G::BN / G::B_PARTS);
    const auto dm = tensor_map(d.data(), sizeof(Element), N, M, G::BOX, 64);
    const Problems<1> problems{{{am, bm, dm, &scale_a, &scale_b, M, N, K}}};
    twin::launch({2 * G::CLUSTER, 1, 1}, G::THREADS, G::CLUSTER, sizeof(typename G::Shared), [&] { gemm_kernel<G, 1>(problems); });
    double xy = 0, norms = 0;
    for (int m = 0; m < M; m++) for (int n = 0; n < N; n++) {
        double sum = 0; for (int k = 0; k < K; k++) sum += (double)at(a, G::A_MAJOR, M, K, m, k) * at(b, G::B_MAJOR, N, K, n, k);
        const double want = sum * scale_a * scale_b, got = (double)float(d[(size_t)m * N + n]) - (G::OUTPUT == Output::bf16 ? 0 : 1);
        xy += want * got; norms += want * want + got * got;
    }
    const double difference = 1 - 2 * xy / norms; const bool ok = difference < 1e-5;
    if (!ok) failures++;
    printf("%-46s %4d x %4d x %4d  difference %8.1e  %s  %.1f s\n", name, M, N, K, difference, ok ? "ok" : "WRONG",
           std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}
#define CASE(M, N, K, ...) check<Gemm<__VA_ARGS__>>(#__VA_ARGS__, M, N, K)

int main() {
    using E4 = __nv_fp8_e4m3; using E5 = __nv_fp8_e5m2; using H = __nv_bfloat16;
    CASE(512, 512, 384, E4, E4, 256, 128, 3, Share::b, true, Output::bf16);
    CASE(512, 512, 384, E4, E4, 256, 128, 4, Share::a, true, Output::bf16);
    CASE(256, 768, 384, E4, E4, 256, 128, 4, Share::a, false, Output::bf16);
    CASE(256, 512, 384, E4, E4, 128, 256, 4, Share::b, false, Output::bf16);
    CASE(256, 256, 640, E5, E4, 256, 128, 4, Share::none, true, Output::f32_add);
    CASE(256, 256, 320, H, H, 128, 256, 4, Share::b, false, Output::bf16);
    CASE(256, 256, 320, H, H, 128, 256, 4, Share::b, false, Output::bf16, K_MAJOR, MN_MAJOR);
    CASE(256, 256, 320, H, H, 256, 128, 4, Share::a, false, Output::f32_add, MN_MAJOR, MN_MAJOR);
    CASE(200, 136, 208, H, H, 128, 256, 4, Share::b, false, Output::bf16);
    CASE(264, 328, 272, E4, E4, 256, 128, 3, Share::a, true, Output::bf16);
    return failures;
}
