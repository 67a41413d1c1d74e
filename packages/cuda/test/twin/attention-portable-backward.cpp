// The backward attention of every GPU on the CPU twin, against plain loops.
#include "../../kernels/attention/attention-portable-backward.cu"
#include "attention-plain.h"

using attention_portable::Inputs; using attention_portable::Query;

template <class E> struct Kernels {
    void (*statistics)(Inputs<E>, const E*, const E*, const float*, Query*);
    void (*keys)(Inputs<E>, const E*, const Query*, E*, E*); void (*queries)(Inputs<E>, const E*, const Query*, E*);
};

template <class E, int DP> bool check(const Kernels<E>& kernels, const Case& c, std::mt19937& random) {
    const Plain<E> plain(c, random);
    std::vector<E> o(plain.q.size()); std::vector<float> lse(plain.exact.lse.begin(), plain.exact.lse.end());
    for (size_t i = 0; i < o.size(); i++) o[i] = narrowed<E>(plain.exact.o[i]);
    std::vector<E> d_q[2], d_k[2], d_v[2];
    const Inputs<E> in = plain.inputs();
    for (int run = 0; run < 2; run++) {
        const E poison = narrowed<E>(NAN);
        d_q[run].assign(plain.q.size(), poison); d_k[run].assign(plain.k.size(), poison); d_v[run].assign(plain.k.size(), poison);
        const int rows = attention_portable::query_rows(c.T), blocks = (c.S + 63) / 64;
        std::vector<Query> queries((size_t)c.B * c.H * rows, Query{NAN, NAN, 0, c.keys});
        twin::launch({rows / 16, c.H, c.B}, 256, 1, 0, [&] { kernels.statistics(in, o.data(), plain.d_o.data(), lse.data(), queries.data()); });
        twin::launch({c.G, blocks, c.B}, 128, 1, sizeof(typename attention_portable::BackwardKeys<E, DP>::Shared), [&] { kernels.keys(in, plain.d_o.data(), queries.data(), d_k[run].data(), d_v[run].data()); });
        twin::launch({c.H, rows / 64, c.B}, 128, 1, sizeof(typename attention_portable::BackwardQueries<E, DP>::Shared), [&] { kernels.queries(in, plain.d_o.data(), queries.data(), d_q[run].data()); });
    }
    Verdict verdict;
    verdict.compare("dq", values(d_q[0]), plain.exact.d_q, plain.coarse.d_q);
    verdict.compare("dk", values(d_k[0]), plain.exact.d_k, plain.coarse.d_k);
    verdict.compare("dv", values(d_v[0]), plain.exact.d_v, plain.coarse.d_v);
    verdict.require("repeat", same_bits(d_q[0], d_q[1]) && same_bits(d_k[0], d_k[1]) && same_bits(d_v[0], d_v[1]));
    return report("backward", type_name<E>(), c, verdict);
}
#define KERNELS(NAME, DP) {attention_portable_backward_statistics_##NAME, attention_portable_backward_keys_##NAME##_##DP, attention_portable_backward_queries_##NAME##_##DP}

int main() {
    std::mt19937 random(6);
    int failures = 0;
    //                                                      B  T    S    keys H  G  D    window documents
    failures += !check<__nv_bfloat16, 64>(KERNELS(bf16, 64), {2, 130, 130, 130, 2, 1, 64, 1000, false}, random);
    failures += !check<__nv_bfloat16, 64>(KERNELS(bf16, 64), {1, 70, 200, 131, 3, 1, 40, 50, true}, random);
    failures += !check<__nv_bfloat16, 64>(KERNELS(bf16, 64), {2, 1, 5, 1, 1, 1, 8, 3, false}, random);
    failures += !check<__nv_bfloat16, 64>(KERNELS(bf16, 64), {1, 20, 300, 300, 2, 2, 64, 30, false}, random);
    failures += !check<__nv_bfloat16, 80>(KERNELS(bf16, 80), {2, 257, 257, 257, 2, 2, 80, 64, true}, random);
    failures += !check<__nv_bfloat16, 80>(KERNELS(bf16, 80), {1, 129, 300, 290, 4, 2, 72, 129, false}, random);
    failures += !check<__nv_bfloat16, 96>(KERNELS(bf16, 96), {1, 200, 200, 200, 2, 1, 96, 200, true}, random);
    failures += !check<__nv_bfloat16, 112>(KERNELS(bf16, 112), {2, 65, 97, 97, 2, 1, 104, 20, false}, random);
    failures += !check<__nv_bfloat16, 128>(KERNELS(bf16, 128), {1, 161, 200, 193, 2, 1, 120, 40, true}, random);
    failures += !check<__nv_bfloat16, 128>(KERNELS(bf16, 128), {1, 220, 220, 220, 1, 1, 128, 190, false}, random);
    failures += !check<__half, 64>(KERNELS(f16, 64), {1, 150, 150, 150, 2, 2, 16, 33, true}, random);
    failures += !check<__half, 80>(KERNELS(f16, 80), {2, 40, 100, 80, 2, 1, 80, 1000, false}, random);
    failures += !check<__half, 96>(KERNELS(f16, 96), {1, 100, 100, 100, 1, 1, 88, 100, true}, random);
    failures += !check<__half, 112>(KERNELS(f16, 112), {1, 100, 100, 100, 1, 1, 112, 10, true}, random);
    failures += !check<__half, 128>(KERNELS(f16, 128), {1, 33, 133, 133, 6, 2, 128, 100, false}, random);
    return failures;
}
