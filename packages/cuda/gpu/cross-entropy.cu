// Cross-entropy on the GPU: right against plain loops, repeated bit by bit, and timed.
// With --small only the small cases (for compute-sanitizer).
#include "common.cuh"
#include "../kernels/fused/cross-entropy.cu"

constexpr double COPY_GB_S = 4277;     // read + written, the best that a copy kernel reached on an H200
constexpr float SCALE = 1.f / 16384;

/// In double, a block of 256 threads a row: losses and gradients, which are zero where there is no target.
__global__ void reference(const float* x, const int* targets, double* losses, float* gradients, int V) {
    __shared__ double parts[256]; const size_t base = (size_t)blockIdx.x * V; const int target = targets[blockIdx.x];
    const bool has = target >= 0 && target < V; double sum = 0;
    for (int c = threadIdx.x; c < V; c += 256) sum += exp((double)x[base + c]);
    parts[threadIdx.x] = sum; __syncthreads();
    sum = 0; for (int i = 0; i < 256; i++) sum += parts[i];
    if (threadIdx.x == 0) losses[blockIdx.x] = has ? log(sum) - x[base + target] : 0;
    for (int c = threadIdx.x; c < V; c += 256) gradients[base + c] = has ? (exp((double)x[base + c]) / sum - (c == target)) * SCALE : 0;
}
/// Gradients of type T lie at the start of each row of f32.
template <class T> __global__ void count_wrong(const float* want, const float* rows, size_t V, size_t n, unsigned* wrong) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        const float got = reinterpret_cast<const T*>(rows + i / V * V)[i % V];
        if (!(fabsf(got - want[i]) <= fabsf(want[i]) * (sizeof(T) < 4 ? 1.f / 250 : 1e-5f) + 1e-12f)) atomicAdd(wrong, 1);
    }
}

/// Numbers of a row that are kept in shared memory, as the device does: whole steps of 32 KiB, of which two blocks have room.
int most_kept() { int bytes; CHECK(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0)); return bytes / cross_entropy::BLOCKS / 32768 * 8192; }

template <class T> void check(const char* name, decltype(&cross_entropy_f32) kernel, int rows, int V, bool gradient, bool time) {
    const int kept = gradient ? std::min(most_kept(), (V + 8191) / 8192 * 8192) : 0; CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 4 * kept));
    const size_t n = (size_t)rows * V; const int sets = time ? 2 : 1; std::vector<std::unique_ptr<Buffer<float>>> x; for (int i = 0; i < sets; i++) x.push_back(std::make_unique<Buffer<float>>(n));
    Buffer<float> losses(rows), total(1), want(n); Buffer<double> want_losses(rows); Buffer<int> targets(rows), fault(4); Buffer<unsigned> wrong(1); std::vector<int> wanted(rows);
    for (int r = 0; r < rows; r++) wanted[r] = r % 13 == 5 ? -100 : (int)((r * 7919ull) % V);
    wanted[0] = V - 1; if (rows > 9) wanted[9] = V;
    targets.write(wanted); fault.write({0, 0, 0, 0});
    const int blocks = std::min(rows, cross_entropy::BLOCKS * multiprocessors());
    const auto launch_keeping = [&](int kept, int i) { kernel<<<blocks, cross_entropy::THREADS, 4 * kept>>>(x[i % sets]->data, losses, targets, nullptr, SCALE, fault, rows, V, kept, gradient); };
    const auto launch = [&](int i) { launch_keeping(kept, i); };
    Fingerprint print[3][2]; double off = 0, sum = 0;
    for (int repeat = 0; repeat < 3; repeat++) {
        fill(*x[0], 5, 3); losses.poison();
        if (!repeat) reference<<<rows, 256>>>(*x[0], targets, want_losses, want, V);
        if (!gradient && !repeat) CHECK(cudaMemcpy(want, x[0]->data, n * 4, cudaMemcpyDeviceToDevice));
        launch_keeping(repeat < 2 ? kept : 0, 0); CHECK(cudaGetLastError()); CHECK(cudaDeviceSynchronize());
        print[repeat][0] = fingerprint(*x[0]); print[repeat][1] = fingerprint(losses);
    }
    wrong.write({0});
    if (gradient) count_wrong<T><<<2048, 256>>>(want, *x[0], V, n, wrong); else count_wrong<float><<<2048, 256>>>(want, *x[0], V, n, wrong);
    const auto got = losses.read(); const auto right = want_losses.read();
    for (int r = 0; r < rows; r++) { off = std::isnan(got[r]) ? INFINITY : std::max(off, fabs(got[r] - right[r])); sum += right[r] * SCALE; }
    cross_entropy_sum<<<1, 1024>>>(total, losses, rows, SCALE);
    const auto equals_first = [&](int i) { return print[0][0] == print[i][0] && print[0][1] == print[i][1]; };
    const bool same = equals_first(1), same_unkept = equals_first(2); const unsigned bad = wrong.read()[0];
    const bool ok = !bad && off < 2e-5 && fabs(total.read()[0] - sum) < 1e-5 && same && same_unkept && fault.read()[1] == (rows > 9 ? V : 0);
    printf("%-30s %6d x %5d%s  %u differ, loss %.1e%s%s %s", name, rows, V, gradient ? "" : " losses alone", bad, off, same ? "" : " REPEAT DIFFERS", same_unkept ? "" : " DIFFERS WITH NOTHING KEPT", verdict(ok));
    if (time) {
        // What a step has written is read again as logits, as good as any for the time; rows without a target would be faster.
        for (auto& t : wanted) t = t < 0 || t >= V ? 1 : t;
        targets.write(wanted); for (int i = 0; i < sets; i++) fill(*x[i], 6 + i, 3);
        const float ms = median_ms(launch); const double bytes = (double)n * (4 + (gradient ? sizeof(T) : 0));
        printf("  %8.4f ms %6.0f GB/s %5.1f %% of a copy", ms, bytes / ms / 1e6, bytes / ms / 1e4 / COPY_GB_S);
    }
    printf("\n"); fflush(stdout);
}

int main(int count, char** words) {
    using H = __nv_bfloat16;
    check<H>("cross_entropy_bf16", cross_entropy_bf16, 20, 1032, true, false); check<H>("cross_entropy_bf16", cross_entropy_bf16, 11, 4099, true, false);
    check<float>("cross_entropy_f32", cross_entropy_f32, 5, 24, true, false); check<H>("cross_entropy_bf16", cross_entropy_bf16, 3, 40000, false, false);
    // Rows longer than what is kept, and more of them than blocks.
    check<H>("cross_entropy_bf16", cross_entropy_bf16, 3, 40000, true, false); check<H>("cross_entropy_bf16", cross_entropy_bf16, 500, 8196, true, false);
    if (count > 1 && !strcmp(words[1], "--small")) return failures;
    for (int rows : {4096, 2048}) check<H>("cross_entropy_bf16", cross_entropy_bf16, rows, 32000, true, true);
    check<float>("cross_entropy_f32", cross_entropy_f32, 2048, 32000, true, true); check<H>("cross_entropy_bf16", cross_entropy_bf16, 4096, 32000, false, true);
    return failures;
}
