// Attention of few queries on the CPU twin, against plain loops, over one part of the keys and several; over a cache that has
// the last keys and values, and over one that they are appended to.
#include "../../kernels/attention/attention-portable-decode.cu"
#include "attention-plain.h"

using attention_portable::Fresh; using attention_portable::Inputs; using attention_portable::Parts;

template <class E> using Kernel = void (*)(Inputs<E>, Fresh<E>, Parts, E*, float*);

template <class E, int DP> bool check(Kernel<E> kernel, int parts, const Case& c, std::mt19937& random) {
    using Decode = attention_portable::Decode<E, DP>;
    const int stored = c.keys - c.T, row = c.G * c.D;
    const Plain<E> plain(c, random);
    const int group = c.H / c.G, rows = group * c.T;
    std::vector<E> o[2], keys = plain.k, values = plain.v; std::vector<float> lse[2]; std::vector<int> done(c.B * c.G * ((rows + 15) / 16)); int fault[4] = {};
    // What is new, taken out of the cache.
    std::vector<E> k, v;
    for (int b = 0; b < c.B; b++) for (int i = 0; i < c.T * row; i++) {
        const size_t at = ((size_t)b * c.S + stored) * row + i;
        k.push_back(keys[at]); v.push_back(values[at]); keys[at] = values[at] = narrowed<E>(NAN);
    }
    for (int run = 0; run < 2; run++) {
        o[run].assign(plain.q.size(), narrowed<E>(NAN)); lse[run].assign(plain.exact.lse.size(), NAN);
        std::vector<float> part_o(parts * plain.q.size(), NAN), part_lse(parts * plain.exact.lse.size(), NAN);
        // The number of keys comes by value, then from memory.
        Inputs<E> in = plain.inputs(); Fresh<E> fresh{};
        if (run == 1) { in.keys = -1; in.k = keys.data(); in.v = values.data(); fresh = {k.data(), v.data(), keys.data(), values.data(), &stored, fault}; }
        twin::launch({c.B * c.G, (rows + 15) / 16, parts}, 128, 1, sizeof(typename Decode::Shared), [&] { kernel(in, fresh, {part_o.data(), part_lse.data(), done.data()}, o[run].data(), lse[run].data()); });
    }
    Verdict verdict;
    verdict.compare("o", ::values(o[0]), plain.exact.o, plain.coarse.o);
    double worst = 0;
    for (size_t i = 0; i < lse[0].size(); i++) worst = max(worst, isnan(lse[0][i]) ? INFINITY : fabs(lse[0][i] - plain.exact.lse[i]));
    verdict.require("log-sum-exp", worst < 1e-4);
    verdict.require("appended", same_bits(o[0], o[1]) && same_bits(lse[0], lse[1]) && same_bits(keys, plain.k) && same_bits(values, plain.v) && fault[0] == 0);
    verdict.require("counters", std::all_of(done.begin(), done.end(), [](int n) { return n == 0; }));
    return report("decode", type_name<E>(), c, verdict);
}

/// Positions past the end of a cache are reported, and nothing is written there.
bool past_the_end() {
    const int T = 2, S = 20, G = 2, D = 16, stored = 19; int fault[4] = {}, done[2] = {};
    const __nv_bfloat16 one = __float2bfloat16(1);
    std::vector<__nv_bfloat16> q(T * G * D, one), k = q, v = q, o = q, keys((S + 4) * G * D, one), values = keys; std::vector<float> part_o(2 * T * G * D), part_lse(2 * T * G), lse(T * G);
    for (int i = 0; i < T * G * D; i++) k[i] = v[i] = __float2bfloat16(2);
    twin::launch({G, 1, 1}, 128, 1, sizeof(attention_portable::Decode<__nv_bfloat16, 64>::Shared), [&] {
        attention_portable_decode_bf16_64({q.data(), keys.data(), values.data(), nullptr, T, S, S, G, G, D, S, 1.f}, {k.data(), v.data(), keys.data(), values.data(), &stored, fault}, {part_o.data(), part_lse.data(), done}, o.data(), lse.data());
    });
    bool ok = fault[0] == 1 && fault[1] == S && fault[2] == S;
    for (size_t i = 0; i < keys.size(); i++) { const float want = i / (G * D) == stored ? 2 : 1; ok &= float(keys[i]) == want && float(values[i]) == want; }
    printf("decode past the end of a cache  %s\n", ok ? "ok" : "WRONG");
    return ok;
}
#define KERNEL(NAME, DP) attention_portable_decode_##NAME##_##DP

int main() {
    std::mt19937 random(8);
    int failures = 0;
    //                                               parts  B  T   S    keys H  G  D    window documents
    failures += !check<__nv_bfloat16, 64>(KERNEL(bf16, 64), 1, {2, 1, 70, 70, 4, 1, 64, 1000, false}, random);
    failures += !check<__nv_bfloat16, 64>(KERNEL(bf16, 64), 3, {1, 3, 600, 500, 6, 2, 40, 1000, true}, random);
    failures += !check<__nv_bfloat16, 64>(KERNEL(bf16, 64), 1, {2, 1, 5, 1, 1, 1, 8, 3, false}, random);
    failures += !check<__nv_bfloat16, 80>(KERNEL(bf16, 80), 5, {1, 1, 1000, 900, 32, 8, 80, 300, false}, random);
    failures += !check<__nv_bfloat16, 80>(KERNEL(bf16, 80), 4, {2, 16, 333, 333, 8, 2, 80, 333, true}, random);
    failures += !check<__nv_bfloat16, 96>(KERNEL(bf16, 96), 7, {1, 2, 200, 199, 10, 1, 96, 111, false}, random);
    failures += !check<__nv_bfloat16, 112>(KERNEL(bf16, 112), 2, {2, 5, 97, 90, 2, 1, 104, 20, false}, random);
    failures += !check<__nv_bfloat16, 128>(KERNEL(bf16, 128), 40, {1, 1, 2000, 1999, 4, 1, 128, 2000, false}, random);
    failures += !check<__nv_bfloat16, 128>(KERNEL(bf16, 128), 2, {1, 17, 40, 33, 20, 1, 120, 9, true}, random);
    failures += !check<__half, 64>(KERNEL(f16, 64), 2, {1, 1, 150, 150, 2, 2, 16, 33, true}, random);
    failures += !check<__half, 80>(KERNEL(f16, 80), 3, {2, 4, 100, 80, 2, 1, 80, 1000, false}, random);
    failures += !check<__half, 96>(KERNEL(f16, 96), 3, {1, 1, 100, 100, 1, 1, 88, 100, false}, random);
    failures += !check<__half, 112>(KERNEL(f16, 112), 1, {1, 1, 100, 100, 1, 1, 112, 10, false}, random);
    failures += !check<__half, 128>(KERNEL(f16, 128), 4, {1, 2, 233, 230, 6, 2, 128, 100, true}, random);
    failures += !past_the_end();
    return failures;
}
