// Appends keys and values to those of a cache, at a place that the GPU knows: a CUDA graph of a step of generation is the
// same for every position.
#include "../common/fault.cuh"

/// Grid [⌈rowPieces / 128⌉, T, B], 128 threads. Rows are whole pieces of 16 bytes: G · D elements of one position.
/// @param keys, values `[B, S, rowPieces]`  @param k, v `[B, T, rowPieces]`  @param stored positions in use before, `[1]`
/// @param fault see fault.cuh; a position past S is not written
extern "C" __global__ void __launch_bounds__(128) append_key_values(uint4* keys, uint4* values, const uint4* k, const uint4* v, const int* stored, int* fault, int T, int S, int rowPieces) {
    const int i = blockIdx.x * 128 + threadIdx.x, t = blockIdx.y, b = blockIdx.z, position = *stored + t;
    if (i >= rowPieces) return;
    if (position < 0 || position >= S) { if (i == 0) report_index(fault, position, S); return; }
    const size_t from = ((size_t)b * T + t) * rowPieces + i, to = ((size_t)b * S + position) * rowPieces + i;
    keys[to] = k[from];
    values[to] = v[from];
}
