// Embedding on the CPU twin against plain loops.
#include "../../kernels/fused/embedding.cu"

#include <random>

static std::mt19937 rng(1);
static int failures = 0;
using H = __nv_bfloat16;
using embedding::Segment;

template <class T> auto* add_kernel() { if constexpr (sizeof(T) == 4) return embedding_add_f32; else return embedding_add_bf16; }
template <class T> void check(const char* name, int n, int V, int C, std::vector<int> ids, bool bad, bool counters_outside = false) {
    std::normal_distribution<float> draw; std::vector<T> table((size_t)V * C), dy((size_t)n * C), y((size_t)n * C, T(NAN)); std::vector<float> dw((size_t)V * C);
    for (auto& x : table) x = T(draw(rng)); for (auto& x : dy) x = T(draw(rng)); for (auto& x : dw) x = draw(rng);
    const auto old = dw; int fault[4] = {};
    const auto reported = [&] { const bool r = fault[0] && (fault[1] < 0 || fault[1] >= V) && fault[2] == V; memset(fault, 0, sizeof fault); return r; };
    twin::launch({(n + embedding::ROWS - 1) / embedding::ROWS}, 96, 1, 0, [&] { embedding_rows((uint8_t*)y.data(), (const uint8_t*)table.data(), ids.data(), fault, n, sizeof(T) * C, V); });
    bool ok = reported() == bad;
    for (int i = 0; i < n; i++) for (int c = 0; c < C; c++) ok &= float(y[(size_t)i * C + c]) == (ids[i] >= 0 && ids[i] < V ? float(table[(size_t)ids[i] * C + c]) : 0);
    std::vector<int> order(n, -1), counters(V, -1); std::vector<Segment> light(min(n, V), {-1, -1, -1}), heavy(max(1, n / embedding::HEAVY), {-1, -1, -1}); int totals[2] = {-1, -1};
    twin::launch({1}, embedding::SORT_THREADS, 1, counters_outside ? 0 : V * 4, [&] { embedding_sort(order.data(), light.data(), heavy.data(), totals, counters_outside ? counters.data() : nullptr, ids.data(), fault, n, V); });
    ok &= reported() == bad;
    const int slice = C % 8 ? 32 : sizeof(T) == 4 ? 128 : 256, slices = (C + slice - 1) / slice, blocks = max(1, n / embedding::HEAVY) * slices + (min(n, V) * slices + 7) / 8;
    twin::launch({blocks}, embedding::SUM_WARPS * 32, 1, 0, [&] { add_kernel<T>()(dw.data(), dy.data(), order.data(), light.data(), heavy.data(), totals, n, C); });
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
    check<H>("uniform", 700, 1000, 264, make(700, [](int) { return rng() % 1000; }), false);
    check<H>("few ids", 1500, 3000, 80, make(1500, [](int i) { return i % 3 ? rng() % 5 : rng() % 3000; }), false);
    check<H>("one id", 333, 7, 520, make(333, [](int) { return 6; }), false);
    check<H>("bad ids", 100, 50, 16, make(100, [](int i) { return i % 10 == 3 ? -1 : i % 10 == 4 ? 50 : rng() % 50; }), true);
    check<H>("one token", 1, 32000, 8, make(1, [](int) { return 31999; }), false);
    check<H>("odd", 300, 40, 37, make(300, [](int i) { return i % 2 ? 3 : rng() % 40; }), false);
    check<float>("f32", 300, 90, 136, make(300, [](int i) { return i % 2 ? 3 : rng() % 90; }), false, true);
    check<float>("f32 odd", 90, 9, 5, make(90, [](int) { return rng() % 9; }), false);
    return failures;
}
