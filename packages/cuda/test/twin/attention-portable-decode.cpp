// Attention of few queries on the CPU twin, against plain loops, over one part of the keys and several.
#include "../../kernels/attention/attention-portable-decode.cu"
#include "attention-plain.h"

using attention_portable::Inputs;

template <class E> struct Kernels {
    void (*decode)(Inputs<E>, const int*, float*, float*);
    void (*join)(const float*, const float*, E*, float*, int, int, int, int, int);
};

template <class E, int DP> bool check(const Kernels<E>& kernels, int parts, const Case& c, std::mt19937& random) {
    using Kernel = attention_portable::Decode<E, DP>;
    const int stored = c.keys - c.T;
    const Plain<E> plain(c, random);
    const int group = c.H / c.G, rows = group * c.T;
    std::vector<E> o[2]; std::vector<float> lse[2];
    for (int run = 0; run < 2; run++) {
        o[run].assign(plain.q.size(), narrowed<E>(NAN)); lse[run].assign(plain.exact.lse.size(), NAN);
        std::vector<float> part_o(parts * plain.q.size(), NAN), part_lse(parts * plain.exact.lse.size(), NAN);
        // The number of keys comes by value, then from memory.
        Inputs<E> in = plain.inputs();
        if (run == 1) in.keys = -1;
        twin::launch({c.B * c.G, (rows + 15) / 16, parts}, 128, 1, sizeof(typename Kernel::Shared), [&] { kernels.decode(in, run == 1 ? &stored : nullptr, part_o.data(), part_lse.data()); });
        twin::launch({c.T, c.H, c.B}, 128, 1, 0, [&] { kernels.join(part_o.data(), part_lse.data(), o[run].data(), lse[run].data(), parts, c.T, c.H, c.G, c.D); });
    }
    Verdict verdict;
    verdict.compare("o", values(o[0]), plain.exact.o, plain.coarse.o);
    double worst = 0;
    for (size_t i = 0; i < lse[0].size(); i++) worst = max(worst, isnan(lse[0][i]) ? INFINITY : fabs(lse[0][i] - plain.exact.lse[i]));
    verdict.require("log-sum-exp", worst < 1e-4);
    verdict.require("repeat", same_bits(o[0], o[1]) && same_bits(lse[0], lse[1]));
    return report("decode", type_name<E>(), c, verdict);
}
#define KERNELS(NAME, DP) {attention_portable_decode_##NAME##_##DP, attention_portable_decode_join_##NAME}

int main() {
    std::mt19937 random(8);
    int failures = 0;
    //                                                parts  B  T   S    keys H  G  D    window documents
    failures += !check<__nv_bfloat16, 64>(KERNELS(bf16, 64), 1, {2, 1, 70, 70, 4, 1, 64, 1000, false}, random);
    failures += !check<__nv_bfloat16, 64>(KERNELS(bf16, 64), 3, {1, 3, 600, 500, 6, 2, 40, 1000, true}, random);
    failures += !check<__nv_bfloat16, 64>(KERNELS(bf16, 64), 1, {2, 1, 5, 1, 1, 1, 8, 3, false}, random);
    failures += !check<__nv_bfloat16, 80>(KERNELS(bf16, 80), 5, {1, 1, 1000, 900, 32, 8, 80, 300, false}, random);
    failures += !check<__nv_bfloat16, 80>(KERNELS(bf16, 80), 4, {2, 16, 333, 333, 8, 2, 80, 333, true}, random);
    failures += !check<__nv_bfloat16, 96>(KERNELS(bf16, 96), 7, {1, 2, 200, 199, 10, 1, 96, 111, false}, random);
    failures += !check<__nv_bfloat16, 112>(KERNELS(bf16, 112), 2, {2, 5, 97, 90, 2, 1, 104, 20, false}, random);
    failures += !check<__nv_bfloat16, 128>(KERNELS(bf16, 128), 20, {1, 1, 2000, 1999, 4, 1, 128, 2000, false}, random);
    failures += !check<__nv_bfloat16, 128>(KERNELS(bf16, 128), 2, {1, 17, 40, 33, 20, 1, 120, 9, true}, random);
    failures += !check<__half, 64>(KERNELS(f16, 64), 2, {1, 1, 150, 150, 2, 2, 16, 33, true}, random);
    failures += !check<__half, 80>(KERNELS(f16, 80), 3, {2, 4, 100, 80, 2, 1, 80, 1000, false}, random);
    failures += !check<__half, 96>(KERNELS(f16, 96), 3, {1, 1, 100, 100, 1, 1, 88, 100, false}, random);
    failures += !check<__half, 112>(KERNELS(f16, 112), 1, {1, 1, 100, 100, 1, 1, 112, 10, false}, random);
    failures += !check<__half, 128>(KERNELS(f16, 128), 4, {1, 2, 233, 230, 6, 2, 128, 100, true}, random);
    return failures;
}
