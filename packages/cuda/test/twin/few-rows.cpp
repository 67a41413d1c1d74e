// The products of generation on the CPU twin against plain loops; each row with the bits it has alone, whatever the number of
// blocks and the depth of the rings.
#include "../../kernels/generation/few-rows.cu"

#include "plain.h"

using namespace few_rows;
template <class E> constexpr double HALF_STEP = std::is_same_v<E, float> ? 0x1p-24 : std::is_same_v<E, __half> ? 0x1p-11 : 0x1p-8;
constexpr float EPS = 1e-5f;

/// Rows in memory with gaps between them, and what a norm makes of them.
template <class E> struct Input {
    int M, K, ldx; bool normed; std::vector<E> x, norm; std::vector<double> exact;
    Input(int M, int K, bool normed, int gap) : M(M), K(K), ldx(K + gap), normed(normed), x((size_t)M * ldx, E(NAN)), norm(normal<E>(K)), exact((size_t)M * K) {
        for (int m = 0; m < M; m++) {
            const auto row = normal<E>(K, 2); double squares = 0;
            for (int k = 0; k < K; k++) { x[(size_t)m * ldx + k] = row[k]; squares += pow(float(row[k]), 2); }
            for (int k = 0; k < K; k++) exact[(size_t)m * K + k] = normed ? float(row[k]) / sqrt(squares / K + EPS) * float(norm[k]) : float(row[k]);
        }
    }
    Rows<E> rows(int first, int count, int slots) const { return {x.data() + (size_t)first * ldx, normed ? norm.data() : nullptr, EPS, count, K, ldx, slots}; }
    /// Sum of a row with a line, and most that rounding what a norm gives and summing may change in it.
    std::pair<double, double> sum(int m, const E* line) const {
        double sum = 0, size = 0;
        for (int k = 0; k < K; k++) { const double p = exact[(size_t)m * K + k] * float(line[k]); sum += p; size += fabs(p); }
        return {sum, size * ((normed ? HALF_STEP<E> : 0) + (K + 8) * 0x1p-24)};
    }
};

/// Runs a kernel for all rows at once, then for each alone on another number of blocks; the bits are to be the same.
/// @param launch gets rows and the first of them
template <class E, class F> bool alone_and_together(const Input<E>& in, int pairs, const std::vector<std::pair<void*, size_t>>& results, F launch) {
    const auto run = [&](int first, int count, int slots, int blocks) {
        twin::launch({min(blocks, pairs), 1, 1}, THREADS, 1, shared_bytes(slots, count, in.K, in.normed), [&] { launch(in.rows(first, count, slots), first); });
    };
    const auto bytes = [&] { std::vector<uint8_t> all; for (auto [at, size] : results) all.insert(all.end(), (uint8_t*)at, (uint8_t*)at + size); return all; };
    for (int m = 0; m < in.M; m++) run(m, 1, m % 2 ? DEEP : SHALLOW, 1 + m % 3);
    const auto alone = bytes();
    for (auto [at, size] : results) memset(at, 0xFF, size);
    run(0, in.M, SHALLOW, 2);
    const auto two = bytes();
    for (auto [at, size] : results) memset(at, 0xFF, size);
    run(0, in.M, DEEP, 5);
    return alone == bytes() && alone == two;
}

template <class E, class R> void check_linear(void (*kernel)(Rows<E>, Linear<E>), int M, int N, int K, bool with_residual, int gap = 0) {
    const Input<E> in(M, K, false, gap); const int ldw = K + gap; const auto w = normal<E>((size_t)N * ldw); const auto residual = normal<R>((size_t)M * N, 4);
    Poisoned<R> y((size_t)M * N);
    Linear<E> layer{y.data(), w.data(), nullptr, N, ldw, sizeof(R) == 4};
    const bool same = alone_and_together(in, layer.pairs(), {{y.data(), (size_t)M * N * sizeof(R)}}, [&](Rows<E> rows, int first) {
        Linear<E> own = layer; own.y = y.data() + (size_t)first * N; own.residual = with_residual ? residual.data() + (size_t)first * N : nullptr; kernel(rows, own);
    });
    long wrong = !same;
    for (int m = 0; m < M; m++) for (int n = 0; n < N; n++) {
        auto [want, slack] = in.sum(m, &w[(size_t)n * ldw]); if (with_residual) want += float(residual[(size_t)m * N + n]);
        wrong += !(fabs(float(y.memory[(size_t)m * N + n]) - want) <= fabs(want) * HALF_STEP<R> * 1.01 + slack + 1e-6);
    }
    for (size_t i = (size_t)M * N; i < y.memory.size(); i++) wrong += !std::isnan(float(y.memory[i]));
    say(sized(same ? "linear" : "linear, bits differ", sizeof(R) == 4 ? "to f32" : "", {M, N, K, with_residual}), wrong);
}

