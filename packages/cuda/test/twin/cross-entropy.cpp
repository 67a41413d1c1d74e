// Cross-entropy on the CPU twin against plain loops in f64.
#include "../../kernels/cross-entropy.cu"

#include <random>

static std::mt19937 rng(1);
static int failures = 0;
using H = __nv_bfloat16;

template <class F> void check(const char* name, int threads, int rows, int V, float spread, F kernel) {
    std::normal_distribution<float> draw; std::vector<H> x((size_t)rows * V); for (auto& v : x) v = H(draw(rng) * spread);
    std::vector<int> targets(rows); for (auto& t : targets) t = rng() % V;
    targets[0] = V - 1; if (rows > 2) targets[1] = -100; if (rows > 3) targets[2] = V;
    if (rows > 4) for (int c = 0; c < V; c++) x[(size_t)4 * V + c] = H(c % 7 ? -INFINITY : 60.f + c % 3);
    if (rows > 4) targets[4] = 0;
    const std::vector<H> old = x; std::vector<float> losses(rows, NAN); int fault[4] = {}; const float scale = 0.37f; float total = NAN;
    twin::launch({rows}, threads, 1, 128 + 2 * V, [&] { kernel(x.data(), losses.data(), targets.data(), &scale, fault, V); });
    twin::launch({1}, 1024, 1, 0, [&] { loss_total(&total, losses.data(), rows, &scale); });
    double worst_loss = 0, worst = 0, all = 0;
    for (int r = 0; r < rows; r++) {
        const bool in = targets[r] >= 0 && targets[r] < V; const H* o = &old[(size_t)r * V]; const H* got = (const H*)&x[(size_t)r * V];
        double top = -1e300, sum = 0; for (int c = 0; c < V; c++) top = max(top, (double)float(o[c]));
        for (int c = 0; c < V; c++) sum += exp(float(o[c]) - top);
        const double loss = in ? top + log(sum) - float(o[targets[r]]) : 0; all += loss;
        worst_loss = isnan(losses[r]) ? INFINITY : max(worst_loss, fabs(losses[r] - loss));
        for (int c = 0; c < V; c++) {
            const double want = in ? (exp(float(o[c]) - top) / sum - (c == targets[r])) * scale : 0, e = fabs(float(got[c]) - want) / (fabs(want) + 1e-12);
            worst = isnan(float(got[c])) ? INFINITY : max(worst, e);
        }
    }
    // A gradient is off by half a bf16 step at most, and a little of the f32 exponent.
    const bool ok = worst < 0.0042 && worst_loss < 2e-5 && fabs(total - all * scale) < 1e-5 * max(1.0, fabs(all)) && fault[1] == (rows > 3 ? V : 0);
    if (!ok) failures++;
    printf("%-22s rows %d V %d spread %g  loss %.1e gradient %.1e total %.1e  %s\n", name, rows, V, spread, worst_loss, worst, fabs(total - all * scale), ok ? "ok" : "WRONG");
}
int main() {
    using namespace cross_entropy;
    check("shared 512 x 4", 512, 6, 32000, 3, [](auto... a) { row_in_shared<512, 4>(a...); });
    check("shared 128 x 8", 128, 5, 1032, 10, [](auto... a) { row_in_shared<128, 8>(a...); });
    check("shared 256 x 4", 256, 5, 24, 1, [](auto... a) { row_in_shared<256, 4>(a...); });
    check("two passes", 1024, 5, 33000, 3, [](auto... a) { row_in_two_passes<1024>(a...); });
    check("two passes", 256, 6, 24, 3, [](auto... a) { row_in_two_passes<256>(a...); });
    return failures;
}
