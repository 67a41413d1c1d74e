// The gradient of rotary position embedding (Su et al. 2021) on its way into products in fp8: heads [rows, H, D] are turned back
// in f32, by the table and with the pairs of rope.cu, and leave as e5m2, row by row and transposed, as quantise.cu makes it.
// Must move, an element: 2 bytes and 1 for each copy.
// nvcc: -use_fast_math
#include "../common/fault.cuh"
#include "../common/quantise.cuh"

namespace rope_fp8 {
/// How heads are shared out: ROWS of HEADS a block, of which a thread takes CHANNELS and those that turn with them. Angles are read once
/// for all heads of a block, and heads of 80 give each thread one turn of the loop.
struct Wide { static constexpr int ROWS = 64, HEADS = 8, THREADS = 320, BLOCKS = 2, CHANNELS = 8; };
/// Of heads whose halves are no whole pieces of 16 bytes.
struct Narrow { static constexpr int ROWS = 128, HEADS = 4, THREADS = 256, BLOCKS = 3, CHANNELS = 4; };
/// Heads of which a thread has both halves on their way.
constexpr int AT_ONCE = 4;

/// Rows of a block's heads as fp8 in shared memory. Pieces of 16 bytes are swizzled by the row, for threads that share a
/// column, and by its group of 16, for those that take 16 rows each.
template <class Form> struct Tile {
    static constexpr int ROWS = Form::ROWS, THREADS = Form::THREADS;
    uint8_t* bytes;
    int pitch;
    static DEVICE int pitch_of(int D) { return (Form::HEADS * D + 127) / 128 * 128; }
    template <class T> DEVICE T& at(int row, int byte) const { return *reinterpret_cast<T*>(bytes + row * pitch + (byte ^ ((row ^ row / 16) & 7) * 16)); }

    /// @param q where the tile's first byte goes, its rows `stride` apart
    DEVICE void write(uint8_t* q, size_t stride, int rows, int columns) const {
        const int pieces = columns / 16;
        for (int unit = threadIdx.x; unit < min(rows, ROWS) * pieces; unit += THREADS) {
            const int row = unit / pieces, byte = unit % pieces * 16;
            *reinterpret_cast<uint4*>(q + row * stride + byte) = at<uint4>(row, byte);
        }
    }
    /// The same transposed: 16 rows × 4 columns a thread, ROWS / 16 of them a line.
    DEVICE void write_transposed(uint8_t* t, size_t stride, int rows, int columns) const {
        for (int unit = threadIdx.x; unit < columns / 4 * (ROWS / 16); unit += THREADS) {
            const int row = unit % (ROWS / 16) * 16, column = unit / (ROWS / 16) * 4;
            if (row >= rows) continue;
            uint32_t word[16];
            #pragma unroll
            for (int i = 0; i < 16; i++) word[i] = at<uint32_t>(row + i, column);
            store_transposed(word, t + column * stride + row, stride);
        }
    }
};

/// N channels: of bf16, read at once, and of fp8, written at once.
template <int N> struct alignas(2 * N) Halves { uint32_t pair[N / 2]; };
template <int N> struct alignas(N) Bytes { uint32_t word[N / 4]; };
template <int N> DEVICE Halves<N> load(const Bf16* p, bool inside) { return inside ? *reinterpret_cast<const Halves<N>*>(p) : Halves<N>{}; }
/// Of N channels of a position; zeros where it is none of the table's.
template <int N> struct Angles {
    float4 cosine[N / 4] = {}, sine[N / 4] = {};
    DEVICE void read(const float* table, int position, int channel, int* fault, int D, int P) {
        const float* angles = table + (size_t)position * D + channel; const int half = D / 2;
        if (position >= 0 && position < P) {
            #pragma unroll
            for (int k = 0; k < N / 4; k++, angles += 4) { cosine[k] = *reinterpret_cast<const float4*>(angles); sine[k] = *reinterpret_cast<const float4*>(angles + half); }
        } else if (channel == 0) report_index(fault, position, P);
    }
};
DEVICE void turn_back(float& first, float& second, float cosine, float sine) {
    const float u = first, v = second;
    first = u * cosine + v * sine; second = v * cosine - u * sine;
}
/// N channels and the N that turn with them, as fp8 at `low` and `high`.
template <int N> DEVICE void turn_back(const Halves<N>& first, const Halves<N>& second, const Angles<N>& by, float factor, float& top, Bytes<N>& low, Bytes<N>& high) {
    #pragma unroll
    for (int k = 0; k < N / 4; k++) {
        float v[8]; unpack(make_uint4(first.pair[2 * k], first.pair[2 * k + 1], second.pair[2 * k], second.pair[2 * k + 1]), v);
        turn_back(v[0], v[4], by.cosine[k].x, by.sine[k].x); turn_back(v[1], v[5], by.cosine[k].y, by.sine[k].y);
        turn_back(v[2], v[6], by.cosine[k].z, by.sine[k].z); turn_back(v[3], v[7], by.cosine[k].w, by.sine[k].w);
        top = largest(top, v);
        const uint2 out = cast<Fp8::e5m2>(v, factor);
        low.word[k] = out.x; high.word[k] = out.y;
    }
}

template <class Form> DEVICE void backward(const Bf16* g, const float* table, const int* positions, int* fault, uint8_t* q, uint8_t* t,
                                           unsigned* amax, const float* scale, int rows, int H, int D, int P, int pitch, int stride) {
    constexpr int ROWS = Form::ROWS, HEADS = Form::HEADS, N = Form::CHANNELS;
    const int groups = (H + HEADS - 1) / HEADS, head0 = blockIdx.x % groups * HEADS, row0 = blockIdx.x / groups * ROWS;
    const int half = D / 2, chunks = half / N, heads = min(HEADS, H - head0);
    const Tile<Form> tile{shared_memory(), Tile<Form>::pitch_of(D)};
    const unsigned found = peek(amax); const float factor = scale ? *scale : 1.f; float top = 0;
    #pragma unroll 1
    for (int unit = threadIdx.x; unit < ROWS * chunks; unit += Form::THREADS) {
        const int in = unit / chunks, row = row0 + in, channel = unit % chunks * N; const bool inside = row < rows;
        const Bf16* from = g + ((size_t)row * H + head0) * D + channel;
        Angles<N> angles;
        #pragma unroll
        for (int first = 0; first < HEADS; first += AT_ONCE) {
            Halves<N> low[AT_ONCE], high[AT_ONCE];
            #pragma unroll
            for (int h = 0; h < AT_ONCE; h++) {
                const Bf16* head = from + (first + h) * D; const bool is_there = inside && first + h < heads;
                low[h] = load<N>(head, is_there); high[h] = load<N>(head + half, is_there);
            }
            if (first == 0 && inside) angles.read(table, positions[row], channel, fault, D, P);
            #pragma unroll
            for (int h = 0; h < AT_ONCE; h++) if (first + h < heads) {
                Bytes<N> out_low, out_high; turn_back(low[h], high[h], angles, factor, top, out_low, out_high);
                tile.template at<Bytes<N>>(in, (first + h) * D + channel) = out_low; tile.template at<Bytes<N>>(in, (first + h) * D + channel + half) = out_high;
            }
        }
    }
    raise<Form::THREADS>(amax, found, top, reinterpret_cast<float*>(tile.bytes + ROWS * tile.pitch));
    if (q) tile.write(q + (size_t)row0 * pitch + head0 * D, pitch, rows - row0, heads * D);
    if (t) tile.write_transposed(t + (size_t)head0 * D * stride + row0, stride, rows - row0, heads * D);
}
}  // namespace rope_fp8

