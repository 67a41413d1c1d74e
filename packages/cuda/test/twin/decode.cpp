// Products of few rows and attention over a cache on the CPU twin against plain loops in f64.
#include "../../gpu/candidates/decode.cu"

#include <random>

static std::mt19937 rng(1);
static int failures = 0;
using H = __nv_bfloat16; using E4 = __nv_fp8_e4m3; using decode::Result;
template <class T> std::vector<T> normal(size_t n, float scale = 1) { std::normal_distribution<float> draw; std::vector<T> v(n); for (auto& x : v) x = T(draw(rng) * scale); return v; }

/// 1 − 2⟨x, y⟩ / (⟨x, x⟩ + ⟨y, y⟩); NaN fails.
struct Difference { double xy = 0, n = 0; void add(double x, double y) { xy += x * y; n += x * x + y * y; } double value() const { return 1 - 2 * xy / n; } };

template <class K, class W, Result RESULT> void product(const char* name, int N, int K_, int batch, bool normed, bool residual) {
    const float eps = 1e-5f, scale = sizeof(W) == 1 ? 0.3f : 1;
    const auto w = normal<W>((size_t)N * K_); const auto x = normal<H>((size_t)batch * K_, 2), norm = normal<H>(K_); const int out = RESULT == Result::swiglu ? N / 2 : N;
    const auto r = normal<H>((size_t)batch * out, 10);
    using Y = std::conditional_t<RESULT == Result::f32, float, H>; std::vector<Y> y((size_t)batch * out, Y(NAN));
    const decode::Product p{y.data(), w.data(), sizeof(W) == 1 ? &scale : nullptr, x.data(), normed ? norm.data() : nullptr, eps, residual ? r.data() : nullptr, N, K_, batch};
    for (int blocks : {decode::blocks<K::BLOCK_ROWS>(N), 2}) twin::launch({blocks}, decode::THREADS, 1, batch * decode::row_bytes(K_), [&] { K::run(p); });
    Difference d; double worst = 0;
    for (int b = 0; b < batch; b++) {
        double squares = 0; for (int k = 0; k < K_; k++) squares += (double)float(x[(size_t)b * K_ + k]) * float(x[(size_t)b * K_ + k]);
        const double rms = normed ? 1 / sqrt(squares / K_ + eps) : 1; std::vector<double> sums(N);
        for (int n = 0; n < N; n++) {
            for (int k = 0; k < K_; k++) sums[n] += (double)float(w[(size_t)n * K_ + k]) * float(x[(size_t)b * K_ + k]) * (normed ? float(norm[k]) : 1);
            sums[n] *= rms * scale;
        }
        for (int n = 0; n < out; n++) {
            const double want = (RESULT == Result::swiglu ? sums[n] / (1 + exp(-sums[n])) * sums[n + out] : sums[n]) + (residual ? (double)float(r[(size_t)b * out + n]) : 0);
            d.add(float(y[(size_t)b * out + n]), want); worst += isnan(float(y[(size_t)b * out + n]));
        }
    }
    const bool ok = d.value() < 1e-5 && worst == 0; if (!ok) failures++;
    printf("%-28s N %d K %d batch %d%s%s  difference %.1e  %s\n", name, N, K_, batch, normed ? " norm" : "", residual ? " residual" : "", d.value(), ok ? "ok" : "WRONG");
}

