// The RMSNorm kernels on a GPU: against plain loops, repeated, and timed, each variant beside the others.
// With --small only the small cases (for compute-sanitizer).
#include "../kernels/norm.cu"
#include "fp8.cuh"

constexpr float EPS = 1e-5f;
template <int WARPS, int ROWS, int CHUNKS, int MIN> __global__ void __launch_bounds__(32 * WARPS * ROWS, MIN) forward_variant(const Bf16* x, const Bf16* branch, const Bf16* w, Bf16* sum, float* rstd, Bf16* y, uint8_t* q, unsigned* amax, const float* scale, int tokens, int C, float eps) {
    rms_norm_rows<WARPS, ROWS, CHUNKS>(x, branch, w, sum, rstd, y, q, amax, scale, tokens, C, eps);
}
template <int TEAMS, int WARPS, int CHUNKS> __global__ void __launch_bounds__(32 * WARPS * TEAMS, 1) slab_variant(const Bf16* x, const Bf16* branch, const Bf16* w, Bf16* sum, float* rstd, Bf16* y, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int tokens, int C, int stride, float eps) {
    rms_norm_slabs<TEAMS, WARPS, CHUNKS>(x, branch, w, sum, rstd, y, q, t, amax, scale, tokens, C, stride, eps);
}
template <int TEAMS> __global__ void __launch_bounds__(320 * TEAMS, 1) backward_slab_variant(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, uint8_t* q, uint8_t* t, unsigned* amax, const float* scale, int tokens, int C, int stride) {
    rms_norm_backward_slabs<TEAMS, 10, 1>(d_y, x, w, rstd, d_residual, d_x, partial, q, t, amax, scale, tokens, C, stride);
}
template <int WARPS, int CHUNKS, int MIN> __global__ void __launch_bounds__(32 * WARPS, MIN) backward_variant(const Bf16* d_y, const Bf16* x, const Bf16* w, const float* rstd, const Bf16* d_residual, Bf16* d_x, float* partial, int tokens, int C) {
    rms_norm_backward_rows<WARPS, CHUNKS>(d_y, x, w, rstd, d_residual, d_x, partial, tokens, C);
}
/// A row a block of 256 threads, in double.
__global__ void reference(const Bf16* x, const Bf16* branch, const Bf16* w, const Bf16* d_y, const Bf16* residual, Bf16* sum, float* rstd, float* y, float* d_x, int C) {
    __shared__ double parts[256]; const size_t base = (size_t)blockIdx.x * C;
    const auto total = [&](double v) {
        __syncthreads(); parts[threadIdx.x] = v; __syncthreads();
        double all = 0; for (int i = 0; i < 256; i++) all += parts[i];
        return all;
    };
    double squares = 0;
    for (int c = threadIdx.x; c < C; c += 256) {
        const Bf16 v = branch ? __float2bfloat16(__bfloat162float(x[base + c]) + __bfloat162float(branch[base + c])) : x[base + c];
        sum[base + c] = v; squares += (double)__bfloat162float(v) * __bfloat162float(v);
    }
    const double s = 1 / sqrt(total(squares) / C + EPS);
    if (threadIdx.x == 0) rstd[blockIdx.x] = s;
    double dot = 0;
    for (int c = threadIdx.x; c < C; c += 256) { const double v = __bfloat162float(sum[base + c]), g = __bfloat162float(w[c]); y[base + c] = v * s * g; dot += v * g * __bfloat162float(d_y[base + c]); }
    const double mean = total(dot) / C;
    for (int c = threadIdx.x; c < C; c += 256) { const double v = __bfloat162float(sum[base + c]), g = __bfloat162float(w[c]); d_x[base + c] = s * (g * __bfloat162float(d_y[base + c]) - v * s * s * mean) + __bfloat162float(residual[base + c]); }
}
__global__ void reference_weight(const Bf16* x, const Bf16* d_y, const float* rstd, double* d_w, int tokens, int C) {       // 32 channels × 32 threads a block
    __shared__ double parts[32][33]; const int c = blockIdx.x * 32 + threadIdx.x; double sum = 0;
    if (c < C) for (int r = threadIdx.y; r < tokens; r += 32) sum += (double)__bfloat162float(x[(size_t)r * C + c]) * __bfloat162float(d_y[(size_t)r * C + c]) * rstd[r];
    parts[threadIdx.y][threadIdx.x] = sum; __syncthreads();
    if (threadIdx.y == 0 && c < C) { sum = 0; for (int i = 0; i < 32; i++) sum += parts[i][threadIdx.x]; d_w[c] = sum; }
}
__global__ void count_bits(const Bf16* a, const Bf16* b, size_t n, unsigned* wrong) { for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) if (__bfloat162float(a[i]) != __bfloat162float(b[i])) atomicAdd(wrong, 1); }
__global__ void count_close(const float* want, const Bf16* got, size_t n, unsigned* wrong) { for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) if (!(fabsf(__bfloat162float(got[i]) - want[i]) <= fabsf(want[i]) / 250 + 1e-5f)) atomicAdd(wrong, 1); }

