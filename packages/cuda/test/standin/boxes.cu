// Kernels that ask for Hopper's clusters and copy engine.
#include <hopper.cuh>

/// y[row, column] = x[row, plane, column] for a box of 8 rows and 32 columns, by a cluster of two blocks: each takes 8 rows.
extern "C" __global__ void __launch_bounds__(32) __cluster_dims__(2, 1, 1)
copy_box(const __grid_constant__ CUtensorMap x, float* y, int plane) {
    float* box = reinterpret_cast<float*>(shared_memory());
    uint64_t* full = reinterpret_cast<uint64_t*>(shared_memory() + 1024);
    if (threadIdx.x == 0) {
        barrier_init(full, 1);
        barrier_init_fence();
        barrier_expect(full, 1024);
        tma_load_3d(box, &x, full, 0, plane, 8 * (int)blockIdx.x);
    }
    __syncthreads();
    barrier_wait(full, 0);
    for (int row = 0; row < 8; row++) {
        const uint32_t at = row * 128 + threadIdx.x * 4;
        y[(8 * blockIdx.x + row) * 32 + threadIdx.x] = *reinterpret_cast<float*>(shared_memory() + (at ^ (at >> 3 & 0x70)));
    }
}
