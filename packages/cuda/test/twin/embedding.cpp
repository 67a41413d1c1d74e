// Embedding on the CPU twin against plain loops.
#include "../../kernels/embedding.cu"

#include <random>

static std::mt19937 rng(1);
static int failures = 0;
using H = __nv_bfloat16;
using embedding::Segment;

static void check(const char* name, int n, int V, int C, std::vector<int> ids, bool bad) {
    std::normal_distribution<float> draw; std::vector<H> table((size_t)V * C), dy((size_t)n * C), y((size_t)n * C, H(NAN)); std::vector<float> dw((size_t)V * C);
    for (auto& x : table) x = H(draw(rng)); for (auto& x : dy) x = H(draw(rng)); for (auto& x : dw) x = draw(rng);
    const auto old = dw; int fault = -7;
    twin::launch({(n + embedding::ROWS - 1) / embedding::ROWS}, 96, 1, 0, [&] { embedding_rows(y.data(), table.data(), ids.data(), &fault, n, C, V); });
    bool ok = (fault != -7) == bad; fault = -7;
    for (int i = 0; i < n; i++) for (int c = 0; c < C; c++) ok &= float(y[(size_t)i * C + c]) == (ids[i] >= 0 && ids[i] < V ? float(table[(size_t)ids[i] * C + c]) : 0);
    std::vector<int> order(n, -1); std::vector<Segment> light(min(n, V), {-1, -1, -1}), heavy(max(1, n / embedding::HEAVY), {-1, -1, -1}); int totals[2] = {-1, -1};
    twin::launch({1}, embedding::SORT_THREADS, 1, V * 4, [&] { embedding_sort(order.data(), light.data(), heavy.data(), totals, ids.data(), &fault, n, V); });
    ok &= (fault != -7) == bad;
    const int slices = (C + embedding::SLICE - 1) / embedding::SLICE, blocks = max(1, n / embedding::HEAVY) * slices + (min(n, V) * slices + 7) / 8;
    twin::launch({blocks}, embedding::SUM_WARPS * 32, 1, 0, [&] { embedding_add(dw.data(), dy.data(), order.data(), light.data(), heavy.data(), totals, n, C); });
    double worst = 0; std::vector<double> want(old.begin(), old.end());
    for (int i = 0; i < n; i++) if (ids[i] >= 0 && ids[i] < V) for (int c = 0; c < C; c++) want[(size_t)ids[i] * C + c] += float(dy[(size_t)i * C + c]);
    for (size_t i = 0; i < want.size(); i++) worst = isnan(dw[i]) ? INFINITY : max(worst, fabs(dw[i] - want[i]) / (1 + fabs(want[i])));
    // The order is the stable one.
    std::vector<int> stable; for (int i = 0; i < n; i++) if (ids[i] >= 0 && ids[i] < V) stable.push_back(i);
    std::stable_sort(stable.begin(), stable.end(), [&](int a, int b) { return ids[a] < ids[b]; });
    for (size_t i = 0; i < stable.size(); i++) ok &= order[i] == stable[i];
    ok &= worst < 1e-5; if (!ok) failures++;
    printf("embedding %-18s n %d V %d C %d  segments %d + %d  difference %.1e  %s\n", name, n, V, C, totals[0], totals[1], worst, ok ? "ok" : "WRONG");
}
int main() {
    const auto make = [](int n, auto f) { std::vector<int> v(n); for (int i = 0; i < n; i++) v[i] = f(i); return v; };
    check("uniform", 700, 1000, 264, make(700, [](int) { return rng() % 1000; }), false);
    check("few ids", 1500, 3000, 80, make(1500, [](int i) { return i % 3 ? rng() % 5 : rng() % 3000; }), false);
    check("one id", 333, 7, 520, make(333, [](int) { return 6; }), false);
    check("bad ids", 100, 50, 16, make(100, [](int i) { return i % 10 == 3 ? -1 : i % 10 == 4 ? 50 : rng() % 50; }), true);
    check("one token", 1, 32000, 8, make(1, [](int) { return 31999; }), false);
    return failures;
}
