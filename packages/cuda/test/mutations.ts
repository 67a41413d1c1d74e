/** A fault planted in a kernel: where PLANTED is true, `planted` does what `find` did, wrongly. */
interface Mutation { readonly fault: string; readonly file: string; readonly find: string; readonly planted: string }
/** The faults of one program of `test/twin`. `cases`: what its `main` runs instead of its own, where less is
 *  enough or a fault needs more. */
export interface MutatedProgram { readonly program: string; readonly cases?: readonly string[]; readonly mutations: readonly Mutation[] }

const inFile = (file: string, ...faults: [fault: string, find: string, planted: string][]): Mutation[] =>
  faults.map(([fault, find, planted]) => ({ fault, file, find, planted }));

/** Faults that a GPU would turn into wrong numbers now and then, and that the CPU twin must see every time. */
export const mutatedPrograms: readonly MutatedProgram[] = [
  {
    program: "gemm", cases: [
      "ENTRY(264, 328, 272, gemm_fp8_input_gradient, Fp8Gradient<Output::bf16>)",
      "VARIANT(264, 328, 272, E4, E4, 256, 128, 3, Share::a, false, Output::bf16)",
      "VARIANT(72, 136, 1600, E4, E4, 256, 128, 3, Share::a, false, Output::bf16)",
    ],
    mutations: inFile("products/gemm.cuh",
      ["wrong swizzle", "row * 128 + (piece ^ row % 8) * 16;", "row * 128 + (piece ^ (PLANTED ? row / 2 : row) % 8) * 16;"],
      ["stages read before they are full", "barrier_wait(&s.full[stage], phase);\n                wgmma_fence();", "if (!PLANTED) barrier_wait(&s.full[stage], phase);\n wgmma_fence();"],
      ["stages filled before they are empty", "barrier_wait(&s.empty[stage], phase);", "if (!PLANTED) barrier_wait(&s.empty[stage], phase);"],
      ["a stage released while products read it", "wgmma_wait<1>(); release(last);", "if (!PLANTED) wgmma_wait<1>(); release(last);"],
      ["sums read before the products are done", "wgmma_wait<0>();\n                    pin", "if (!PLANTED) wgmma_wait<0>();\n pin"],
      ["chunks written over while the copy engine reads them", "if (thread == 0) tma_wait_read<G::BUFFERS - 1>();", "if (thread == 0 && !PLANTED) tma_wait_read<G::BUFFERS - 1>();"],
      ["stores that see no fence", "async_fence();", "if (!PLANTED) async_fence();"],
      ["a block that ends before its stores have read", "if (thread == 0) tma_wait();", "if (thread == 0 && !PLANTED) tma_wait();"],
      ["producer in the wrong phase", "int stage = 0; uint32_t phase = 1;", "int stage = 0; uint32_t phase = PLANTED ? 0 : 1;"],
      ["half of a multicast", "(1 << PARTS) - 1", "(PLANTED ? 1 << rank : (1 << PARTS) - 1)"],
      ["the first k block added to what the tile before left", "group * 64, k > 0);", "group * 64, PLANTED || k > 0);"],
      ["no last partial row of tiles", "(problem.M + HEIGHT - 1) / HEIGHT", "(problem.M + (PLANTED ? 0 : HEIGHT - 1)) / HEIGHT"],
      ["one scale of two", "* *tile.problem->scale_b", "* (PLANTED ? 1.f : *tile.problem->scale_b)"],
      ["a block that ends while its neighbour still arrives", "cluster_sync();     // a block", "if (!PLANTED) cluster_sync();     // a block"]),
  },
  {
    program: "attention-forward", cases: ["LONG(80, {1, 448, 2, 1, 200, {0, 150}})", "SHORT(80, {1, 333, 2, 1, 64, {0, 150, 160}})"],
    mutations: [
      ...inFile("attention/attention-tiles.cuh", ["window off by one", "query - window + 1)", "query - window + (PLANTED ? 2 : 1))"]),
      ...inFile("attention/attention-forward.cuh",
        ["documents forgotten where a tile is before the diagonal", "&& c0 >= full_start) return", "&& (PLANTED || c0 >= full_start)) return"],
        ["scores read before the products are done", "wgmma_wait<0>(); pin<SCORES>", "if (!PLANTED) wgmma_wait<0>(); pin<SCORES>"],
        ["values filled before they are empty", "barrier_wait(&s.v_empty[ring.stage], ring.phase ^ 1);", "if (!PLANTED) barrier_wait(&s.v_empty[ring.stage], ring.phase ^ 1);"],
        ["a block that ends before its stores have read", "tma_wait_read();", "if (!PLANTED) tma_wait_read();"]),
    ],
  },
  {
    program: "attention-backward", cases: ["CHECK(80, {1, 333, 4, 2, 100, {0, 40, 41, 200, 320}})", "CHECK(64, {1, 256, 2, 1, 64, {0, 100}})"],
    mutations: [
      ...inFile("attention/attention-statistics.cuh", ["no __syncthreads between partial sums and their sum", "__syncthreads();", "if (!PLANTED) __syncthreads();"]),
      ...inFile("attention/attention-backward.cuh",
        ["a query too many sees a key", "query >= ends[i / 2 % 2]", "query >= ends[i / 2 % 2] + (PLANTED ? 1 : 0)"],
        ["wrong scale of half the rows of dK", "sum_k, {shape.scale, shape.scale}", "sum_k, {shape.scale, PLANTED ? 1.f : shape.scale}"],
        ["a stage that nobody releases", "if (held >= 0) release(&s.empty[held]); };", "if (held >= 0 && !PLANTED) release(&s.empty[held]); };"],
        ["sums of dQ written before the products are done", "wgmma_wait<0>();\n    pin<D / 2>(sum);", "if (!PLANTED) wgmma_wait<0>();\n pin<D / 2>(sum);"]),
    ],
  },
  {
    program: "attention-portable-forward",
    mutations: inFile("attention/attention-portable-forward.cu", ["tiles read before their copies have landed", "cp_async_wait<0>();", "if (!PLANTED) cp_async_wait<0>();"]),
  },
  {
    program: "attention-portable-decode",
    mutations: inFile("attention/attention-portable-decode.cu",
      ["the first new key looked for in the cache", "is_fresh = j >= stored;", "is_fresh = j >= stored + (PLANTED ? 1 : 0);"],
      ["positions of the last text appended to the first", "to = (((size_t)b * in.S + position)", "to = (((size_t)(PLANTED ? 0 : b) * in.S + position)"],
      ["a position past the cache written", "position >= in.S)", "(!PLANTED && position >= in.S))"],
      ["a counter that is not left zero", "if (last && parts > 1) *done = 0;", "if (last && parts > 1 && !PLANTED) *done = 0;"],
      ["parts joined before the last is done", "atomicAdd(done, 1) == parts - 1", "atomicAdd(done, 1) == parts - (PLANTED ? 2 : 1)"],
      ["tiles read before their copies have landed", "cp_async_wait<1>();", "if (!PLANTED) cp_async_wait<1>();"]),
  },
  {
    program: "choose-next",
    mutations: inFile("generation/choose-next.cu",
      ["of equals the last", "&& a.id < b.id)", "&& (PLANTED ? a.id > b.id : a.id < b.id))"],
      ["the best of other warps read early", "__syncthreads();", "if (!PLANTED) __syncthreads();"]),
  },
  {
    program: "few-rows",
    mutations: [
      ...inFile("generation/few-rows.cuh",
        ["slots read before their copies have landed", "if (in.slots == DEEP) cp_async_wait<DEEP - 2>();", "if (PLANTED) {} else if (in.slots == DEEP) cp_async_wait<DEEP - 2>();"],
        ["a slot fetched anew while others read it", "__syncwarp();                                      // this slot", "if (!PLANTED) __syncwarp();     // this slot"],
        ["sums of other warps read early", "__syncthreads();\n        if (!finishes)", "if (!PLANTED) __syncthreads();\n        if (!finishes)"],
        ["sums of two tiles in one place", "sums + tile % 2 * WARPS", "sums + (PLANTED ? 0 : tile % 2) * WARPS"],
        ["no zeros past the end of a row", "i * 8 < in.K ? *reinterpret_cast", "PLANTED || i * 8 < in.K ? *reinterpret_cast"],
        ["the norm read before it has landed", "if (in.slots == DEEP) cp_async_wait<DEEP - 1>();", "if (PLANTED) {} else if (in.slots == DEEP) cp_async_wait<DEEP - 1>();"],
        ["the last pair of a block that nobody takes", "(blockIdx.x + 1) / gridDim.x;", "(blockIdx.x + 1) / gridDim.x - (PLANTED ? 1 : 0);"]),
      ...inFile("generation/few-rows.cu",
        ["heads turned backward", "first * angle.x - second * angle.y", "first * angle.x + (PLANTED ? second : -second) * angle.y"],
        ["the value of a head for its key", "h < H + G ? key : value", "h < H + G || PLANTED ? key : value"]),
    ],
  },
  {
    program: "matmul", cases: ["TILES(bf16, Bf16, 49152, 4)", "TILES(f32, float, 0, 1)", "FP8(e5m2, E5m2, 4)"],
    mutations: [
      ...inFile("products/matmul.cuh", ["parts that share a step of k", "min(first_k + share, p.K)", "min(first_k + share + (PLANTED ? 1 : 0), p.K)"]),
      ...inFile("products/matmul-tensor-core.cuh",
        ["stages read before their copies have landed", "cp_async_wait<G::STAGES - 2>();", "if (!PLANTED) cp_async_wait<G::STAGES - 2>();"],
        ["a stage fetched anew while others read it", "            __syncthreads();\n        }\n        fetch", "            if (!PLANTED) __syncthreads();\n        }\n        fetch"],
        ["sums staged where others still read", "    __syncthreads();\n    float* staged", "    if (!PLANTED) __syncthreads();\n    float* staged"],
        ["no zeros past the end of k", "cp_async(place16, at, valid * sizeof(T))", "cp_async(place16, at, PLANTED && valid ? 16 : valid * sizeof(T))"],
        ["sums of the last k not promoted", "|| step == steps - 1)", "|| (step == steps - 1 && !PLANTED))"]),
      ...inFile("products/matmul-f32.cuh", ["stages of f32 read before their copies have landed", "cp_async_wait<F32_STAGES - 2>();", "if (!PLANTED) cp_async_wait<F32_STAGES - 2>();"]),
    ],
  },
  {
    program: "quantise",
    mutations: [
      ...inFile("common/quantise.cuh",
        ["transposed copy off by one row", "row0 + piece * 16) = get(column, piece);", "row0 + piece * 16 + (PLANTED ? 1 : 0)) = get(column, piece);"],
        ["amax without the last block", "if (!amax ||", "if (!amax || (PLANTED && blockIdx.x == gridDim.x - 1) ||"],
        ["no __syncthreads before a tile leaves", "__syncthreads();", "if (!PLANTED) __syncthreads();"]),
      ...inFile("fp8/quantise.cu",
        ["rows that know no pitch", "(size_t)(row + i) * pitch", "(size_t)(row + i) * (PLANTED ? columns : pitch)"],
        ["every row normed as the first of its four", "rstd[row + i]", "rstd[row + (PLANTED ? 0 : i)]"]),
    ],
  },
  {
    program: "norm",
    mutations: inFile("common/norm.cuh",
      ["a sum that does not wait for its warps", "__syncthreads();\n    v = 0;", "if (!PLANTED) __syncthreads();\n    v = 0;"],
      ["sums of two rows in one place", "meet[row % 2]", "meet[PLANTED ? 0 : row % 2]"]),
  },
  {
    program: "norm-fp8",
    mutations: [
      ...inFile("common/norm.cuh",
        ["copies of what dx was before it was rounded", "unpack(d, a);", "if (!PLANTED) unpack(d, a);"],
        ["the row after a slab fetched from the slab beside", "first + gridDim.x * run);\n            float dot", "first + (PLANTED ? 1 : gridDim.x) * run);\n            float dot"]),
      ...inFile("fp8/norm-fp8.cu",
        ["rows of a slab one place on", "at<uint2>(row % ROWS, channel)", "at<uint2>((row + (PLANTED ? 1 : 0)) % ROWS, channel)"],
        ["transposed rows past the end as they were", "row + i < rows ?", "PLANTED || row + i < rows ?"],
        ["a slab that leaves before it is full", "__syncthreads();", "if (!PLANTED) __syncthreads();"]),
    ],
  },
  {
    program: "swiglu-fp8",
    mutations: inFile("fp8/swiglu-fp8.cu",
      ["transposed gradient of up one line early", "t + (size_t)F * stride,", "t + (size_t)(PLANTED ? F - 1 : F) * stride,"],
      ["transposed h scaled like the gradients", "cast<Fp8::e4m3>(h, h_factor)", "cast<Fp8::e4m3>(h, PLANTED ? factor : h_factor)"],
      ["magnitudes of the gradients of gates alone", "largest(largest(top, g), u)", "(PLANTED ? largest(top, g) : largest(largest(top, g), u))"]),
  },
  {
    program: "rope",
    mutations: inFile("fused/rope.cu",
      ["gradients turned forward", "inverse ? -s[i] : s[i]", "inverse && !PLANTED ? -s[i] : s[i]"],
      ["positions of the row before", "position = positions[row];", "position = positions[PLANTED && in ? row - 1 : row];"]),
  },
  {
    program: "rope-fp8",
    mutations: [
      ...inFile("fp8/rope-fp8.cu",
        ["gradients turned forward", "u * cosine + v * sine", "u * cosine + (PLANTED ? -v : v) * sine"],
        ["cosines for sines", "(angles + half); }", "(angles + (PLANTED ? 0 : half)); }"],
        ["transposed rows past the end as they were", "if (row >= rows) continue;", "if (!PLANTED && row >= rows) continue;"]),
      ...inFile("common/quantise.cuh", ["a tile that leaves before it is full", "__syncthreads();", "if (!PLANTED) __syncthreads();"]),
    ],
  },
  {
    program: "cross-entropy",
    mutations: inFile("fused/cross-entropy.cu",
      ["parts of a sum read before they are there", "__syncthreads();\n    p = ", "if (!PLANTED) __syncthreads();\n    p = "],
      ["gradients written over logits that others still read", "if constexpr (sizeof(T) < 4) __syncthreads();", "if (sizeof(T) < 4 && !PLANTED) __syncthreads();"]),
  },
  {
    program: "embedding",
    mutations: inFile("fused/embedding.cu", ["no last partial share of a long segment", "(s.count + SUM_WARPS - 1) / SUM_WARPS", "(s.count + (PLANTED ? 0 : SUM_WARPS - 1)) / SUM_WARPS"]),
  },
  {
    program: "key-value-append",
    mutations: inFile("attention/key-value-append.cu",
      ["a position past the cache written", "position >= S", "(!PLANTED && position >= S)"],
      ["texts that start where the first does", "((size_t)b * S + position)", "((size_t)(PLANTED ? 0 : b) * S + position)"],
      ["all new positions at the first", "position = *stored + t;", "position = *stored + (PLANTED ? 0 : t);"]),
  },
  {
    program: "updates",
    mutations: inFile("updates/gradient-norm.cu",
      ["chunks that count the gradients before theirs", "blockIdx.x - first_block", "blockIdx.x - (PLANTED ? 0 : first_block)"],
      ["sums of other warps read early", "__syncthreads();", "if (!PLANTED) __syncthreads();"]),
  },
  {
    program: "adamw",
    mutations: [
      ...inFile("updates/adamw.cu",
        ["weight decay forgotten", "fmaf(p[i], decay,", "fmaf(p[i], PLANTED ? 1 : decay,"],
        ["a step taken whose factor is not finite", "if (adamw::finite(factor))", "if (PLANTED || adamw::finite(factor))"],
        ["copies of fp8 that know no rows of other weights", "(size_t)(from + j) * own.stride", "(size_t)(from + j) * (PLANTED ? rows : own.stride)"],
        ["tiles that count the matrices before theirs", "blockIdx.x - own.first);\n    const int lane", "blockIdx.x - (PLANTED ? 0 : own.first));\n    const int lane"]),
      ...inFile("updates/table.cuh", ["the first block of a tensor taken for the one before", "first <= blockIdx.x", "first + (PLANTED ? 1 : 0) <= blockIdx.x"]),
      ...inFile("common/quantise.cuh", ["no __syncthreads between a tile and its transposition", "__syncthreads();", "if (!PLANTED) __syncthreads();"]),
    ],
  },
];
