// Kernels that do what the stand-in must notice.
#include <warp.cuh>

extern "C" __global__ void __launch_bounds__(64) write_at(float* p, long i, float value) { p[i] = value; }
extern "C" __global__ void __launch_bounds__(64) read_at(float* to, const float* p, long i) { *to = p[i]; }
extern "C" __global__ void __launch_bounds__(64) read_through(float* to, const float* const* p) { *to = **p; }
extern "C" __global__ void __launch_bounds__(64) wait_for_ever() { if (threadIdx.x == 0) __syncthreads(); }
extern "C" __global__ void __launch_bounds__(64) divide(int* p) { p[0] /= p[1]; }
/// Ends where all blocks run at the same time. words [blocks], zero
extern "C" __global__ void __launch_bounds__(32) wait_for_blocks(uint64_t* words) {
    if (threadIdx.x > 0) return;
    put_word(words + blockIdx.x, 0, 1);
    for (int i = 0; i < gridDim.x; i++) await_word(words + i, 1);
}
