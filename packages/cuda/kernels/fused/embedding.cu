// Rows of a table by id, and the gradient of that: rows of dy added to the rows of the table's gradient.
//   y[i] = table[ids[i]]      dw[v] += Σ dy[i] over the i with ids[i] = v, in a fixed order
// Must move, a token of bf16: the row in and out, 4C bytes; backward 2C bytes of dy and 8C for every distinct id.
#include "../common/elements.cuh"
#include "../common/fault.cuh"
#include <type_traits>

namespace embedding {
/// The positions of one id: `order[first … first + count)`.
struct __align__(16) Segment { int id, first, count, unused; };
constexpr int ROWS = 4, SORT_THREADS = 1024, SUM_WARPS = 8, HEAVY = 64;

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
/// W neighbours as a whole: on their way they take as few registers as in memory.
template <class T, int W> using Word = std::conditional_t<sizeof(T) * W == 16, uint4, std::conditional_t<sizeof(T) * W == 4, uint32_t, uint16_t>>;
/// sum += rows order[begin … end) of dy, one after another, UNROLL of them on their way.
template <int UNROLL, class T, int W> DEVICE void add_rows(float (&sum)[W], const T* dy, const int* order, int begin, int end, int C, int channel) {
    for (int at = begin; at < end; at += UNROLL) {
        Word<T, W> row[UNROLL];
        #pragma unroll
        for (int k = 0; k < UNROLL; k++) if (at + k < end) row[k] = *reinterpret_cast<const Word<T, W>*>(dy + (size_t)order[at + k] * C + channel);
        #pragma unroll
        for (int k = 0; k < UNROLL; k++) if (at + k < end) {
            #pragma unroll
            for (int e = 0; e < W; e++) sum[e] += float(reinterpret_cast<const T*>(&row[k])[e]);
        }
    }
}
/// Copies rows: a thread one unit of each of ROWS tokens at a time.
template <int ROWS, class Unit> DEVICE void gather(Unit* y, const Unit* table, const int* ids, int* fault, int n, int units, int V) {
    const int first = blockIdx.x * ROWS; int id[ROWS];
    #pragma unroll
    for (int r = 0; r < ROWS; r++) id[r] = first + r < n ? ids[first + r] : -1;
    #pragma unroll
    for (int r = 0; r < ROWS; r++) if (first + r < n && (id[r] < 0 || id[r] >= V)) { if (threadIdx.x == 0) report_index(fault, id[r], V); id[r] = -1; }
    for (int i = threadIdx.x; i < units; i += blockDim.x) {
        Unit v[ROWS];
        #pragma unroll
        for (int r = 0; r < ROWS; r++) v[r] = id[r] >= 0 ? table[(size_t)id[r] * units + i] : Unit{};
        #pragma unroll
        for (int r = 0; r < ROWS; r++) if (first + r < n) y[(size_t)(first + r) * units + i] = v[r];
    }
}
}  // namespace embedding

/// A block of any size for 4 tokens; for rows of any element type.
/// @param y [n, row_bytes]  @param table [V, row_bytes]  @param ids [n]; the row of a bad id is zero, and the id reported
/// @param fault see fault.cuh
extern "C" __global__ void embedding_rows(uint8_t* y, const uint8_t* table, const int* ids, int* fault, int n, int row_bytes, int V) {
    using embedding::gather; using embedding::ROWS;
    if (row_bytes % 16 == 0) gather<ROWS>(reinterpret_cast<uint4*>(y), reinterpret_cast<const uint4*>(table), ids, fault, n, row_bytes / 16, V);
    else if (row_bytes % 4 == 0) gather<ROWS>(reinterpret_cast<uint32_t*>(y), reinterpret_cast<const uint32_t*>(table), ids, fault, n, row_bytes / 4, V);
    else if (row_bytes % 2 == 0) gather<ROWS>(reinterpret_cast<uint16_t*>(y), reinterpret_cast<const uint16_t*>(table), ids, fault, n, row_bytes / 2, V);
    else gather<ROWS>(y, table, ids, fault, n, row_bytes, V);
}

