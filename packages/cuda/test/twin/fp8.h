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

/// Results of a kernel, poisoned: fp8 [rows, columns] with rows `pitch` apart, its transposed copy [columns, stride] and the largest
/// magnitude, each wanted or not; and what the kernel should have made of `want` [rows, columns].
template <Fp8 F> struct Results {
    static constexpr uint8_t POISON = 0xA5;     // a number, so that results that are NaN differ from it
    int rows, columns, pitch, stride; bool with_q, with_t, with_amax;
    std::vector<uint8_t> q, t; unsigned amax = 0; float scale;
    Results(int rows, int columns, float scale, bool with_q, bool with_t, bool with_amax = true, int pitch = 0)
        : rows(rows), columns(columns), pitch(pitch ? pitch : columns), stride((rows + 15) / 16 * 16 + 16), with_q(with_q), with_t(with_t), with_amax(with_amax),
          q((size_t)rows * this->pitch + 16, POISON), t((size_t)columns * stride + 16, POISON), scale(scale) {}
    uint8_t* rowwise() { return with_q ? q.data() : nullptr; }
    uint8_t* transposed() { return with_t ? t.data() : nullptr; }
    unsigned* top() { return with_amax ? &amax : nullptr; }
    bool operator==(const Results& o) const { return q == o.q && t == o.t && amax == o.amax; }

    /// Number of wrong elements. `slack`: relative error of the kernel before it rounds; `near`: absolute, where sums cancel.
    long wrong(const std::vector<double>& want, double slack, std::string& text, double near = 1e-30) const {
        long bad[4] = {}; double top = 0;
        const double limit = F == Fp8::e4m3 ? 448 : 57344, relative = F == Fp8::e4m3 ? 1. / 16 : 1. / 8, least = F == Fp8::e4m3 ? pow(2, -10) : pow(2, -17);
        const auto close = [&](uint8_t bits, double x) {
            if (std::isnan(x)) return std::isnan(value<F>(bits));
            const double s = std::clamp(x * scale, -limit, limit), e = fabs(value<F>(bits) - s);
            return e <= std::max(least, fabs(s) * relative) * 1.001 + fabs(s) * slack + near * scale;
        };
        for (int r = 0; r < rows; r++) for (int c = 0; c < pitch; c++) {
            const uint8_t by_row = q[(size_t)r * pitch + c];
            if (c >= columns) { bad[2] += by_row != POISON; continue; }
            const double x = want[(size_t)r * columns + c]; top = std::isnan(x) || std::isnan(top) ? NAN : std::max(top, fabs(x));
            if (with_q) bad[0] += !close(by_row, x);
            if (with_t) { const uint8_t by_column = t[(size_t)c * stride + r]; bad[1] += with_q ? by_column != by_row : !close(by_column, x); }
        }
        if (with_t) for (int c = 0; c < columns; c++) for (int r = rows; r < stride; r++) bad[2] += r < (rows + 15) / 16 * 16 ? (t[(size_t)c * stride + r] & 0x7F) != 0 : t[(size_t)c * stride + r] != POISON;
        for (size_t i = with_q ? (size_t)rows * pitch : 0; i < q.size(); i++) bad[2] += q[i] != POISON;
        for (size_t i = with_t ? (size_t)columns * stride : 0; i < t.size(); i++) bad[2] += t[i] != POISON;
        const double got = __uint_as_float(amax);
        bad[3] = !with_amax ? amax != 0 : std::isnan(top) ? !std::isnan(got) : got != top && !(fabs(got - top) <= top * (slack + 1e-6));
        char line[160]; snprintf(line, sizeof line, "q %ld, t %ld, outside %ld, amax %.1e", bad[0], bad[1], bad[2], top ? fabs(got / top - 1) : got);
        text = line;
        return bad[0] + bad[1] + bad[2] + bad[3];
    }
    std::string wanted() const { return std::string(with_q ? " q" : "") + (with_t ? " t" : "") + (with_amax ? " amax" : "") + (pitch > columns ? ", pitch " + std::to_string(pitch) : ""); }
};
inline int failures = 0;
inline void say(const std::string& name, long wrong, const std::string& text) { printf("%-58s %s %s\n", name.c_str(), text.c_str(), wrong ? "WRONG" : "ok"); failures += wrong != 0; fflush(stdout); }
inline int tiles(int n) { return (n + 127) / 128; }
