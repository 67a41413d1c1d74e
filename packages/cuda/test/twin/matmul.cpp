// The unmodified products for every GPU on the CPU twin against plain loops: random shapes, strides and places in memory, with
// NaN wherever nothing belongs to a matrix.
#include "../../kernels/products/matmul.cu"

#include <random>

static std::mt19937 rng(3);
static int failures = 0;
static int between(int low, int high) { return std::uniform_int_distribution<int>(low, high)(rng); }
static bool coin(int of = 2) { return between(1, of) == 1; }

/// Matrices in memory, all NaN but for their elements.
template <class T> struct Matrices {
    int rows, columns, stride, offset; int64_t step; std::vector<T> data;
    /// `count` of them, or one for all where `step` is 0; `loose`: rows start anywhere.
    Matrices(int rows, int columns, int count, bool shared, bool loose) : rows(rows), columns(columns) {
        const int unit = 16 / sizeof(T);
        stride = loose ? columns + between(0, 3) : (columns + unit - 1) / unit * unit + unit * between(0, 1);
        offset = loose ? between(0, 5) : unit * between(0, 1);
        step = shared ? 0 : (int64_t)rows * stride + (loose ? between(0, 3) : unit);
        data.resize(offset + (shared ? 1 : count) * (step ? step : (int64_t)rows * stride) + 40); memset(data.data(), 0xFF, data.size() * sizeof(T));
        std::normal_distribution<float> normal;
        for (int b = 0; b < (shared ? 1 : count); b++) for (int r = 0; r < rows; r++) for (int c = 0; c < columns; c++) at(b, r, c) = T(normal(rng));
    }
    T& at(int batch, int row, int column) { return data[offset + batch * step + (int64_t)row * stride + column]; }
    T* start() { return data.data() + offset; }
};
template <class T> constexpr double ROUNDING = std::is_same_v<T, float> ? 0x1p-24 : std::is_same_v<T, matmul::F16> ? 0x1p-11 : 0x1p-8;

using Kernel = void (*)(const Product);
/// `fixed`: products of fp8 are added as tensor cores add them, 128 to a sum.
struct Options { int M, N, K, batch = 1, parts = 1; bool shared_a = false, shared_b = false, loose_a = false, loose_b = false, loose_y = false, scaled = false, fixed = false; enum { none, other, itself } residual = none; float alpha = 1; };

