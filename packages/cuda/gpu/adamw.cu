// The gradient's norm and AdamW on the GPU: right against plain kernels, repeated bit by bit, and timed by variant.
//
//   adamw [--small]     --small: the cases for compute-sanitizer
#include "common.cuh"
#include "../kernels/gradient-norm.cu"
#include "../kernels/adamw.cu"

using H = __nv_bfloat16;
constexpr double PEAK = 4277;     // GB/s of a plain copy
static void timed(const char* name, const char* shape, double bytes, float ms) { printf("%-34s %-38s %8.4f ms %6.0f GB/s %5.1f %%\n", name, shape, ms, bytes / ms / 1e6, bytes / ms / 1e4 / PEAK); fflush(stdout); }
static void checked(const char* name, const char* shape, double difference, bool same, bool ok) { printf("%-34s %-38s difference %.1e%s %s\n", name, shape, difference, same ? "" : " REPEAT DIFFERS", verdict(ok && same)); fflush(stdout); }

// ---- Norm

template <int LOADS, int ROUNDS> __global__ void __launch_bounds__(gradient_norm::THREADS) squares(double* sums, const float* g, size_t n) { gradient_norm::Squares<LOADS, ROUNDS>::run(sums, g, n); }
__global__ void plain_squares(double* sums, const float* g, size_t n) {
    double sum = 0;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) sum += (double)g[i] * g[i];
    sums[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
template <int LOADS, int ROUNDS> void norm(size_t n, bool time) {
    using S = gradient_norm::Squares<LOADS, ROUNDS>;
    const int blocks = (n + S::CHUNK - 1) / S::CHUNK; Buffer<float> g(n), out(2), limit(1); Buffer<double> sums(blocks), plain(256 * 128);
    fill(g, n, 0.01f); limit.write({1}); sums.poison(); out.poison();
    const auto launch = [&](int) { squares<LOADS, ROUNDS><<<blocks, gradient_norm::THREADS>>>(sums, g, n); gradient_norm_clip<<<1, gradient_norm::FINAL_THREADS>>>(out, sums, blocks, limit); };
    launch(0); const auto once = out.read(); out.poison(); launch(0); const auto twice = out.read();
    plain_squares<<<256, 128>>>(plain, g, n); double want = 0; for (double x : plain.read()) want += x; want = sqrt(want);
    const double off = std::max(fabs(once[0] / want - 1), fabs(once[1] / std::min(1.0, 1 / (want + 1e-6)) - 1));
    char name[64], shape[64]; snprintf(name, sizeof name, "gradient norm <%d, %d>", LOADS, ROUNDS); snprintf(shape, sizeof shape, "n %zu, %d blocks", n, blocks);
    checked(name, shape, off, once == twice, off < 1e-6);
    if (time) timed(name, shape, 4.0 * n, median_ms(launch));
}

// ---- AdamW

struct Settings { double rate, beta1, beta2, eps, decay; };
static const Settings settings{1e-2, 0.9, 0.95, 1e-8, 0.1};
__global__ void plain_adamw(float* p, float* m, float* v, const float* g, Settings s, int t, float clip, int decays, size_t n) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        const double x = (double)g[i] * clip, a = s.beta1 * m[i] + (1 - s.beta1) * x, b = s.beta2 * v[i] + (1 - s.beta2) * x * x;
        p[i] = p[i] * (1 - (decays ? s.rate * s.decay : 0)) - s.rate / (1 - pow(s.beta1, t)) * a / (sqrt(b) / sqrt(1 - pow(s.beta2, t)) + s.eps);
        m[i] = a; v[i] = b;
    }
}
/// Counts bytes of the copies that are not those of p.
__global__ void plain_copies(const float* p, const H* bf16, const uint8_t* fp8, const uint8_t* transposed, const float* scale, int rows, int columns, unsigned long long* wrong) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (size_t)rows * columns; i += (size_t)gridDim.x * blockDim.x) {
        const uint8_t q = __nv_cvt_float_to_fp8(p[i] * *scale, __NV_SATFINITE, __NV_E4M3);
        const bool bad = fp8[i] != q || transposed[i % columns * rows + i / columns] != q || (bf16 && __bfloat16_as_ushort(bf16[i]) != __bfloat16_as_ushort(__float2bfloat16(p[i])));
        if (bad) atomicAdd(wrong, 1);
    }
}
__global__ void absolute(float* v, size_t n) { for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) v[i] = fabsf(v[i]); }

