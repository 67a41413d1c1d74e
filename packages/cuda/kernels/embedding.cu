// Rows of a table by id, and the gradient of that: rows of dy added to the rows of the table's gradient.
//   y[i] = table[ids[i]]      dw[v] += Σ dy[i] over the i with ids[i] = v, in a fixed order
// Must move, a token: the row in and out, 4C bytes; backward 2C bytes of dy and 8C for every distinct id.
// nvcc: -use_fast_math
#include <warp.cuh>

namespace embedding {
/// The positions of one id: `order[first … first + count)`.
struct __align__(16) Segment { int id, first, count, unused; };
constexpr int ROWS = 4, SORT_THREADS = 1024, SUM_WARPS = 8, SLICE = 256, HEAVY = 64;   // SLICE: channels of a warp, 8 a lane

DEVICE int warp_scan(int x) {
    #pragma unroll
    for (int d = 1; d < 32; d *= 2) { const int y = __shfl_up_sync(~0u, x, d); if ((int)threadIdx.x % 32 >= d) x += y; }
    return x;
}
/// Sum of x over the threads before this one, of 1024; `total` over all. Syncs.
DEVICE int block_scan(int x, int* warps, int& total) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, inclusive = warp_scan(x);
    __syncthreads();
    if (lane == 31) warps[warp] = inclusive;
    __syncthreads();
    const int sums = warp_scan(warps[lane]);
    total = __shfl_sync(~0u, sums, 31);
    const int before = __shfl_sync(~0u, sums, warp ? warp - 1 : 0);
    return inclusive - x + (warp ? before : 0);
}
DEVICE void unpack(float (&v)[8], uint4 u) {
    const uint32_t w[4] = {u.x, u.y, u.z, u.w};
    #pragma unroll
    for (int k = 0; k < 4; k++) { v[2 * k] = __uint_as_float(w[k] << 16); v[2 * k + 1] = __uint_as_float(w[k] & 0xFFFF0000u); }
}
/// sum += rows order[begin … end) of dy, one after another, UNROLL of them on their way.
template <int UNROLL> DEVICE void add_rows(float (&sum)[8], const __nv_bfloat16* dy, const int* order, int begin, int end, int C, int channel) {
    for (int at = begin; at < end; at += UNROLL) {
        uint4 u[UNROLL];
        #pragma unroll
        for (int k = 0; k < UNROLL; k++) if (at + k < end) u[k] = *reinterpret_cast<const uint4*>(dy + (size_t)order[at + k] * C + channel);
        #pragma unroll
        for (int k = 0; k < UNROLL; k++) if (at + k < end) {
            float v[8]; unpack(v, u[k]);
            #pragma unroll
            for (int e = 0; e < 8; e++) sum[e] += v[e];
        }
    }
}
DEVICE void add_to(float* to, const float (&sum)[8]) {
    float4* p = reinterpret_cast<float4*>(to); float4 a = p[0], b = p[1];
    a.x += sum[0]; a.y += sum[1]; a.z += sum[2]; a.w += sum[3]; b.x += sum[4]; b.y += sum[5]; b.z += sum[6]; b.w += sum[7];
    p[0] = a; p[1] = b;
}
/// Copies rows: a thread 16 bytes of each of ROWS tokens at a time.
template <int ROWS> DEVICE void gather(__nv_bfloat16* y, const __nv_bfloat16* table, const int* ids, int* fault, int n, int C, int V) {
    const int first = blockIdx.x * ROWS; int id[ROWS];
    #pragma unroll
    for (int r = 0; r < ROWS; r++) id[r] = first + r < n ? ids[first + r] : 0;
    #pragma unroll
    for (int r = 0; r < ROWS; r++) if (id[r] < 0 || id[r] >= V) { if (threadIdx.x == 0) *fault = id[r]; id[r] = -1; }
    for (int i = threadIdx.x; i < C / 8; i += blockDim.x) {
        uint4 v[ROWS];
        #pragma unroll
        for (int r = 0; r < ROWS; r++) v[r] = id[r] >= 0 ? reinterpret_cast<const uint4*>(table + (size_t)id[r] * C)[i] : make_uint4(0, 0, 0, 0);
        #pragma unroll
        for (int r = 0; r < ROWS; r++) if (first + r < n) reinterpret_cast<uint4*>(y + (size_t)(first + r) * C)[i] = v[r];
    }
}
}  // namespace embedding

/// A block of any size for ROWS tokens.
/// @param y [n, C] bf16  @param table [V, C] bf16, C a multiple of 8  @param ids [n]; the row of a bad id is zero, and it is left in `fault` [1]
extern "C" __global__ void embedding_rows(__nv_bfloat16* y, const __nv_bfloat16* table, const int* ids, int* fault, int n, int C, int V) {
    embedding::gather<embedding::ROWS>(y, table, ids, fault, n, C, V);
}

