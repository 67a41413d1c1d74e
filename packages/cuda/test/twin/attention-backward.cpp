// The unmodified attention backward kernels on the CPU twin against plain loops: every head dimension, windows, documents,
// grouped heads, sequences side by side, ragged ends.
#include "../../kernels/attention/attention-backward.cu"

#include <random>

using Bf16 = __nv_bfloat16;
static std::mt19937 rng(7);
static int failures = 0;

struct Case { int sequences, sequence, heads, kv_heads, window; std::vector<int> documents; };       // no documents: null

/// 1 − 2⟨x, y⟩ / (⟨x, x⟩ + ⟨y, y⟩); NaN shows.
double difference(const std::vector<Bf16>& got, const std::vector<double>& want) {
    double xy = 0, n = 0;
    for (size_t i = 0; i < got.size(); i++) { const double g = __bfloat162float(got[i]); xy += g * want[i]; n += g * g + want[i] * want[i]; }
    return 1 - 2 * xy / n;
}
bool same(const std::vector<Bf16>& a, const std::vector<Bf16>& b) { return !memcmp(a.data(), b.data(), a.size() * 2); }

template <int D> void check(decltype(&attention_backward_statistics_80) statistics_kernel, decltype(&attention_backward_keys_80) keys_kernel, decltype(&attention_backward_queries_80) queries_kernel, const Case& c) {
    using namespace attention_backward;
    const int L = c.sequence, T = c.sequences * L, H = c.heads, KV = c.kv_heads;
    std::vector<Bf16> q((size_t)T * H * D), k((size_t)T * KV * D), v(k.size()), out(q.size()), d_out(q.size());
    std::normal_distribution<float> normal;
    for (auto* x : {&q, &k, &v, &d_out}) for (Bf16& e : *x) e = __float2bfloat16(normal(rng));
    std::vector<int> starts(T);
    for (int start : c.documents) for (int t = 0; t < T; t++) if (t % L >= start) starts[t] = start;
    std::vector<float> lse((size_t)H * T);
    const AttentionShape shape{c.documents.empty() ? nullptr : starts.data(), T, L, H, KV, c.window, 1 / sqrtf(D)};
    std::vector<double> d_q(q.size()), d_k(k.size()), d_v(v.size());
    const auto dot = [](const Bf16* a, const Bf16* b) { double sum = 0; for (int d = 0; d < D; d++) sum += (double)__bfloat162float(a[d]) * __bfloat162float(b[d]); return sum; };
    for (int h = 0; h < H; h++) for (int i = 0; i < T; i++) {
        const int g = h / (H / KV), first = max(i / L * L + starts[i], i - c.window + 1); std::vector<double> p(i + 1); double sum = 0, o[D] = {}, delta = 0;
        const size_t query = ((size_t)i * H + h) * D; const auto key = [&](int j) { return ((size_t)j * KV + g) * D; };
        for (int j = first; j <= i; j++) sum += p[j] = exp(dot(&q[query], &k[key(j)]) * shape.scale);
        lse[((size_t)(i / L) * H + h) * L + i % L] = log(sum);
        for (int j = first; j <= i; j++) { p[j] /= sum; for (int d = 0; d < D; d++) o[d] += p[j] * __bfloat162float(v[key(j) + d]); }
        for (int d = 0; d < D; d++) { out[query + d] = __float2bfloat16(o[d]); delta += o[d] * __bfloat162float(d_out[query + d]); }
        for (int j = first; j <= i; j++) {
            const double d_s = p[j] * (dot(&d_out[query], &v[key(j)]) - delta) * shape.scale;
            for (int d = 0; d < D; d++) {
                d_v[key(j) + d] += p[j] * __bfloat162float(d_out[query + d]);
                d_k[key(j) + d] += d_s * __bfloat162float(q[query + d]);
                d_q[query + d] += d_s * __bfloat162float(k[key(j) + d]);
            }
        }
    }
    const int rows = statistics_rows(T);
    std::vector<Bf16> got[2][3];                     // dq, dk, dv, twice
    for (auto& run : got) {
        run[0].assign(q.size(), Bf16(NAN)); run[1].assign(k.size(), Bf16(NAN)); run[2].assign(v.size(), Bf16(NAN));
        const auto map = [&](const std::vector<Bf16>& x, int heads) { return tensor_map_3d(x.data(), 2, D, heads, T, 64, 64); };
        const CUtensorMap q_map = map(q, H), k_map = map(k, KV), v_map = map(v, KV), d_out_map = map(d_out, H), d_q_map = map(run[0], H), d_k_map = map(run[1], KV), d_v_map = map(run[2], KV);
        std::vector<float> statistics(2 * H * rows, NAN);
        using S = Statistics<D>; using K = Keys<D>; using Q = Queries<D>;
        twin::launch({rows / S::TOKENS, (H + S::HEADS - 1) / S::HEADS, 1}, S::THREADS, 1, S::SHARED, [&] { statistics_kernel(out.data(), d_out.data(), lse.data(), statistics.data(), shape); });
        twin::launch({KV, (T + K::KEYS - 1) / K::KEYS, 1}, K::THREADS, 1, sizeof(typename K::Shared), [&] { keys_kernel(q_map, k_map, v_map, d_out_map, d_k_map, d_v_map, statistics.data(), shape); });
        twin::launch({H, (T + Q::QUERIES - 1) / Q::QUERIES, 1}, Q::THREADS, 1, sizeof(typename Q::Shared), [&] { queries_kernel(q_map, k_map, v_map, d_out_map, d_q_map, statistics.data(), shape); });
    }
    const double e_q = difference(got[0][0], d_q), e_k = difference(got[0][1], d_k), e_v = difference(got[0][2], d_v);
    const bool equal = same(got[0][0], got[1][0]) && same(got[0][1], got[1][1]) && same(got[0][2], got[1][2]), ok = equal && e_q < 1e-5 && e_k < 1e-5 && e_v < 1e-5;
    printf("D %d, %d x %d, heads %d on %d, window %d, documents %zu: dq %.1e dk %.1e dv %.1e, repeat %s %s\n", D, c.sequences, L, H, KV, c.window, c.documents.size(), e_q, e_k, e_v, equal ? "equal" : "DIFFERS", ok ? "ok" : "WRONG");
    failures += !ok; fflush(stdout);
}
#define CHECK(D, ...) check<D>(attention_backward_statistics_##D, attention_backward_keys_##D, attention_backward_queries_##D, Case __VA_ARGS__)

int main() {
    CHECK(80, {1, 192, 2, 1, 192, {}});
    CHECK(80, {1, 333, 4, 2, 100, {0, 40, 41, 200, 320}});
    CHECK(80, {1, 385, 2, 2, 1000, {0, 384}});
    CHECK(64, {1, 256, 2, 1, 64, {0, 100}});
    CHECK(64, {9, 7, 5, 1, 3, {0, 4}});
    CHECK(64, {3, 70, 3, 1, 1 << 30, {}});
    CHECK(96, {1, 300, 2, 1, 130, {0, 130, 131, 260}});
    CHECK(120, {2, 131, 2, 1, 77, {0, 1, 70}});
    CHECK(120, {1, 200, 4, 2, 200, {}});
    CHECK(128, {1, 17, 1, 1, 17, {}});
    CHECK(128, {1, 330, 2, 1, 150, {0, 320}});
    return failures;
}
