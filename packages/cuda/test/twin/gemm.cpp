// The unmodified products for Hopper on the CPU twin against plain loops, element by element: what rounding of the sums and of
// the result explains, and no more. Sums of fp8 are those that tensor cores make, without a difference.
#include "../../kernels/products/gemm.cu"

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

/// One product with all that a kernel reads and writes.
template <class G> struct Case {
    using A = typename G::A; using B = typename G::B; using D = std::conditional_t<G::WIDE, float, __nv_bfloat16>;
    static constexpr int GUARD = 64;
    int M, N, K; std::vector<A> a; std::vector<B> b; std::vector<D> before, residual, d; const float scales[2] = {0.5f, 0.25f};
    Case(int M, int N, int K) : M(M), N(N), K(K), a(normal<A>((size_t)M * K)), b(normal<B>((size_t)N * K)), residual(normal<D>((size_t)M * N)) {
        before = G::OUTPUT == Output::f32_add ? residual : std::vector<D>(residual.size(), D(NAN));
        before.insert(before.end(), GUARD, D(NAN)); d = before;
    }
    CUtensorMap map(const std::vector<D>& x) const { return tensor_map(x.data(), sizeof(D), N, M, G::BOX, 64); }
    Problem problem() const {
        return {operand_map(a, G::A_MAJOR, M, K, G::BM / G::A_PARTS), operand_map(b, G::B_MAJOR, N, K, G::BN / G::B_PARTS), map(d), scales, scales + 1, M, N, K};
    }
    /// What a kernel may make of Σ a · b: exactly, and by how much it may be off.
    struct Sum { double value, slack; };
    std::vector<Sum> sums() const {
        std::vector<Sum> sums((size_t)M * N);
        if constexpr (sizeof(A) == 1) {     // 8 × 64 at a time
            for (int m = 0; m < M; m += 8) for (int n = 0; n < N; n += 64) {
                float sum[8 * 64] = {}, part[8 * 64] = {}, x[8][32], y[32][64];
                for (int k = 0; k < K; k += 32) {
                    if (G::PROMOTE && k % 128 == 0) for (int i = 0; i < 8 * 64; i++) { sum[i] += part[i]; part[i] = 0; }
                    for (int r = 0; r < 8; r++) for (int j = 0; j < 32; j++) x[r][j] = m + r < M && k + j < K ? at(a, K_MAJOR, M, K, m + r, k + j) : 0;
                    for (int c = 0; c < 64; c++) for (int j = 0; j < 32; j++) y[j][c] = n + c < N && k + j < K ? at(b, K_MAJOR, N, K, n + c, k + j) : 0;
                    twin::add_fp8<32, A, B>(part, x, y);
                }
                for (int r = 0; r < min(8, M - m); r++) for (int c = 0; c < min(64, N - n); c++) sums[(size_t)(m + r) * N + n + c] = {sum[r * 64 + c] + part[r * 64 + c], 0};
            }
        } else for (int m = 0; m < M; m++) for (int n = 0; n < N; n++) {
            double sum = 0, size = 0;
            for (int k = 0; k < K; k++) { const double x = (double)at(a, G::A_MAJOR, M, K, m, k) * at(b, G::B_MAJOR, N, K, n, k); sum += x; size += fabs(x); }
            sums[(size_t)m * N + n] = {sum, (K + 3) * 0x1p-24 * size};
        }
        return sums;
    }
    /// Elements that are wrong, and how near the others come to their bound.
    long wrong(double& worst) const {
        long count = memcmp(&d[(size_t)M * N], &before[(size_t)M * N], GUARD * sizeof(D)) ? 1 : 0;
        const std::vector<Sum> all = sums();
        for (size_t i = 0; i < all.size(); i++) {
            const double f = scales[0] * scales[1], added = G::RESIDUAL || G::OUTPUT == Output::f32_add ? (double)float(residual[i]) : 0, want = all[i].value * f + added;
            const double bound = fabs(want) * (G::WIDE ? 0x1p-23 : 0x1p-8) + all[i].slack * f + 0x1p-23 * fabs(added), error = fabs((double)float(d[i]) - want);
            if (!(error <= bound)) count++; else worst = std::max(worst, error / bound);
        }
        return count;
    }
};
/// Runs a kernel over COUNT products, two pairs of blocks for all of their tiles; twice, for the same bits.
template <class G, int COUNT, class F> void check(const char* name, F kernel, const int (&shapes)[COUNT][3]) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<Case<G>> cases; cases.reserve(COUNT); Problems<COUNT> problems;
    for (int i = 0; i < COUNT; i++) { cases.emplace_back(shapes[i][0], shapes[i][1], shapes[i][2]); problems.at[i] = cases[i].problem(); }
    const CUtensorMap residual = cases[0].map(cases[0].residual);
    const auto run = [&] { twin::launch({2 * G::CLUSTER, 1, 1}, G::THREADS, G::CLUSTER, sizeof(typename G::Shared), [&] { if constexpr (G::RESIDUAL) kernel(problems, residual); else kernel(problems); }); };
    run();
    std::vector<std::vector<typename Case<G>::D>> first; for (auto& c : cases) { first.push_back(c.d); std::copy(c.before.begin(), c.before.end(), c.d.begin()); }
    run();
    long wrong = 0; double worst = 0; bool repeats = true;
    for (int i = 0; i < COUNT; i++) { wrong += cases[i].wrong(worst); repeats &= memcmp(first[i].data(), cases[i].d.data(), first[i].size() * sizeof first[i][0]) == 0; }
    if (wrong || !repeats) failures++;
    printf("%-46s %4d x %4d x %4d  worst %.2f of its bound, %ld elements wrong%s  %s  %.1f s\n", name, shapes[0][0], shapes[0][1], shapes[0][2], worst, wrong, repeats ? "" : ", repeat differs",
           wrong || !repeats ? "WRONG" : "ok", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    fflush(stdout);
}
#define ENTRY(M, N, K, KERNEL, ...) check<__VA_ARGS__, 1>(#KERNEL, KERNEL, {{M, N, K}})
#define VARIANT(M, N, K, ...) check<Gemm<__VA_ARGS__>, 1>(#__VA_ARGS__, gemm_kernel<Gemm<__VA_ARGS__>, 1>, {{M, N, K}})

