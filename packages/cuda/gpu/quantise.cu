// The casts to fp8 on a GPU: against plain loops, repeated, and timed, each variant beside the others.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/quantise.cu"
#include "fp8.cuh"

template <Fp8 F, int THREADS, int MIN, int BAND, int TILES = 1> __global__ void __launch_bounds__(THREADS, MIN) variant(const Bf16* x, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int rows, int columns, int stride) {
    quantise<F, THREADS, BAND, TILES>(x, q, t, amax, scale, rows, columns, stride);
}
template <int THREADS, int MIN, int BAND> __global__ void __launch_bounds__(THREADS, MIN) transpose_variant(const uint8_t* q, uint8_t* t, int rows, int columns, int stride) {
    transpose_bytes_tile<THREADS, BAND>(q, t, rows, columns, stride);
}
__global__ void widen(const Bf16* x, float* y, size_t n) { for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) y[i] = __bfloat162float(x[i]); }
__global__ void count_transposed(const uint8_t* q, const uint8_t* t, int rows, int columns, int stride, unsigned* wrong) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (size_t)rows * columns; i += (size_t)gridDim.x * blockDim.x)
        if (q[i] != t[i % columns * stride + i / columns]) atomicAdd(wrong, 1);
}
struct Cast { const char* name; decltype(&quantise_e4m3) kernel; int threads, tiles; };
struct Transpose { const char* name; decltype(&transpose_bytes) kernel; int threads; };
template <Fp8 F> const std::vector<Cast> CASTS = {
    {"512 x 2, band 4", variant<F, 512, 2, 4>, 512, 1}, {"512 x 2, band 1", variant<F, 512, 2, 1>, 512, 1}, {"512 x 2, band 4, 2 tiles", variant<F, 512, 2, 4, 2>, 512, 2}, {"512 x 2, band 4, 4 tiles", variant<F, 512, 2, 4, 4>, 512, 4},
    {"256 x 3, band 4", variant<F, 256, 3, 4>, 256, 1}};
const Transpose TRANSPOSES[] = {{"bytes 256 x 6, band 4", transpose_bytes, 256}, {"bytes 256 x 6, band 1", transpose_variant<256, 6, 1>, 256}, {"bytes 256 x 6, band 16", transpose_variant<256, 6, 16>, 256},
    {"bytes 128 x 8, band 4", transpose_variant<128, 8, 4>, 128}, {"bytes 256 x 8, band 4", transpose_variant<256, 8, 4>, 256}};

template <Fp8 F> void check(const char* type, int rows, int columns, float scale, bool q, bool t, bool time) {
    const size_t n = (size_t)rows * columns; Buffer<Bf16> x(2 * n); fill(x, 1); Buffer<float> want(n); widen<<<2048, 256>>>(x, want, n);
    Results<F> r(rows, columns, scale, false, q, t);
    for (const Cast& v : CASTS<F>) {
        const auto run = [&](int i = 0) { v.kernel<<<(tiles(rows) * tiles(columns) + v.tiles - 1) / v.tiles, v.threads, QUANTISE_SHARED>>>(x + i % 2 * n, r.q(), r.t(), r.amax, r.scale, rows, columns, r.stride); };
        const bool ok = r.check(want, 0, run); line((std::string(type) + " " + v.name).c_str(), shape_of(rows, columns) + (q ? " q" : "") + (t ? " t" : ""), ok, r.text, time ? n * (2. + q + t) : 0, run);
    }
}
void check_transpose(int rows, int columns, bool time) {
    const size_t n = (size_t)rows * columns; const int stride = (rows + 15) / 16 * 16; Buffer<uint8_t> q(2 * n), t((size_t)columns * stride); Buffer<unsigned> wrong(1);
    fill_normal<<<2048, 256>>>((Bf16*)q.data, n, 5ull, 1.f);
    for (const Transpose& v : TRANSPOSES) {
        const auto run = [&](int i = 0) { v.kernel<<<tiles(rows) * tiles(columns), v.threads, QUANTISE_SHARED>>>(q + i % 2 * n, t, rows, columns, stride); };
        t.poison(); wrong.write({0}); run(); count_transposed<<<2048, 256>>>(q, t, rows, columns, stride, wrong); CHECK(cudaGetLastError());
        const unsigned w = wrong.read()[0]; line(v.name, shape_of(rows, columns), w == 0, w ? " [" + std::to_string(w) + " differ]" : "", time ? 2. * n : 0, run);
    }
}
void check_scales(bool time) {
    const int n = 24 * 7 * 3; Buffer<unsigned> amax(n); Buffer<float> history(n * AMAX_HISTORY), limit(n), scale(n), inverse(n); std::vector<float> seen;
    CHECK(cudaMemset(history, 0, history.size * 4)); limit.write(std::vector<float>(n, 448)); bool ok = true;
    const auto run = [&](int = 0) { update_scales<<<(n + 127) / 128, 128>>>(amax, history, limit, scale, inverse, n, 2.f); };
    for (int step = 0; step < 40; step++) {
        const float top = step < 3 ? 0 : fabsf(sinf(step * 7.f)) + 0.1f; unsigned bits; memcpy(&bits, &top, 4); seen.push_back(top);
        amax.write(std::vector<unsigned>(n, bits)); run(); float high = 0; for (int k = std::max(0, step - 15); k <= step; k++) high = std::max(high, seen[k]);
        const float want = high > 0 ? 448 / (2 * high) : 1; for (float s : scale.read()) ok = ok && fabsf(s / want - 1) < 1e-6f;
        for (float s : inverse.read()) ok = ok && fabsf(s * want - 1) < 1e-6f;
    }
    line("update_scales", std::to_string(n) + " tensors", ok, "", time ? n * 4. * 37 : 0, run);
}

int main(int count, char** names) {
    check<Fp8::e4m3>("e4m3", 1, 8, 1, true, true, false); check<Fp8::e4m3>("e4m3", 300, 264, 300, true, true, false); check<Fp8::e5m2>("e5m2", 257, 400, 3e4f, true, true, false); check<Fp8::e5m2>("e5m2", 130, 128, 1, false, true, false);
    check_transpose(1, 16, false); check_transpose(700, 400, false); check_scales(false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check<Fp8::e5m2>("e5m2", 16384, 2560, 1000, true, true, true); check<Fp8::e4m3>("e4m3", 16384, 13824, 30, true, true, true); check<Fp8::e4m3>("e4m3", 16384, 2560, 30, true, false, true);
    check_transpose(16384, 2560, true); check_scales(true);
    return failures;
}
