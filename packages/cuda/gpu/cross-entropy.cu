// Cross-entropy on the GPU: right against plain loops, repeated bit by bit, and timed by variant.
//
//   cross-entropy [--small]     --small: the cases for compute-sanitizer
#include "common.cuh"
#include "../kernels/cross-entropy.cu"

using H = __nv_bfloat16;
constexpr double PEAK = 4277;     // GB/s of a plain copy

template <int THREADS, int PIECES, int BLOCKS> __global__ void __launch_bounds__(THREADS, BLOCKS) in_shared(H* x, float* losses, const int* targets, const float* scale, int* fault, int V) { cross_entropy::row_in_shared<THREADS, PIECES>(x, losses, targets, scale, fault, V); }
template <int THREADS> __global__ void __launch_bounds__(THREADS) two_passes(H* x, float* losses, const int* targets, const float* scale, int* fault, int V) { cross_entropy::row_in_two_passes<THREADS>(x, losses, targets, scale, fault, V); }

/// In place, so that a rotation of several chunks is also what keeps the logits from having become gradients: those are
/// logits as good as any for the time.
template <class F> void run(const char* name, int rows, int V, bool time, F kernel, int threads, size_t shared) {
    const int sets = time ? 2 : 1; std::vector<std::unique_ptr<Buffer<H>>> x; for (int i = 0; i < sets; i++) x.push_back(std::make_unique<Buffer<H>>((size_t)rows * V));
    Buffer<float> losses(rows), scale(1), total(1); Buffer<int> targets(rows), fault(4); scale.write({1.f / 16384}); fault.write({0, 0, 0, 0});
    std::vector<int> wanted(rows); for (int r = 0; r < rows; r++) wanted[r] = r % 13 == 5 ? -100 : (int)((r * 7919ull) % V);
    wanted[0] = V - 1; if (rows > 9) wanted[9] = V; targets.write(wanted);
    CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared));
    const auto launch = [&](int i) { kernel<<<rows, threads, shared>>>(x[i % sets]->data, losses, targets, scale, fault, V); };
    fill(*x[0], 5, 3); losses.poison();
    const int some = std::min(rows, 14); const auto before = x[0]->read(0, (size_t)some * V), last = x[0]->read((size_t)(rows - 1) * V, V);
    launch(0); CHECK(cudaDeviceSynchronize());
    const auto once = fingerprint(*x[0]), loss_once = fingerprint(losses); const auto got_losses = losses.read();
    double worst = 0, worst_loss = 0;
    const auto check = [&](const H* old, int r) {
        std::vector<H> got(V); CHECK(cudaMemcpy(got.data(), x[0]->data + (size_t)r * V, V * 2, cudaMemcpyDeviceToHost));
        const bool in = wanted[r] >= 0 && wanted[r] < V; double top = -1e300, sum = 0; std::vector<double> want(V); std::vector<float> want32(V);
        for (int c = 0; c < V; c++) top = std::max(top, (double)number(old[c]));
        for (int c = 0; c < V; c++) sum += want[c] = exp(number(old[c]) - top);
        for (int c = 0; c < V; c++) {
            const double w = in ? (want[c] / sum - (c == wanted[r])) / 16384 : 0, e = fabs(number(got[c]) - w) / (fabs(w) + 1e-12); worst = std::isnan(e) ? INFINITY : std::max(worst, e);
        }
        const double loss = in ? top + log(sum) - number(old[wanted[r]]) : 0; worst_loss = std::isnan(got_losses[r]) ? INFINITY : std::max(worst_loss, fabs(got_losses[r] - loss));
    };
    for (int r = 0; r < some; r++) check(&before[(size_t)r * V], r);
    check(last.data(), rows - 1);
    loss_total<<<1, 1024>>>(total, losses, rows, scale); double sum = 0; for (float l : got_losses) sum += l;
    const double off = fabs(total.read()[0] - sum / 16384);
    fill(*x[0], 5, 3); losses.poison(); launch(0); CHECK(cudaDeviceSynchronize());
    const bool same = fingerprint(*x[0]) == once && fingerprint(losses) == loss_once;
    const bool ok = worst < 0.0045 && worst_loss < 5e-5 && off < 1e-5 && same && loss_once.nans == 0 && fault.read()[1] == (rows > 9 ? V : 0);
    printf("%-30s %6d x %5d  gradient %.1e loss %.1e total %.1e%s %s", name, rows, V, worst, worst_loss, off, same ? "" : " REPEAT DIFFERS", verdict(ok));
    if (time) {
        for (auto& t : wanted) t = t < 0 || t >= V ? 1 : t;
        targets.write(wanted); for (int i = 0; i < sets; i++) fill(*x[i], 6 + i, 3);
        const float ms = median_ms(launch); const double bytes = (double)rows * V * 4;
        printf("  %8.4f ms %6.0f GB/s %5.1f %%", ms, bytes / ms / 1e6, bytes / ms / 1e4 / PEAK);
    }
    printf("\n"); fflush(stdout);
}
#define SHARED(T, P, B, ROWS, V, TIME) run("shared <" #T ", " #P ", " #B ">", ROWS, V, TIME, in_shared<T, P, B>, T, 128 + 2 * (V))
#define PASSES(T, ROWS, V, TIME) run("two passes <" #T ">", ROWS, V, TIME, two_passes<T>, T, 0)

int main(int count, char** words) {
    SHARED(512, 4, 3, 20, 1032, false); SHARED(256, 1, 3, 5, 24, false); SHARED(512, 8, 2, 3, 40000, false); PASSES(256, 11, 2056, false);
    if (count > 1 && !strcmp(words[1], "--small")) return failures;
    for (int rows : {4096, 2048}) {
        SHARED(512, 1, 3, rows, 32000, true); SHARED(512, 4, 3, rows, 32000, true); SHARED(512, 8, 3, rows, 32000, true); SHARED(640, 4, 3, rows, 32000, true); SHARED(384, 4, 3, rows, 32000, true); SHARED(1024, 4, 2, rows, 32000, true);
    }
    PASSES(1024, 4096, 32000, true); PASSES(512, 4096, 32000, true);
    return failures;
}
