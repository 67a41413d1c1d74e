// The gradient's norm and AdamW on the GPU: right against plain kernels, repeated bit by bit, and timed at Danube's sizes.
//
//   adamw [--small]     --small: the cases for compute-sanitizer
#include "common.cuh"
#include "../kernels/updates/gradient-norm.cu"
#include "../kernels/updates/adamw.cu"

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
    const int blocks = (n + S::CHUNK - 1) / S::CHUNK; Buffer<float> g(n), out(3); Buffer<double> sums(blocks), plain(256 * 128);
    fill(g, n, 0.01f); sums.poison();
    // out: sum of squares, norm, factor
    const auto launch = [&](int) {
        CHECK(cudaMemsetAsync(out.data, 0, 4));
        squares<LOADS, ROUNDS><<<blocks, gradient_norm::THREADS>>>(sums, g, n); gradient_norm_sum<<<1, gradient_norm::FINAL_THREADS>>>(out, sums, blocks); gradient_norm_scale<<<1, 1>>>(out + 2, out + 1, out, 1);
    };
    launch(0); const auto once = out.read(); out.poison(); launch(0); const auto twice = out.read();
    plain_squares<<<256, 128>>>(plain, g, n); double want = 0; for (double x : plain.read()) want += x; want = sqrt(want);
    const double off = std::max(fabs(once[1] / want - 1), fabs(once[2] / std::min(1.0, 1 / (want + 1e-6)) - 1));
    char name[64], shape[64]; snprintf(name, sizeof name, "gradient norm <%d, %d>", LOADS, ROUNDS); snprintf(shape, sizeof shape, "n %zu, %d blocks", n, blocks);
    checked(name, shape, off, once == twice, off < 1e-6);
    if (time) timed(name, shape, 4.0 * n, median_ms(launch));
}

// ---- AdamW

static const AdamWScalars scalars{1 - 1e-3f, 0.1f, 0.95f, 0.05f, 1e-8f, 1e-2f / 0.41f, 0.47f};     // rate 1e-2, decay 0.1, step 5
__global__ void plain_adamw(float* p, float* m, float* v, const float* g, AdamWScalars s, float scale, size_t n) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        const double x = (double)g[i] * scale, a = m[i] + (x - m[i]) * s.beta1_complement, b = v[i] * (double)s.beta2 + x * x * s.beta2_complement;
        p[i] = p[i] * (double)s.decay - a / (sqrt(b) / s.root_bias2 + s.eps) * s.step_size;
        m[i] = a; v[i] = b;
    }
}
/// Counts copies that are not those of p, which is the rows from `first` on of a matrix in fp8 of `stride` rows.
__global__ void plain_copies(const float* p, const H* bf16, const uint8_t* q, const uint8_t* t, const float* factor, int rows, int columns, int first, int stride, unsigned long long* wrong) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (size_t)rows * columns; i += (size_t)gridDim.x * blockDim.x) {
        if (bf16 && __bfloat16_as_ushort(bf16[i]) != __bfloat16_as_ushort(__float2bfloat16(p[i]))) atomicAdd(wrong, 1);
        if (!q) continue;
        const size_t row = i / columns + first, column = i % columns; const uint8_t want = __nv_cvt_float_to_fp8(p[i] * *factor, __NV_SATFINITE, __NV_E4M3);
        if (q[row * columns + column] != want || t[column * stride + row] != want) atomicAdd(wrong, 1);
    }
}
__global__ void absolute(float* v, size_t n) { for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) v[i] = fabsf(v[i]); }

struct State {
    Buffer<float> p, m, v, g, scale{1}; Buffer<H> bf16;
    State(size_t n, float factor) : p(n), m(n), v(n), g(n), bf16(n) { scale.write({factor}); reset(); }
    void reset() { fill(p, 1, 0.02f); fill(m, 2, 0.01f); fill(v, 3, 1e-4f); absolute<<<1024, 256>>>(v, v.size); fill(g, 4, 0.01f); bf16.poison(); }
};
/// Compares p, m and v with a plain step from the same start, over the first and the last million.
double against_plain(const State& s) {
    const size_t n = s.p.size, part = std::min<size_t>(n, 1 << 20); const float scale = s.scale.read()[0]; State plain(n, scale);
    if (std::isfinite(scale)) plain_adamw<<<1024, 256>>>(plain.p, plain.m, plain.v, plain.g, scalars, scale, n);
    double worst = 0;
    for (size_t first : {(size_t)0, n - part})
        for (auto [a, b] : {std::pair<const Buffer<float>*, const Buffer<float>*>{&s.p, &plain.p}, {&s.m, &plain.m}, {&s.v, &plain.v}}) worst = std::max(worst, difference(a->read(first, part), b->read(first, part)));
    return worst;
}
unsigned long long wrong_copies(const State& s, bool bf16, const uint8_t* q, const uint8_t* t, const float* factor, int rows, int columns, int first, int stride) {
    Buffer<unsigned long long> bad(1); bad.write({0});
    plain_copies<<<1024, 256>>>(s.p, bf16 ? s.bf16.data : nullptr, q, t, factor, rows, columns, first, stride, bad); CHECK(cudaGetLastError());
    return bad.read()[0];
}