template <class E> void check_swiglu(void (*kernel)(Rows<E>, Swiglu<E>), int M, int F, int K) {
    const Input<E> in(M, K, true, 0); const auto gate = normal<E>((size_t)F * K, 1 / sqrtf(K)), up = normal<E>((size_t)F * K, 1 / sqrtf(K));
    Poisoned<E> y((size_t)M * F);
    const bool same = alone_and_together(in, F, {{y.data(), (size_t)M * F * sizeof(E)}}, [&](Rows<E> rows, int first) { kernel(rows, {y.data() + (size_t)first * F, gate.data(), up.data(), F, K}); });
    long wrong = !same;
    for (int m = 0; m < M; m++) for (int n = 0; n < F; n++) {
        const auto [g, g_slack] = in.sum(m, &gate[(size_t)n * K]); const auto [u, u_slack] = in.sum(m, &up[(size_t)n * K]); const double want = g / (1 + exp(-g)) * u;
        wrong += !(fabs(float(y.memory[(size_t)m * F + n]) - want) <= fabs(want) * (HALF_STEP<E> * 1.01 + 1e-6) + 1.1 * g_slack * fabs(u) + fabs(g) * u_slack + g_slack * u_slack + 1e-7);
    }
    say(sized(same ? "swiglu" : "swiglu, bits differ", "", {M, F, K}), wrong);
}

template <class E> void check_query_key_value(void (*kernel)(Rows<E>, QueryKeyValue<E>), int M, int H, int G, int D, int K) {
    const int P = 50; const Input<E> in(M, K, true, 0);
    const auto query = normal<E>((size_t)H * D * K), key = normal<E>((size_t)G * D * K), value = normal<E>((size_t)G * D * K);
    std::vector<float> table((size_t)P * D); for (int p = 0; p < P; p++) for (int i = 0; i < D / 2; i++) { table[p * D + i] = cosf(p * 0.3f + i); table[p * D + D / 2 + i] = sinf(p * 0.3f + i); }
    std::vector<int> positions(M); for (int m = 0; m < M; m++) positions[m] = (7 * m + 3) % P;
    Poisoned<E> q((size_t)M * H * D), k((size_t)M * G * D), v((size_t)M * G * D); int fault[4] = {};
    const auto layer = [&](int first, const int* at) {
        return QueryKeyValue<E>{q.data() + (size_t)first * H * D, k.data() + (size_t)first * G * D, v.data() + (size_t)first * G * D, query.data(), key.data(), value.data(), table.data(), at, fault, H, G, D, P, K};
    };
    const bool same = alone_and_together(in, (H + 2 * G) * D / 2, {{q.data(), (size_t)M * H * D * sizeof(E)}, {k.data(), (size_t)M * G * D * sizeof(E)}, {v.data(), (size_t)M * G * D * sizeof(E)}},
        [&](Rows<E> rows, int first) { kernel(rows, layer(first, positions.data() + first)); });
    long wrong = !same + (fault[0] != 0);
    const auto compare = [&](const Poisoned<E>& got, const std::vector<E>& w, int heads, bool turns) {
        for (int m = 0; m < M; m++) for (int h = 0; h < heads; h++) for (int d = 0; d < D; d++) {
            const int i = d % (D / 2); const double c = turns ? table[positions[m] * D + i] : 1, s = turns ? table[positions[m] * D + D / 2 + i] : 0;
            const auto [own, own_slack] = in.sum(m, &w[((size_t)h * D + d) * K]); const auto [other, other_slack] = in.sum(m, &w[((size_t)h * D + (d + D / 2) % D) * K]);
            const double want = own * c + (d < D / 2 ? -other : other) * s;
            wrong += !(fabs(float(got.memory[((size_t)m * heads + h) * D + d]) - want) <= fabs(want) * HALF_STEP<E> * 1.01 + own_slack * fabs(c) + other_slack * fabs(s) + 1e-5);
        }
    };
    compare(q, query, H, true); compare(k, key, G, true); compare(v, value, G, false);
    // A position outside of the table is reported.
    positions[M - 1] = P;
    twin::launch({2, 1, 1}, THREADS, 1, shared_bytes(DEEP, M, K, true), [&] { kernel(in.rows(0, M, DEEP), layer(0, positions.data())); });
    wrong += fault[0] != 1 || fault[1] != P || fault[2] != P;
    say(sized(same ? "query, key, value" : "query, key, value, bits differ", "", {M, H, G, D, K}), wrong);
}

#define LINEAR(E, R, NAME, ...) check_linear<E, R>(few_rows_linear_##NAME, __VA_ARGS__)
int main() {
    LINEAR(Bf16, Bf16, bf16, 1, 37, 2560, true); LINEAR(Bf16, Bf16, bf16, 16, 21, 1032, false); LINEAR(Bf16, float, bf16, 3, 50, 264, true, 8);
    LINEAR(Bf16, Bf16, bf16, 9, 8, 8, true); LINEAR(Bf16, float, bf16, 8, 1, 600, false); LINEAR(__half, __half, f16, 5, 40, 520, true); LINEAR(__half, float, f16, 12, 19, 72, false, 16);
    check_swiglu<Bf16>(few_rows_swiglu_bf16, 1, 42, 1000); check_swiglu<Bf16>(few_rows_swiglu_bf16, 16, 9, 520); check_swiglu<Bf16>(few_rows_swiglu_bf16, 7, 3, 8); check_swiglu<__half>(few_rows_swiglu_f16, 4, 20, 2568);
    check_query_key_value<Bf16>(few_rows_query_key_value_bf16, 1, 4, 2, 16, 2560); check_query_key_value<Bf16>(few_rows_query_key_value_bf16, 16, 2, 1, 80, 520);
    check_query_key_value<Bf16>(few_rows_query_key_value_bf16, 5, 3, 3, 6, 72); check_query_key_value<__half>(few_rows_query_key_value_f16, 10, 2, 2, 64, 328);
    return failures;
}
