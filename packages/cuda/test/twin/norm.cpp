// The RMSNorm kernels on the CPU twin, against plain loops.
#include "../../kernels/norm.cu"

#include "fp8.h"

constexpr float EPS = 1e-5f;
struct Want { std::vector<Bf16> sum; std::vector<double> rstd, y; };
Want forward(const std::vector<Bf16>& x, const std::vector<Bf16>* branch, const std::vector<Bf16>& w, int tokens, int C) {
    Want o{x, std::vector<double>(tokens), std::vector<double>(x.size())};
    for (int r = 0; r < tokens; r++) {
        double squares = 0;
        for (size_t i = (size_t)r * C; i < (size_t)(r + 1) * C; i++) { if (branch) o.sum[i] = __float2bfloat16(value(x[i]) + value((*branch)[i])); squares += value(o.sum[i]) * value(o.sum[i]); }
        o.rstd[r] = 1 / sqrt(squares / C + EPS);
        for (int c = 0; c < C; c++) o.y[(size_t)r * C + c] = value(o.sum[(size_t)r * C + c]) * o.rstd[r] * value(w[c]);
    }
    return o;
}
template <class L> void forward_case(const std::string& name, int tokens, int C, bool with_branch, bool y, bool q, bool t, L launch) {
    const auto x = normal_bf16((size_t)tokens * C, 3), branch = normal_bf16((size_t)tokens * C), w = normal_bf16(C);
    const Want want = forward(x, with_branch ? &branch : nullptr, w, tokens, C);
    std::vector<Bf16> sum((size_t)tokens * C + 8, __float2bfloat16(NAN)); std::vector<float> rstd(tokens + 1, NAN);
    Results<Fp8::e4m3> r(tokens, C, 40, y, q, t); std::string text;
    launch(x.data(), with_branch ? branch.data() : nullptr, w.data(), sum.data(), rstd.data(), r);
    long wrong = r.wrong(want.y, 2e-6, text);
    for (int i = 0; i < tokens; i++) wrong += !(fabs(rstd[i] / want.rstd[i] - 1) < 1e-6);
    wrong += !isnan(rstd[tokens]);
    for (size_t i = 0; i < sum.size(); i++) wrong += with_branch && i < want.sum.size() ? memcmp(&sum[i], &want.sum[i], 2) != 0 : !isnan(value(sum[i]));
    say(name + " " + std::to_string(tokens) + " x " + std::to_string(C) + (with_branch ? " + branch" : "") + (y ? " bf16" : "") + (q ? " q" : "") + (t ? " t" : ""), wrong, text);
}
enum Form { ROWS, WIDE, TRANSPOSED };
void backward_case(int tokens, int C, int parts, bool with_residual, Form form) {
    
    Results<Fp8::e5m2> fp8(tokens, C, 1000, false, true, true); std::vector<double> want_d((size_t)tokens * C);
    const auto x = normal_bf16((size_t)tokens * C, 3), d_y = normal_bf16((size_t)tokens * C), residual = normal_bf16((size_t)tokens * C), w = normal_bf16(C);
    const Want want = forward(x, nullptr, w, tokens, C); std::vector<float> rstd(want.rstd.begin(), want.rstd.end());
    std::vector<Bf16> d_x((size_t)tokens * C + 8, __float2bfloat16(NAN)); std::vector<float> partial((size_t)parts * C + 4, NAN), d_w(C + 1, NAN), d_w_before(C);
    for (float& v : d_w_before) v = std::normal_distribution<float>()(random_bits);
    if (form == TRANSPOSED) twin::launch({parts, 1, 1}, 960, 1, 64 * ((C + 127) & ~127) + 8 * C + 512, [&] {
        rms_norm_backward_transposed(d_y.data(), x.data(), w.data(), rstd.data(), with_residual ? residual.data() : nullptr, d_x.data(), partial.data(), fp8.q.data(), fp8.t.data(), &fp8.amax, &fp8.scale, tokens, C, fp8.stride); });
    else twin::launch({parts, 1, 1}, form == WIDE ? 512 : 320, 1, 128, [&] { (form == WIDE ? rms_norm_backward_wide : rms_norm_backward)(d_y.data(), x.data(), w.data(), rstd.data(), with_residual ? residual.data() : nullptr, d_x.data(), partial.data(), tokens, C); });
    long wrong = !isnan(partial[(size_t)parts * C]); double error_x = 0, error_w = 0, size_w = 0; std::vector<double> gradient(C);
    for (int r = 0; r < tokens; r++) {
        double mean = 0; const size_t base = (size_t)r * C;
        for (int c = 0; c < C; c++) mean += value(x[base + c]) * value(w[c]) * value(d_y[base + c]) / C;
        for (int c = 0; c < C; c++) {
            const double s = want.rstd[r], d = s * (value(w[c]) * value(d_y[base + c]) - value(x[base + c]) * s * s * mean) + (with_residual ? value(residual[base + c]) : 0);
            want_d[base + c] = d;
            wrong += !(fabs(value(d_x[base + c]) - d) <= fabs(d) / 256 * 1.001 + 2e-6); error_x = std::max(error_x, fabs(value(d_x[base + c]) - d));
            gradient[c] += value(d_y[base + c]) * value(x[base + c]) * s;
        }
    }
    for (int k = 0; k < 2; k++) {
        if (k) std::copy(d_w_before.begin(), d_w_before.end(), d_w.begin());
        twin::launch({(C + 31) / 32, 1, 1}, 512, 1, 2048, [&] { rms_norm_weight_gradient(partial.data(), d_w.data(), parts, C, k); });
        for (int c = 0; c < C; c++) { const double g = gradient[c] + (k ? d_w_before[c] : 0); error_w += (d_w[c] - g) * (d_w[c] - g); size_w += g * g; }
        wrong += !isnan(d_w[C]);
    }
    for (int i = 0; i < 8; i++) wrong += !isnan(value(d_x[(size_t)tokens * C + i]));
    wrong += !(error_w < 1e-12 * size_w);
    std::string casts; if (form == TRANSPOSED) wrong += fp8.wrong(want_d, 1e-5, casts, 2e-6);
    char text[80]; snprintf(text, sizeof text, "dx within %.1e, dw %.1e", error_x, sqrt(error_w / size_w));
    say(std::string("rms_norm_backward") + (form == WIDE ? "_wide " : form == TRANSPOSED ? "_transposed " : " ") + std::to_string(tokens) + " x " + std::to_string(C) + " in " + std::to_string(parts) + (with_residual ? " + residual" : ""), wrong, text + (" " + casts));
}