struct State {
    Buffer<float> p, m, v, g; Buffer<H> bf16;
    explicit State(size_t n) : p(n), m(n), v(n), g(n), bf16(n) { reset(); }
    void reset() { fill(p, 1, 0.02f); fill(m, 2, 0.01f); fill(v, 3, 1e-4f); absolute<<<1024, 256>>>(v, v.size); fill(g, 4, 0.01f); bf16.poison(); }
};
struct Step {
    Buffer<AdamWStep> out{1}; Buffer<double> words{5}; Buffer<int> step{1}; Buffer<float> clip{1};
    Step(int t, float c) { words.write({settings.rate, settings.beta1, settings.beta2, settings.eps, settings.decay}); step.write({t}); clip.write({c}); adamw_prepare<<<1, 1>>>(out, words, step, clip); CHECK(cudaGetLastError()); }
};
/// Compares p, m and v with a plain step from the same start, over the first and the last million.
double against_plain(const State& s, int t, float clip, bool decays) {
    const size_t n = s.p.size, part = std::min<size_t>(n, 1 << 20); State plain(n);
    if (isfinite(clip)) plain_adamw<<<1024, 256>>>(plain.p, plain.m, plain.v, plain.g, settings, t, clip, decays, n);
    double worst = 0;
    for (size_t first : {(size_t)0, n - part}) {
        for (auto [a, b] : {std::pair<const Buffer<float>*, const Buffer<float>*>{&s.p, &plain.p}, {&s.m, &plain.m}, {&s.v, &plain.v}}) worst = std::max(worst, difference(a->read(first, part), b->read(first, part)));
        for (float x : s.g.read(first, part)) if (x != 0) worst = 1;
    }
    return worst;
}

template <int LOADS> __global__ void __launch_bounds__(adamw::THREADS) flat(float* p, float* m, float* v, float* g, H* bf16, const AdamWStep* step, int decays, size_t n) { adamw::flat<LOADS>(p, m, v, g, bf16, step, decays, n); }
template <int LOADS> void flat_case(size_t n, int t, float clip, bool time) {
    State s(n); Step step(t, clip);
    const auto launch = [&](int) { flat<LOADS><<<(n + LOADS * 1024 - 1) / (LOADS * 1024), adamw::THREADS>>>(s.p, s.m, s.v, s.g, s.bf16, step.out, 1, n); };
    launch(0); CHECK(cudaDeviceSynchronize());
    const double off = against_plain(s, t, clip, true); const auto print = fingerprint(s.p), copy = fingerprint(s.bf16);
    s.reset(); launch(0); CHECK(cudaDeviceSynchronize());
    char name[64], shape[64]; snprintf(name, sizeof name, "adamw flat <%d>", LOADS); snprintf(shape, sizeof shape, "n %zu step %d clip %g", n, t, clip);
    checked(name, shape, off, fingerprint(s.p) == print && fingerprint(s.bf16) == copy, off < 1e-10 && copy.nans == 0 && print.nans == 0);
    if (time) timed(name, shape, 34.0 * n, median_ms(launch));
}

