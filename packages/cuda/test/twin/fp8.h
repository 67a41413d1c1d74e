// What the twin tests of kernels with fp8 results share: random bf16, casts within half a unit, transposed copies.
#pragma once
#include <random>
#include <string>

inline std::mt19937 random_bits(7);
inline std::vector<__nv_bfloat16> normal_bf16(size_t n, float scale = 1) {
    std::normal_distribution<float> normal(0, scale); std::vector<__nv_bfloat16> v(n);
    for (auto& x : v) x = __float2bfloat16(normal(random_bits));
    return v;
}
inline double value(__nv_bfloat16 x) { return __bfloat162float(x); }
template <Fp8 F> double value(uint8_t bits) {
    if constexpr (F == Fp8::e4m3) { __nv_fp8_e4m3 v; v.__x = bits; return float(v); } else { __nv_fp8_e5m2 v; v.__x = bits; return float(v); }
}

/// Results of a kernel, poisoned, and what it should have made of `want` [rows, columns].
template <Fp8 F> struct Results {
    int rows, columns, stride; bool with_bf16, with_q, with_t;
    std::vector<Bf16> y; std::vector<uint8_t> q, t; unsigned amax = 0; float scale;
    Results(int rows, int columns, float scale, bool with_bf16, bool with_q, bool with_t)
        : rows(rows), columns(columns), stride((rows + 15) / 16 * 16 + 16), with_bf16(with_bf16), with_q(with_q), with_t(with_t),
          y((size_t)rows * columns + 8, __float2bfloat16(NAN)), q((size_t)rows * columns + 16, 0xFF), t((size_t)columns * stride + 16, 0xFF), scale(scale) {}
    Bf16* bf16() { return with_bf16 ? y.data() : nullptr; }
    uint8_t* rowwise() { return with_q ? q.data() : nullptr; }
    uint8_t* transposed() { return with_t ? t.data() : nullptr; }

    /// Number of wrong elements. `slack`: relative error of the kernel before it rounds; `near`: absolute, where sums cancel.
    long wrong(const std::vector<double>& want, double slack, std::string& text, double near = 1e-30) {
        long bad[5] = {}; double top = 0;
        const double limit = F == Fp8::e4m3 ? 448 : 57344, relative = F == Fp8::e4m3 ? 1. / 16 : 1. / 8, least = F == Fp8::e4m3 ? pow(2, -10) : pow(2, -17);
        const auto close = [&](uint8_t bits, double x) {
            const double s = std::clamp(x * scale, -limit, limit), e = fabs(value<F>(bits) - s);
            return e <= std::max(least, fabs(s) * relative) * 1.001 + fabs(s) * slack + near * scale;
        };
        for (int r = 0; r < rows; r++) for (int c = 0; c < columns; c++) {
            const size_t i = (size_t)r * columns + c; const double x = want[i]; top = std::max(top, fabs(x));
            if (with_bf16) bad[0] += !(fabs(value(y[i]) - x) <= fabs(x) * (1. / 256 + slack) + near);
            if (with_q) bad[1] += !close(q[i], x);
            if (with_t) bad[2] += with_q ? t[(size_t)c * stride + r] != q[i] : !close(t[(size_t)c * stride + r], x);
        }
        if (with_t) for (int c = 0; c < columns; c++) for (int r = rows; r < stride; r++) bad[3] += r < (rows + 15) / 16 * 16 ? (t[(size_t)c * stride + r] & 0x7F) != 0 : t[(size_t)c * stride + r] != 0xFF;
        for (size_t i = with_bf16 ? (size_t)rows * columns : 0; i < y.size(); i++) bad[3] += !isnan(value(y[i]));
        for (size_t i = with_q ? (size_t)rows * columns : 0; i < q.size(); i++) bad[3] += q[i] != 0xFF;
        for (size_t i = with_t ? (size_t)columns * stride : 0; i < t.size(); i++) bad[3] += t[i] != 0xFF;
        const double got = __uint_as_float(amax); bad[4] = !(fabs(got - top) <= top * (slack + 1e-6));
        char line[160]; snprintf(line, sizeof line, "bf16 %ld, q %ld, t %ld, outside %ld, amax %.1e", bad[0], bad[1], bad[2], bad[3], top ? fabs(got / top - 1) : got);
        text = line;
        return bad[0] + bad[1] + bad[2] + bad[3] + bad[4];
    }
};
inline int failures = 0;
inline void say(const std::string& name, long wrong, const std::string& text) { printf("%-58s %s %s\n", name.c_str(), text.c_str(), wrong ? "WRONG" : "ok"); failures += wrong != 0; fflush(stdout); }
inline int tiles(int n) { return (n + 127) / 128; }
