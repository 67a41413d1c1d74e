// Cross-entropy on the GPU: right against plain loops, repeated bit by bit, and timed, each variant beside the kernel.
// With --small only the small cases (for compute-sanitizer).
#include "common.cuh"
#include "../kernels/fused/cross-entropy.cu"

constexpr double COPY_GB_S = 4277;     // read + written, the best that a copy kernel reached on an H200
constexpr float SCALE = 1.f / 16384;

// Why a variant may be faster. Two blocks a multiprocessor have 34 MB of rows between their two readings, of an L2 of 50 MB whose
// halves may both hold a line that multiprocessors on both sides read; if half of the second readings miss, 8 bytes a logit move
// instead of 6, as has been measured.
/// Three of the four steps of a row of 32,000 stay in shared memory, 96 KB of its 128: L2 has to keep 8 MB until they are read again,
/// and hands out 3 bytes a logit less. Two blocks of 512 threads, 64 bytes a thread on their way, as the kernel has.
struct ThreeQuartersKept : cross_entropy::Twice { static constexpr int KEPT = 3; };
/// The same, and what is used up leaves L2 first.
struct KeptAndStreamed : ThreeQuartersKept { static constexpr bool STREAMED = true; };
/// The last reading and the gradients are said to be the last use of their lines, which leave L2 to rows between their readings.
struct Streamed : cross_entropy::Twice { static constexpr bool STREAMED = true; };
/// One block of 1,024 threads: 17 MB of rows at a time, which half an L2 has, but nothing to do while a row's sums are joined.
struct OneBlock : cross_entropy::Twice { static constexpr int THREADS = 1024, PIECES = 2; };
/// Three blocks with half a row kept each, 64 KB: where one joins, two are left instead of one; 25 MB in L2 and 48 KB on their way.
struct ThreeBlocks : cross_entropy::Twice { static constexpr int PIECES = 2, KEPT = 4; };

template <class Form, int BLOCKS> __global__ void __launch_bounds__(Form::THREADS, BLOCKS) variant_bf16(float* logits, float* losses, const int* targets, const float* factors, float scale, int* fault, int rows, int V, int gradient) {
    if (V % 4 == 0) cross_entropy::rows<__nv_bfloat16, 4, Form>(logits, losses, targets, factors, scale, fault, rows, V, gradient);
    else cross_entropy::rows<__nv_bfloat16, 1, Form>(logits, losses, targets, factors, scale, fault, rows, V, gradient);
}
/// Blocks of so many a multiprocessor, bytes of dynamic shared memory of each.
struct Kernel { const char* name; decltype(&cross_entropy_f32) run; int threads, blocks, shared; };
template <class Form, int BLOCKS> Kernel variant(const char* name) { return {name, variant_bf16<Form, BLOCKS>, Form::THREADS, BLOCKS, Form::KEPT * Form::PIECES * Form::THREADS * 16}; }
const Kernel BF16{"cross_entropy_bf16", cross_entropy_bf16, cross_entropy::THREADS, 2, 0}, F32{"cross_entropy_f32", cross_entropy_f32, cross_entropy::THREADS, 2, 0};
const Kernel VARIANTS[] = {variant<ThreeQuartersKept, 2>("bf16, 3/4 of a row kept"), variant<KeptAndStreamed, 2>("bf16, 3/4 kept, last use told"), variant<Streamed, 2>("bf16, last use told"),
                           variant<OneBlock, 1>("bf16, one block of 1024"), variant<ThreeBlocks, 3>("bf16, 3 blocks, half kept")};

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

template <class T> void check(const Kernel& kernel, int rows, int V, bool gradient, bool time) {
    CHECK(cudaFuncSetAttribute(kernel.run, cudaFuncAttributeMaxDynamicSharedMemorySize, kernel.shared));
    const size_t n = (size_t)rows * V; const int sets = time ? 2 : 1; std::vector<std::unique_ptr<Buffer<float>>> x; for (int i = 0; i < sets; i++) x.push_back(std::make_unique<Buffer<float>>(n));
    Buffer<float> losses(rows), total(1), want(n); Buffer<double> want_losses(rows); Buffer<int> targets(rows), fault(4); Buffer<unsigned> wrong(1); std::vector<int> wanted(rows);
    for (int r = 0; r < rows; r++) wanted[r] = r % 13 == 5 ? -100 : (int)((r * 7919ull) % V);
    wanted[0] = V - 1; if (rows > 9) wanted[9] = V;
    targets.write(wanted); fault.write({0, 0, 0, 0});
    const int blocks = std::min(rows, kernel.blocks * multiprocessors());
    const auto launch = [&](int i) { kernel.run<<<blocks, kernel.threads, kernel.shared>>>(x[i % sets]->data, losses, targets, nullptr, SCALE, fault, rows, V, gradient); };
    Fingerprint print[2][2]; double off = 0, sum = 0;
    for (int repeat = 0; repeat < 2; repeat++) {
        fill(*x[0], 5, 3); losses.poison();
        if (!repeat) reference<<<rows, 256>>>(*x[0], targets, want_losses, want, V);
        if (!gradient && !repeat) CHECK(cudaMemcpy(want, x[0]->data, n * 4, cudaMemcpyDeviceToDevice));
        launch(0); CHECK(cudaGetLastError()); CHECK(cudaDeviceSynchronize());
        print[repeat][0] = fingerprint(*x[0]); print[repeat][1] = fingerprint(losses);
    }
    wrong.write({0});
    if (gradient) count_wrong<T><<<2048, 256>>>(want, *x[0], V, n, wrong); else count_wrong<float><<<2048, 256>>>(want, *x[0], V, n, wrong);
    const auto got = losses.read(); const auto right = want_losses.read();
    for (int r = 0; r < rows; r++) { off = std::isnan(got[r]) ? INFINITY : std::max(off, fabs(got[r] - right[r])); sum += right[r] * SCALE; }
    cross_entropy_sum<<<1, 1024>>>(total, losses, rows, SCALE);
    const bool same = print[0][0] == print[1][0] && print[0][1] == print[1][1]; const unsigned bad = wrong.read()[0];
    const bool ok = !bad && off < 2e-5 && fabs(total.read()[0] - sum) < 1e-5 && same && fault.read()[1] == (rows > 9 ? V : 0);
    printf("%-30s %6d x %5d%s  %u differ, loss %.1e%s %s", kernel.name, rows, V, gradient ? "" : " losses alone", bad, off, same ? "" : " REPEAT DIFFERS", verdict(ok));
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
    check<H>(BF16, 20, 1032, true, false); check<H>(BF16, 11, 4099, true, false); check<float>(F32, 5, 24, true, false); check<H>(BF16, 3, 40000, false, false);
    // Rows shorter than what is kept, longer, and in pieces of one logit; more rows than blocks.
    for (const Kernel& v : VARIANTS) { check<H>(v, 20, 1032, true, false); check<H>(v, 11, 4099, true, false); check<H>(v, 3, 40000, true, false); check<H>(v, 500, 8196, true, false); }
    if (count > 1 && !strcmp(words[1], "--small")) return failures;
    for (int rows : {4096, 2048}) { check<H>(BF16, rows, 32000, true, true); for (const Kernel& v : VARIANTS) check<H>(v, rows, 32000, true, true); }
    check<float>(F32, 2048, 32000, true, true); check<H>(BF16, 4096, 32000, false, true);
    return failures;
}