struct Forward { const char* name; decltype(&rms_norm_forward) kernel; int rows, threads, widest; };
struct Backward { const char* name; decltype(&rms_norm_backward) kernel; int threads, parts, widest; };
const Forward FORWARD[] = {
    {"forward, a row 2 warps", rms_norm_forward, 1, 64, 2560}, {"forward, a row a warp", forward_variant<1, 1, 10, 16>, 1, 32, 2560}, {"forward, a row 5 warps", forward_variant<5, 1, 2, 8>, 1, 160, 2560},
    {"forward, a row 3 warps", forward_variant<3, 1, 4, 10>, 1, 96, 3072}, {"forward wide", rms_norm_forward_wide, 1, 256, 8192}};
const Backward BACKWARD[] = {
    {"backward 10 warps, 396 blocks", rms_norm_backward, 320, 396, 2560}, {"backward 10 warps, 792 blocks", rms_norm_backward, 320, 792, 2560}, {"backward 5 warps, 528 blocks", backward_variant<5, 2, 4>, 160, 528, 2560}, {"backward wide, 264 blocks", rms_norm_backward_wide, 512, 264, 8192}};

void check(int tokens, int C, bool with_branch, bool time) {
    const size_t n = (size_t)tokens * C; const std::string shape = shape_of(tokens, C); const int sets = time ? 2 : 1;
    Buffer<Bf16> x(sets * n), branch(sets * n), w(C), d_y(sets * n), residual(sets * n), sum(n), want_sum(n), d_x(n); Buffer<float> rstd(tokens), want_rstd(tokens), want_y(n), want_d(n), d_w(C); Buffer<double> want_w(C); Buffer<unsigned> wrong(1);
    fill(x, 1, 3); fill(branch, 2); fill(w, 3); fill(d_y, 4); fill(residual, 5);
    reference<<<tokens, 256>>>(x, with_branch ? branch.data : nullptr, w, d_y, residual, want_sum, want_rstd, want_y, want_d, C);
    reference_weight<<<(C + 31) / 32, dim3(32, 32)>>>(want_sum, d_y, want_rstd, want_w, tokens, C); CHECK(cudaDeviceSynchronize());
    const std::vector<float> true_rstd = want_rstd.read();
    const auto forward = [&](const char* name, bool y, bool q, bool t, auto launch) {
        Results<Fp8::e4m3> r(tokens, C, 40, y, q, t);
        const auto run = [&](int i = 0) { const size_t o = (size_t)(i % sets) * n; launch(x + o, with_branch ? branch + o : nullptr, r); };
        sum.poison(); rstd.poison(); bool ok = r.check(want_y, 2e-5f, run);
        if (with_branch) { wrong.write({0}); count_bits<<<1024, 256>>>(sum, want_sum, n, wrong); ok = ok && wrong.read()[0] == 0; }
        const auto got = rstd.read(); for (int i = 0; i < tokens; i++) ok = ok && fabsf(got[i] / true_rstd[i] - 1) < 2e-6f;
        line(name, shape + (with_branch ? " + branch" : "") + (y ? " bf16" : "") + (q ? " q" : "") + (t ? " t" : ""), ok, r.text, time ? n * ((with_branch ? 6. : 2.) + 2 * y + q + t) : 0, run);
    };
    for (const Forward& f : FORWARD) if (C <= f.widest) for (int fp8 = 0; fp8 < 2; fp8++) forward(f.name, !fp8, fp8, false, [&](const Bf16* a, const Bf16* b, auto& r) {
        f.kernel<<<(tokens + f.rows - 1) / f.rows, f.threads, 64>>>(a, b, w, sum, rstd, r.y(), r.q(), r.amax, r.scale, tokens, C, EPS); });
    if (C <= 2560) {
        const int shared = 64 * ((C + 127) & ~127) + 512, blocks = std::min((tokens + 63) / 64, multiprocessors());
        const auto slab = [&](const char* name, auto kernel, int threads, int grid) { allow_shared(kernel, shared); forward(name, false, true, true, [&](const Bf16* a, const Bf16* b, auto& r) {
            kernel<<<grid, threads, shared>>>(a, b, w, sum, rstd, r.y(), r.q(), r.t(), r.amax, r.scale, tokens, C, r.stride, EPS); }); };
        slab("forward slabs, 6 teams of 5", rms_norm_transposed, 960, blocks); slab("forward slabs, 6 teams of 5, a block a slab", rms_norm_transposed, 960, (tokens + 63) / 64);
        slab("forward slabs, 4 teams of 5", slab_variant<4, 5, 2>, 640, blocks); slab("forward slabs, 3 teams of 10", slab_variant<3, 10, 1>, 960, blocks); slab("forward slabs, 8 teams of 2", slab_variant<8, 2, 5>, 512, blocks);
    }
    const std::vector<double> true_w = want_w.read();
    Results<Fp8::e5m2> fp8(tokens, C, 1000, false, true, true);
    const auto backward = [&](const char* name, int parts, bool transposed, auto launch) {
        Buffer<float> partial((size_t)parts * C);
        const auto run = [&](int i = 0) { const size_t o = (size_t)(i % sets) * n; launch(d_y + o, i ? x + o : want_sum, residual + o, partial.data); };
        const auto finish = [&](int = 0) { rms_norm_weight_gradient<<<(C + 31) / 32, 512, 2048>>>(partial, d_w, parts, C, 0); };
        unsigned long long first[2]; bool ok = true;
        for (int k = 0; k < 2; k++) {
            d_x.poison(); partial.poison(); d_w.poison(); run(); finish(); CHECK(cudaGetLastError());
            const unsigned long long now[2] = {fingerprint(d_x).hash, fingerprint(d_w).hash}; for (int j = 0; j < 2; j++) { ok = ok && (!k || now[j] == first[j]); first[j] = now[j]; }
        }
        wrong.write({0}); count_close<<<1024, 256>>>(want_d, d_x, n, wrong); const unsigned bad = wrong.read()[0];
        const auto got = d_w.read(); double e = 0, size = 0; for (int c = 0; c < C; c++) { e += (got[c] - true_w[c]) * (got[c] - true_w[c]); size += true_w[c] * true_w[c]; }
        ok = ok && !bad && e < 1e-10 * size; char text[80]; snprintf(text, sizeof text, " [%u differ, dw %.1e]", bad, sqrt(e / size));
        if (transposed) ok = fp8.check(want_d, 1e-3f, run) && ok;
        line(name, shape + (transposed ? " bf16 q t" : " bf16"), ok, ok ? "" : text + fp8.text, time ? n * (transposed ? 10. : 8.) : 0, run);
        if (time) line("  and its sum over blocks", std::to_string(parts) + " parts", true, "", parts * 4. * C, finish);
    };
    for (const Backward& b : BACKWARD) if (C <= b.widest) backward(b.name, b.parts, false, [&](const Bf16* dy, const Bf16* a, const Bf16* r, float* partial) {
        b.kernel<<<b.parts, b.threads, 256>>>(dy, a, w, want_rstd, r, d_x, partial, tokens, C); });
    if (C <= 2560) {
        const int shared = 64 * ((C + 127) & ~127) + 8 * C + 512, blocks = multiprocessors();
        const auto slab = [&](const char* name, auto kernel, int threads, int grid) { allow_shared(kernel, shared); backward(name, grid, true, [&](const Bf16* dy, const Bf16* a, const Bf16* r, float* partial) {
            kernel<<<grid, threads, shared>>>(dy, a, w, want_rstd, r, d_x, partial, fp8.q(), fp8.t(), fp8.amax, fp8.scale, tokens, C, fp8.stride); }); };
        slab("backward slabs, 3 teams", rms_norm_backward_transposed, 960, blocks); slab("backward slabs, 2 teams", backward_slab_variant<2>, 640, blocks); slab("backward slabs, 3 teams, a block a slab", rms_norm_backward_transposed, 960, (tokens + 63) / 64);
    }
}

int main(int count, char** names) {
    check(1, 8, true, false); check(300, 264, true, false); check(130, 2560, false, false); check(257, 1032, true, false); check(70, 3000, true, false);
    if (count > 1 && !strcmp(names[1], "--small")) return failures;
    check(16384, 2560, true, true); check(16384, 2560, false, true);
    return failures;
}
