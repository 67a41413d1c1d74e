// The gradients of a norm with e5m2 copies on the CPU twin: against plain loops, and bit for bit what the kernels that make them one
// after another say.
#include "../../kernels/fp8/norm-fp8.cu"
#include "../../kernels/fp8/quantise.cu"
#include "../../kernels/fused/norm.cu"

#include "norm-plain.h"

/// `special`: numbers among the gradients that are not finite.
struct Case { int rows, C, parts; bool wide, q, t, amax = true, residual = true; Over over = nothing; int pitch = 0; float scale = 60; std::vector<float> special = {}; };

void check(const Case& c) {
    const Backward sample(c.rows, c.C, c.residual, c.over, c.special); const int warps = c.wide ? 16 : 10;
    const auto summed = [&](Gradients& o) { twin::launch({(c.C + 31) / 32, 1, 1}, 512, 1, 0, [&] { rms_norm_weight_gradient(o.partial.data(), o.d_w.data(), c.parts, c.C); }); };
    const auto run = [&](Results<Fp8::e5m2>& r) {
        Gradients o(c.rows, c.C, c.parts, sample);
        twin::launch({c.parts, 1, 1}, 32 * warps, 1, (r.with_t ? rms_norm::Slab<320>::ROWS * ((c.C + 127) / 128 * 128) : 0) + rms_norm::SUMS_BYTES, [&] {
            (c.wide ? rms_norm_backward_fp8_wide : rms_norm_backward_fp8)(sample.upstream(o), sample.x.data(), sample.w.data(), sample.rstd.data(), sample.beside(o), o.d_x.data(), o.partial.data(),
                r.rowwise(), r.transposed(), r.top(), c.scale == 1 ? nullptr : &r.scale, c.rows, c.C, r.pitch, r.stride); });
        summed(o);
        return o;
    };
    Results<Fp8::e5m2> first(c.rows, c.C, c.scale, c.q, c.t, c.amax, c.pitch), again = first, cast = first, none(c.rows, c.C, c.scale, false, false, false);
    const Gradients o = run(first); std::string text, casts;
    long wrong = sample.wrong(o, text) + first.wrong(sample.d_x, 1. / 250, casts, 2e-6) + !(o == run(again)) + !(first == again) + !(o == run(none));

    Gradients apart(c.rows, c.C, c.parts, sample);
    twin::launch({c.parts, 1, 1}, 32 * warps, 1, 0, [&] {
        (c.wide ? rms_norm_backward_wide : rms_norm_backward)(sample.upstream(apart), sample.x.data(), sample.w.data(), sample.rstd.data(), sample.beside(apart), apart.d_x.data(), apart.partial.data(), c.rows, c.C, rms_norm::Slab<320>::ROWS); });
    summed(apart);
    twin::launch({tiles(c.rows) * ((c.C + QUANTISE_WIDTH - 1) / QUANTISE_WIDTH), 1, 1}, QUANTISE_THREADS, 1, QUANTISE_SHARED, [&] {
        quantise_e5m2(apart.d_x.data(), cast.rowwise(), cast.transposed(), cast.top(), c.scale == 1 ? nullptr : &cast.scale, c.rows, c.C, cast.pitch, cast.stride); });
    wrong += !(o == apart) + !(first == cast);
    say(std::string("rms_norm_backward_fp8") + (c.wide ? "_wide " : " ") + std::to_string(c.rows) + " x " + std::to_string(c.C) + " in " + std::to_string(c.parts) + sample.wanted() + first.wanted() + (c.special.empty() ? "" : ", special"), wrong, text + ", " + casts);
}

int main() {
    check({1, 8, 1, false, true, true}); check({33, 8, 3, false, true, true, true, false}); check({150, 264, 2, false, true, true}); check({97, 2560, 3, false, true, true});
    check({130, 1032, 1, false, true, true, true, true, d_residual, 1040}); check({65, 136, 2, false, true, true, false, true, d_y, 0, 1});
    check({70, 520, 2, false, true, false, true, true, d_y}); check({100, 72, 2, false, false, true}); check({40, 200, 2, false, false, false});
    check({90, 264, 2, false, true, true, true, true, nothing, 0, 60, {NAN, INFINITY}}); check({50, 136, 1, false, true, true, true, true, nothing, 0, 60, {-INFINITY}});
    check({40, 80, 1, false, true, true, true, false, nothing, 0, 60, {NAN}});
    check({75, 3000, 2, true, true, true}); check({20, 8192, 1, true, true, false, true, true, d_residual}); check({36, 264, 1, true, true, true, true, false});
    return failures;
}
