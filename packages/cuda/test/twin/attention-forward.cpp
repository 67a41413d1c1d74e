// The unmodified attention forward kernels on the CPU twin against plain loops: every head dimension, windows, documents,
// grouped heads, sequences side by side, ragged ends. q, k and v are views of one matrix, as a fused product writes it.
#include "../../kernels/attention/attention-forward.cu"

#include <chrono>
#include <random>

using Bf16 = __nv_bfloat16;
static std::mt19937 rng(1);
static int failures = 0;

struct Case { int sequences, sequence, heads, kv_heads, window; std::vector<int> documents; };       // no documents: null

template <class F> void check(const char* name, decltype(&attention_forward_80) kernel, const Case& c) {
    constexpr int D = F::D;
    const auto begin = std::chrono::steady_clock::now();
    const int L = c.sequence, T = c.sequences * L, heads = c.heads, kv_heads = c.kv_heads;
    std::normal_distribution<float> draw;
    const int width = (heads + 2 * kv_heads) * D;
    std::vector<Bf16> qkv((size_t)T * width), out((size_t)T * heads * D, Bf16(NAN));
    for (auto& x : qkv) x = Bf16(draw(rng));
    const Bf16 *q = qkv.data(), *k = q + heads * D, *v = k + kv_heads * D;
    std::vector<float> lse((size_t)heads * T, NAN); std::vector<int> starts(T);
    for (int start : c.documents) for (int t = 0; t < T; t++) if (t % L >= start) starts[t] = start;
    const AttentionShape shape{c.documents.empty() ? nullptr : starts.data(), T, L, heads, kv_heads, c.window, 1 / sqrtf(D)};
    const auto view = [&](const Bf16* x, int heads) { CUtensorMap map = tensor_map_3d(x, 2, D, heads, T, 64, 64); reinterpret_cast<twin::Map&>(map).stride = width * 2; return map; };
    const CUtensorMap q_map = view(q, heads), k_map = view(k, kv_heads), v_map = view(v, kv_heads), out_map = tensor_map_3d(out.data(), 2, D, heads, T, 64, 64);
    const auto run = [&] { twin::launch({heads, (T + F::QUERIES - 1) / F::QUERIES, 1}, F::THREADS, 1, sizeof(typename F::Shared), [&] { kernel(q_map, k_map, v_map, out_map, lse.data(), shape); }); };
    run();
    const auto first_out = out; const auto first_lse = lse;
    std::fill(out.begin(), out.end(), Bf16(NAN)); std::fill(lse.begin(), lse.end(), NAN); run();
    const bool same = !memcmp(out.data(), first_out.data(), out.size() * 2) && !memcmp(lse.data(), first_lse.data(), lse.size() * 4);
    double xy = 0, norms = 0, worst = 0;
    for (int h = 0; h < heads; h++) for (int i = 0; i < T; i++) {
        const int kv = h / (heads / kv_heads), base = i / L * L, from = max(base + starts[i], i - c.window + 1);
        std::vector<double> p(i + 1); double top = -1e30, sum = 0;
        for (int j = from; j <= i; j++) {
            double s = 0; for (int d = 0; d < D; d++) s += (double)float(q[(size_t)i * width + h * D + d]) * float(k[(size_t)j * width + kv * D + d]);
            p[j] = s * shape.scale; top = max(top, p[j]);
        }
        for (int j = from; j <= i; j++) sum += p[j] = exp(p[j] - top);
        const float got_lse = lse[((size_t)(i / L) * heads + h) * L + i % L];
        worst = max(worst, isnan(got_lse) ? INFINITY : fabs(got_lse - (top + log(sum))));
        for (int d = 0; d < D; d++) {
            double want = 0; for (int j = from; j <= i; j++) want += p[j] / sum * float(v[(size_t)j * width + kv * D + d]);
            const double got = float(out[((size_t)i * heads + h) * D + d]); xy += want * got; norms += want * want + got * got;
        }
    }
    const double difference = 1 - 2 * xy / norms; const bool ok = same && difference < 1e-5 && worst < 1e-4;
    if (!ok) failures++;
    printf("%-9s %d x %d heads %d/%d window %d documents %zu  difference %.1e, lse %.1e%s  %s  %.1f s\n", name, c.sequences, L, heads, kv_heads, c.window, c.documents.size(), difference, worst,
           same ? "" : " REPEAT DIFFERS", ok ? "ok" : "WRONG", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    fflush(stdout);
}
#define LONG(D, ...) check<attention_forward::Long##D>("long " #D, attention_forward_##D, Case __VA_ARGS__)
#define SHORT(D, ...) check<attention_forward::Short##D>("short " #D, attention_forward_short_##D, Case __VA_ARGS__)

int main() {
    LONG(80, {1, 448, 2, 1, 200, {0, 150}});
    LONG(80, {1, 450, 2, 1, 64, {}});
    LONG(80, {1, 449, 2, 2, 449, {0, 448}});
    LONG(64, {1, 333, 4, 2, 300, {0, 30, 290}});
    LONG(64, {9, 7, 5, 1, 3, {0, 4}});
    LONG(64, {2, 100, 2, 1, 1 << 30, {}});
    LONG(96, {1, 450, 2, 1, 129, {0, 131}});
    LONG(120, {3, 131, 2, 1, 100, {0, 1, 70}});
    LONG(120, {1, 200, 4, 1, 1000, {}});
    LONG(128, {1, 1, 1, 1, 1, {}});
    LONG(128, {1, 385, 3, 1, 200, {0, 384}});
    SHORT(80, {1, 333, 2, 1, 64, {0, 150, 160}});
    SHORT(80, {4, 65, 4, 2, 65, {0, 64}});
    SHORT(64, {1, 512, 1, 1, 512, {}});
    return failures;
}
