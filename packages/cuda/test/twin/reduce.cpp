// Sums, maxima and their places on the CPU twin against plain loops: every cut, in one launch and in parts, NaN and ties.
#include "../../kernels/primitives/reduce.cu"

#include <random>

using namespace number;
static std::mt19937 rng(1);
static int failures = 0;
static int draw(int from, int to) { return from + (int)(rng() % (to - from + 1)); }

template <class T> using Entry = void (*)(void*, const T*, const void*, int, reduce::Cut);

/// Reduces x [outer, reduced, inner], in parts of `part` first if there is more than one.
template <class T, class Y> static std::vector<Y> reduced(Entry<T> kernel, const std::vector<T>& x, int kind, int outer, int length, int inner, int depth, int part) {
    const int parts = max(1, (length + part - 1) / part), lines = reduce::THREADS / depth, blocks = (outer * inner + lines - 1) / lines;
    std::vector<Y> y(outer * inner + 1); memset(y.data(), 0xCD, y.size() * sizeof(Y)); const Y guard = y.back();
    std::vector<uint64_t> results((size_t)outer * parts * inner, 0xCDCDCDCDCDCDCDCD);
    if (parts == 1) twin::launch({blocks}, 256, 1, 0, [&] { kernel(y.data(), x.data(), nullptr, kind, {outer, length, inner, part, 1, depth}); });
    else {
        twin::launch({blocks, parts}, 256, 1, 0, [&] { kernel(results.data(), x.data(), nullptr, kind, {outer, length, inner, part, parts, depth}); });
        twin::launch({blocks}, 256, 1, 0, [&] { kernel(y.data(), nullptr, results.data(), kind, {outer, parts, inner, parts, 1, depth}); });
    }
    if (memcmp(&y.back(), &guard, sizeof guard)) failures++;
    y.pop_back(); return y;
}

template <class T> static void check(const char* name, Entry<T> kernel) {
    long wrong = 0, cases = 0;
    for (int run = 0; run < 24; run++) {
        const int outer = draw(1, 3), inner = run % 2 ? draw(1, 40) : 1, length = draw(0, 3) == 0 ? draw(0, 3) : draw(1, 500);
        const int depth = 1 << draw(0, 8), part = run % 3 ? max(1, length) : draw(1, 60);
        std::vector<T> x((size_t)outer * length * inner);
        for (auto& e : x) {
            if constexpr (IS_INTEGER<T>) e = (T)rng(); else e = element<T>(draw(-8, 8) * 0.25f);   // many ties
            if constexpr (!IS_INTEGER<T>) if (rng() % 2000 == 0) e = element<T>(rng() % 2 ? NAN : INFINITY);
        }
        const auto sums = reduced<T, T>(kernel, x, reduce::SUM, outer, length, inner, depth, part), again = reduced<T, T>(kernel, x, reduce::SUM, outer, length, inner, depth, part);
        const auto tops = reduced<T, T>(kernel, x, reduce::MAX, outer, length, inner, depth, part);
        const auto places = reduced<T, int32_t>(kernel, x, reduce::ARGMAX, outer, length, inner, depth, part);
        wrong += memcmp(sums.data(), again.data(), sums.size() * sizeof(T)) != 0;
        for (int o = 0; o < outer; o++) for (int i = 0; i < inner; i++) {
            double sum = 0, top = IS_INTEGER<T> ? (double)LOWEST<T> : -INFINITY; int place = 0;
            for (int r = 0; r < length; r++) {
                const double v = value(x[((size_t)o * length + r) * inner + i]);
                sum += v;
                if (r == 0 || v > top || (isnan(v) && !isnan(top))) { top = v; place = r; }
            }
            const int line = o * inner + i;
            const auto equal = [](double a, double b) { return isnan(a) ? isnan(b) : a == b; };
            // Quarters of small numbers add up without rounding, in any order.
            wrong += !equal(value(sums[line]), value(saturated<T>(sum))) + !equal(value(tops[line]), value(saturated<T>(top)));
            wrong += places[line] != place;
            cases++;
        }
    }
    if (wrong) failures++;
    printf("reduce_%-8s %6ld lines  %s\n", name, cases, wrong ? "WRONG" : "ok");
}

int main() {
    check("f32", reduce_f32); check("bf16", reduce_bf16); check("f16", reduce_f16);
    check("f8e4m3", reduce_f8e4m3); check("f8e5m2", reduce_f8e5m2); check("i32", reduce_i32); check("u8", reduce_u8);
    return failures;
}