/// Y from a kernel, where k is divided through `combine`, compared element by element: what rounding of the sums and of the
/// result explains, and no more. The memory around Y stays as it was, and a second run gives the same bits.
template <class A, class B, class R> void check(const char* name, Kernel kernel, void (*combine)(R*, const float*, const R*, int, int, int), bool a_t, bool b_t, int height, int width, int shared, Options o) {
    Matrices<A> a(a_t ? o.K : o.M, a_t ? o.M : o.K, o.batch, o.shared_a, o.loose_a); Matrices<B> b(b_t ? o.N : o.K, b_t ? o.K : o.N, o.batch, o.shared_b, o.loose_b);
    const bool parted = o.parts > 1;
    Matrices<R> before(o.M, o.N, o.batch, false, o.loose_y);
    if (parted) { before.stride = o.N; before.step = (int64_t)o.M * o.N; }        // `combine` takes matrices without gaps
    Matrices<R> residual = before; for (int i = 0; i < o.batch; i++) for (int m = 0; m < o.M; m++) for (int n = 0; n < o.N; n++) residual.at(i, m, n) = R(between(-400, 400) / 100.f);
    if (o.residual == Options::none) for (int i = 0; i < o.batch; i++) for (int m = 0; m < o.M; m++) for (int n = 0; n < o.N; n++) memset(&before.at(i, m, n), 0xFF, sizeof(R));
    if (o.residual == Options::itself) before = residual;
    const float scales[2] = {0.5f, 1.75f};
    const auto run = [&] {
        Matrices<R> y = before; std::vector<float> partial(parted ? (size_t)o.batch * o.parts * o.M * o.N : 0, NAN);
        const R* r = o.residual == Options::none ? nullptr : o.residual == Options::itself ? y.start() : residual.start();
        Product p{parted ? (void*)partial.data() : y.start(), a.start(), b.start(), parted ? nullptr : r, o.scaled ? scales : nullptr, o.scaled ? scales + 1 : nullptr,
                  a.step, b.step, parted ? (int64_t)o.parts * o.M * o.N : y.step, o.M, o.N, o.K, a.stride, b.stride, parted ? o.N : y.stride, o.parts,
                  parted || (std::is_same_v<R, float> && !std::is_same_v<A, float>), o.alpha};
        twin::launch({(o.M + height - 1) / height * ((o.N + width - 1) / width) * o.batch * o.parts, 1, 1}, 256, 1, shared, [&] { kernel(p); });
        if (parted) twin::launch({int((y.step * o.batch + 2047) / 2048), 1, 1}, 256, 1, 0, [&] { combine(y.start(), partial.data(), r, y.step, o.batch, o.parts); });
        return y;
    };
    Matrices<R> y = run(), again = run();
    long wrong = 0, outside = 0; double worst = 0;
    Matrices<R> rest = y;
    for (int i = 0; i < o.batch; i++) for (int m = 0; m < o.M; m++) for (int n = 0; n < o.N; n++) {
        double sum = 0, size = 0;
        for (int first = 0; first < o.K; first += 128) {
            float x[1][128] = {}, y[128][1] = {}, part = 0; double exact = 0;
            for (int j = 0, k = first; j < 128 && k < o.K; j++, k++) {
                x[0][j] = float(a_t ? a.at(i, k, m) : a.at(i, m, k)); y[j][0] = float(b_t ? b.at(i, n, k) : b.at(i, k, n));
                const double p = (double)x[0][j] * y[j][0]; exact += p; size += fabs(p);
            }
            if (o.fixed) twin::add_fp8<16, A, B>(&part, x, y);
            sum += o.fixed ? part : exact;
        }
        const double f = o.alpha * (o.scaled ? scales[0] * scales[1] : 1), added = o.residual == Options::none ? 0 : float(residual.at(i, m, n));
        const double want = sum * f + added, bound = fabs(want) * ROUNDING<R> + (o.K + 3) * 0x1p-24 * size * fabs(f) + 0x1p-23 * fabs(added) + 1e-30;
        const double error = fabs((double)float(y.at(i, m, n)) - want);
        if (!(error <= bound)) wrong++; else worst = std::max(worst, error / bound);
        rest.at(i, m, n) = before.at(i, m, n);
    }
    outside = memcmp(rest.data.data(), before.data.data(), before.data.size() * sizeof(R)) != 0;
    const bool repeats = memcmp(y.data.data(), again.data.data(), y.data.size() * sizeof(R)) == 0;
    if (wrong || outside || !repeats) failures++;
    printf("%-22s %3d x %3d x %3d batch %d parts %d residual %d  worst %.2f of its bound %s%s%s\n", name, o.M, o.N, o.K, o.batch, o.parts, (int)o.residual, worst,
           wrong || outside || !repeats ? "WRONG" : "ok", outside ? ", wrote outside" : "", repeats ? "" : ", repeat differs");
    if (wrong) printf("    %ld of %ld elements\n", wrong, (long)o.batch * o.M * o.N);
}

