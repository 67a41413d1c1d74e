// The products of few rows with weights straight to registers give the bits of those that come through a ring, whatever the number
// of blocks; few-rows.cpp compares these with plain loops.
#include "../../kernels/generation/few-rows.cu"
#include "../../gpu/candidates/few-rows-registers.cuh"

#include "plain.h"

using namespace few_rows;

/// @param layer what becomes of products, its results in `y`
template <class E, class Layer> void check(const char* name, int M, int K, bool normed, Poisoned<E>& y, const Layer& layer) {
    const auto x = normal<E>((size_t)M * K, 2), norm = normal<E>(K);
    const auto rows = [&](int slots) { return Rows<E>{x.data(), normed ? norm.data() : nullptr, 1e-5f, M, K, K, slots}; };
    twin::launch({min(3, layer.pairs()), 1, 1}, THREADS, 1, shared_bytes(DEEP, M, K, normed), [&] { run(rows(DEEP), layer); });
    const auto want = y.memory; long wrong = 0;
    for (int blocks : {1, 4}) for (Refill refill : {Refill::together, Refill::in_turn}) {
        memset(y.memory.data(), 0xFF, (y.memory.size() - 8) * sizeof(E));
        twin::launch({min(blocks, layer.pairs()), 1, 1}, THREADS, 1, shared_bytes(0, M, K, normed), [&] {
            if (refill == Refill::together) in_registers<Refill::together>(rows(0), layer, Ahead{x.data(), 64}); else in_registers<Refill::in_turn>(rows(0), layer, Ahead{});
        });
        wrong += memcmp(y.memory.data(), want.data(), want.size() * sizeof(E)) != 0;
    }
    say(sized(name, "", {M, layer.pairs(), K}), wrong);
}
template <class E> void check_linear(int M, int N, int K) {
    const auto w = normal<E>((size_t)N * K), residual = normal<E>((size_t)M * N); Poisoned<E> y((size_t)M * N);
    check("linear", M, K, false, y, Linear<E>{y.data(), w.data(), residual.data(), N, K, 0});
}
template <class E> void check_swiglu(int M, int F, int K) {
    const auto gate = normal<E>((size_t)F * K, 1 / sqrtf(K)), up = normal<E>((size_t)F * K, 1 / sqrtf(K)); Poisoned<E> y((size_t)M * F);
    check("swiglu", M, K, true, y, Swiglu<E>{y.data(), gate.data(), up.data(), F, K});
}
template <class E> void check_query_key_value(int M, int H, int G, int D, int K) {
    const int P = 20; const auto w = normal<E>((size_t)(H + 2 * G) * D * K); const auto table = normal<float>((size_t)P * D); int fault[4] = {};
    std::vector<int> positions(M); for (int m = 0; m < M; m++) positions[m] = (7 * m + 3) % P;
    Poisoned<E> y((size_t)M * (H + 2 * G) * D); E *q = y.data(), *k = q + (size_t)M * H * D, *v = k + (size_t)M * G * D;
    check("query, key, value", M, K, true, y, QueryKeyValue<E>{q, k, v, w.data(), w.data() + (size_t)H * D * K, w.data() + (size_t)(H + G) * D * K, table.data(), positions.data(), fault, H, G, D, P, K});
}

int main() {
    check_linear<Bf16>(1, 37, 2560); check_linear<Bf16>(16, 21, 1032); check_linear<Bf16>(9, 1, 8); check_linear<__half>(3, 50, 6912);
    check_swiglu<Bf16>(1, 42, 1000); check_swiglu<Bf16>(12, 3, 2568); check_query_key_value<Bf16>(1, 4, 2, 16, 2560); check_query_key_value<__half>(10, 2, 1, 80, 520);
    return failures;
}