void flat_case(size_t n, float scale, bool bf16, bool time) {
    State s(n, scale);
    const auto launch = [&](int) { adamw_flat<<<(n + 1023) / 1024, adamw::THREADS>>>(s.p, s.m, s.v, s.g, bf16 ? s.bf16.data : nullptr, s.scale, scalars, n); };
    launch(0); CHECK(cudaDeviceSynchronize());
    const double off = against_plain(s); const auto wrong = wrong_copies(s, bf16, nullptr, nullptr, nullptr, 1, n, 0, 0); const auto print = fingerprint(s.p);
    s.reset(); launch(0); CHECK(cudaDeviceSynchronize());
    char shape[64]; snprintf(shape, sizeof shape, "n %zu scale %g%s", n, scale, bf16 ? ", bf16" : "");
    checked("adamw flat", shape, off, fingerprint(s.p) == print, off < 1e-12 && wrong == 0);
    if (time) timed("adamw flat", shape, (bf16 ? 30.0 : 28.0) * n, median_ms(launch));
}
void matrix_case(int rows, int columns, int first, int stride, float scale, bool bf16, bool time) {
    const size_t n = (size_t)rows * columns; State s(n, scale); Buffer<uint8_t> q((size_t)stride * columns), t((size_t)stride * columns); Buffer<float> factor(1); Buffer<unsigned> amax(1);
    factor.write({3000}); amax.write({0});
    const auto launch = [&](int) { adamw_matrix<<<(rows + 127) / 128 * ((columns + 127) / 128), adamw::THREADS>>>(s.p, s.m, s.v, s.g, bf16 ? s.bf16.data : nullptr, s.scale, scalars, q + (size_t)first * columns, t + first, amax, factor, rows, columns, stride); };
    q.poison(); t.poison(); launch(0); CHECK(cudaDeviceSynchronize());
    const double off = against_plain(s); auto wrong = wrong_copies(s, bf16, q, t, factor, rows, columns, first, stride); const auto print = fingerprint(s.p);
    float top = 0; for (float x : s.p.read()) top = std::max(top, fabsf(x));
    wrong += memcmp(&top, amax.read().data(), 4) != 0;
    for (const auto& copy : {q.read(), t.read()}) wrong += std::count(copy.begin(), copy.end(), 0xFF) != (long)(stride - rows) * columns;    // beside the parameter's rows nothing is written
    s.reset(); launch(0); CHECK(cudaDeviceSynchronize());
    char shape[64]; snprintf(shape, sizeof shape, "%d x %d of %d rows, scale %g%s", rows, columns, stride, scale, bf16 ? ", bf16" : "");
    checked("adamw matrix", shape, off, fingerprint(s.p) == print, off < 1e-12 && wrong == 0);
    if (time) timed("adamw matrix", shape, (bf16 ? 32.0 : 30.0) * n, median_ms(launch));
}

int main(int count, char** words) {
    norm<8, 8>(1000003, false); norm<4, 16>(5, false); flat_case(100004, 1, true, false); flat_case(4097, NAN, true, false); flat_case(33, 0.5f, false, false);
    matrix_case(144, 272, 16, 192, 0.5f, true, false); matrix_case(128, 128, 0, 128, NAN, true, false); matrix_case(16, 400, 48, 64, 2, false, false);
    if (count > 1 && !strcmp(words[1], "--small")) return failures;
    const size_t n = 600'000'000;
    norm<8, 8>(n, true); norm<4, 16>(n, true); norm<4, 4>(n, true); norm<16, 4>(n, true); norm<8, 2>(n, true);
    flat_case(163'840'000, 0.7f, true, true); flat_case(163'840'000, 0.7f, false, true);
    for (bool bf16 : {false, true})
        for (auto [rows, columns, first, stride] : {std::array<int, 4>{2560, 2560, 0, 3840}, {640, 2560, 3200, 3840}, {2560, 2560, 0, 2560}, {6912, 2560, 6912, 13824}, {2560, 6912, 0, 2560}}) matrix_case(rows, columns, first, stride, 0.7f, bf16, true);
    return failures;
}
