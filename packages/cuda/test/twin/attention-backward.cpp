// The attention backward kernels on the CPU twin, against plain loops: documents, windows, ragged ends, grouped heads.
#include "../../kernels/attention-backward.cu"

#include <random>

using Bf16 = __nv_bfloat16;
constexpr int D = 80;

struct Case { int T, heads, kv_heads, window; std::vector<int> documents; };

/// 1 − 2⟨x, y⟩ / (⟨x, x⟩ + ⟨y, y⟩); NaN shows.
double difference(const std::vector<Bf16>& got, const std::vector<double>& want) {
    double xy = 0, n = 0;
    for (size_t i = 0; i < got.size(); i++) { const double g = __bfloat162float(got[i]); xy += g * want[i]; n += g * g + want[i] * want[i]; }
    return 1 - 2 * xy / n;
}
bool same(const std::vector<Bf16>& a, const std::vector<Bf16>& b) { return !memcmp(a.data(), b.data(), a.size() * 2); }

int main() {
    const std::vector<Case> cases = {
        {192, 2, 1, 192, {0}}, {256, 2, 1, 64, {0, 100}}, {333, 4, 2, 100, {0, 40, 41, 200, 320}}, {450, 2, 1, 450, {0, 130, 131, 260}}, {385, 2, 2, 1000, {0, 384}},
    };
    std::mt19937 random(7); std::normal_distribution<float> normal;
    int failures = 0;
    for (const Case& c : cases) {
        const int T = c.T, H = c.heads, KV = c.kv_heads, W = c.window; const float scale = 1 / sqrtf(D);
        std::vector<Bf16> q(H * T * D), k(KV * T * D), v(KV * T * D), out(T * H * D), d_out(T * H * D);
        for (auto* x : {&q, &k, &v, &d_out}) for (Bf16& e : *x) e = __float2bfloat16(normal(random));
        std::vector<int> doc_start(T);
        for (int start : c.documents) for (int i = start; i < T; i++) doc_start[i] = start;
        std::vector<float> lse(H * T);
        std::vector<double> d_q(q.size()), d_k(k.size()), d_v(v.size());
        const auto dot = [](const Bf16* a, const Bf16* b) { double sum = 0; for (int d = 0; d < D; d++) sum += (double)__bfloat162float(a[d]) * __bfloat162float(b[d]); return sum; };
        for (int h = 0; h < H; h++) for (int i = 0; i < T; i++) {
            const int g = h / (H / KV), first = max(doc_start[i], i - W + 1); std::vector<double> p(T); double sum = 0, o[D] = {}, delta = 0;
            const Bf16* dy = &d_out[(i * H + h) * D];
            for (int j = first; j <= i; j++) sum += p[j] = exp(dot(&q[(h * T + i) * D], &k[(g * T + j) * D]) * scale);
            lse[h * T + i] = log(sum);
            for (int j = first; j <= i; j++) { p[j] /= sum; for (int d = 0; d < D; d++) o[d] += p[j] * __bfloat162float(v[(g * T + j) * D + d]); }
            for (int d = 0; d < D; d++) { out[(i * H + h) * D + d] = __float2bfloat16(o[d]); delta += o[d] * __bfloat162float(dy[d]); }
            for (int j = first; j <= i; j++) {
                const double d_s = p[j] * (dot(dy, &v[(g * T + j) * D]) - delta) * scale;
                for (int d = 0; d < D; d++) {
                    d_v[(g * T + j) * D + d] += p[j] * __bfloat162float(dy[d]);
                    d_k[(g * T + j) * D + d] += d_s * __bfloat162float(q[(h * T + i) * D + d]);
                    d_q[(h * T + i) * D + d] += d_s * __bfloat162float(k[(g * T + j) * D + d]);
                }
            }
        }
        const CUtensorMap q_map = tensor_map(q.data(), 2, D, H * T, 64, 64), k_map = tensor_map(k.data(), 2, D, KV * T, 64, 64), v_map = tensor_map(v.data(), 2, D, KV * T, 64, 64), d_out_map = tensor_map_3d(d_out.data(), 2, D, H, T, 64, 64);
        const int rows = attention_backward::statistics_rows(T); const Bf16 poison = __float2bfloat16(NAN);
        std::vector<Bf16> got[2][3];                     // dq, dk, dv, twice
        for (auto& run : got) {
            run[0].assign(q.size(), poison); run[1].assign(k.size(), poison); run[2].assign(v.size(), poison);
            std::vector<float> statistics(2 * H * rows, NAN);
            twin::launch({rows / 16, (H + 3) / 4, 1}, attention_backward::DELTA_THREADS, 1, attention_backward::DELTA_SHARED, [&] {
                attention_backward_statistics(out.data(), d_out.data(), lse.data(), statistics.data(), T, H); });
            const auto side = [&](auto kernel, int blocks, int rows_of_block, int threads, size_t shared) {
                twin::launch({blocks, (T + rows_of_block - 1) / rows_of_block, 1}, threads, 1, shared, [&] {
                    kernel(q_map, k_map, v_map, d_out_map, q.data(), k.data(), v.data(), d_out.data(), statistics.data(), doc_start.data(),
                           run[0].data(), run[1].data(), run[2].data(), T, H, KV, W, scale); });
            };
            side(attention_backward_keys, KV, attention_backward::keys::KEYS, attention_backward::keys::THREADS, sizeof(attention_backward::keys::Shared));
            side(attention_backward_queries, H, attention_backward::queries::QUERIES, attention_backward::queries::THREADS, sizeof(attention_backward::queries::Shared));
        }
        const double e_q = difference(got[0][0], d_q), e_k = difference(got[0][1], d_k), e_v = difference(got[0][2], d_v);
        const bool equal = same(got[0][0], got[1][0]) && same(got[0][1], got[1][1]) && same(got[0][2], got[1][2]), ok = equal && e_q < 1e-5 && e_k < 1e-5 && e_v < 1e-5;
        printf("T %d, heads %d on %d, window %d, documents %zu: dq %.1e dk %.1e dv %.1e, repeat %s %s\n", T, H, KV, W, c.documents.size(), e_q, e_k, e_v, equal ? "equal" : "DIFFERS", ok ? "ok" : "WRONG");
        failures += !ok; fflush(stdout);
    }
    return failures;
}
