// Updates in place and the norm of the gradients on the CPU twin, against plain loops.
#include "../../kernels/updates/gradient-norm.cu"
#include "../../kernels/updates/updates.cu"

#include "plain.h"

int blocks(size_t n, int each) { return (n + each - 1) / each; }

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
/// Gradients of these sizes.
void norm(std::vector<int> sizes, float size, double limit) {
    std::vector<std::vector<float>> gradients; gradient_norm::Gradients table{}; int chunks = 0; double want = 0;
    for (int n : sizes) gradients.push_back(normal<float>(n, size));
    for (const auto& x : gradients) {
        table.at[table.count++] = {x.data(), x.size(), (unsigned)chunks}; chunks += blocks(x.size(), 65536);
        for (float v : x) want += (double)v * v;
    }
    std::vector<double> sums(chunks, NAN); float total = NAN, factor = NAN, root = NAN;
    if (chunks) twin::launch({chunks, 1, 1}, 256, 1, 0, [&] { gradient_norm_squares(sums.data(), table); });
    twin::launch({1, 1, 1}, 1024, 1, 0, [&] { gradient_norm_sum(&total, sums.data(), chunks); });
    twin::launch({1, 1, 1}, 32, 1, 0, [&] { gradient_norm_scale(&factor, &root, &total, limit); });
    const double norm = sqrt(want); const bool finite = want < 3.4e38;
    const bool ok = finite ? fabs(root - norm) <= 1e-6 * norm && fabs(factor / min(1., limit / (norm + 1e-6)) - 1) < 1e-6 : std::isinf(root) && std::isnan(factor);
    say(sized("gradient_norm", finite ? "" : "not finite", {(int)sizes.size(), sizes[0]}), !ok);
}

int main() {
    for (int n : {3, 2049}) {
        add<float, float>(n, add_into_f32_f32); add<float, Bf16>(n, add_into_f32_bf16); add<Bf16, float>(n, add_into_bf16_f32); add<Bf16, Bf16>(n, add_into_bf16_bf16);
        scale<float>(n, 0.3f, scale_into_f32); scale<Bf16>(n, -7, scale_into_bf16); scale<Bf16>(n, 1, scale_into_bf16);
    }
    norm({0}, 1, 1); norm({5}, 1, INFINITY); norm({70001, 0, 3, 65536, 1}, 3, 1); norm({131073}, 1e-3f, 1); norm({100, 100}, 3e19f, 1); norm(std::vector<int>(168, 7), 1, 1);
    return failures;
}
