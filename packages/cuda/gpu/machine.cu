// Facts of a GPU that a design rests on: bandwidth, ceilings of the tensor cores, what a launch costs, what the driver
// loads, how many clusters fit, and how the fp8 tensor core adds.
//
//   machine [FOLDER of .cubin, .ptx, .fatbin]
#include <dirent.h>

#include <chrono>
#include <fstream>
#include <iterator>

#include "common.cuh"
#include "../kernels/device/hopper.cuh"

using E4 = __nv_fp8_e4m3; using H = __nv_bfloat16;
static double now_us() { return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// ---- Memory

template <int UNROLL> __global__ void copy_kernel(uint4* to, const uint4* from, size_t n) {
    const size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += step * UNROLL) {
        uint4 v[UNROLL];
        #pragma unroll
        for (int u = 0; u < UNROLL; u++) if (i + u * step < n) v[u] = from[i + u * step];
        #pragma unroll
        for (int u = 0; u < UNROLL; u++) if (i + u * step < n) to[i + u * step] = v[u];
    }
}
__global__ void read_kernel(uint4* to, const uint4* from, size_t n) {
    uint4 sum = {}; const size_t step = (size_t)gridDim.x * blockDim.x;
    #pragma unroll 8
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += step) { const uint4 v = from[i]; sum.x ^= v.x; sum.y ^= v.y; sum.z ^= v.z; sum.w ^= v.w; }
    if ((sum.x ^ sum.y ^ sum.z ^ sum.w) == 0x12345678) to[0] = sum;
}
__global__ void write_kernel(uint4* to, size_t n) { for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) to[i] = {(uint32_t)i, 1, 2, 3}; }
void memory() {
    const size_t bytes = 4ull << 30, n = bytes / 16; Buffer<uint4> a(n), b(n); fill_normal<<<2048, 256>>>((float*)a.data, bytes / 4, 1ull, 1.f);
    const int sms = multiprocessors();
    const auto say = [&](const char* what, double moved, float ms) { printf("memory %-44s %6.3f ms %6.0f GB/s\n", what, ms, moved / ms / 1e6); };
    say("copy by the driver, 4 GiB", 2.0 * bytes, median_ms([&](int) { CHECK(cudaMemcpyAsync(b, a, bytes, cudaMemcpyDeviceToDevice)); }, 9));
    for (int per : {2, 4, 8}) {
        char name[64]; snprintf(name, sizeof name, "copy kernel, 4 x 16 bytes, %d x 512 threads an SM", per);
        say(name, 2.0 * bytes, median_ms([&](int) { copy_kernel<4><<<sms * per, 512>>>(b, a, n); }, 9));
    }
    say("copy kernel, 1 x 16 bytes, a thread an element", 2.0 * bytes, median_ms([&](int) { copy_kernel<1><<<n / 256, 256>>>(b, a, n); }, 9));
    say("read", bytes, median_ms([&](int) { read_kernel<<<sms * 4, 512>>>(b, a, n); }, 9));
    say("write", bytes, median_ms([&](int) { write_kernel<<<sms * 4, 512>>>(b, n); }, 9));
    say("set by the driver", bytes, median_ms([&](int) { CHECK(cudaMemsetAsync(b, 1, bytes)); }, 9));
    const size_t small = 16ull << 20;
    say("read 16 MiB again and again (L2)", 64.0 * small, median_ms([&](int) { for (int i = 0; i < 64; i++) read_kernel<<<sms * 4, 512>>>(b, a, small / 16); }, 9));
    void* host; CHECK(cudaMallocHost(&host, 256 << 20));
    say("host to device, pinned, 256 MiB", 256 << 20, median_ms([&](int) { CHECK(cudaMemcpyAsync(a, host, 256 << 20, cudaMemcpyHostToDevice)); }, 5));
    say("device to host, pinned, 256 MiB", 256 << 20, median_ms([&](int) { CHECK(cudaMemcpyAsync(host, a, 256 << 20, cudaMemcpyDeviceToHost)); }, 5));
    CHECK(cudaFreeHost(host));
}