int main() {
    using namespace products; using E4 = E4m3; using E5 = E5m2; using H = Bf16;
    ENTRY(328, 520, 400, gemm_fp8_forward, Forward<E4, Output::bf16>);
    ENTRY(328, 520, 400, gemm_fp8_forward_residual, Forward<E4, Output::bf16_residual>);
    ENTRY(264, 328, 272, gemm_fp8_input_gradient, Fp8Gradient<Output::bf16>);
    ENTRY(264, 324, 656, gemm_fp8_weight_gradient, Fp8Gradient<Output::f32>);
    check<Fp8Gradient<Output::f32>, 3>("gemm_fp8_weight_gradients", gemm_fp8_weight_gradients, {{264, 300, 144}, {256, 256, 128}, {8, 4, 16}});
    check<Fp8Gradient<Output::f32>, 3>("gemm_fp8_weight_gradients", gemm_fp8_weight_gradients, {{72, 300, 656}, {0, 64, 656}, {264, 128, 0}});
    ENTRY(200, 136, 208, gemm_bf16_forward, Forward<H, Output::bf16>);
    ENTRY(264, 776, 72, gemm_bf16_forward_residual, Forward<H, Output::bf16_residual>);
    ENTRY(264, 268, 72, gemm_bf16_forward_f32, Forward<H, Output::f32>);
    ENTRY(136, 264, 328, gemm_bf16_input_gradient, Bf16InputGradient<Output::bf16>);
    ENTRY(264, 520, 72, gemm_bf16_input_gradient_residual, Bf16InputGradient<Output::bf16_residual>);
    ENTRY(264, 136, 97, gemm_bf16_weight_gradient, Bf16WeightGradient<Output::f32>);
    ENTRY(264, 264, 97, gemm_bf16_weight_gradient_add, Bf16WeightGradient<Output::f32_add>);
    VARIANT(512, 512, 384, E4, E4, 256, 128, 3, Share::b, true, Output::bf16);
    VARIANT(264, 328, 272, E4, E4, 256, 128, 3, Share::a, false, Output::bf16);
    VARIANT(256, 256, 384, E5, E4, 256, 128, 4, Share::none, true, Output::f32);
    VARIANT(256, 256, 200, H, H, 256, 128, 4, Share::a, false, Output::f32_add, MN_MAJOR, MN_MAJOR);
    return failures;
}