/// Positions in order of their ids, stable: a counting sort by one block of 1024, with a counter an id in 4V bytes of shared
/// memory, or in `counters` where those are more than a block may have. Counts have no order; places are taken by one warp that walks the ids from first to last.
/// @param order [n]  @param light [min(n, V)], @param heavy [n / 64]: the segments of up to 64 positions, and those of more,
/// by ascending id  @param totals [2]: how many there are of each  @param counters [V], or null for shared memory
/// @param ids [n]; bad ones are left out and reported  @param fault see fault.cuh
extern "C" __global__ void __launch_bounds__(embedding::SORT_THREADS) embedding_sort(int* order, embedding::Segment* light, embedding::Segment* heavy, int* totals, int* counters, const int* ids, int* fault, int n, int V) {
    using namespace embedding;
    __shared__ int warps[32];
    int* counter = counters ? counters : reinterpret_cast<int*>(shared_memory());
    for (int v = threadIdx.x; v < V; v += SORT_THREADS) counter[v] = 0;
    __syncthreads();
    #pragma unroll 4
    for (int i = threadIdx.x; i < n; i += SORT_THREADS) {
        const int id = ids[i];
        if (id >= 0 && id < V) atomicAdd(&counter[id], 1); else report_index(fault, id, V);
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

namespace embedding {
/// Channels of a warp, W a lane.
template <int W> constexpr int SLICE = 32 * W;
template <class T, int W> DEVICE void add(float (*parts)[264], float* dw, const T* dy, const int* order, const Segment* light, const Segment* heavy, const int* totals, int n, int C) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, slices = (C + SLICE<W> - 1) / SLICE<W>, heavy_blocks = max(1, n / HEAVY) * slices;
    float sum[W] = {};
    if ((int)blockIdx.x < heavy_blocks) {
        const int index = blockIdx.x / slices, channel = blockIdx.x % slices * SLICE<W> + lane * W;
        if (index >= totals[1]) return;
        const Segment s = heavy[index]; const int share = (s.count + SUM_WARPS - 1) / SUM_WARPS;
        if (channel < C) add_rows<6>(sum, dy, order, s.first + min(s.count, warp * share), s.first + min(s.count, (warp + 1) * share), C, channel);
        #pragma unroll
        for (int e = 0; e < W; e++) parts[warp][lane * W + e] = sum[e];
        __syncthreads();
        const int own = blockIdx.x % slices * SLICE<W> + threadIdx.x;
        if (threadIdx.x >= SLICE<W> || own >= C) return;
        float total = 0;
        #pragma unroll
        for (int w = 0; w < SUM_WARPS; w++) total += parts[w][threadIdx.x];
        dw[(size_t)s.id * C + own] += total;
    } else {
        const int item = (blockIdx.x - heavy_blocks) * SUM_WARPS + warp, index = item / slices, channel = item % slices * SLICE<W> + lane * W;
        if (index >= totals[0] || channel >= C) return;
        const Segment s = light[index];
        add_rows<4>(sum, dy, order, s.first, s.first + s.count, C, channel);
        float before[W]; float* to = dw + (size_t)s.id * C + channel;
        elements::load(to, before);
        #pragma unroll
        for (int e = 0; e < W; e++) sum[e] += before[e];
        elements::store(to, sum);
    }
}
template <class T> DEVICE void add_any(float* dw, const T* dy, const int* order, const Segment* light, const Segment* heavy, const int* totals, int n, int C) {
    __shared__ float parts[SUM_WARPS][264];
    if (C % 8 == 0) add<T, sizeof(T) == 4 ? 4 : 8>(parts, dw, dy, order, light, heavy, totals, n, C);
    else add<T, 1>(parts, dw, dy, order, light, heavy, totals, n, C);
}
}  // namespace embedding

/// Adds the rows of dy to the gradient. Blocks of 256: first max(1, n / 64) × slices for the heavy segments, a block each, its
/// warps taking an eighth of the rows in order; then min(n, V) × slices / 8, rounded up, for the light ones, a warp each; what is
/// beyond the totals returns at once. A slice is 256 channels, 128 of f32, and 32 where C is not a multiple of 8.
/// @param dw [V, C] f32  @param dy [n, C]; others as `embedding_sort` left them
extern "C" __global__ void __launch_bounds__(embedding::SUM_WARPS * 32, 4) embedding_add_f32(float* dw, const float* dy, const int* order, const embedding::Segment* light, const embedding::Segment* heavy, const int* totals, int n, int C) {
    embedding::add_any(dw, dy, order, light, heavy, totals, n, C);
}
extern "C" __global__ void __launch_bounds__(embedding::SUM_WARPS * 32, 4) embedding_add_bf16(float* dw, const __nv_bfloat16* dy, const int* order, const embedding::Segment* light, const embedding::Segment* heavy, const int* totals, int n, int C) {
    embedding::add_any(dw, dy, order, light, heavy, totals, n, C);
}
