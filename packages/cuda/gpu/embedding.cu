// Embedding on the GPU: right against plain loops, repeated bit by bit, and timed.
//
//   embedding [--small]     --small: the cases for compute-sanitizer
#include "common.cuh"
#include "../kernels/fused/embedding.cu"

using H = __nv_bfloat16;
constexpr double PEAK = 4277;     // GB/s of a plain copy
static void timed(const char* name, double bytes, float ms) { printf("    %-40s %8.4f ms %6.0f GB/s %5.1f %%\n", name, ms, bytes / ms / 1e6, bytes / ms / 1e4 / PEAK); fflush(stdout); }

template <int ROWS> __global__ void gather(H* y, const H* table, const int* ids, int* fault, int n, int C, int V) { embedding::gather<ROWS>((uint4*)y, (const uint4*)table, ids, fault, n, C / 8, V); }

/// Ids like those of text: the r-th most frequent with a probability near 1 / r.
static std::vector<int> text(int n, int V, unsigned seed) {
    std::vector<int> ids(n); unsigned long long z = seed;
    for (auto& id : ids) { z = z * 6364136223846793005ull + 1442695040888963407ull; id = std::min(V - 1, (int)(pow(V, (z >> 33) / 2147483648.0) - 1)); }
    return ids;
}
void run(const char* name, int n, int V, int C, std::vector<int> list, bool time) {
    using embedding::Segment;
    Buffer<H> table((size_t)V * C), dy((size_t)n * C), y((size_t)n * C); Buffer<float> dw((size_t)V * C); Buffer<int> ids(n), order(n), totals(2), fault(4);
    Buffer<Segment> light(std::min(n, V)), heavy(std::max(1, n / embedding::HEAVY)); const int slices = (C + embedding::SLICE<8> - 1) / embedding::SLICE<8>;
    fill(table, 1); fill(dy, 2); fill(dw, 3); ids.write(list); y.poison(); order.poison(); light.poison(); heavy.poison(); totals.poison(); fault.write({0, 0, 0, 0});
    CHECK(cudaFuncSetAttribute(embedding_sort, cudaFuncAttributeMaxDynamicSharedMemorySize, V * 4));
    const int threads = std::min(1024, (C / 8 + 31) / 32 * 32), blocks = std::max(1, n / embedding::HEAVY) * slices + (std::min(n, V) * slices + 7) / 8;
    const auto rows = [&](int) { embedding_rows<<<(n + embedding::ROWS - 1) / embedding::ROWS, threads>>>((uint8_t*)y.data, (const uint8_t*)table.data, ids, fault, n, 2 * C, V); };
    const auto sort = [&](int) { embedding_sort<<<1, embedding::SORT_THREADS, V * 4>>>(order, light, heavy, totals, nullptr, ids, fault, n, V); };
    const auto add = [&](int) { embedding_add_bf16<<<blocks, embedding::SUM_WARPS * 32>>>(dw, dy, order, light, heavy, totals, n, C); };
    rows(0); sort(0); add(0); CHECK(cudaDeviceSynchronize());
    // Everything on the host, column by column of a sample.
    const auto got_y = y.read(), host_table = table.read(), host_dy = dy.read(); const auto got = dw.read(); Buffer<float> start((size_t)V * C); fill(start, 3); const auto old = start.read();
    bool ok = fault.read()[0] == 0 || strstr(name, "bad"); double worst = 0;
    const auto good = [&](int id) { return id >= 0 && id < V; };
    for (int i = 0; i < n; i++) for (int c = 0; c < C; c++) ok &= number(got_y[(size_t)i * C + c]) == (good(list[i]) ? number(host_table[(size_t)list[i] * C + c]) : 0);
    std::vector<int> stable; for (int i = 0; i < n; i++) if (good(list[i])) stable.push_back(i);
    std::stable_sort(stable.begin(), stable.end(), [&](int a, int b) { return list[a] < list[b]; });
    const auto sorted = order.read(0, stable.size()); ok &= sorted == stable;
    for (int c = 0; c < C; c += 37) {
        std::vector<double> want(V); for (int v = 0; v < V; v++) want[v] = old[(size_t)v * C + c];
        for (int i = 0; i < n; i++) if (good(list[i])) want[list[i]] += number(host_dy[(size_t)i * C + c]);
        for (int v = 0; v < V; v++) { const double e = fabs(got[(size_t)v * C + c] - want[v]) / (1 + fabs(want[v])); worst = std::isnan(e) ? INFINITY : std::max(worst, e); }
    }
    const auto once = fingerprint(dw); fill(dw, 3); order.poison(); sort(0); add(0); CHECK(cudaDeviceSynchronize());
    const bool same = fingerprint(dw) == once; ok &= same && worst < 1e-5; const auto t = totals.read(); const int distinct = t[0] + t[1];
    printf("embedding %-10s n %d V %d C %d  %d light and %d heavy segments  difference %.1e%s %s\n", name, n, V, C, t[0], t[1], worst, same ? "" : " REPEAT DIFFERS", verdict(ok));
    if (!time) return;
    const double moved = 2.0 * n * C + 2.0 * distinct * C;     // the table's rows once
    timed("rows, 1 a block", moved, median_ms([&](int) { gather<1><<<n, threads>>>(y, table, ids, fault, n, C, V); }));
    timed("rows, 2 a block", moved, median_ms([&](int) { gather<2><<<(n + 1) / 2, threads>>>(y, table, ids, fault, n, C, V); }));
    timed("rows, 4 a block", moved, median_ms([&](int) { gather<4><<<(n + 3) / 4, threads>>>(y, table, ids, fault, n, C, V); }));
    timed("rows, 8 a block", moved, median_ms([&](int) { gather<8><<<(n + 7) / 8, threads>>>(y, table, ids, fault, n, C, V); }));
    timed("sort", 8.0 * n, median_ms(sort));
    timed("add", 2.0 * n * C + 8.0 * distinct * C, median_ms(add));
}
int main(int count, char** words) {
    run("uniform", 300, 1000, 264, [] { std::vector<int> v(300); for (int i = 0; i < 300; i++) v[i] = i * 7919 % 1000; return v; }(), false);
    run("one id", 500, 40, 72, std::vector<int>(500, 39), false); run("bad", 100, 10, 16, [] { std::vector<int> v(100); for (int i = 0; i < 100; i++) v[i] = i % 12 - 1; return v; }(), false);
    if (count > 1 && !strcmp(words[1], "--small")) return failures;
    run("text", 16384, 32000, 2560, text(16384, 32000, 1), true);
    run("uniform", 16384, 32000, 2560, [] { std::vector<int> v(16384); unsigned long long z = 1; for (auto& x : v) { z = z * 6364136223846793005ull + 1442695040888963407ull; x = (z >> 33) % 32000; } return v; }(), true);
    run("one id", 16384, 32000, 2560, std::vector<int>(16384, 5), true);
    return failures;
}
