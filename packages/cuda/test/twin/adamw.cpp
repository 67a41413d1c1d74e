// AdamW and the copies that it writes on the CPU twin, against plain loops in f64.
#include "../../kernels/updates/adamw.cu"

#include "plain.h"

const AdamWScalars scalars{0.99f, 0.1f, 0.95f, 0.05f, 1e-8f, 3e-3f, 0.4f};

/// Parameters before and after a step.
struct State {
    std::vector<float> p0, m0, v0, g; Poisoned<float> p, m, v; Poisoned<Bf16> copy; const bool with_copy;
    State(size_t n, bool with_copy) : p0(normal<float>(n)), m0(normal<float>(n, 0.1f)), v0(normal<float>(n, 0.01f)), g(normal<float>(n, 2)), p(n), m(n), v(n), copy(n), with_copy(with_copy) {
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
        const auto parameter = [&](size_t i) { return p0[i] * (double)s.decay - mean(i) / (sqrt(variance(i)) / s.root_bias2 + s.eps) * s.step_size; };
        if (taken) bad += m.wrong(mean, 1e-7, 1e-7) + v.wrong(variance, 3e-7) + p.wrong(parameter, 3e-7, 1e-8);
        else bad += memcmp(m.memory.data(), m0.data(), m0.size() * 4) || memcmp(v.memory.data(), v0.data(), v0.size() * 4) || memcmp(p.memory.data(), p0.data(), p0.size() * 4);
        for (size_t i = 0; i < copy.memory.size(); i++) bad += with_copy && i < p0.size() ? float(copy.memory[i]) != float(Bf16(p.memory[i])) : !std::isnan(float(copy.memory[i]));
        return bad;
    }
};

void flat(int n, bool with_copy, const float* scale) {
    State s(n, with_copy);
    twin::launch({(n + 1023) / 1024, 1, 1}, adamw::THREADS, 1, 0, [&] { adamw_flat(s.p.data(), s.m.data(), s.v.data(), s.g.data(), s.bf16(), scale, scalars, n); });
    say(sized("adamw_flat", with_copy ? "copy" : "", {n}) + " scale " + (scale ? std::to_string(*scale) : "none"), s.wrong(scale ? *scale : 1));
}
/// A matrix whose fp8 lies in the rows from `first` on of one of `stride` rows.
void matrix(int rows, int columns, int first, int stride, bool with_copy, float scale, float noted, float factor) {
    State s((size_t)rows * columns, with_copy);
    std::vector<uint8_t> q((size_t)stride * columns, 0x7F), t(q); unsigned amax = __float_as_uint(noted);
    twin::launch({(rows + 127) / 128 * ((columns + 127) / 128), 1, 1}, adamw::THREADS, 1, 0, [&] {
        adamw_matrix(s.p.data(), s.m.data(), s.v.data(), s.g.data(), s.bf16(), &scale, scalars, q.data() + (size_t)first * columns, t.data() + first, &amax, &factor, rows, columns, stride); });
    long bad = s.wrong(scale); float top = noted;
    for (int r = 0; r < stride; r++) for (int c = 0; c < columns; c++) {
        uint8_t want = 0x7F;
        if (r >= first && r < first + rows) { const float p = s.p.memory[(size_t)(r - first) * columns + c]; top = std::max(top, fabsf(p)); want = __nv_cvt_float_to_fp8(p * factor, __NV_SATFINITE, __NV_E4M3); }
        bad += q[(size_t)r * columns + c] != want; bad += t[(size_t)c * stride + r] != want;
    }
    bad += __float_as_uint(top) != amax;
    say(sized("adamw_matrix", with_copy ? "copy" : "", {rows, columns, first, stride}) + " scale " + std::to_string(scale), bad);
}
/// What is no number stays one, and shows in the largest magnitude.
void not_a_number() {
    State s(32 * 48, true); s.p0[777] = s.p.memory[777] = NAN; const float one = 1; unsigned amax = __float_as_uint(INFINITY);
    std::vector<uint8_t> q(32 * 48), t(q);
    twin::launch({1, 1, 1}, adamw::THREADS, 1, 0, [&] { adamw_matrix(s.p.data(), s.m.data(), s.v.data(), s.g.data(), s.bf16(), &one, scalars, q.data(), t.data(), &amax, &one, 32, 48, 32); });
    say("adamw_matrix of NaN", !std::isnan(__uint_as_float(amax)) + !std::isnan(float(s.copy.memory[777])) + (q[777] != 0x7F && q[777] != 0xFF) + (t[777 % 48 * 32 + 777 / 48] != q[777]));
}

int main() {
    const float half = 0.5f, two = 2, nan = NAN, infinite = -INFINITY;
    flat(1, true, &half); flat(1027, true, &two); flat(2048, false, nullptr); flat(33, true, &nan); flat(33, false, &infinite);
    matrix(128, 128, 0, 128, true, 0.5f, 0, 100);
    matrix(144, 272, 16, 192, false, 2, 3, 200);       // some saturate
    matrix(16, 16, 32, 48, true, 1, 100, 50);
    matrix(400, 48, 0, 400, true, NAN, 0, 64);
    not_a_number();
    return failures;
}
