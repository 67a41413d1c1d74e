// Updates in place and the norm of the gradients on the CPU twin, against plain loops.
#include "../../kernels/gradient-norm.cu"
#include "../../kernels/updates.cu"

#include "plain.h"

int blocks(size_t n, int each) { return (n + each - 1) / each; }

void adamw(int n, bool with_copy, float scale, bool with_scale) {
    const AdamWScalars s{0.99f, 0.1f, 0.95f, 0.05f, 1e-8f, 3e-3f, 0.4f};
    const auto p0 = normal<float>(n), m0 = normal<float>(n, 0.1f), g = normal<float>(n, 2); auto v0 = normal<float>(n, 0.01f); for (float& v : v0) v = fabs(v);
    Poisoned<float> p(n), m(n), v(n); Poisoned<Bf16> copy(n);
    std::copy(p0.begin(), p0.end(), p.data()); std::copy(m0.begin(), m0.end(), m.data()); std::copy(v0.begin(), v0.end(), v.data());
    twin::launch({blocks(n, 1024), 1, 1}, 256, 1, 0, [&] { adamw_update(p.data(), m.data(), v.data(), g.data(), with_copy ? copy.data() : nullptr, with_scale ? &scale : nullptr, s, n); });
    const bool taken = !with_scale || std::isfinite(scale);
    const auto d = [&](size_t i) { return with_scale ? (double)g[i] * scale : g[i]; };
    const auto mean = [&](size_t i) { return taken ? m0[i] + (d(i) - m0[i]) * s.beta1_complement : m0[i]; };
    const auto variance = [&](size_t i) { return taken ? v0[i] * (double)s.beta2 + d(i) * d(i) * s.beta2_complement : v0[i]; };
    const auto parameter = [&](size_t i) { return taken ? p0[i] * (double)s.decay - mean(i) / (sqrt(variance(i)) / s.root_bias2 + s.eps) * s.step_size : p0[i]; };
    long wrong = m.wrong(mean, 1e-7, 1e-7) + v.wrong(variance, 3e-7) + p.wrong(parameter, 3e-7, 1e-8);
    for (int i = 0; i < n; i++) wrong += with_copy && taken ? float(copy.memory[i]) != float(Bf16(p.memory[i])) : !std::isnan(float(copy.memory[i]));
    for (size_t i = n; i < copy.memory.size(); i++) wrong += !std::isnan(float(copy.memory[i]));
    say(sized("adamw_update", with_copy ? "copy" : "", {n, with_scale, taken}), wrong);
}
template <class T, class S, class F> void add(int n, F kernel) {
    const auto a = normal<T>(n); const auto b = normal<S>(n); Poisoned<T> y(n); std::copy(a.begin(), a.end(), y.data());
    twin::launch({blocks(n, 2048), 1, 1}, 256, 1, 0, [&] { kernel(y.data(), b.data(), n); });
    say(sized("add_into", type_name<T>(), {n}) + " " + type_name<S>(), y.wrong([&](size_t i) { return (double)float(a[i]) + float(b[i]); }, 0));
}
template <class T, class F> void scale(int n, float factor, F kernel) {
    const auto a = normal<T>(n); Poisoned<T> y(n); std::copy(a.begin(), a.end(), y.data());
    twin::launch({blocks(n, 2048), 1, 1}, 256, 1, 0, [&] { kernel(y.data(), &factor, n); });
    say(sized("scale_into", type_name<T>(), {n}), y.wrong([&](size_t i) { return (double)float(a[i]) * factor; }, 0));
}
void norm(size_t n, float size, double limit) {
    const auto x = normal<float>(n, size); const int chunks = blocks(n, 65536); std::vector<double> sums(chunks, NAN); float total = 2, factor = NAN, root = NAN; double want = 2;
    for (float v : x) want += (double)v * v;
    if (chunks) twin::launch({chunks, 1, 1}, 256, 1, 0, [&] { gradient_norm_squares(sums.data(), x.data(), n); });
    twin::launch({1, 1, 1}, 1024, 1, 0, [&] { gradient_norm_add(&total, sums.data(), chunks); });
    twin::launch({1, 1, 1}, 32, 1, 0, [&] { gradient_norm_scale(&factor, &root, &total, limit); });
    const double norm = sqrt(want); const bool finite = want < 3.4e38;
    const bool ok = finite ? fabs(root / norm - 1) < 1e-6 && fabs(factor / min(1., limit / (norm + 1e-6)) - 1) < 1e-6 : std::isinf(root) && std::isnan(factor);
    say(sized("gradient_norm", finite ? "" : "not finite", {(int)n}), !ok);
}

int main() {
    adamw(1, true, 0.5f, true); adamw(1027, true, 2.f, true); adamw(2048, false, 1.f, false); adamw(33, true, NAN, true); adamw(33, true, -INFINITY, true);
    for (int n : {3, 2049}) {
        add<float, float>(n, add_into_f32_f32); add<float, Bf16>(n, add_into_f32_bf16); add<Bf16, float>(n, add_into_bf16_f32); add<Bf16, Bf16>(n, add_into_bf16_bf16);
        scale<float>(n, 0.3f, scale_into_f32); scale<Bf16>(n, -7, scale_into_bf16); scale<Bf16>(n, 1, scale_into_bf16);
    }
    norm(0, 1, 1); norm(5, 1, INFINITY); norm(70001, 3, 1); norm(131073, 1e-3f, 1); norm(100, 3e19f, 1);
    return failures;
}