template <int KEYS> void attend(int batch, int heads, int kv_heads, int capacity, int window, std::vector<int> positions) {
    using namespace decode_attention; const int group = heads / kv_heads, P = *std::max_element(positions.begin(), positions.end()) + 1, splits = (min(window, P) + KEYS - 1) / KEYS;
    const float scale = 1 / sqrtf(D);
    auto k = normal<H>((size_t)batch * kv_heads * capacity * D), v = normal<H>(k.size()); const auto qkv = normal<H>((size_t)batch * (heads + 2 * kv_heads) * D);
    std::vector<float> table((size_t)P * D); for (int p = 0; p < P; p++) for (int i = 0; i < D / 2; i++) { const float a = p * powf(10000, -2.f * i / D); table[p * D + i] = cosf(a); table[p * D + D / 2 + i] = sinf(a); }
    for (int b = 0; b < batch; b++) for (int j = 0; j < kv_heads; j++) for (int d = 0; d < D; d++) {   // the slot of the new position holds garbage
        const size_t at = (((size_t)b * kv_heads + j) * capacity + positions[b] % capacity) * D + d; k[at] = v[at] = H(NAN);
        if (positions[b] + 1 < capacity) k[at + D] = v[at + D] = H(NAN);
    }
    const auto old_k = k, old_v = v; std::vector<H> out((size_t)batch * heads * D, H(NAN)); std::vector<float> partial((size_t)batch * kv_heads * splits * MAX_GROUP * (D + 2), NAN); std::vector<unsigned> tickets(batch * kv_heads, 0);
    const Arguments a{out.data(), partial.data(), tickets.data(), k.data(), v.data(), qkv.data(), table.data(), positions.data(), heads, kv_heads, capacity, window, scale};
    twin::launch({splits, kv_heads, batch}, Tile<KEYS>::THREADS, 1, sizeof(typename Tile<KEYS>::Shared), [&] { run<KEYS>(a); });
    bool ok = true; Difference diff;
    for (unsigned x : tickets) ok &= x == 0;
    for (int b = 0; b < batch; b++) for (int h = 0; h < heads; h++) {
        const int p = positions[b], kv = h / group; const H* token = &qkv[(size_t)b * (heads + 2 * kv_heads) * D];
        const auto turned = [&](int head, int d) { return float(H(rotated(token + head * D, &table[(size_t)p * D], d))); };
        const auto place = [&](int j, int d) { return (((size_t)b * kv_heads + kv) * capacity + j % capacity) * D + d; };
        std::vector<double> s; double top = -1e300, sum = 0; const int first = max(0, p + 1 - window);
        for (int j = first; j <= p; j++) { double x = 0; for (int d = 0; d < D; d++) x += (double)turned(h, d) * (j == p ? turned(heads + kv, d) : float(old_k[place(j, d)])); s.push_back(x * scale); top = max(top, s.back()); }
        for (auto& x : s) sum += x = exp(x - top);
        for (int d = 0; d < D; d++) {
            double want = 0; for (int j = first; j <= p; j++) want += s[j - first] / sum * (j == p ? float(token[(heads + kv_heads + kv) * D + d]) : float(old_v[place(j, d)]));
            diff.add(float(out[((size_t)b * heads + h) * D + d]), want);
            ok &= float(k[place(p, d)]) == turned(heads + kv, d) && float(v[place(p, d)]) == float(token[(heads + kv_heads + kv) * D + d]);
        }
    }
    size_t changed = 0; for (size_t i = 0; i < k.size(); i++) changed += (memcmp(&k[i], &old_k[i], 2) != 0) + (memcmp(&v[i], &old_v[i], 2) != 0);
    ok &= changed <= (size_t)2 * batch * kv_heads * D && diff.value() < 1e-5; if (!ok) failures++;
    printf("attention %3d keys  batch %d heads %d/%d capacity %d window %d last position %d splits %d  difference %.1e  %s\n", KEYS, batch, heads, kv_heads, capacity, window, P - 1, splits, diff.value(), ok ? "ok" : "WRONG");
}

#define PRODUCT(N, K, BATCH, NORM, RESIDUAL, W, RESULT, ...) product<__VA_ARGS__, W, RESULT>(#__VA_ARGS__, N, K, BATCH, NORM, RESIDUAL)
template <class W, Result R, int ROWS, int DEPTH> using V = decode::Vector<W, R, ROWS, DEPTH>;
template <class W, Result R, int DEPTH> using T = decode::Tensor<W, R, DEPTH>;
int main() {
    constexpr auto plain = Result::bf16, f32 = Result::f32, swiglu = Result::swiglu;
    PRODUCT(48, 2560, 1, true, true, H, plain, V<H, plain, 2, 10>); PRODUCT(37, 264, 1, false, false, H, f32, V<H, f32, 1, 4>); PRODUCT(42, 1000, 1, true, false, H, swiglu, V<H, swiglu, 2, 2>);
    PRODUCT(33, 2560, 1, true, true, E4, plain, V<E4, plain, 2, 5>); PRODUCT(72, 432, 1, false, false, E4, swiglu, V<E4, swiglu, 4, 2>);
    PRODUCT(100, 2560, 8, true, true, H, plain, T<H, plain, 10>); PRODUCT(37, 264, 3, false, false, H, f32, T<H, f32, 2>); PRODUCT(42, 1000, 5, true, false, H, swiglu, T<H, swiglu, 2>);
    PRODUCT(33, 2560, 8, true, true, E4, plain, T<E4, plain, 5>); PRODUCT(72, 432, 1, false, false, E4, swiglu, T<E4, swiglu, 1>); PRODUCT(16, 16, 2, true, false, E4, plain, T<E4, plain, 5>);
    attend<128>(1, 32, 8, 512, 512, {511}); attend<128>(2, 8, 2, 300, 300, {700, 149}); attend<64>(3, 8, 2, 260, 200, {200, 0, 333}); attend<128>(1, 8, 1, 400, 1000, {270}); attend<256>(1, 3, 3, 520, 500, {1029});
    return failures;
}