int main() {
    for (const auto [tokens, C, branch, y, q] : {std::tuple(1, 8, true, true, true), std::tuple(5, 264, false, true, false), std::tuple(37, 2560, true, false, true)}) {
        forward_case("rms_norm_forward", tokens, C, branch, y, q, false, [&, tokens = tokens, C = C](auto* x, auto* b, auto* w, auto* sum, float* rstd, auto& r) {
            twin::launch({tokens, 1, 1}, 64, 1, 8, [&] { rms_norm_forward(x, b, w, sum, rstd, r.bf16(), r.rowwise(), &r.amax, &r.scale, tokens, C, EPS); }); });
        forward_case("rms_norm_forward_wide", tokens, 3 * C, branch, y, q, false, [&, tokens = tokens, C = 3 * C](auto* x, auto* b, auto* w, auto* sum, float* rstd, auto& r) {
            twin::launch({tokens, 1, 1}, 256, 1, 32, [&] { rms_norm_forward_wide(x, b, w, sum, rstd, r.bf16(), r.rowwise(), &r.amax, &r.scale, tokens, C, EPS); }); });
    }
    for (const auto [tokens, C, branch, y] : {std::tuple(1, 8, true, true), std::tuple(150, 2560, true, false), std::tuple(257, 1032, false, true), std::tuple(64, 264, true, true)})
        forward_case("rms_norm_transposed", tokens, C, branch, y, true, true, [&, tokens = tokens, C = C](auto* x, auto* b, auto* w, auto* sum, float* rstd, auto& r) {
            twin::launch({2, 1, 1}, 960, 1, 64 * ((C + 127) & ~127) + 512, [&] { rms_norm_transposed(x, b, w, sum, rstd, r.bf16(), r.rowwise(), r.transposed(), &r.amax, &r.scale, tokens, C, r.stride, EPS); }); });
    backward_case(1, 8, 1, true, ROWS); backward_case(37, 2560, 5, true, ROWS); backward_case(40, 264, 7, false, ROWS); backward_case(9, 3000, 4, true, WIDE);
    backward_case(1, 8, 2, true, TRANSPOSED); backward_case(150, 2560, 2, true, TRANSPOSED); backward_case(64, 264, 1, false, TRANSPOSED); backward_case(257, 1032, 3, true, TRANSPOSED);
    return failures;
}
