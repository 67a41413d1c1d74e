// How wgmma adds products of fp8, on the CPU twin: what an H200 said to the same questions (docs/gpu-facts.md).
#include "../../kernels/twin/hopper.cuh"

#include <random>

using E4 = __nv_fp8_e4m3; using E5 = __nv_fp8_e5m2;
static int failures = 0;
static void say(const char* what, double got, double wanted, double tolerance = 0) {
    const bool right = got == wanted || fabs(got - wanted) <= tolerance * wanted;
    printf("%-84s %12.7g  %s\n", what, got, right ? "ok" : "WRONG"); failures += !right;
}

/// c + Σ a · b, all of the latter in one instruction.
static double add(float c, std::initializer_list<float> a, std::initializer_list<float> b) {
    float result = NAN;
    twin::launch({1, 1, 1}, 128, 1, (64 + 8) * 128, [&] {
        uint8_t* s = shared_memory();      // 64 rows of A and 8 of B, of 128 bytes; the first ones matter
        if (threadIdx.x == 0) {
            memset(s, 0, (64 + 8) * 128);
            std::transform(a.begin(), a.end(), s, [](float v) { return E4(v).__x; }); std::transform(b.begin(), b.end(), s + 64 * 128, [](float v) { return E4(v).__x; });
        }
        __syncthreads(); async_fence();
        float sum[4] = {c, c, c, c};
        wgmma_fence(); wgmma_fp8<E4, E4, 8>(sum, descriptor(s), descriptor(s + 64 * 128), 1); wgmma_commit(); wgmma_wait<0>();
        if (threadIdx.x == 0) result = sum[0];
    });
    return result;
}
/// 1 − 2⟨x, y⟩ / (⟨x, x⟩ + ⟨y, y⟩) of sums of K products of normal numbers, and the same without a loss.
template <class A> double difference(int K, bool promoted) {
    constexpr int M = 64, N = 256;
    static float x[M][32], y[32][N], part[M * N], sum[M * N]; static double exact[M * N];
    std::mt19937 rng(1); std::normal_distribution<float> normal;
    std::fill(part, part + M * N, 0.f); std::fill(sum, sum + M * N, 0.f); std::fill(exact, exact + M * N, 0.);
    for (int k = 0; k < K; k += 32) {
        for (auto& row : x) for (float& v : row) v = float(A(normal(rng)));
        for (auto& row : y) for (float& v : row) v = float(E4(normal(rng)));
        twin::add_fp8<32, A, E4>(part, x, y);
        for (int m = 0; m < M; m++) for (int j = 0; j < 32; j++) for (int n = 0; n < N; n++) exact[m * N + n] += x[m][j] * y[j][n];
        if (k + 32 == K || (promoted && k % 128 == 96)) for (int i = 0; i < M * N; i++) { sum[i] += part[i]; part[i] = 0; }
    }
    double both = 0, squares = 0;
    for (int i = 0; i < M * N; i++) { both += exact[i] * sum[i]; squares += exact[i] * exact[i] + (double)sum[i] * sum[i]; }
    return 1 - 2 * both / squares;
}

int main() {
    say("2^13 + 1", add(8192, {1}, {1}), 8193);
    say("2^14 + 1", add(16384, {1}, {1}), 16384);
    say("2^12 + 1.5", add(4096, {1.5f}, {1}), 4097.5);
    say("2^13 + 1.5", add(8192, {1.5f}, {1}), 8193);
    say("2^16 + 1.75", add(65536, {1.75f}, {1}), 65536);
    say("2^16 - 1.75", add(65536, {-1.75f}, {1}), 65536);
    say("2^8 + 2^-5 in one instruction", add(0, {256, 0x1p-5f}, {1, 1}), 256 + 0x1p-5);
    say("2^8 + 2^-6 in one instruction", add(0, {256, 0x1p-6f}, {1, 1}), 256);
    say("-2^13 - 1.75", add(-8192, {-1.75f}, {1}), -8193);
    // What the figures of whole products leave no choice about.
    say("1.75 * 1.75 - 1.75 * 1.75 + 2^-13, the exponents of factors and not that of 3.06", add(0, {1.75f, 1.75f, 0x1p-6f}, {1.75f, -1.75f, 0x1p-7f}), 0x1p-13);
    say("2^13 + 2^13 + 1, the result is cut as well", add(8192, {32, 1}, {256, 1}), 16384);
    say("infinity + 1", add(INFINITY, {1}, {1}), INFINITY);
    say("difference of e4m3 * e4m3, k = 2,560, sums of 128 promoted", difference<E4>(2560, true), 8.1e-9, 0.04);
    say("difference of e4m3 * e4m3, k = 2,560", difference<E4>(2560, false), 5.0e-7, 0.1);
    say("difference of e4m3 * e4m3, k = 16,384", difference<E4>(16384, false), 4.8e-6, 0.1);
    say("difference of e5m2 * e4m3, k = 640, sums of 128 promoted", difference<E5>(640, true), 5.4e-9, 0.04);
    return failures;
}