// ---- Tensor cores fed from shared memory alone: no copies, no waiting

template <int KIND, int N> __global__ void __launch_bounds__(256, 1) product_kernel(float* out, const uint4* data, int rounds) {
    uint8_t* s = shared_memory();      // A: 2 × 64 rows, B: N rows, of 128 bytes
    for (int i = threadIdx.x; i < (128 + N) * 8; i += 256) reinterpret_cast<uint4*>(s)[i] = data[i];
    async_fence(); __syncthreads();
    const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
    const uint64_t a = descriptor(s + group * 64 * 128), b = descriptor(s + 128 * 128);
    float sum[N / 2] = {}; uint32_t r[4] = {data[threadIdx.x].x, data[threadIdx.x].y, data[threadIdx.x].z, data[threadIdx.x].w};
    for (int i = 0; i < rounds; i++) {
        wgmma_fence();
        #pragma unroll
        for (int k = 0; k < 4; k++) {
            if constexpr (KIND == 0) wgmma_fp8<E4, E4, N>(sum, a + 2 * k, b + 2 * k, 1);
            else if constexpr (KIND == 1) wgmma_bf16<N>(sum, a + 2 * k, b + 2 * k, 1);
            else wgmma_bf16_registers<N, K_MAJOR>(sum, r, b + 2 * k, 1);
        }
        wgmma_commit(); wgmma_wait<1>();
    }
    wgmma_wait<0>(); pin<N / 2>(sum);
    float total = 0;
    for (int i = 0; i < N / 2; i++) total += sum[i];
    if (total == 1.2345f) out[0] = total;
}
template <int KIND, int N> void product(const char* name) {
    const size_t bytes = (128 + N) * 128; Buffer<uint8_t> data(bytes); Buffer<float> out(1); const int sms = multiprocessors(), rounds = 4000;
    for (int zeros = 0; zeros < 2; zeros++) {
        if (zeros) CHECK(cudaMemset(data, 0, bytes));
        else if (KIND == 0) fill_normal<<<64, 256>>>((E4*)data.data, bytes, 3ull, 1.f); else fill_normal<<<64, 256>>>((H*)data.data, bytes / 2, 3ull, 1.f);
        CHECK(cudaFuncSetAttribute(product_kernel<KIND, N>, cudaFuncAttributeMaxDynamicSharedMemorySize, 232448));
        const float ms = median_ms([&](int) { product_kernel<KIND, N><<<sms, 256, 200000>>>(out, (const uint4*)data.data, rounds); }, 9);
        const double flops = 2.0 * sms * 2 * 64 * N * (KIND == 0 ? 128 : 64) * rounds, peak = KIND == 0 ? 1979 : 989;
        printf("tensor cores %-40s %-7s %6.3f ms %5.0f TFLOP/s (%3.0f %% of %.0f)\n", name, zeros ? "zeros" : "normal", ms, flops / ms / 1e9, flops / ms / 1e7 / peak, peak);
    }
}

// ---- How the fp8 tensor core adds: (c + p·1 + 1·1) − c − p for growing c and p

