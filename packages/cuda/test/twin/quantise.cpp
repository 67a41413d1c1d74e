// Casts to fp8 and their transposed copies on the CPU twin, against plain loops.
#include "../../kernels/fp8/quantise.cu"

#include "fp8.h"

/// `special`: a NaN among x, or a weight that is infinite.
struct Case { int rows, columns; float scale; bool q, t, amax = true; int pitch = 0; bool special = false; };

/// `launch(x, results)` runs the kernel; twice, which must give the same bits.
template <Fp8 F, class L> void cast_case(const std::string& name, const Case& c, const std::vector<Bf16>& x, const std::vector<double>& want, L launch) {
    Results<F> first(c.rows, c.columns, c.scale, c.q, c.t, c.amax, c.pitch), again = first; std::string text;
    for (auto* r : {&first, &again}) twin::launch({tiles(c.rows) * ((c.columns + QUANTISE_WIDTH - 1) / QUANTISE_WIDTH), 1, 1}, QUANTISE_THREADS, 1, QUANTISE_SHARED, [&] { launch(x.data(), *r); });
    const long wrong = first.wrong(want, 2e-7, text) + !(first == again);
    say(name + " " + std::to_string(c.rows) + " x " + std::to_string(c.columns) + ", scale " + std::to_string(c.scale) + first.wanted() + (c.special ? ", special" : ""), wrong, text);
}
template <Fp8 F> void plain(const Case& c) {
    constexpr auto kernel = F == Fp8::e4m3 ? quantise_e4m3 : quantise_e5m2;
    auto x = normal_bf16((size_t)c.rows * c.columns); if (c.special) x[x.size() / 2] = __float2bfloat16(NAN);
    std::vector<double> want; for (Bf16 v : x) want.push_back(value(v));
    cast_case<F>(F == Fp8::e4m3 ? "quantise_e4m3" : "quantise_e5m2", c, x, want, [&](const Bf16* from, auto& r) {
        kernel(from, r.rowwise(), r.transposed(), r.top(), c.scale == 1 ? nullptr : &r.scale, c.rows, c.columns, r.pitch, r.stride); });
}
void normed(const Case& c) {
    const auto x = normal_bf16((size_t)c.rows * c.columns, 3); auto w = normal_bf16(c.columns); std::vector<float> rstd(c.rows); std::vector<double> want;
    for (float& r : rstd) r = 0.1f + std::exp(std::normal_distribution<float>()(random_bits));
    if (c.special) w[c.columns / 2] = __float2bfloat16(INFINITY);        // beside rows that are zero past the end
    for (int r = 0; r < c.rows; r++) for (int k = 0; k < c.columns; k++) want.push_back(value(x[(size_t)r * c.columns + k]) * rstd[r] * value(w[k]));
    cast_case<Fp8::e4m3>("quantise_normed_e4m3", {c.rows, c.columns, c.scale, c.q, c.t, c.amax && !c.special, c.pitch}, x, want, [&](const Bf16* from, auto& r) {
        quantise_normed_e4m3(from, rstd.data(), w.data(), r.rowwise(), r.transposed(), r.top(), c.scale == 1 ? nullptr : &r.scale, c.rows, c.columns, r.pitch, r.stride); });
}

int main() {
    plain<Fp8::e4m3>({1, 8, 1, true, true}); plain<Fp8::e4m3>({300, 264, 60, true, true}); plain<Fp8::e4m3>({700, 136, 400, true, true});
    plain<Fp8::e4m3>({130, 128, 1e-2f, true, false, false}); plain<Fp8::e4m3>({150, 144, 30, true, true, true, 400}); plain<Fp8::e4m3>({140, 200, 30, true, true, true, 0, true});
    plain<Fp8::e5m2>({257, 400, 3e4f, true, true}); plain<Fp8::e5m2>({65, 8, 1e-3f, false, true}); plain<Fp8::e5m2>({100, 136, 1, false, false});
    plain<Fp8::e5m2>({33, 24, 5, true, false, true, 32}); plain<Fp8::e5m2>({131, 264, 5, false, true, false, 0, true});
    normed({1, 8, 1, true, true}); normed({300, 264, 40, true, true}); normed({135, 136, 40, false, true, false}); normed({70, 144, 40, true, false, true, 160}); normed({37, 72, 40, true, true, true, 0, true});
    return failures;
}
