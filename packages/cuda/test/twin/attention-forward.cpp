// The unmodified attention kernels on the CPU twin against plain loops.
#include "../../kernels/attention-forward.cuh"

#include <chrono>
#include <random>

static std::mt19937 rng(1);
static int failures = 0;
using H = __nv_bfloat16;

template <class A> void check(const char* name, int T, int heads, int kv_heads, int window, std::vector<int> documents) {
    constexpr int D = 80;
    const auto start = std::chrono::steady_clock::now();
    std::normal_distribution<float> draw;
    const auto normal = [&](size_t n) { std::vector<H> v(n); for (auto& x : v) x = H(draw(rng)); return v; };
    const auto q = normal((size_t)heads * T * D), k = normal((size_t)kv_heads * T * D), v = normal((size_t)kv_heads * T * D);
    std::vector<H> out((size_t)T * heads * D, H(NAN)); std::vector<float> lse((size_t)heads * T, NAN); std::vector<int> doc(T);
    for (int i = 0, d = 0; i < T; i++) { while (d + 1 < (int)documents.size() && documents[d + 1] <= i) d++; doc[i] = documents[d]; }
    const float scale = 1 / sqrtf(D);
    const auto qm = tensor_map(q.data(), 2, D, (uint64_t)heads * T, 64, A::BM), km = tensor_map(k.data(), 2, D, (uint64_t)kv_heads * T, 64, A::BN), vm = tensor_map(v.data(), 2, D, (uint64_t)kv_heads * T, 64, A::BN);
    twin::launch({heads, (T + A::BM - 1) / A::BM, 1}, A::THREADS, 1, sizeof(typename A::Shared), [&] {
        attention_forward_kernel<A>(qm, km, vm, out.data(), lse.data(), doc.data(), T, heads, kv_heads, window, scale * 1.4426950408889634f); });
    double xy = 0, norms = 0, worst = 0;
    for (int h = 0; h < heads; h++) for (int i = 0; i < T; i++) {
        const int kv = h / (heads / kv_heads), from = max(max(0, i - window + 1), doc[i]);
        std::vector<double> p(T); double top = -1e30, sum = 0;
        for (int j = from; j <= i; j++) { double s = 0; for (int d = 0; d < D; d++) s += (double)float(q[((size_t)h * T + i) * D + d]) * float(k[((size_t)kv * T + j) * D + d]); p[j] = s * scale; top = max(top, p[j]); }
        for (int j = from; j <= i; j++) sum += p[j] = exp(p[j] - top);
        worst = max(worst, isnan(lse[h * T + i]) ? INFINITY : fabs(lse[h * T + i] - (top + log(sum))));
        for (int d = 0; d < D; d++) {
            double want = 0; for (int j = from; j <= i; j++) want += p[j] / sum * float(v[((size_t)kv * T + j) * D + d]);
            const double got = float(out[((size_t)i * heads + h) * D + d]); xy += want * got; norms += want * want + got * got;
        }
    }
    const double difference = 1 - 2 * xy / norms; const bool ok = difference < 1e-5 && worst < 1e-4;
    if (!ok) failures++;
    printf("%-15s T %d heads %d/%d window %d documents %zu  difference %.1e, lse %.1e  %s  %.1f s\n", name, T, heads, kv_heads, window, documents.size(), difference, worst,
           ok ? "ok" : "WRONG", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
}
#define CASE(T, HEADS, KV, WINDOW, DOCUMENTS, KERNEL) check<KERNEL>(#KERNEL, T, HEADS, KV, WINDOW, std::vector<int> DOCUMENTS)

int main() {
    CASE(448, 2, 1, 200, ({0, 150}), LongAttention);
    CASE(450, 2, 1, 64, ({0}), LongAttention);
    CASE(450, 4, 2, 300, ({0, 30, 290}), LongAttention);
    CASE(449, 2, 2, 449, ({0, 448}), LongAttention);
    CASE(450, 2, 1, 200, ({0, 150}), ShortAttention);
    CASE(333, 2, 1, 64, ({0, 150, 160}), ShortAttention);
    CASE(512, 1, 1, 512, ({0}), ShortAttention);
    return failures;
}