/// Blocks of 320 threads, ⌈rows / 64⌉ · ⌈H / 8⌉ of them, 64 · ⌈8 D / 128⌉ · 128 + 40 bytes of shared memory.
/// @param g [rows, H, D], D a multiple of 16  @param table [P, D]: of every position D/2 cosines, then D/2 sines
/// @param positions [rows]; a row whose position is not in [0, P) is reported, and its numbers mean nothing
/// @param fault see fault.cuh  @param q e5m2 [rows, H · D] or null, its rows `pitch` bytes apart, a multiple of 16
/// @param t e5m2 [H · D, stride] or null  @param amax raised to the largest magnitude of what is cast, or null
/// @param scale [1], or null for 1
extern "C" __global__ void __launch_bounds__(rope_fp8::Wide::THREADS, rope_fp8::Wide::BLOCKS) rope_fp8_backward(const Bf16* g, const float* table, const int* positions, int* fault, uint8_t* q, uint8_t* t,
                                                                                                               unsigned* amax, const float* scale, int rows, int H, int D, int P, int pitch, int stride) {
    rope_fp8::backward<rope_fp8::Wide>(g, table, positions, fault, q, t, amax, scale, rows, H, D, P, pitch, stride);
}
/// The same, where D is a multiple of 8 and H · D one of 16. Blocks of 256 threads, ⌈rows / 128⌉ · ⌈H / 4⌉ of them, 128 · ⌈4 D / 128⌉ · 128
/// + 32 bytes of shared memory.
extern "C" __global__ void __launch_bounds__(rope_fp8::Narrow::THREADS, rope_fp8::Narrow::BLOCKS) rope_fp8_backward_narrow(const Bf16* g, const float* table, const int* positions, int* fault, uint8_t* q, uint8_t* t,
                                                                                                                          unsigned* amax, const float* scale, int rows, int H, int D, int P, int pitch, int stride) {
    rope_fp8::backward<rope_fp8::Narrow>(g, table, positions, fault, q, t, amax, scale, rows, H, D, P, pitch, stride);
}
