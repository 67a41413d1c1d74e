// What the GPU checks of rotary position embedding share: its table, and plain loops.
#pragma once
#include "common.cuh"

__global__ void angles(float* table, int P, int D) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < P * D / 2; i += gridDim.x * blockDim.x) {
        const int p = i / (D / 2), k = i % (D / 2); const double angle = p * pow(10000, -2. * k / D);
        table[p * D + k] = cos(angle); table[p * D + D / 2 + k] = sin(angle);
    }
}
__global__ void reference(const __nv_bfloat16* x, const float* table, const int* positions, float* want, int rows, int H, int D, int inverse) {
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < (size_t)rows * H * D; i += (size_t)gridDim.x * blockDim.x) {
        const int c = i % D, half = D / 2, k = c % half; const float* turn = table + (size_t)positions[i / D / H] * D;
        const double other = __bfloat162float(x[c < half ? i + half : i - half]), sine = turn[half + k] * ((c < half) == !inverse ? -1. : 1.);
        want[i] = __bfloat162float(x[i]) * (double)turn[k] + other * sine;
    }
}
