// The gradient's norm and AdamW on the CPU twin against plain loops in f64.
#include "../../kernels/gradient-norm.cu"
#include "../../kernels/adamw.cu"

#include <random>

static std::mt19937 rng(1);
static int failures = 0;
using H = __nv_bfloat16;
static std::vector<float> normal(size_t n, float scale = 1) { std::normal_distribution<float> draw; std::vector<float> v(n); for (auto& x : v) x = draw(rng) * scale; return v; }
static void say(const char* name, const char* sizes, double worst, double bound) {
    const bool ok = worst <= bound; if (!ok) failures++;     // NaN fails
    printf("%-16s %-44s difference %.1e  %s\n", name, sizes, worst, ok ? "ok" : "WRONG");
}
static double relative(double got, double want) { return isnan(got) ? INFINITY : fabs(got - want) / max(1e-2, fabs(want)); }

template <class S> void norm(size_t n, float scale, float limit, const char* name) {
    auto g = normal(n, scale); const int blocks = (n + S::CHUNK - 1) / S::CHUNK;
    std::vector<double> sums(blocks, NAN); float out[2] = {NAN, NAN};
    twin::launch({blocks}, gradient_norm::THREADS, 1, 0, [&] { S::run(sums.data(), g.data(), n); });
    twin::launch({1}, gradient_norm::FINAL_THREADS, 1, 0, [&] { gradient_norm_clip(out, sums.data(), blocks, &limit); });
    double want = 0; for (float x : g) want += (double)x * x;
    want = sqrt(want); const double clip = min(1.0, limit / (want + 1e-6));
    char sizes[64]; snprintf(sizes, sizeof sizes, "n %zu limit %g norm %.4g clip %.4g", n, limit, out[0], out[1]);
    if (scale > 1e18) say(name, sizes, isinf(out[0]) && isnan(out[1]) ? 0 : 1, 0);
    else say(name, sizes, max(fabs(out[0] / want - 1), fabs(out[1] / clip - 1)), 1e-6);
}

struct Plain { double p, m, v; };
static Plain plain(double p, double m, double v, double g, const double* s, int t, float clip, bool decays) {
    if (!isfinite(clip)) return {p, m, v};
    g *= clip; m = s[1] * m + (1 - s[1]) * g; v = s[2] * v + (1 - s[2]) * g * g;
    p = p * (1 - (decays ? s[0] * s[4] : 0)) - s[0] / (1 - pow(s[1], t)) * m / (sqrt(v) / sqrt(1 - pow(s[2], t)) + s[3]);
    return {p, m, v};
}
static const double settings[5] = {1e-2, 0.9, 0.95, 1e-8, 0.1};
static AdamWStep prepare(int t, float clip) { AdamWStep s; twin::launch({1}, 1, 1, 0, [&] { adamw_prepare(&s, settings, &t, &clip); }); return s; }
struct State { std::vector<float> p, m, v, g; explicit State(size_t n) : p(normal(n)), m(normal(n, 0.1f)), v(n), g(normal(n)) { for (auto& x : v) x = fabs(normal(1, 0.1f)[0]); } };
static double compare(const State& now, const State& old, int t, float clip, bool decays) {
    double worst = 0;
    for (size_t i = 0; i < old.p.size(); i++) {
        const Plain want = plain(old.p[i], old.m[i], old.v[i], old.g[i], settings, t, clip, decays);
        worst = max(worst, max(relative(now.p[i], want.p), max(relative(now.m[i], want.m), relative(now.v[i], want.v))));
        if (now.g[i] != 0) worst = INFINITY;
    }
    return worst;
}

template <int LOADS> void flat(size_t n, int t, float clip, bool decays, bool copied) {
    State s(n); const State old = s; std::vector<H> copy(n, H(NAN)); const AdamWStep step = prepare(t, clip);
    twin::launch({(int)((n + LOADS * 1024 - 1) / (LOADS * 1024))}, adamw::THREADS, 1, 0, [&] {
        adamw::flat<LOADS>(s.p.data(), s.m.data(), s.v.data(), s.g.data(), copied ? copy.data() : nullptr, &step, decays, n); });
    double worst = compare(s, old, t, clip, decays);
    if (copied) for (size_t i = 0; i < n; i++) if (float(copy[i]) != float(H(s.p[i]))) worst = INFINITY;
    char sizes[64]; snprintf(sizes, sizeof sizes, "loads %d n %zu step %d clip %g%s%s", LOADS, n, t, clip, decays ? " decay" : "", copied ? " bf16" : "");
    say("adamw flat", sizes, worst, 1e-5);
}

