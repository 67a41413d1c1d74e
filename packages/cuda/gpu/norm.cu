// The RMSNorm kernels on a GPU: against plain loops, repeated, and timed, each variant beside the others.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/fp8/norm-fp8.cu"
#include "../kernels/fp8/quantise.cu"
#include "../kernels/fused/norm.cu"
#include "fp8.cuh"

constexpr float EPS = 1e-5f;
template <int WARPS, int CHUNKS, int MIN> __global__ void __launch_bounds__(32 * WARPS, MIN) forward_variant(const Bf16* x, const Bf16* w, float* rstd, Bf16* y, uint8_t* q, unsigned* amax, const float* scale, int rows, int C, float eps) {
    rms_norm::forward<WARPS, CHUNKS>(x, w, rstd, y, q, amax, scale, C, eps);
}
template <int WARPS, int CHUNKS, int MIN> __global__ void __launch_bounds__(32 * WARPS, MIN) backward_variant(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, int rows, int C, int run) {
    rms_norm::backward<WARPS, CHUNKS>(d_y, x, w, rstd, d_residual, d_x, partial, rows, C, run);
}
/// A row a block of 256 threads, in double.
__global__ void reference(const Bf16* x, const Bf16* w, const Bf16* d_y, const Bf16* residual, float* rstd, float* y, float* d_x, int C) {
    __shared__ double parts[256]; const size_t base = (size_t)blockIdx.x * C;
    const auto total = [&](double v) {
        __syncthreads(); parts[threadIdx.x] = v; __syncthreads();
        double all = 0; for (int i = 0; i < 256; i++) all += parts[i];
        return all;
    };
    double squares = 0;
    for (int c = threadIdx.x; c < C; c += 256) squares += (double)__bfloat162float(x[base + c]) * __bfloat162float(x[base + c]);
    const double s = 1 / sqrt(total(squares) / C + EPS);
    if (threadIdx.x == 0) rstd[blockIdx.x] = s;
    double dot = 0;
    for (int c = threadIdx.x; c < C; c += 256) { const double v = __bfloat162float(x[base + c]), g = __bfloat162float(w[c]); y[base + c] = v * s * g; dot += v * g * __bfloat162float(d_y[base + c]); }
    const double mean = total(dot) / C;
    for (int c = threadIdx.x; c < C; c += 256) { const double v = __bfloat162float(x[base + c]), g = __bfloat162float(w[c]); d_x[base + c] = s * (g * __bfloat162float(d_y[base + c]) - v * s * s * mean) + __bfloat162float(residual[base + c]); }
}
__global__ void reference_weight(const Bf16* x, const Bf16* d_y, const float* rstd, double* d_w, int rows, int C) {       // 32 channels × 32 threads a block
    __shared__ double parts[32][33]; const int c = blockIdx.x * 32 + threadIdx.x; double sum = 0;
    if (c < C) for (int r = threadIdx.y; r < rows; r += 32) sum += (double)__bfloat162float(x[(size_t)r * C + c]) * __bfloat162float(d_y[(size_t)r * C + c]) * rstd[r];
    parts[threadIdx.y][threadIdx.x] = sum; __syncthreads();
    if (threadIdx.y == 0 && c < C) { sum = 0; for (int i = 0; i < 32; i++) sum += parts[i][threadIdx.x]; d_w[c] = sum; }
}
__global__ void count_close(const float* want, const Bf16* got, size_t n, unsigned* wrong) { for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) if (!(fabsf(__bfloat162float(got[i]) - want[i]) <= fabsf(want[i]) / 250 + 1e-5f)) atomicAdd(wrong, 1); }

