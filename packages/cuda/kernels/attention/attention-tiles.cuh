// What the attention kernels for Hopper share: which keys a query sees, and how tiles of a head lie in shared memory.
//
// q, k, v, their gradients and the outputs are [tokens, heads, D], the tokens of all sequences of a batch one after another.
// Kernels reach them through three-dimensional tensor maps {D, heads, tokens} with boxes of 64 columns of one head of 64
// tokens, bf16, swizzled by 128 bytes: the strides are the map's, so that views of a larger matrix and other orders of
// memory serve as well. A tile lies in panels of 64 columns, [panels][rows][64]. What a last panel has beside the columns of
// the head comes as zeros and never leaves.
#pragma once
#include <hopper.cuh>

/// Shapes and masks of one call. Query i sees key j of its own sequence and document when i − window < j ≤ i.
struct AttentionShape {
    const int* document_start;          // [tokens]: first token of a token's document, counted from the start of its sequence, never falling within one; null: a sequence is one document
    int tokens, sequence;               // of all sequences together, of each of them
    int heads, kv_heads, window;
    float scale;                        // of scores

    /// The first key that a query sees; queries past the end see what the last one does, at most.
    DEVICE int start(int query) const {
        const int token = min(query, tokens - 1), base = token - token % sequence;
        return max(document_start ? base + document_start[token] : base, query - window + 1);
    }
    /// One past the last query that sees a key: where the window ends, or the last document that starts at or before the key.
    DEVICE int end(int key) const {
        const int base = key - key % sequence;
        int low = key + 1, high = min(base + sequence, key + min(window, sequence));
        if (!document_start || base + document_start[high - 1] <= key) return high;
        while (low < high) { const int middle = (low + high) / 2; if (base + document_start[middle] > key) high = middle; else low = middle + 1; }
        return high;
    }
    /// Where the log-sum-exp of a query is in `[sequences, heads, sequence]`.
    DEVICE size_t lse_at(int head, int query) const { return ((size_t)(query / sequence) * heads + head) * sequence + query % sequence; }
};

namespace attention_tiles {
using Bf16 = __nv_bfloat16;
constexpr int BOX = 64;                 // rows and columns of a box, rows of a warpgroup
constexpr float LOG2E = 1.4426950408889634f;

template <int D> constexpr int PANELS = (D + 63) / 64;
/// Steps of 16 over the columns of a head; the last of 120 takes in 8 columns of zeros.
template <int D> constexpr int STEPS = (D + 15) / 16;

// What consumers grow to comes out of what the launch gave the block: more, and setmaxnreg waits for ever.
constexpr int PRODUCER_REGISTERS = 24;
constexpr int registers_of_launch(int threads, int blocks) { return 65536 / blocks / threads / 8 * 8 * threads; }
constexpr bool registers_fit(int groups, int registers, int blocks) { return 128 * (PRODUCER_REGISTERS + groups * registers) <= registers_of_launch(128 * (groups + 1), blocks); }
constexpr bool shared_fits(size_t bytes, int blocks) { return bytes <= 232448 && blocks * (bytes + 1024) <= 233472; }

/// Where a pipeline of stages stands.
template <int STAGES> struct Ring {
    int stage = 0; uint32_t phase = 0;
    DEVICE void next() { if (++stage == STAGES) { stage = 0; phase ^= 1; } }
};

/// Loads `rows` tokens of a head, box by box.
template <int D> DEVICE void load_tile(Bf16* to, int rows, const CUtensorMap& map, uint64_t* full, int head, int row) {
    for (int p = 0; p < PANELS<D>; p++) for (int r = 0; r < rows; r += BOX) tma_load_3d(to + (p * rows + r) * BOX, &map, full, p * BOX, head, row + r);
}
/// This warp no longer reads a stage. Its lanes are together: they waited for products, or for each other.
DEVICE void release(uint64_t* empty) { if (threadIdx.x % 32 == 0) barrier_arrive(empty); }
/// Columns 16k … 16k + 15 of a tile of `rows` rows, by its descriptor, read K-major.
DEVICE uint64_t columns(uint64_t tile, int rows, int k) { return tile + k / 4 * (rows * 128 / 16) + k % 4 * 2; }
/// The 16 bytes of columns 8·piece … 8·piece + 7 of a row.
DEVICE Bf16* piece_at(Bf16* tile, int rows, int row, int piece) { return tile + (piece / 8 * rows + row) * BOX + ((piece % 8) ^ (row % 8)) * 8; }

/// Writes a warpgroup's d[64, D], each row times its factor, by way of its own 64 rows of a tile, which only itself has read:
/// memory sees whole lines, and the copy engine leaves out rows past the last token and columns past D. Before the block
/// ends comes a tma_wait_read.
template <int D> DEVICE void store_rows(Bf16* tile, int rows, const float* d, const float (&factor)[2], const CUtensorMap& map, int head, int row, int group) {
    const int lane = threadIdx.x % 32, warp = threadIdx.x % 128 / 32;
    group_sync(1 + group, 128);
    #pragma unroll
    for (int j = 0; j < STEPS<D>; j++) {
        const float* v = d + 8 * j;
        const bool whole = 16 * j + 8 < D;
        stmatrix4(piece_at(tile, rows, warp * 16 + lane % 16, 2 * j + lane / 16), pack_bf16(v[0] * factor[0], v[1] * factor[0]), pack_bf16(v[2] * factor[1], v[3] * factor[1]),
                  whole ? pack_bf16(v[4] * factor[0], v[5] * factor[0]) : 0, whole ? pack_bf16(v[6] * factor[1], v[7] * factor[1]) : 0);
    }
    async_fence();
    group_sync(1 + group, 128);
    if (threadIdx.x % 128 == 0) {
        #pragma unroll
        for (int p = 0; p < PANELS<D>; p++) tma_store_3d(&map, tile + p * rows * BOX, p * BOX, head, row);
        tma_commit();
    }
}
}  // namespace attention_tiles