/// Positions in order of their ids, stable: a counting sort by one block of 1024, whose 4V bytes of shared memory hold a
/// counter an id, so that V ≤ 56,000. Counts have no order; places are taken by one warp that walks the ids from first to last.
/// @param order [n]  @param light [min(n, V)], @param heavy [n / 64]: the segments of up to 64 positions, and those of more,
/// by ascending id  @param totals [2]: how many there are of each  @param fault [1], see `embedding_rows`
extern "C" __global__ void __launch_bounds__(embedding::SORT_THREADS) embedding_sort(int* order, embedding::Segment* light, embedding::Segment* heavy, int* totals, const int* ids, int* fault, int n, int V) {
    using namespace embedding;
    __shared__ int warps[32];
    int* counter = reinterpret_cast<int*>(shared_memory());
    for (int v = threadIdx.x; v < V; v += SORT_THREADS) counter[v] = 0;
    __syncthreads();
    #pragma unroll 4
    for (int i = threadIdx.x; i < n; i += SORT_THREADS) {
        const int id = ids[i];
        if (id >= 0 && id < V) atomicAdd(&counter[id], 1); else *fault = id;
    }
    __syncthreads();
    const int own = ((V + SORT_THREADS - 1) / SORT_THREADS) | 1, begin = min(V, (int)threadIdx.x * own), end = min(V, begin + own);   // odd: no bank twice
    int positions = 0, lights = 0, heavies = 0, total;
    for (int v = begin; v < end; v++) { const int c = counter[v]; positions += c; lights += c > 0 && c <= HEAVY; heavies += c > HEAVY; }
    positions = block_scan(positions, warps, total);
    lights = block_scan(lights, warps, total); if (threadIdx.x == 0) totals[0] = total;
    heavies = block_scan(heavies, warps, total); if (threadIdx.x == 0) totals[1] = total;
    for (int v = begin; v < end; v++) {
        const int c = counter[v];
        if (c > HEAVY) heavy[heavies++] = {v, positions, c, 0}; else if (c > 0) light[lights++] = {v, positions, c, 0};
        counter[v] = positions; positions += c;
    }
    __syncthreads();
    if (threadIdx.x >= 32) return;
    const int lane = threadIdx.x; constexpr int AHEAD = 8;
    for (int base = 0; base < n; base += 32 * AHEAD) {
        int next[AHEAD];
        #pragma unroll
        for (int k = 0; k < AHEAD; k++) { const int i = base + k * 32 + lane; next[k] = i < n ? ids[i] : -1; }
        #pragma unroll
        for (int k = 0; k < AHEAD; k++) {
            const bool good = next[k] >= 0 && next[k] < V;
            const uint32_t same = __match_any_sync(~0u, good ? next[k] : -1), before = same & ((1u << lane) - 1);
            const int start = good ? counter[next[k]] : 0;
            __syncwarp();
            if (good) order[start + __popc(before)] = base + k * 32 + lane;
            if (good && before == 0) counter[next[k]] = start + __popc(same);
            __syncwarp();
        }
    }
}

/// Adds the rows of dy to the gradient. Blocks of 256: first max(1, n / 64) × slices for the heavy segments, a block each, its
/// warps taking an eighth of the rows in order; then min(n, V) × slices / 8, rounded up, for the light ones, a warp each. A
/// slice is 256 channels; what is beyond the totals returns at once.
/// @param dw [V, C] f32  @param dy [n, C] bf16, C a multiple of 8; others as `embedding_sort` left them
extern "C" __global__ void __launch_bounds__(embedding::SUM_WARPS * 32, 4) embedding_add(float* dw, const __nv_bfloat16* dy, const int* order, const embedding::Segment* light, const embedding::Segment* heavy, const int* totals, int n, int C) {
    using namespace embedding;
    __shared__ float parts[SUM_WARPS][SLICE + 4];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, slices = (C + SLICE - 1) / SLICE, heavy_blocks = max(1, n / HEAVY) * slices;
    float sum[8] = {};
    if ((int)blockIdx.x < heavy_blocks) {
        const int index = blockIdx.x / slices, channel = blockIdx.x % slices * SLICE + lane * 8;
        if (index >= totals[1]) return;
        const Segment s = heavy[index]; const int share = (s.count + SUM_WARPS - 1) / SUM_WARPS;
        if (channel < C) add_rows<6>(sum, dy, order, s.first + min(s.count, warp * share), s.first + min(s.count, (warp + 1) * share), C, channel);
        #pragma unroll
        for (int e = 0; e < 8; e++) parts[warp][lane * 8 + e] = sum[e];
        __syncthreads();
        const int own = blockIdx.x % slices * SLICE + threadIdx.x;
        if (own >= C) return;
        float total = 0;
        #pragma unroll
        for (int w = 0; w < SUM_WARPS; w++) total += parts[w][threadIdx.x];
        dw[(size_t)s.id * C + own] += total;
    } else {
        const int item = (blockIdx.x - heavy_blocks) * SUM_WARPS + warp, index = item / slices, channel = item % slices * SLICE + lane * 8;
        if (index >= totals[0] || channel >= C) return;
        const Segment s = light[index];
        add_rows<4>(sum, dy, order, s.first, s.first + s.count, C, channel);
        add_to(dw + (size_t)s.id * C + channel, sum);
    }
}
