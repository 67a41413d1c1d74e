// What the twin tests of the RMSNorm kernels share: the norm and its gradients in plain loops.
#pragma once
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

/// Where dx is written, over what it is computed from.
enum Over { nothing, d_y, d_residual };
struct Backward;
/// What a kernel makes of it, poisoned.
struct Gradients {
    std::vector<Bf16> d_x; std::vector<float> partial, d_w;
    inline Gradients(int rows, int C, int parts, const Backward& sample);
    bool operator==(const Gradients& o) const { return same_bits(d_x, o.d_x) && same_bits(d_w, o.d_w); }
};
/// What the gradients of a norm are made of, and what they should be.
struct Backward {
    int rows, C; bool with_residual; Over over;
    std::vector<Bf16> x, g, residual, w; Want want; std::vector<float> rstd; std::vector<double> d_x, d_w;
    Backward(int rows, int C, bool with_residual, Over over, const std::vector<float>& special = {})
        : rows(rows), C(C), with_residual(with_residual), over(over), x(normal_bf16((size_t)rows * C, 3)), g(normal_bf16((size_t)rows * C)), residual(normal_bf16((size_t)rows * C)), w(normal_bf16(C)),
          want(normalised(x, w, rows, C)), rstd(want.rstd.begin(), want.rstd.end()), d_x((size_t)rows * C), d_w(C) {
        for (size_t i = 0; i < special.size(); i++) (with_residual ? residual : g)[(i + 1) * g.size() / (special.size() + 1)] = __float2bfloat16(special[i]);
        for (int r = 0; r < rows; r++) {
            double mean = 0; const size_t base = (size_t)r * C; const double s = want.rstd[r];
            for (int c = 0; c < C; c++) mean += value(x[base + c]) * value(w[c]) * value(g[base + c]) / C;
            for (int c = 0; c < C; c++) {
                d_x[base + c] = s * (value(w[c]) * value(g[base + c]) - value(x[base + c]) * s * s * mean) + (with_residual ? value(residual[base + c]) : 0);
                d_w[c] += value(g[base + c]) * value(x[base + c]) * s;
            }
        }
    }
    const Bf16* upstream(const Gradients& o) const { return over == Over::d_y ? o.d_x.data() : g.data(); }
    const Bf16* beside(const Gradients& o) const { return !with_residual ? nullptr : over == Over::d_residual ? o.d_x.data() : residual.data(); }
    std::string wanted() const { return std::string(with_residual ? " + residual" : "") + (over ? " in place" : ""); }
    /// Number of wrong elements. Of numbers that are not finite their kind is compared, and nothing of sums that hold one.
    long wrong(const Gradients& o, std::string& text) const {
        long bad = outside(o.d_x) + outside(o.partial) + outside(o.d_w); double error_x = 0, error_w = 0, size_w = 0;
        for (size_t i = 0; i < d_x.size(); i++) {
            const double got = value(o.d_x[i]), d = d_x[i], e = fabs(got - d);
            if (std::isfinite(d)) { bad += !(e <= fabs(d) / 256 * 1.001 + 2e-6); error_x = std::max(error_x, e); } else bad += std::isnan(d) ? !std::isnan(got) : got != d;
        }
        for (int c = 0; c < C; c++) { const double d = d_w[c], e = o.d_w[c] - d; if (std::isfinite(d)) { error_w += e * e; size_w += d * d; } else bad += std::isfinite(o.d_w[c]); }
        bad += !(error_w < 1e-12 * size_w);
        char line[80]; snprintf(line, sizeof line, "dx within %.1e, dw %.1e", error_x, sqrt(error_w / size_w)); text = line;
        return bad;
    }
};
Gradients::Gradients(int rows, int C, int parts, const Backward& sample) : d_x(poisoned<Bf16>((size_t)rows * C)), partial(poisoned<float>((size_t)parts * C)), d_w(poisoned<float>(C)) {
    if (sample.over) std::copy((sample.over == Over::d_y ? sample.g : sample.residual).begin(), (sample.over == Over::d_y ? sample.g : sample.residual).end(), d_x.begin());
}
