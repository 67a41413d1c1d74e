// The best of scores on the CPU twin, wherever it stands, with equals, infinities and NaN.
#include "../../kernels/generation/choose-next.cu"

#include "plain.h"

template <class T> void check(void (*kernel)(int*, int*, int*, const T*, int), const char* what, int V, std::vector<std::pair<int, float>> special) {
    std::vector<T> logits = normal<T>(V);
    for (auto [at, value] : special) logits[at] = T(value);
    logits.resize(V + 8, T(NAN));
    int want = 0;
    for (int i = 1; i < V; i++) { const float a = float(logits[i]), b = float(logits[want]); if (!std::isnan(b) && (std::isnan(a) || a > b)) want = i; }
    int id[3] = {-1, -1, -1}, position = 7, stored = 5;
    twin::launch({1, 1, 1}, 1024, 1, 0, [&] { kernel(id, &position, &stored, logits.data(), V); });
    say(sized(what, "", {V}), (id[0] != want) + (id[1] != -1) + (position != 8) + (stored != 6));
}
#define ALL(NAME, T) \
    check<T>(choose_next_##NAME, #NAME, 32000, {}); check<T>(choose_next_##NAME, #NAME ", the last", 30001, {{30000, 9}}); check<T>(choose_next_##NAME, #NAME ", equals", 20000, {{19999, 50}, {777, 50}, {8191, 50}}); \
    check<T>(choose_next_##NAME, #NAME ", NaN", 9000, {{8500, NAN}, {100, INFINITY}, {4444, NAN}}); check<T>(choose_next_##NAME, #NAME ", one", 1, {{0, -INFINITY}}); check<T>(choose_next_##NAME, #NAME ", few", 13, {});
int main() {
    ALL(f32, float)
    ALL(bf16, Bf16)
    ALL(f16, __half)
    std::vector<std::pair<int, float>> lowest; for (int i = 0; i < 40; i++) lowest.push_back({i, -INFINITY});
    check<float>(choose_next_f32, "all of them lowest", 40, lowest);
    return failures;
}
