// The forward attention of every GPU on the CPU twin, against plain loops.
#include "../../kernels/attention/attention-portable-forward.cu"
#include "attention-plain.h"

using attention_portable::Inputs;

template <class E, int DP> bool check(void (*kernel)(Inputs<E>, E*, float*), const Case& c, std::mt19937& random) {
    using Kernel = attention_portable::Forward<E, DP>;
    const Plain<E> plain(c, random);
    std::vector<E> o[2]; std::vector<float> lse[2];
    for (int run = 0; run < 2; run++) {
        o[run].assign(plain.q.size(), narrowed<E>(NAN)); lse[run].assign(plain.exact.lse.size(), NAN);
        twin::launch({c.H, (c.T + Kernel::QUERIES - 1) / Kernel::QUERIES, c.B}, Kernel::THREADS, 1, sizeof(typename Kernel::Shared), [&] { kernel(plain.inputs(), o[run].data(), lse[run].data()); });
    }
    Verdict verdict;
    verdict.compare("o", values(o[0]), plain.exact.o, plain.coarse.o);
    double worst = 0;
    for (size_t i = 0; i < lse[0].size(); i++) worst = max(worst, isnan(lse[0][i]) ? INFINITY : fabs(lse[0][i] - plain.exact.lse[i]));
    verdict.require("log-sum-exp", worst < 1e-4);
    verdict.require("repeat", same_bits(o[0], o[1]) && same_bits(lse[0], lse[1]));
    return report("forward", type_name<E>(), c, verdict);
}

int main() {
    std::mt19937 random(5);
    int failures = 0;
    //                                                    B  T    S    keys H  G  D    window documents
    failures += !check<__nv_bfloat16, 64>(attention_portable_forward_bf16_64, {2, 130, 130, 130, 2, 1, 64, 1000, false}, random);
    failures += !check<__nv_bfloat16, 64>(attention_portable_forward_bf16_64, {1, 70, 133, 131, 3, 1, 40, 50, true}, random);
    failures += !check<__nv_bfloat16, 64>(attention_portable_forward_bf16_64, {2, 1, 5, 1, 1, 1, 8, 3, false}, random);
    failures += !check<__nv_bfloat16, 80>(attention_portable_forward_bf16_80, {2, 257, 257, 257, 2, 2, 80, 64, true}, random);
    failures += !check<__nv_bfloat16, 80>(attention_portable_forward_bf16_80, {1, 129, 300, 290, 4, 2, 72, 129, false}, random);
    failures += !check<__nv_bfloat16, 96>(attention_portable_forward_bf16_96, {1, 200, 200, 200, 2, 1, 96, 200, true}, random);
    failures += !check<__nv_bfloat16, 112>(attention_portable_forward_bf16_112, {2, 65, 97, 97, 2, 1, 104, 20, false}, random);
    failures += !check<__nv_bfloat16, 128>(attention_portable_forward_bf16_128, {1, 161, 200, 193, 2, 1, 120, 1, true}, random);
    failures += !check<__nv_bfloat16, 128>(attention_portable_forward_bf16_128, {1, 300, 300, 300, 1, 1, 128, 190, false}, random);
    failures += !check<__half, 64>(attention_portable_forward_f16_64, {1, 150, 150, 150, 2, 2, 16, 33, true}, random);
    failures += !check<__half, 80>(attention_portable_forward_f16_80, {2, 40, 100, 80, 2, 1, 80, 1000, false}, random);
    failures += !check<__half, 96>(attention_portable_forward_f16_96, {1, 100, 100, 100, 1, 1, 88, 100, true}, random);
    failures += !check<__half, 112>(attention_portable_forward_f16_112, {1, 100, 100, 100, 1, 1, 112, 10, true}, random);
    failures += !check<__half, 128>(attention_portable_forward_f16_128, {1, 33, 133, 133, 6, 2, 128, 100, false}, random);
    return failures;
}
