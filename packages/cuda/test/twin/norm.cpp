// The RMSNorm kernels on the CPU twin, against plain loops.
#include "../../kernels/fused/norm.cu"
#include "../../kernels/fp8/quantise.cu"

#include "fp8.h"

constexpr float EPS = 1e-5f;
struct Want { std::vector<double> rstd, y; };
Want normalised(const std::vector<Bf16>& x, const std::vector<Bf16>& w, int rows, int C) {
    Want o{std::vector<double>(rows), std::vector<double>(x.size())};
    for (int r = 0; r < rows; r++) {
        double squares = 0;
        for (size_t i = (size_t)r * C; i < (size_t)(r + 1) * C; i++) squares += value(x[i]) * value(x[i]);
        o.rstd[r] = 1 / sqrt(squares / C + EPS);
        for (int c = 0; c < C; c++) o.y[(size_t)r * C + c] = value(x[(size_t)r * C + c]) * o.rstd[r] * value(w[c]);
    }
    return o;
}
/// n numbers that are not, and eight more that must stay so.
template <class T> std::vector<T> poisoned(size_t n) { return std::vector<T>(n + 8, T(NAN)); }
template <class T> long outside(const std::vector<T>& v) { long bad = 0; for (size_t i = v.size() - 8; i < v.size(); i++) bad += !std::isnan(float(v[i])); return bad; }
template <class T> bool same_bits(const std::vector<T>& a, const std::vector<T>& b) { return memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0; }

void forward_case(int rows, int C, bool wide, bool with_y, bool with_q, bool with_amax, bool has_nan = false) {
    auto x = normal_bf16((size_t)rows * C, 3); const auto w = normal_bf16(C);
    if (has_nan) x[(size_t)rows / 2 * C + C / 2] = __float2bfloat16(NAN);
    const Want want = normalised(x, w, rows, C); std::string text;
    auto y = poisoned<Bf16>((size_t)rows * C), y_again = y; auto rstd = poisoned<float>(rows), rstd_again = rstd;
    Results<Fp8::e4m3> r(rows, C, 40, with_q, false, with_amax), r_again = r;
    const auto run = [&](auto& y, auto& rstd, auto& r) {
        twin::launch({rows, 1, 1}, wide ? 256 : 64, 1, 0, [&] {
            (wide ? rms_norm_forward_wide : rms_norm_forward)(x.data(), w.data(), rstd.data(), with_y ? y.data() : nullptr, r.rowwise(), r.top(), with_q ? &r.scale : nullptr, rows, C, EPS); });
    };
    run(y, rstd, r); run(y_again, rstd_again, r_again);
    long wrong = r.wrong(want.y, 2e-6, text) + !(r == r_again) + !same_bits(y, y_again) + !same_bits(rstd, rstd_again) + outside(y) + outside(rstd);
    for (int i = 0; i < rows; i++) wrong += std::isnan(want.rstd[i]) ? !std::isnan(rstd[i]) : !(fabs(rstd[i] / want.rstd[i] - 1) < 1e-6);
    for (size_t i = 0; i < want.y.size(); i++) {
        const double got = value(y[i]), o = want.y[i];
        wrong += !with_y || std::isnan(o) ? !std::isnan(got) : !(fabs(got - o) <= fabs(o) * (1. / 256 + 2e-6));
    }
    if (with_q) {       // what the backward pass casts again are the same numbers
        Results<Fp8::e4m3> again(rows, C, 40, true, false);
        twin::launch({tiles(rows) * tiles(C), 1, 1}, QUANTISE_THREADS, 1, QUANTISE_SHARED, [&] { quantise_normed_e4m3(x.data(), rstd.data(), w.data(), again.rowwise(), nullptr, again.top(), &again.scale, rows, C, C, 0); });
        wrong += again.q != r.q || (with_amax && again.amax != r.amax);
    }
    say(std::string("rms_norm_forward") + (wide ? "_wide " : " ") + std::to_string(rows) + " x " + std::to_string(C) + (with_y ? " bf16" : "") + r.wanted() + (has_nan ? ", a NaN" : ""), wrong, text);
}

