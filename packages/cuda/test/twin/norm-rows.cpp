// The norm over rows of any length on the CPU twin, against plain loops.
#include "../../kernels/fused/norm-rows.cu"

#include "plain.h"

constexpr float EPS = 1e-5f;
void forward(float* y, float* r, const float* x, const float* w, int C) { norm_rows_f32(y, r, x, w, C, EPS); }
void forward(Bf16* y, float* r, const Bf16* x, const Bf16* w, int C) { norm_rows_bf16(y, r, x, w, C, EPS); }
void backward(float* dx, float* p, const float* dy, const float* x, const float* w, const float* r, const float* residual, int rows, int C) { norm_rows_gradient_f32(dx, p, dy, x, w, r, residual, rows, C); }
void backward(Bf16* dx, float* p, const Bf16* dy, const Bf16* x, const Bf16* w, const float* r, const Bf16* residual, int rows, int C) { norm_rows_gradient_bf16(dx, p, dy, x, w, r, residual, rows, C); }

template <class T> void check(int rows, int C, int parts, bool with_residual) {
    const auto x = normal<T>((size_t)rows * C, 3), w = normal<T>(C), d_y = normal<T>((size_t)rows * C), residual = normal<T>((size_t)rows * C);
    Poisoned<T> y((size_t)rows * C), d_x((size_t)rows * C); Poisoned<float> rstd(rows), partial((size_t)parts * C);
    twin::launch({rows, 1, 1}, 128, 1, 0, [&] { forward(y.data(), rstd.data(), x.data(), w.data(), C); });
    std::vector<double> r(rows), mean(rows);
    for (int row = 0; row < rows; row++) {
        double squares = 0; for (int c = 0; c < C; c++) squares += pow(float(x[(size_t)row * C + c]), 2);
        r[row] = 1 / sqrt(squares / C + EPS);
        for (int c = 0; c < C; c++) { const size_t i = (size_t)row * C + c; mean[row] += (double)float(d_y[i]) * float(w[c]) * float(x[i]) * r[row] / C; }
    }
    std::vector<float> exact(r.begin(), r.end());
    twin::launch({parts, 1, 1}, 256, 1, 0, [&] { backward(d_x.data(), partial.data(), d_y.data(), x.data(), w.data(), exact.data(), with_residual ? residual.data() : nullptr, rows, C); });
    const int each = (rows + parts - 1) / parts;
    say(sized("norm_rows", type_name<T>(), {rows, C, parts, with_residual}),
        rstd.wrong([&](size_t i) { return r[i]; }, 1e-6) + y.wrong([&](size_t i) { return float(x[i]) * r[i / C] * float(w[i % C]); }, 2e-6)
        + d_x.wrong([&](size_t i) { return r[i / C] * (float(d_y[i]) * float(w[i % C]) - float(x[i]) * r[i / C] * mean[i / C]) + (with_residual ? float(residual[i]) : 0); }, 1e-6, 2e-6)
        + partial.wrong([&](size_t i) {
            double sum = 0; const int part = i / C, c = i % C;
            for (int row = part * each; row < min(rows, (part + 1) * each); row++) sum += (double)float(d_y[(size_t)row * C + c]) * float(x[(size_t)row * C + c]) * r[row];
            return sum; }, 1e-6, 1e-5));
}

int main() {
    check<float>(5, 3, 2, true); check<float>(9, 260, 4, false); check<float>(3, 2561, 3, false); check<float>(7, 1024, 5, true);
    check<Bf16>(5, 3, 2, true); check<Bf16>(9, 260, 4, true); check<Bf16>(2, 8200, 2, true); check<Bf16>(1, 1, 1, false);
    return failures;
}
