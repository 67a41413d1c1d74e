// Copies between places whose elements lie differently: parts of a tensor, axes in another order. Elements are bits of 1 to 16
// bytes, so that what lies side by side moves together. Must move: the bytes that are copied, twice.
#include "walk.cuh"

namespace movement {
constexpr int THREADS = 256;

template <class Bits> DEVICE void copy(Bits* y, const Bits* x, const Walk<2>& walk) {
    Place<2> place{};
    if (place.advance(walk, (int64_t)blockIdx.x * THREADS + threadIdx.x, 0)) y[place.at[0]] = x[place.at[1]];
}

/// A square of TILE × TILE elements comes in along the axis where x is contiguous, axis 1 of the walk, and goes out along that
/// where y is, axis 0. Rows of shared memory are one word longer than the square, so that its columns meet all banks.
template <class Bits> DEVICE void transpose(Bits* y, const Bits* x, const Walk<2>& walk) {
    constexpr int TILE = sizeof(Bits) == 4 ? 32 : 64, ROWS = THREADS / TILE, PITCH = TILE + 4 / sizeof(Bits);
    __shared__ Bits tile[TILE * PITCH];
    const int64_t width = walk.size[0], height = walk.size[1], across = (width + TILE - 1) / TILE, down = (height + TILE - 1) / TILE;
    const int64_t band = blockIdx.x / across, batch = band / down;
    const int64_t column = (blockIdx.x - band * across) * TILE, row = (band - batch * down) * TILE;
    Place<2> place{};
    place.advance(walk, batch, 2);
    const int lane = threadIdx.x % TILE, first = threadIdx.x / TILE;
    #pragma unroll
    for (int i = first; i < TILE; i += ROWS)
        if (column + i < width && row + lane < height) tile[i * PITCH + lane] = x[place.at[1] + (column + i) * walk.step[1][0] + row + lane];
    __syncthreads();
    #pragma unroll
    for (int i = first; i < TILE; i += ROWS)
        if (row + i < height && column + lane < width) y[place.at[0] + (row + i) * walk.step[0][1] + column + lane] = tile[lane * PITCH + i];
}
}  // namespace movement

// Blocks of 256 threads throughout; kernels end in the bytes of what they move at a time.

/// y = x, a thread an element: ⌈(product of walk.size) / 256⌉ blocks.
/// @param walk of y and x
extern "C" __global__ void __launch_bounds__(movement::THREADS) copy_1(uint8_t* y, const uint8_t* x, const __grid_constant__ Walk<2> walk) { movement::copy(y, x, walk); }
extern "C" __global__ void __launch_bounds__(movement::THREADS) copy_2(uint16_t* y, const uint16_t* x, const __grid_constant__ Walk<2> walk) { movement::copy(y, x, walk); }
extern "C" __global__ void __launch_bounds__(movement::THREADS) copy_4(uint32_t* y, const uint32_t* x, const __grid_constant__ Walk<2> walk) { movement::copy(y, x, walk); }
extern "C" __global__ void __launch_bounds__(movement::THREADS) copy_8(uint2* y, const uint2* x, const __grid_constant__ Walk<2> walk) { movement::copy(y, x, walk); }
extern "C" __global__ void __launch_bounds__(movement::THREADS) copy_16(uint4* y, const uint4* x, const __grid_constant__ Walk<2> walk) { movement::copy(y, x, walk); }

/// y = x with the contiguous axis of one not that of the other: ⌈size[0] / T⌉ · ⌈size[1] / T⌉ · (product of the other sizes)
/// blocks, T = 32 for elements of 4 bytes, else 64.
/// @param walk of y and x: steps of y along axis 0 and of x along axis 1 are 1
extern "C" __global__ void __launch_bounds__(movement::THREADS) transpose_1(uint8_t* y, const uint8_t* x, const __grid_constant__ Walk<2> walk) { movement::transpose(y, x, walk); }
extern "C" __global__ void __launch_bounds__(movement::THREADS) transpose_2(uint16_t* y, const uint16_t* x, const __grid_constant__ Walk<2> walk) { movement::transpose(y, x, walk); }
extern "C" __global__ void __launch_bounds__(movement::THREADS) transpose_4(uint32_t* y, const uint32_t* x, const __grid_constant__ Walk<2> walk) { movement::transpose(y, x, walk); }