__global__ void sum_kernel(float* out, float c, float big, float small, int place) {
    uint8_t* s = shared_memory();      // A 64 rows, B 128 rows of 128 bytes; row 0 of A times row 0 of B
    for (int i = threadIdx.x; i < 192 * 128; i += 128) s[i] = 0;
    __syncthreads();
    if (threadIdx.x == 0) {
        const auto put = [&](int row, int k, float v) { s[row * 128 + ((k / 16) ^ (row % 8)) * 16 + k % 16] = E4(v).__x; };
        put(0, 0, big); put(64, 0, big == 0 ? 0.f : 1.f); put(0, place, small); put(64, place, 1.f);
    }
    async_fence(); __syncthreads();
    float sum[64]; for (int i = 0; i < 64; i++) sum[i] = c;
    pin<64>(sum); wgmma_fence(); wgmma_fp8<E4, E4, 128>(sum, descriptor(s), descriptor(s + 64 * 128), 1); wgmma_commit(); wgmma_wait<0>(); pin<64>(sum);
    if (threadIdx.x == 0) out[0] = sum[0];
}
void sums() {
    Buffer<float> out(1);
    const auto add = [&](float c, float big, float small, int place) { sum_kernel<<<1, 128, 64 << 10>>>(out, c, big, small, place); CHECK(cudaGetLastError()); return out.read()[0]; };
    CHECK(cudaFuncSetAttribute(sum_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10));
    int held = 0; for (int e = 0; e < 24; e++) { const float c = ldexpf(1, e); if (add(c, 0, 1, 1) - c != 1) break; held = e; }
    printf("fp8 sums: a product of 1 is kept beside an earlier sum of up to 2^%d (f32 alone: 2^23)\n", held);
    held = 0; for (int e = 0; e < 24; e++) { const float c = ldexpf(1, e); if (add(c, 0, 1.5f, 1) - c != 1.5f) break; held = e; }
    printf("fp8 sums: a product of 1.5 is kept whole beside an earlier sum of up to 2^%d\n", held);
    held = 0; for (int e = 0; e <= 8; e++) for (int f = 0; f <= 9; f++) { const float big = ldexpf(1, e), small = ldexpf(1, -f); if (add(0, big, small, 1) - big == small) held = std::max(held, e + f); }
    printf("fp8 sums: within one instruction, products up to 2^%d apart are added whole (the largest gap tried is 2^17)\n", held);
    printf("fp8 sums: 2^16 + 1.75 → %+.4f, 2^16 − 1.75 → %+.4f (rounding of what does not fit)\n", add(65536, 0, 1.75f, 1) - 65536, add(65536, 0, -1.75f, 1) - 65536);
}

// ---- Launches, clusters, driver