/// `over`: where dx is written, over what it is computed from.
enum Over { nothing, d_y, d_residual };
void backward_case(int rows, int C, int parts, bool wide, bool with_residual, Over over = nothing) {
    const auto x = normal_bf16((size_t)rows * C, 3), g = normal_bf16((size_t)rows * C), residual = normal_bf16((size_t)rows * C), w = normal_bf16(C);
    const Want want = normalised(x, w, rows, C); const std::vector<float> rstd(want.rstd.begin(), want.rstd.end());
    struct Outcome { std::vector<Bf16> d_x; std::vector<float> partial, d_w; };
    const auto run = [&] {
        Outcome o{poisoned<Bf16>((size_t)rows * C), poisoned<float>((size_t)parts * C), poisoned<float>(C)};
        if (over) std::copy_n((over == d_y ? g : residual).begin(), (size_t)rows * C, o.d_x.begin());
        twin::launch({parts, 1, 1}, wide ? 512 : 320, 1, 0, [&] {
            (wide ? rms_norm_backward_wide : rms_norm_backward)(over == d_y ? o.d_x.data() : g.data(), x.data(), w.data(), rstd.data(), !with_residual ? nullptr : over == d_residual ? o.d_x.data() : residual.data(),
                o.d_x.data(), o.partial.data(), rows, C); });
        twin::launch({(C + 31) / 32, 1, 1}, 512, 1, 0, [&] { rms_norm_weight_gradient(o.partial.data(), o.d_w.data(), parts, C); });
        return o;
    };
    const Outcome o = run(), again = run();
    long wrong = outside(o.d_x) + outside(o.partial) + outside(o.d_w) + !same_bits(o.d_x, again.d_x) + !same_bits(o.d_w, again.d_w);
    double error_x = 0, error_w = 0, size_w = 0; std::vector<double> gradient(C);
    for (int r = 0; r < rows; r++) {
        double mean = 0; const size_t base = (size_t)r * C; const double s = want.rstd[r];
        for (int c = 0; c < C; c++) mean += value(x[base + c]) * value(w[c]) * value(g[base + c]) / C;
        for (int c = 0; c < C; c++) {
            const double d = s * (value(w[c]) * value(g[base + c]) - value(x[base + c]) * s * s * mean) + (with_residual ? value(residual[base + c]) : 0), e = fabs(value(o.d_x[base + c]) - d);
            wrong += !(e <= fabs(d) / 256 * 1.001 + 2e-6); error_x = std::max(error_x, e);
            gradient[c] += value(g[base + c]) * value(x[base + c]) * s;
        }
    }
    for (int c = 0; c < C; c++) { const double d = gradient[c]; error_w += (o.d_w[c] - d) * (o.d_w[c] - d); size_w += d * d; }
    wrong += !(error_w < 1e-12 * size_w);
    char text[80]; snprintf(text, sizeof text, "dx within %.1e, dw %.1e", error_x, sqrt(error_w / size_w));
    say(std::string("rms_norm_backward") + (wide ? "_wide " : " ") + std::to_string(rows) + " x " + std::to_string(C) + " in " + std::to_string(parts) + (with_residual ? " + residual" : "") + (over ? " in place" : ""), wrong, text);
}

int main() {
    for (int wide = 0; wide < 2; wide++) {
        const int times = wide ? 3 : 1;
        forward_case(1, 8 * times, wide, true, true, true); forward_case(5, 264 * times, wide, true, false, false); forward_case(37, 2560 * times, wide, false, true, true);
        forward_case(3, 136, wide, false, false, false); forward_case(3, 1032, wide, false, false, true); forward_case(4, 72, wide, true, true, true, true);
    }
    backward_case(1, 8, 1, false, true); backward_case(37, 2560, 5, false, true); backward_case(40, 264, 7, false, false); backward_case(9, 3000, 4, true, true);
    backward_case(20, 1032, 3, false, true, d_y); backward_case(20, 520, 6, false, true, d_residual); backward_case(7, 8192, 2, true, false, d_y);
    return failures;
}
