// Cross-entropy over f32 logits of any number on the CPU twin, against plain loops in f64.
#include "../../kernels/fused/cross-entropy.cu"

#include "plain.h"

template <class T> void check(int rows, int V, float spread, bool gradient, bool with_factors) {
    auto logits = normal<float>((size_t)rows * V, spread); const auto factors = normal<float>(rows); std::vector<int> targets(rows);
    for (int& t : targets) t = random_bits() % V;
    targets[0] = V - 1; if (rows > 1) targets[1] = -100; if (rows > 2) targets[2] = V; if (rows > 3) logits[(size_t)3 * V + (targets[3] + V / 2) % V] = -INFINITY;
    if (rows > 4) for (int c = 0; c < V; c++) logits[(size_t)4 * V + c] += 1e6f;
    const auto before = logits; Poisoned<float> losses(rows); int fault[4] = {}; const float scale = 0.37f; long wrong = 0;
    constexpr auto* kernel = sizeof(T) == 4 ? cross_entropy_f32 : cross_entropy_bf16;
    for (int kept : {0, 8192, 24576}) {
        auto now = before; Poisoned<float> now_losses(rows);
        // As many blocks as a small GPU runs at a time: some take several rows.
        twin::launch({std::min(rows, 3), 1, 1}, 512, 1, 4 * kept, [&] { kernel(now.data(), now_losses.data(), targets.data(), with_factors ? factors.data() : nullptr, scale, fault, rows, V, kept, gradient); });
        if (kept == 0) { logits = now; losses = now_losses; }
        else wrong += memcmp(now.data(), logits.data(), now.size() * 4) != 0 || memcmp(now_losses.data(), losses.data(), rows * 4) != 0;
    }
    std::vector<double> top(rows), sum(rows), want(rows); double all = 0;
    for (int r = 0; r < rows; r++) {
        const float* x = &before[(size_t)r * V]; top[r] = *std::max_element(x, x + V);
        for (int c = 0; c < V; c++) sum[r] += exp(x[c] - top[r]);
        want[r] = targets[r] >= 0 && targets[r] < V ? log(sum[r]) + (top[r] - x[targets[r]]) : 0; all += want[r];
    }
    wrong += losses.wrong([&](size_t i) { return want[i]; }, 1e-6, 2e-6);
    for (int r = 0; r < rows; r++) for (int c = 0; c < V; c++) {
        const size_t i = (size_t)r * V + c; const bool has = targets[r] >= 0 && targets[r] < V;
        if (!gradient) { wrong += memcmp(&logits[i], &before[i], 4) != 0; continue; }
        const double d = has ? (exp(before[i] - top[r]) / sum[r] - (c == targets[r])) * scale * (with_factors ? factors[r] : 1) : 0;
        const double got = float(reinterpret_cast<const T*>(&logits[(size_t)r * V])[c]);
        wrong += !(fabs(got - d) <= fabs(d) * (sizeof(T) == 4 ? 2e-6 : 1. / 256 * 1.002) + 2e-7);
    }
    float total = NAN;
    twin::launch({1, 1, 1}, 1024, 1, 0, [&] { cross_entropy_sum(&total, losses.data(), rows, scale); });
    wrong += !(fabs(total - all * scale) <= 1e-6 * fabs(all));
    wrong += rows > 2 ? fault[0] == 0 || fault[1] != V || fault[2] != V : fault[0] != 0;
    say(sized("cross_entropy", type_name<T>(), {rows, V, gradient, with_factors}), wrong);
}

int main() {
    for (const auto [rows, V] : {std::pair(6, 1000), std::pair(7, 4099), std::pair(2, 1), std::pair(5, 3), std::pair(4, 9001), std::pair(4, 17000)}) {
        check<float>(rows, V, 3, true, rows % 2); check<Bf16>(rows, V, 3, true, rows % 2 == 0); check<Bf16>(rows, V, 20, false, true);
    }
    return failures;
}