__global__ void nothing() {}
void launches() {
    for (int i = 0; i < 100; i++) nothing<<<1, 32>>>();
    CHECK(cudaDeviceSynchronize());
    const int n = 20000; double t = now_us(); for (int i = 0; i < n; i++) nothing<<<132, 384>>>();
    const double issued = now_us() - t; CHECK(cudaDeviceSynchronize()); const double done = now_us() - t;
    printf("launch: %.2f us of host time each, %.2f us until done\n", issued / n, done / n);
    cudaStream_t stream; cudaGraph_t graph; cudaGraphExec_t run; CHECK(cudaStreamCreate(&stream)); CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    for (int i = 0; i < 200; i++) nothing<<<132, 384, 0, stream>>>();
    CHECK(cudaStreamEndCapture(stream, &graph)); CHECK(cudaGraphInstantiate(&run, graph, 0)); CHECK(cudaGraphLaunch(run, stream)); CHECK(cudaStreamSynchronize(stream));
    t = now_us(); for (int i = 0; i < 200; i++) CHECK(cudaGraphLaunch(run, stream)); const double graph_issued = now_us() - t; CHECK(cudaStreamSynchronize(stream));
    printf("graph of 200 launches: %.1f us of host time, %.2f us a kernel until done\n", graph_issued / 200, (now_us() - t) / 200 / 200);
    cudaEvent_t event; CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming)); CHECK(cudaEventRecord(event, stream)); CHECK(cudaStreamSynchronize(stream));
    t = now_us(); for (int i = 0; i < n; i++) (void)cudaEventQuery(event);
    printf("event query: %.2f us\n", (now_us() - t) / n);
    void* p; t = now_us(); for (int i = 0; i < 200; i++) { CHECK(cudaMallocAsync(&p, 64 << 20, stream)); CHECK(cudaFreeAsync(p, stream)); }
    CHECK(cudaStreamSynchronize(stream)); printf("stream-ordered allocate and free of 64 MiB: %.1f us\n", (now_us() - t) / 200);
    t = now_us(); CHECK(cudaMalloc(&p, 64ull << 30)); printf("cudaMalloc of 64 GiB: %.1f ms\n", (now_us() - t) / 1000); CHECK(cudaFree(p));
}
__global__ void cluster_kernel() {}
void clusters() {
    CHECK(cudaFuncSetAttribute(cluster_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 << 10));
    CHECK(cudaFuncSetAttribute(cluster_kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
    for (unsigned size : {1u, 2u, 4u, 8u, 16u}) {
        cudaLaunchAttribute attribute; attribute.id = cudaLaunchAttributeClusterDimension; attribute.val.clusterDim = {size, 1, 1};
        cudaLaunchConfig_t c = {}; c.gridDim = dim3(size * 132); c.blockDim = dim3(384); c.dynamicSmemBytes = 200 << 10; c.attrs = &attribute; c.numAttrs = 1;
        int n = 0; const cudaError_t e = cudaOccupancyMaxActiveClusters(&n, cluster_kernel, &c); cudaGetLastError();
        printf("clusters of %2u with 200 KiB a block: %s, %d at a time = %d blocks\n", size, e == cudaSuccess ? "ok" : cudaGetErrorString(e), n, n * (int)size);
    }
}
void binaries(const char* folder) {
    DIR* d = opendir(folder); if (!d) return;
    std::vector<std::string> names; while (dirent* e = readdir(d)) if (e->d_name[0] != '.') names.push_back(e->d_name);
    closedir(d); std::sort(names.begin(), names.end());
    void* f; cudaDriverEntryPointQueryResult found; CHECK(cudaGetDriverEntryPointByVersion("cuLibraryLoadData", &f, 12000, cudaEnableDefault, &found));
    const auto load = (decltype(&cuLibraryLoadData))f;
    CHECK(cudaGetDriverEntryPointByVersion("cuLibraryGetKernelCount", &f, 12040, cudaEnableDefault, &found)); const auto count = (decltype(&cuLibraryGetKernelCount))f;
    CHECK(cudaGetDriverEntryPointByVersion("cuLibraryGetKernel", &f, 12000, cudaEnableDefault, &found)); const auto get = (decltype(&cuLibraryGetKernel))f;
    CHECK(cudaGetDriverEntryPointByVersion("cuKernelGetFunction", &f, 12000, cudaEnableDefault, &found)); const auto function = (decltype(&cuKernelGetFunction))f;
    for (const auto& name : names) {
        std::ifstream in(std::string(folder) + "/" + name, std::ios::binary); std::vector<char> data((std::istreambuf_iterator<char>(in)), {}); data.push_back(0);
        CUlibrary library; unsigned kernels = 0; CUkernel kernel; CUfunction fn; double t = now_us();
        CUresult r = load(&library, data.data(), nullptr, nullptr, 0, nullptr, nullptr, 0);
        if (r == CUDA_SUCCESS) count(&kernels, library);
        if (r == CUDA_SUCCESS) { r = get(&kernel, library, "probe"); if (r == CUDA_SUCCESS) r = function(&fn, kernel); }
        printf("driver loads %-24s %7zu bytes: %s (%d), %u kernels, %.1f ms\n", name.c_str(), data.size() - 1, r == CUDA_SUCCESS ? "yes" : "NO", (int)r, kernels, (now_us() - t) / 1000);
    }
}
int main(int count, char** words) {
    cudaDeviceProp p; CHECK(cudaGetDeviceProperties(&p, 0)); int driver, runtime; CHECK(cudaDriverGetVersion(&driver)); CHECK(cudaRuntimeGetVersion(&runtime));
    printf("%s, compute %d.%d, %d multiprocessors, %.1f GiB, L2 %d MiB, %zu bytes of shared memory a block, driver CUDA %d, built with %d\n", p.name, p.major, p.minor, p.multiProcessorCount,
           p.totalGlobalMem / 1073741824.0, p.l2CacheSize >> 20, p.sharedMemPerBlockOptin, driver, runtime);
    launches(); clusters(); if (count > 1) binaries(words[1]);
    sums(); memory();
    product<0, 128>("fp8 n128, 2 warpgroups"); product<0, 256>("fp8 n256, 2 warpgroups"); product<1, 128>("bf16 n128, 2 warpgroups"); product<1, 256>("bf16 n256, 2 warpgroups"); product<2, 128>("bf16 n128, A in registers");
    return failures;
}