static Options any(int most, bool parts) {
    Options o{between(1, most), between(1, most), coin(4) ? between(1, 600) : between(1, 150)};
    o.batch = coin(4) ? between(2, 3) : 1; o.parts = parts && coin(3) ? between(2, 4) : 1;
    o.shared_a = o.batch > 1 && coin(); o.shared_b = o.batch > 1 && coin();
    o.loose_a = coin(3); o.loose_b = coin(3); o.loose_y = coin(3); o.scaled = coin(4); o.alpha = coin() ? 1 : -0.375f;
    o.residual = coin() ? Options::none : coin() ? Options::other : Options::itself;
    return o;
}
using matmul::combine;
template <class T> void tiles(const char* name, Kernel nn, Kernel nt, Kernel tn, Kernel tt, int shared, int count) {
    const Kernel kernels[4] = {nn, nt, tn, tt}; const char* letters[4] = {"_nn", "_nt", "_tn", "_tt"};
    for (int i = 0; i < 4; i++) {
        const std::string full = name + std::string(letters[i]);
        for (int c = 0; c < count; c++) {
            const Options o = any(200, true);
            if (coin(3)) check<T, T, float>((full + " to f32").c_str(), kernels[i], combine<float>, i >= 2, i % 2, 128, 128, shared, o);
            else check<T, T, T>(full.c_str(), kernels[i], combine<T>, i >= 2, i % 2, 128, 128, shared, o);
        }
        check<T, T, T>(full.c_str(), kernels[i], combine<T>, i >= 2, i % 2, 128, 128, shared, {1, 1, 1});
        check<T, T, T>(full.c_str(), kernels[i], combine<T>, i >= 2, i % 2, 128, 128, shared, {5, 9, 0});
        Options residual{9, 17, 0}; residual.residual = Options::other;
        check<T, T, T>(full.c_str(), kernels[i], combine<T>, i >= 2, i % 2, 128, 128, shared, residual);
        check<T, T, T>(full.c_str(), kernels[i], combine<T>, i >= 2, i % 2, 128, 128, shared, {256, 264, 96});
    }
}
template <class A> void fp8(const char* name, Kernel kernel, int count, bool fixed) {
    for (int c = 0; c < count; c++) {
        Options o = any(150, true); o.fixed = fixed;
        if (coin()) check<A, E4m3, float>(name, kernel, combine<float>, false, true, 128, 64, 36864, o);
        else check<A, E4m3, Bf16>(name, kernel, combine<Bf16>, false, true, 128, 64, 36864, o);
    }
}
template <class T> void rows(const char* name, Kernel kernel, int count) {
    for (int c = 0; c < count; c++) {
        Options o = any(150, false); o.M = between(1, 16); if (coin()) o.K = between(500, 3000);
        if (coin(3)) check<T, T, float>(name, kernel, combine<float>, false, true, 16, 16, 0, o);
        else check<T, T, T>(name, kernel, combine<T>, false, true, 16, 16, 0, o);
    }
}
/// Each of the 256 fp8 codes by the way that chips without fp8 products take.
template <class F> void widening(const char* name) {
    int wrong = 0;
    for (int code = 0; code < 256; code++) {
        F f; f.__x = code; const float want = float(f);
        const uint32_t pair = matmul::widen<F>(code | (255 - code) << 8); const uint16_t bits = pair; __half h; memcpy(&h, &bits, 2); const float got = float(h);
        if (!(got == want && std::signbit(got) == std::signbit(want)) && !(std::isnan(got) && std::isnan(want))) wrong++;
    }
    if (wrong) failures++;
    printf("%-22s as a pair of f16: %d of 256 codes differ %s\n", name, wrong, wrong ? "WRONG" : "ok");
}

#define WIDENING(NAME, F) widening<F>(#NAME)
#define TILES(NAME, T, SHARED, COUNT) tiles<T>(#NAME, matmul_##NAME##_nn, matmul_##NAME##_nt, matmul_##NAME##_tn, matmul_##NAME##_tt, SHARED, COUNT)
#define FP8(NAME, A, COUNT) fp8<A>(#NAME, matmul_##NAME##_nt, COUNT, true)
/// As chips without fp8 products run it.
#define THROUGH_F16(NAME, A, COUNT) fp8<A>(#NAME " by f16", [](const Product p) { matmul::tensor_core<matmul::TensorCore<A, E4m3, Major::k, Major::k, 128, 64, 32, 32, 3, false>>(p); }, COUNT, false)
#define ROWS(NAME, T, COUNT) rows<T>("rows " #NAME, matmul_rows_##NAME##_nt, COUNT)

int main() {
    WIDENING(e4m3, E4m3);
    WIDENING(e5m2, E5m2);
    TILES(bf16, Bf16, 49152, 12);
    TILES(f16, F16, 49152, 4);
    TILES(f32, float, 0, 8);
    FP8(e4m3, E4m3, 8);
    FP8(e5m2, E5m2, 8);
    THROUGH_F16(e4m3, E4m3, 4);
    THROUGH_F16(e5m2, E5m2, 4);
    ROWS(f32, float, 10);
    return failures;
}
