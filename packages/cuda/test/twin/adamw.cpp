// AdamW and the copies that it writes on the CPU twin, against plain loops in f64.
#include "../../kernels/updates/adamw.cu"

#include "plain.h"

const AdamWScalars scalars{0.1f, 0.95f, 0.05f, 1e-8f, 3e-3f, 0.4f};

/// A parameter before and after a step.
struct State {
    std::vector<float> p0, m0, v0, g; Poisoned<float> p, m, v; Poisoned<Bf16> copy; bool with_copy; float decay;
    State(size_t n, bool with_copy, float decay) : p0(normal<float>(n)), m0(normal<float>(n, 0.1f)), v0(normal<float>(n, 0.01f)), g(normal<float>(n, 2)), p(n), m(n), v(n), copy(n), with_copy(with_copy), decay(decay) {
        for (float& x : v0) x = fabs(x);
        std::copy(p0.begin(), p0.end(), p.data()); std::copy(m0.begin(), m0.end(), m.data()); std::copy(v0.begin(), v0.end(), v.data());
    }
    Bf16* bf16() { return with_copy ? copy.data() : nullptr; }
    /// Elements that are not those after a step with this factor of the gradients; a factor that is not finite takes none.
    long wrong(float scale) const {
        const bool taken = std::isfinite(scale); const AdamWScalars& s = scalars; long bad = 0;
        const auto d = [&](size_t i) { return (double)g[i] * scale; };
        const auto mean = [&](size_t i) { return m0[i] + (d(i) - m0[i]) * s.beta1_complement; };
        const auto variance = [&](size_t i) { return v0[i] * (double)s.beta2 + d(i) * d(i) * s.beta2_complement; };
        const auto parameter = [&](size_t i) { return p0[i] * (double)decay - mean(i) / (sqrt(variance(i)) / s.root_bias2 + s.eps) * s.step_size; };
        if (taken) bad += m.wrong(mean, 1e-7, 1e-7) + v.wrong(variance, 3e-7) + p.wrong(parameter, 3e-7, 1e-8);
        else bad += memcmp(m.memory.data(), m0.data(), m0.size() * 4) || memcmp(v.memory.data(), v0.data(), v0.size() * 4) || memcmp(p.memory.data(), p0.data(), p0.size() * 4);
        for (size_t i = 0; i < copy.memory.size(); i++) bad += with_copy && i < p0.size() ? float(copy.memory[i]) != float(Bf16(p.memory[i])) : !std::isnan(float(copy.memory[i]));
        return bad;
    }
};

/// Parameters of these sizes in one launch; every second has a copy, and every third does not decay.
void flat(std::vector<int> sizes, const float* scale) {
    std::vector<State> states; adamw::Flats table{}; int blocks = 0;
    for (int n : sizes) states.emplace_back(n, states.size() % 2 == 0, states.size() % 3 == 0 ? 1 : 0.99f);
    for (State& s : states) {
        const size_t n = s.g.size();
        table.at[table.count++] = {s.p.data(), s.m.data(), s.v.data(), s.g.data(), s.bf16(), n, s.decay, (unsigned)blocks};
        blocks += (n + 1023) / 1024;
    }
    twin::launch({blocks, 1, 1}, adamw::THREADS, 1, 0, [&] { adamw_flat(table, scale, scalars); });
    long bad = 0;
    for (const State& s : states) bad += s.wrong(scale ? *scale : 1);
    say("adamw_flat, " + std::to_string(sizes.size()) + " of " + std::to_string(sizes[0]) + " and so on, scale " + (scale ? std::to_string(*scale) : "none"), bad);
}

/// A matrix whose fp8 lies in the rows from `first` on of one of `stride` rows.
struct MatrixCase {
    int rows, columns, first, stride; bool with_copy; float noted, factor;
    State s; std::vector<uint8_t> q, t; unsigned amax;
    MatrixCase(int rows, int columns, int first, int stride, bool with_copy, float noted, float factor)
        : rows(rows), columns(columns), first(first), stride(stride), with_copy(with_copy), noted(noted), factor(factor),
          s((size_t)rows * columns, with_copy, with_copy ? 0.99f : 1), q((size_t)stride * columns, 0x7F), t(q), amax(__float_as_uint(noted)) {}
    adamw::Matrix row(int first_block) {
        return {s.p.data(), s.m.data(), s.v.data(), s.g.data(), s.bf16(), q.data() + (size_t)first * columns, t.data() + first, &amax, &factor, s.decay, (unsigned)first_block, rows, columns, stride};
    }
    int blocks() const { return (rows + 127) / 128 * ((columns + 127) / 128); }
    long wrong(float scale) const {
        long bad = s.wrong(scale); float top = noted;
        for (int r = 0; r < stride; r++) for (int c = 0; c < columns; c++) {
            uint8_t want = 0x7F;
            if (r >= first && r < first + rows) { const float p = s.p.memory[(size_t)(r - first) * columns + c]; top = std::max(top, fabsf(p)); want = __nv_cvt_float_to_fp8(p * factor, __NV_SATFINITE, __NV_E4M3); }
            bad += q[(size_t)r * columns + c] != want; bad += t[(size_t)c * stride + r] != want;
        }
        return bad + (__float_as_uint(top) != amax);
    }
};
/// Matrices in one launch.
void launch(std::vector<MatrixCase>& cases, float scale) {
    adamw::Matrices table{}; int blocks = 0;
    for (MatrixCase& one : cases) { table.at[table.count++] = one.row(blocks); blocks += one.blocks(); }
    twin::launch({blocks, 1, 1}, adamw::THREADS, 1, 0, [&] { adamw_matrix(table, &scale, scalars); });
}
void matrices(std::vector<MatrixCase> cases, float scale) {
    launch(cases, scale);
    for (const MatrixCase& one : cases) say(sized("adamw_matrix", one.with_copy ? "copy" : "", {one.rows, one.columns, one.first, one.stride}) + " scale " + std::to_string(scale), one.wrong(scale));
}
/// What is no number stays one, and shows in the largest magnitude.
void not_a_number() {
    std::vector<MatrixCase> cases; cases.emplace_back(32, 48, 0, 32, true, INFINITY, 1); MatrixCase& one = cases[0];
    one.s.p0[777] = one.s.p.memory[777] = NAN;
    launch(cases, 1);
    say("adamw_matrix of NaN", !std::isnan(__uint_as_float(one.amax)) + !std::isnan(float(one.s.copy.memory[777])) + (one.q[777] != 0x7F && one.q[777] != 0xFF) + (one.t[777 % 48 * 32 + 777 / 48] != one.q[777]));
}

int main() {
    const float half = 0.5f, two = 2, nan = NAN, infinite = -INFINITY;
    flat({1}, &half); flat({1027, 0, 4096, 3, 2048}, &two); flat({2048, 33}, nullptr); flat({33, 1025}, &nan); flat({33}, &infinite);
    flat(std::vector<int>(64, 1500), &half);
    matrices({{128, 128, 0, 128, true, 0, 100}}, 0.5f);
    matrices({{144, 272, 16, 192, false, 3, 200}, {16, 16, 32, 48, true, 100, 50}, {400, 48, 0, 400, true, 0, 64}}, 2);       // some saturate
    matrices({{400, 48, 0, 400, true, 0, 64}, {16, 400, 48, 64, true, 0, 64}}, NAN);
    not_a_number();
    return failures;
}
