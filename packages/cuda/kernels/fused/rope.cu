// Rotary position embedding (Su et al. 2021) of heads in rows, [rows, H, D] for any even D, with the pairing of Hugging Face:
// y[i] = x[i]·cos − x[i + D/2]·sin, y[i + D/2] = x[i + D/2]·cos + x[i]·sin. Turning back is the gradient. Computed in f32.
// Must move, an element: one in and one out.
#include "../common/elements.cuh"
#include "../common/fault.cuh"

namespace rope {
using namespace elements;
constexpr int ROWS = 4;

/// A block takes ROWS rows, a thread W neighbours of the first half of a head and those of the second that turn with them.
template <class T, int W> DEVICE void turn(T* y, const T* x, const float* table, const int* positions, int* fault, int rows, int H, int D, int P, int inverse) {
    const int half = D / 2, chunks = half / W, units = H * chunks, first = blockIdx.x * ROWS;
    for (int unit = threadIdx.x; unit < units * ROWS; unit += elements::THREADS) {
        const int in = unit / units, row = first + in, chunk = unit % chunks;
        if (row >= rows) return;
        const int position = positions[row]; const bool known = position >= 0 && position < P;
        const size_t at = (size_t)row * H * D + unit % units / chunks * D + chunk * W;
        float a[W], b[W], c[W] = {}, s[W] = {};
        load(x + at, a); load(x + at + half, b);
        if (known) { const float* angles = table + (size_t)position * D + chunk * W; load(angles, c); load(angles + half, s); }
        else if (unit == in * units) report_index(fault, position, P);
        #pragma unroll
        for (int i = 0; i < W; i++) {
            const float u = a[i], v = b[i], sine = inverse ? -s[i] : s[i];
            a[i] = u * c[i] - v * sine; b[i] = v * c[i] + u * sine;
        }
        store(y + at, a); store(y + at + half, b);
    }
}
template <class T> DEVICE void turn_any(T* y, const T* x, const float* table, const int* positions, int* fault, int rows, int H, int D, int P, int inverse) {
    if (D % 16 == 0) turn<T, 8>(y, x, table, positions, fault, rows, H, D, P, inverse);
    else if (D % 8 == 0) turn<T, 4>(y, x, table, positions, fault, rows, H, D, P, inverse);
    else turn<T, 1>(y, x, table, positions, fault, rows, H, D, P, inverse);
}
}  // namespace rope

/// Blocks of 256 threads, ⌈rows / 4⌉ of them.
/// @param y [rows, H, D]  @param x [rows, H, D], D even  @param table [P, D]: of every position D/2 cosines, then D/2 sines
/// @param positions [rows]; a row whose position is not in [0, P) is reported, and its numbers mean nothing
/// @param fault see fault.cuh  @param inverse 1 turns back, 0 forth
extern "C" __global__ void __launch_bounds__(elements::THREADS) rope_f32(float* y, const float* x, const float* table, const int* positions, int* fault, int rows, int H, int D, int P, int inverse) {
    rope::turn_any(y, x, table, positions, fault, rows, H, D, P, inverse);
}
extern "C" __global__ void __launch_bounds__(elements::THREADS) rope_bf16(__nv_bfloat16* y, const __nv_bfloat16* x, const float* table, const int* positions, int* fault, int rows, int H, int D, int P, int inverse) {
    rope::turn_any(y, x, table, positions, fault, rows, H, D, P, inverse);
}