struct Forward { const char* name; decltype(&rms_norm_forward) kernel; int threads, widest; };
/// Blocks by number, a run of rows each.
struct Backward { const char* name; decltype(&rms_norm_backward) kernel; int threads, parts, widest; };
/// Blocks by slabs of 32 rows each, with copies and without.
struct WithCopies { const char* name; decltype(&rms_norm_backward_fp8) kernel; decltype(&rms_norm_backward) without; int threads, slabs, widest; };
const Forward FORWARD[] = {
    {"rms_norm_forward", rms_norm_forward, 64, 2560}, {"forward, a row a warp", forward_variant<1, 10, 16>, 32, 2560}, {"forward, a row 5 warps", forward_variant<5, 2, 8>, 160, 2560},
    {"rms_norm_forward_wide", rms_norm_forward_wide, 256, 8192}};
const Backward BACKWARD[] = {
    {"rms_norm_backward, 384 blocks", rms_norm_backward, 320, 384, 2560}, {"backward 10 warps, 792 blocks", rms_norm_backward, 320, 792, 2560}, {"backward 5 warps, 528 blocks", backward_variant<5, 2, 4>, 160, 528, 2560},
    {"rms_norm_backward_wide, 384 blocks", rms_norm_backward_wide, 512, 384, 8192}};
const WithCopies WITH_COPIES[] = {
    {"rms_norm_backward_fp8, 2 slabs a block", rms_norm_backward_fp8, rms_norm_backward, 320, 2, 2560}, {"backward fp8, 1 slab a block", rms_norm_backward_fp8, rms_norm_backward, 320, 1, 2560},
    {"backward fp8, 4 slabs a block", rms_norm_backward_fp8, rms_norm_backward, 320, 4, 2560}, {"rms_norm_backward_fp8_wide, 4 slabs a block", rms_norm_backward_fp8_wide, rms_norm_backward_wide, 512, 4, 8192}};