template <int ROWS, bool UPDATE> void matrices(std::vector<std::pair<int, int>> shapes, int t, float clip) {
    const AdamWStep step = prepare(t, clip); int tiles = 0; std::vector<AdamWMatrix> table;
    std::vector<std::unique_ptr<State>> states; std::vector<State> olds; std::vector<std::vector<H>> bf16; std::vector<std::vector<uint8_t>> fp8, transposed;
    std::vector<float> scales; std::vector<unsigned> amax(shapes.size(), 0);
    for (auto [r, c] : shapes) {
        const size_t n = (size_t)r * c; states.push_back(std::make_unique<State>(n)); olds.push_back(*states.back());
        bf16.emplace_back(n, H(NAN)); fp8.emplace_back(n, 0xFF); transposed.emplace_back(n, 0xFF); scales.push_back(50 + 30 * scales.size());   // some saturate
    }
    for (size_t i = 0; i < shapes.size(); i++) {
        auto& s = *states[i]; const auto [r, c] = shapes[i];
        table.push_back({s.p.data(), s.m.data(), s.v.data(), s.g.data(), i % 2 ? nullptr : bf16[i].data(), fp8[i].data(), transposed[i].data(), &scales[i], &amax[i], r, c, tiles, i % 3 != 1});
        tiles += (r + 127) / 128 * ((c + 127) / 128);
    }
    twin::launch({tiles}, adamw::THREADS, 1, 0, [&] { adamw::tile<ROWS, UPDATE>(table.data(), table.size(), &step); });
    double worst = 0;
    for (size_t i = 0; i < shapes.size(); i++) {
        const auto [rows, columns] = shapes[i]; auto& s = *states[i]; float top = 0;
        if (UPDATE) worst = max(worst, compare(s, olds[i], t, clip, table[i].decays));
        else if (memcmp(s.p.data(), olds[i].p.data(), s.p.size() * 4)) worst = INFINITY;
        for (int r = 0; r < rows; r++) for (int c = 0; c < columns; c++) {
            const size_t at = (size_t)r * columns + c; const uint8_t q = __nv_cvt_float_to_fp8(s.p[at] * scales[i], __NV_SATFINITE, __NV_E4M3);
            top = max(top, fabsf(s.p[at]));
            if (fp8[i][at] != q || transposed[i][(size_t)c * rows + r] != q) worst = INFINITY;
            if (table[i].bf16 && float(bf16[i][at]) != float(H(s.p[at]))) worst = INFINITY;
        }
        if (__uint_as_float(amax[i]) != top) worst = INFINITY;
    }
    char sizes[64]; snprintf(sizes, sizeof sizes, "rows %d, %zu matrices, %d tiles, step %d clip %g", ROWS, shapes.size(), tiles, t, clip);
    say(UPDATE ? "adamw matrices" : "weight copies", sizes, worst, 1e-5);
}

int main() {
    norm<gradient_norm::Chosen>(100003, 1, 10, "gradient norm"); norm<gradient_norm::Squares<4, 2>>(65536, 1e-4f, 10, "gradient norm");
    norm<gradient_norm::Squares<4, 4>>(1, 3, INFINITY, "gradient norm"); norm<gradient_norm::Squares<16, 1>>(20481, 1, INFINITY, "gradient norm");
    norm<gradient_norm::Chosen>(9, 1e25f, 1, "gradient norm");
    flat<1>(1024 * 3 + 4, 1, 1, true, true); flat<2>(5000, 7, 0.25f, false, true); flat<1>(4, 1000, 0.5f, true, false); flat<2>(3000, 3, NAN, true, true); flat<1>(3000, 3, INFINITY, true, true);
    matrices<2, true>({{128, 128}, {16, 272}, {144, 16}, {256, 400}}, 1, 1); matrices<1, true>({{32, 160}}, 12, 0.1f); matrices<4, true>({{144, 144}, {48, 48}}, 2, NAN);
    std::vector<std::pair<int, int>> many; for (int i = 0; i < 70; i++) many.push_back({16 + i % 3 * 64, 16 + i % 2 * 128});
    matrices<2, true>(many, 3, 1); matrices<4, false>({{160, 272}, {16, 16}}, 1, 1);
    return failures;
}