template <int ROWS, int BLOCKS, bool UPDATE> __global__ void __launch_bounds__(adamw::THREADS, BLOCKS) tiles(const AdamWMatrix* table, int count, const AdamWStep* step) { adamw::tile<ROWS, UPDATE>(table, count, step); }
struct Matrices {
    std::vector<std::array<int, 2>> shapes; size_t n = 0; int count = 0; std::unique_ptr<State> s; std::unique_ptr<Buffer<float>> fp8, transposed, scales; std::unique_ptr<Buffer<unsigned>> amax; std::vector<AdamWMatrix> table; std::unique_ptr<Buffer<AdamWMatrix>> on_device;
    Matrices(std::vector<std::array<int, 2>> list, bool bf16) : shapes(list) {
        for (auto [r, c] : shapes) n += (size_t)r * c;
        s = std::make_unique<State>(n); fp8 = std::make_unique<Buffer<float>>(n / 4); transposed = std::make_unique<Buffer<float>>(n / 4); scales = std::make_unique<Buffer<float>>(shapes.size()); amax = std::make_unique<Buffer<unsigned>>(shapes.size());
        size_t at = 0; std::vector<float> scale;
        for (size_t i = 0; i < shapes.size(); i++) {
            const auto [r, c] = shapes[i];
            table.push_back({s->p + at, s->m + at, s->v + at, s->g + at, bf16 ? s->bf16 + at : nullptr, (uint8_t*)fp8->data + at, (uint8_t*)transposed->data + at, *scales + i, *amax + i, r, c, count, 1});
            scale.push_back(2000 + 1000 * (i % 20)); count += (r + 127) / 128 * ((c + 127) / 128); at += (size_t)r * c;
        }
        scales->write(scale); on_device = std::make_unique<Buffer<AdamWMatrix>>(table.size()); on_device->write(table); clear();
    }
    void clear() { fp8->poison(); transposed->poison(); amax->write(std::vector<unsigned>(shapes.size(), 0)); }
    unsigned long long wrong() {
        Buffer<unsigned long long> bad(1); bad.write({0});
        for (auto& w : table) plain_copies<<<512, 256>>>(w.p, w.bf16, w.fp8, w.fp8_transposed, w.scale, w.rows, w.columns, bad);
        const auto tops = amax->read(); auto count = bad.read()[0];
        for (size_t i = 0; i < table.size(); i++) {
            std::vector<float> p((size_t)table[i].rows * table[i].columns); if (p.size() > 4 << 20) continue;
            CHECK(cudaMemcpy(p.data(), table[i].p, p.size() * 4, cudaMemcpyDeviceToHost)); float top = 0; for (float x : p) top = std::max(top, fabsf(x));
            count += memcmp(&top, &tops[i], 4) != 0;
        }
        return count;
    }
};
template <int ROWS, int BLOCKS, bool UPDATE> void matrix_case(Matrices& m, int t, float clip, bool time, const char* what) {
    Step step(t, clip);
    const auto launch = [&](int) { tiles<ROWS, BLOCKS, UPDATE><<<m.count, adamw::THREADS>>>(*m.on_device, m.table.size(), step.out); };
    m.s->reset(); m.clear(); launch(0); CHECK(cudaDeviceSynchronize());
    const double off = UPDATE ? against_plain(*m.s, t, clip, true) : 0; const auto wrong = m.wrong(); const auto print = fingerprint(m.s->p), a = fingerprint(*m.fp8), b = fingerprint(*m.transposed);
    m.s->reset(); m.clear(); launch(0); CHECK(cudaDeviceSynchronize());
    char name[64], shape[64]; snprintf(name, sizeof name, "%s <%d, %d>", UPDATE ? "adamw matrices" : "weight copies", ROWS, BLOCKS); snprintf(shape, sizeof shape, "%s n %zu", what, m.n);
    if (wrong) printf("%llu wrong bytes or maxima\n", wrong);
    checked(name, shape, off, fingerprint(m.s->p) == print && fingerprint(*m.fp8) == a && fingerprint(*m.transposed) == b, off < 1e-10 && wrong == 0);
    const bool bf16 = m.table[0].bf16 != nullptr;
    if (time) timed(name, shape, (UPDATE ? 34.0 : 6.0) * m.n + (bf16 ? 2.0 * m.n : 0), median_ms(launch));
}

int main(int count, char** words) {
    norm<8, 8>(1000003, false); norm<4, 16>(5, false); flat_case<1>(100004, 1, 1, false); flat_case<2>(4096, 9, NAN, false);
    { Matrices m({{144, 272}, {128, 128}, {16, 400}, {304, 16}}, true); matrix_case<2, 2, true>(m, 3, 0.5f, false, "odd"); matrix_case<1, 4, true>(m, 3, NAN, false, "odd"); matrix_case<4, 2, false>(m, 3, 1, false, "odd"); }
    if (count > 1 && !strcmp(words[1], "--small")) return failures;
    const size_t n = 600'000'000;
    norm<8, 8>(n, true); norm<4, 16>(n, true); norm<4, 4>(n, true); norm<16, 4>(n, true); norm<8, 2>(n, true);
    flat_case<1>(163'840'000, 5, 0.7f, true); flat_case<2>(163'840'000, 5, 0.7f, true);
    std::vector<std::array<int, 2>> layers; for (int i = 0; i < 4; i++) for (auto s : {std::array<int, 2>{3840, 2560}, {2560, 2560}, {13824, 2560}, {2560, 6912}}) layers.push_back(s);
    for (bool bf16 : {false, true}) {
        Matrices m(layers, bf16); const char* what = bf16 ? "4 layers, bf16 and fp8" : "4 layers, fp8";
        matrix_case<1, 3, true>(m, 5, 0.7f, true, what); matrix_case<1, 4, true>(m, 5, 0.7f, true, what); matrix_case<2, 2, true>(m, 5, 0.7f, true, what); matrix_case<2, 3, true>(m, 5, 0.7f, true, what); matrix_case<4, 1, true>(m, 5, 0.7f, true, what);
        matrix_case<2, 4, false>(m, 5, 1, true, what); matrix_case<4, 3, false>(m, 5, 1, true, what); matrix_case<4, 4, false>(m, 5, 1, true, what);
    }
    return failures;
}