void check(int rows, int C, bool time) {
    const size_t n = (size_t)rows * C; const int sets = time ? 2 : 1;
    Buffer<Bf16> x(sets * n), w(C), d_y(sets * n), residual(sets * n), d_x(n); Buffer<float> rstd(rows), want_rstd(rows), want_y(n), want_d(n), d_w(C); Buffer<double> want_w(C); Buffer<unsigned> wrong(1);
    fill(x, 1, 3); fill(w, 3); fill(d_y, 4); fill(residual, 5);
    reference<<<rows, 256>>>(x, w, d_y, residual, want_rstd, want_y, want_d, C);
    reference_weight<<<(C + 31) / 32, dim3(32, 32)>>>(x, d_y, want_rstd, want_w, rows, C); CHECK(cudaDeviceSynchronize());
    const std::vector<float> true_rstd = want_rstd.read(); const std::vector<double> true_w = want_w.read();
    for (const Forward& f : FORWARD) if (C <= f.widest) for (const auto [y, q] : {std::pair(true, false), std::pair(false, true)}) {
        Results<Fp8::e4m3> r(rows, C, 40, y, q, false, q);
        const auto run = [&](int i = 0) { f.kernel<<<rows, f.threads>>>(x + i % sets * n, w, rstd, r.y(), r.q(), r.amax(), r.scale, rows, C, EPS); };
        rstd.poison(); bool ok = r.check(want_y, 2e-5f, run);
        const auto got = rstd.read(); for (int i = 0; i < rows; i++) ok = ok && fabsf(got[i] / true_rstd[i] - 1) < 2e-6f;
        line(f.name, shape_of(rows, C) + r.wanted(), ok, r.text, time ? n * (2. + 2 * y + q) : 0, run);
    }
    const auto weight_error = [&] { const auto got = d_w.read(); double e = 0, size = 0; for (int c = 0; c < C; c++) { e += (got[c] - true_w[c]) * (got[c] - true_w[c]); size += true_w[c] * true_w[c]; } return sqrt(e / size); };
    for (const Backward& b : BACKWARD) if (C <= b.widest) {
        Buffer<float> partial((size_t)b.parts * C);
        const auto run = [&](int i = 0) { const size_t o = i % sets * n; b.kernel<<<b.parts, b.threads>>>(d_y + o, x + o, w, want_rstd, residual + o, d_x, partial, rows, C, (rows + b.parts - 1) / b.parts); };
        const auto finish = [&](int = 0) { rms_norm_weight_gradient<<<(C + 31) / 32, 512>>>(partial, d_w, b.parts, C); };
        unsigned long long first[2]; bool ok = true;
        for (int k = 0; k < 2; k++) {
            d_x.poison(); partial.poison(); d_w.poison(); run(); finish(); CHECK(cudaGetLastError());
            const unsigned long long now[2] = {fingerprint(d_x).hash, fingerprint(d_w).hash}; for (int j = 0; j < 2; j++) { ok = ok && (!k || now[j] == first[j]); first[j] = now[j]; }
        }
        wrong.write({0}); count_close<<<1024, 256>>>(want_d, d_x, n, wrong); const unsigned bad = wrong.read()[0];
        const double error = weight_error(); ok = ok && !bad && error < 1e-5; char text[80]; snprintf(text, sizeof text, " [%u differ, dw %.1e]", bad, error);
        line(b.name, shape_of(rows, C), ok, ok ? "" : text, time ? n * 8. : 0, run);
        if (time) line("  and its sum over blocks", std::to_string(b.parts) + " parts", true, "", b.parts * 4. * C, finish);
    }
    // With copies: bit for bit what a norm without them and a cast make.
    int most; CHECK(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
    for (const WithCopies& b : WITH_COPIES) if (const int shared = 32 * ((C + 127) / 128 * 128) + rms_norm::SUMS_BYTES; C <= b.widest && shared <= most) {
        const int parts = ((rows + 31) / 32 + b.slabs - 1) / b.slabs; allow_shared(b.kernel, shared);
        Buffer<float> partial((size_t)parts * C); Results<Fp8::e5m2> r(rows, C, 1000, false, true, true), apart(rows, C, 1000, false, true, true);
        const auto both = [&](int i = 0) { const size_t o = i % sets * n; b.kernel<<<parts, b.threads, shared>>>(d_y + o, x + o, w, want_rstd, residual + o, d_x, partial, r.q(), r.t(), r.amax(), r.scale, rows, C, C, r.stride); };
        const auto norm = [&](int i = 0) { const size_t o = i % sets * n; b.without<<<parts, b.threads>>>(d_y + o, x + o, w, want_rstd, residual + o, d_x, partial, rows, C, 32); };
        const auto cast = [&](int = 0) { quantise_e5m2<<<tiles(rows) * ((C + QUANTISE_WIDTH - 1) / QUANTISE_WIDTH), QUANTISE_THREADS, QUANTISE_SHARED>>>(d_x, apart.q(), apart.t(), apart.amax(), apart.scale, rows, C, C, apart.stride); };
        const auto bits = [&](auto& of) { return std::array<unsigned long long, 5>{fingerprint(d_x).hash, fingerprint(partial).hash, of.hash(of.q_), of.hash(of.t_), of.amax_.read()[0]}; };
        d_x.poison(); partial.poison(); apart.poison(); norm(); cast(); CHECK(cudaGetLastError()); const auto wanted = bits(apart);
        d_x.poison(); partial.poison(); d_w.poison(); const bool close = r.check(want_d, 1.f / 250, both), same = bits(r) == wanted;
        rms_norm_weight_gradient<<<(C + 31) / 32, 512>>>(partial, d_w, parts, C);
        line(b.name, shape_of(rows, C) + r.wanted(), close && same && weight_error() < 1e-5, r.text + (same ? "" : " [not the bits of norm and cast]"), time ? n * 10. : 0, both);
        if (time) { line("  the norm alone", shape_of(rows, C), true, "", n * 8., norm); line("  norm, then cast", shape_of(rows, C) + r.wanted(), true, "", n * 10., [&](int i = 0) { norm(i); cast(); }); }
    }
}

int main(int count, char** names) {
    check(1, 8, false); check(300, 264, false); check(130, 2560, false); check(257, 1032, false); check(70, 3000, false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check(16384, 2560, true); check(16384, 4096, true);
    return failures;
}
