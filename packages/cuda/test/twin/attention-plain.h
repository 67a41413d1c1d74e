// Attention and its gradients in plain double loops, what the same loops give with weights rounded to the type of the
// inputs, and random cases for them.
#pragma once
#include "../../kernels/attention/attention-portable.cuh"

#include <random>
#include <string>

struct Case { int B, T, S, keys, H, G, D, window; bool documents; };

inline float widened(__nv_bfloat16 x) { return __bfloat162float(x); }
inline float widened(__half x) { return __half2float(x); }
template <class E> E narrowed(double x) { if constexpr (std::is_same_v<E, __half>) return __float2half(x); else return __float2bfloat16(x); }
template <class E> double rounded(double x) { return widened(narrowed<E>(x)); }
template <class E> const char* type_name() { return std::is_same_v<E, __half> ? "f16" : "bf16"; }

using Values = std::vector<double>;
/// Exact results, or those of loops that round weights, their gradients and what they write.
struct Results { Values o, lse, d_q, d_k, d_v; };

template <class E> struct Plain {
    Case c; float scale; std::vector<E> q, k, v, d_o; std::vector<int> start; Results exact, coarse;

    Plain(const Case& c, std::mt19937& random) : c(c), scale(1 / sqrtf(c.D)) {
        std::normal_distribution<float> normal;
        const auto draw = [&](std::vector<E>& x, size_t n, float spread) { x.resize(n); for (E& e : x) e = narrowed<E>(normal(random) * spread); };
        draw(q, (size_t)c.B * c.T * c.H * c.D, 2); draw(d_o, q.size(), 1);
        draw(k, (size_t)c.B * c.S * c.G * c.D, 1); draw(v, k.size(), 1);
        // What is past the keys in use may hold anything.
        for (auto* x : {&k, &v}) for (size_t i = 0; i < x->size(); i++) if ((int)(i / (c.G * c.D) % c.S) >= c.keys) (*x)[i] = narrowed<E>(NAN);
        if (c.documents) {
            start.resize((size_t)c.B * c.S);
            for (size_t i = 0; i < start.size(); i++) { const int at = i % c.S; start[i] = at == 0 ? 0 : random() % 23 == 0 ? at : start[i - 1]; }
        }
        for (Results* r : {&exact, &coarse}) *r = {Values(q.size()), Values((size_t)c.B * c.H * c.T), Values(q.size()), Values(k.size()), Values(k.size())};
        for (int b = 0; b < c.B; b++) for (int h = 0; h < c.H; h++) for (int i = 0; i < c.T; i++) { row(b, h, i, exact, false); row(b, h, i, coarse, true); }
        for (Values* x : {&coarse.o, &coarse.d_q, &coarse.d_k, &coarse.d_v}) for (double& e : *x) e = rounded<E>(e);
    }
    attention_portable::Inputs<E> inputs() const {
        return {q.data(), k.data(), v.data(), start.empty() ? nullptr : start.data(), c.T, c.S, c.keys, c.H, c.G, c.D, min(c.window, c.keys), scale};
    }

private:
    void row(int b, int h, int i, Results& r, bool coarse) const {
        const int D = c.D, position = c.keys - c.T + i, g = h / (c.H / c.G);
        const int first = max(max(0, position - c.window + 1), start.empty() ? 0 : start[b * c.S + position]);
        const size_t query = (((size_t)b * c.T + i) * c.H + h) * D;
        const auto key = [&](int j) { return (((size_t)b * c.S + j) * c.G + g) * D; };
        const auto dot = [&](const E* x, const E* y) { double sum = 0; for (int d = 0; d < D; d++) sum += (double)widened(x[d]) * widened(y[d]); return sum; };
        const auto as = [&](double x) { return coarse ? rounded<E>(x) : x; };
        Values p(position + 1); double top = -INFINITY, sum = 0, delta = 0;
        for (int j = first; j <= position; j++) top = max(top, p[j] = dot(&q[query], &k[key(j)]) * scale);
        for (int j = first; j <= position; j++) sum += exp(p[j] - top);
        r.lse[((size_t)b * c.H + h) * c.T + i] = top + log(sum);
        for (int j = first; j <= position; j++) {
            p[j] = exp(p[j] - top) / sum;
            for (int d = 0; d < D; d++) r.o[query + d] += as(p[j]) * widened(v[key(j) + d]);
        }
        for (int d = 0; d < D; d++) delta += as(r.o[query + d]) * widened(d_o[query + d]);
        for (int j = first; j <= position; j++) {
            const double d_s = as(p[j] * (dot(&d_o[query], &v[key(j)]) - delta));
            for (int d = 0; d < D; d++) {
                r.d_v[key(j) + d] += as(p[j]) * widened(d_o[query + d]);
                r.d_k[key(j) + d] += d_s * scale * widened(q[query + d]);
                r.d_q[query + d] += d_s * scale * widened(k[key(j) + d]);
            }
        }
    }
};

/// 1 − cos, and the length of the error; NaN shows.
inline double one_minus_cosine(const Values& x, const Values& y) {
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < x.size(); i++) { xy += x[i] * y[i]; xx += x[i] * x[i]; yy += y[i] * y[i]; }
    return xx == 0 && yy == 0 ? 0 : 1 - xy / sqrt(xx * yy);
}
inline double distance(const Values& x, const Values& y) { double sum = 0; for (size_t i = 0; i < x.size(); i++) sum += (x[i] - y[i]) * (x[i] - y[i]); return sqrt(sum); }
template <class E> Values values(const std::vector<E>& x) { Values out(x.size()); for (size_t i = 0; i < x.size(); i++) out[i] = widened(x[i]); return out; }

/// Collects what is wrong of a case.
struct Verdict {
    std::string said; bool ok = true;
    /// At most twice as far from the exact values as the coarse ones, and in their direction.
    void compare(const char* name, const Values& got, const Values& exact, const Values& coarse) {
        const double off = one_minus_cosine(got, exact), error = distance(got, exact), allowed = 2 * distance(coarse, exact) + 1e-12;
        const bool good = off < 1e-5 && error <= allowed;
        char text[80]; snprintf(text, sizeof text, " %s %.1e (%.2f)%s", name, off, 2 * error / allowed, good ? "" : " WRONG"); said += text; ok &= good;
    }
    void require(const char* what, bool good) { if (!good) { said += std::string(" ") + what + " WRONG"; ok = false; } }
};
inline bool report(const char* what, const char* type, const Case& c, const Verdict& verdict) {
    printf("%s %s B %d, T %d of %d keys (%d), heads %d on %d, D %d, window %d%s:%s %s\n", what, type, c.B, c.T, c.keys, c.S, c.H, c.G, c.D, c.window, c.documents ? ", documents" : "",
           verdict.said.c_str(), verdict.ok ? "ok" : "");
    fflush(stdout);
    return verdict.ok;
}
template <class T> bool same_bits(const std::vector<T>& x, const std::vector<T>& y) { return x.size() == y.size() && !memcmp(x.data(), y.data(), x.size() * sizeof(T)); }
