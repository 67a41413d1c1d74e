// The RMSNorm kernels on the CPU twin, against plain loops.
#include "../../kernels/fused/norm.cu"
#include "../../kernels/fp8/quantise.cu"

#include "fp8.h"
#include "norm-plain.h"

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
        twin::launch({tiles(rows) * ((C + QUANTISE_WIDTH - 1) / QUANTISE_WIDTH), 1, 1}, QUANTISE_THREADS, 1, QUANTISE_SHARED, [&] { quantise_normed_e4m3(x.data(), rstd.data(), w.data(), again.rowwise(), nullptr, again.top(), &again.scale, rows, C, C, 0); });
        wrong += again.q != r.q || (with_amax && again.amax != r.amax);
    }
    say(std::string("rms_norm_forward") + (wide ? "_wide " : " ") + std::to_string(rows) + " x " + std::to_string(C) + (with_y ? " bf16" : "") + r.wanted() + (has_nan ? ", a NaN" : ""), wrong, text);
}

/// `run_of`: rows, 0 for as many as make one run a block.
void backward_case(int rows, int C, int parts, bool wide, bool with_residual, Over over = nothing, int run_of = 0) {
    const Backward sample(rows, C, with_residual, over);
    const auto run = [&] {
        Gradients o(rows, C, parts, sample);
        twin::launch({parts, 1, 1}, wide ? 512 : 320, 1, 0, [&] {
            (wide ? rms_norm_backward_wide : rms_norm_backward)(sample.upstream(o), sample.x.data(), sample.w.data(), sample.rstd.data(), sample.beside(o), o.d_x.data(), o.partial.data(), rows, C, run_of ? run_of : (rows + parts - 1) / parts); });
        twin::launch({(C + 31) / 32, 1, 1}, 512, 1, 0, [&] { rms_norm_weight_gradient(o.partial.data(), o.d_w.data(), parts, C); });
        return o;
    };
    const Gradients o = run(); std::string text;
    const long wrong = sample.wrong(o, text) + !(o == run());
    say(std::string("rms_norm_backward") + (wide ? "_wide " : " ") + std::to_string(rows) + " x " + std::to_string(C) + " in " + std::to_string(parts) + (run_of ? " by " + std::to_string(run_of) : "") + sample.wanted(), wrong, text);
}

int main() {
    for (int wide = 0; wide < 2; wide++) {
        const int times = wide ? 3 : 1;
        forward_case(1, 8 * times, wide, true, true, true); forward_case(5, 264 * times, wide, true, false, false); forward_case(37, 2560 * times, wide, false, true, true);
        forward_case(3, 136, wide, false, false, false); forward_case(3, 1032, wide, false, false, true); forward_case(4, 72, wide, true, true, true, true);
    }
    backward_case(1, 8, 1, false, true); backward_case(37, 2560, 5, false, true); backward_case(40, 264, 7, false, false); backward_case(9, 3000, 4, true, true);
    backward_case(20, 1032, 3, false, true, d_y); backward_case(20, 520, 6, false, true, d_residual); backward_case(7, 8192, 2, true, false, d_y);
    backward_case(75, 264, 3, false, true, d_y, 8); backward_case(70, 136, 2, true, true, nothing, 32);
    return failures;
}
