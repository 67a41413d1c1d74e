type Queue = unknown;
type Address = number;

/** Functions of the C ABI as TypeScript calls them. Sizes are in elements unless named bytes; addresses are numbers. */
export interface Prototypes {
  isa(): number;
  create(threads: number): Queue;
  destroy(q: Queue): void;
  threads(q: Queue): number;
  alloc(q: Queue, bytes: number): Address;
  free(q: Queue, address: Address): number;
  memory(q: Queue, out: BigInt64Array): void;
  resetPeak(q: Queue): void;
  trim(q: Queue): void;
  write(q: Queue, to: Address, host: Uint8Array, bytes: number): void;
  read(q: Queue, count: number, host: Uint8Array, from: Address, bytes: number): void;
  copy(q: Queue, to: Address, from: Address, bytes: number): void;
  fill(q: Queue, to: Address, value: number, elementBytes: number, count: number): number;
  submitted(q: Queue): number;
  waitUntil(q: Queue, count: number): void;
  idle(q: Queue): number;
  error(q: Queue, out: BigInt64Array): number;
  peakFlops(q: Queue, dtype: number, milliseconds: number): number;
  readBandwidth(q: Queue, bytes: number, milliseconds: number): number;
  gemm(
    q: Queue, c: Address, a: Address, b: Address, residual: Address, m: number, n: number, k: number,
    lda: number, ldb: number, ldc: number, ldr: number, transposeA: number, transposeB: number,
    dtypeIn: number, dtypeC: number, accumulate: number, alpha: number,
  ): number;
  gemmBatched(
    q: Queue, c: Address, a: Address, b: Address, residual: Address, m: number, n: number, k: number,
    lda: number, ldb: number, ldc: number, ldr: number, transposeA: number, transposeB: number,
    dtypeIn: number, dtypeC: number, accumulate: number, alpha: number,
    batch: number, strideA: number, strideB: number, strideC: number, strideR: number,
  ): number;
  cast(q: Queue, y: Address, x: Address, n: number, from: number, to: number): number;
  unary(q: Queue, y: Address, x: Address, kind: number, n: number, dtype: number): number;
  binary(
    q: Queue, y: Address, a: Address, b: Address, kind: number, rank: number,
    shape: BigInt64Array, stridesA: BigInt64Array, stridesB: BigInt64Array, dtype: number,
  ): number;
  where(
    q: Queue, y: Address, mask: Address, a: Address, b: Address, rank: number, shape: BigInt64Array,
    stridesMask: BigInt64Array, stridesA: BigInt64Array, stridesB: BigInt64Array, dtype: number,
  ): number;
  addInto(q: Queue, y: Address, x: Address, n: number, dtypeY: number, dtypeX: number): number;
  scaleInto(q: Queue, y: Address, factor: Address, n: number, dtype: number): number;
  iota(q: Queue, y: Address, n: number, start: number, step: number, dtype: number): number;
  reduce(q: Queue, y: Address, x: Address, kind: number, outer: number, reduced: number, inner: number, dtype: number): number;
  argmax(q: Queue, y: Address, x: Address, outer: number, reduced: number, inner: number, dtype: number): number;
  stridedCopy(
    q: Queue, y: Address, x: Address, rank: number, shape: BigInt64Array, stridesY: BigInt64Array, stridesX: BigInt64Array,
    offsetY: number, offsetX: number, elementBytes: number,
  ): number;
  embeddingForward(q: Queue, y: Address, ids: Address, table: Address, n: number, C: number, V: number, dtype: number): number;
  embeddingBackward(q: Queue, dTable: Address, ids: Address, g: Address, n: number, C: number, V: number, dtype: number): number;
  rmsNormForward(
    q: Queue, y: Address, inverseRms: Address, x: Address, weight: Address, rows: number, C: number, eps: number, dtype: number,
  ): number;
  rmsNormBackward(
    q: Queue, dx: Address, dWeight: Address, g: Address, x: Address, weight: Address, inverseRms: Address,
    residualGradient: Address, rows: number, C: number, dtype: number,
  ): number;
  swigluForward(q: Queue, y: Address, gate: Address, up: Address, n: number, dtype: number): number;
  swigluBackward(q: Queue, dGate: Address, dUp: Address, g: Address, gate: Address, up: Address, n: number, dtype: number): number;
  linearCrossEntropy(
    q: Queue, losses: Address, dx: Address, dWeight: Address, x: Address, weight: Address, targets: Address, factors: Address,
    N: number, C: number, V: number, ignoreIndex: number, scale: number, dtype: number,
  ): number;
  sum(q: Queue, out: Address, x: Address, n: number): number;
  attentionForward(
    q: Queue, o: Address, logSumExp: Address, query: Address, key: Address, value: Address, documentStart: Address,
    B: number, T: number, S: number, H: number, G: number, D: number, slidingWindow: number, scale: number, dtype: number,
  ): number;
  attentionBackward(
    q: Queue, dQuery: Address, dKey: Address, dValue: Address, g: Address, query: Address, key: Address, value: Address,
    o: Address, logSumExp: Address, documentStart: Address,
    B: number, T: number, S: number, H: number, G: number, D: number, slidingWindow: number, scale: number, dtype: number,
  ): number;
  rope(
    q: Queue, y: Address, x: Address, table: Address, positions: Address, rows: number, H: number, D: number,
    tablePositions: number, inverse: number, dtype: number,
  ): number;
  adamw(
    q: Queue, param: Address, mean: Address, variance: Address, gradient: Address, copy: Address, gradientScale: Address,
    n: number, learningRate: number, beta1: number, beta2: number, eps: number, weightDecay: number,
    biasCorrection1: number, biasCorrection2: number,
  ): number;
  sumSquares(q: Queue, out: Address, x: Address, n: number, accumulate: number): number;
  clipScale(q: Queue, scale: Address, norm: Address, sumSquares: Address, maxNorm: number): number;
}

const queue = "void* q";
const address = (names: string): string => names.split(" ").map((name) => `uint64_t ${name}`).join(", ");
const size = (names: string): string => names.split(" ").map((name) => `int64_t ${name}`).join(", ");
const code = (names: string): string => names.split(" ").map((name) => `int32_t ${name}`).join(", ");
const real = (names: string): string => names.split(" ").map((name) => `double ${name}`).join(", ");
const sizes = (names: string): string => names.split(" ").map((name) => `const void* ${name}`).join(", ");
const status = (name: string, ...parameters: string[]): string => `int32_t danu_${name}(${[queue, ...parameters].join(", ")})`;

const gemm = [
  address("c a b residual"), size("m n k lda ldb ldc ldr"), code("transposeA transposeB dtypeIn dtypeC accumulate"), "float alpha",
];
const attention = [size("B T S H G D slidingWindow"), real("scale"), code("dtype")];

/** The declarations that koffi binds, in C. */
export const prototypes: Readonly<Record<keyof Prototypes, string>> = {
  isa: "int32_t danu_isa()",
  create: "void* danu_create(int32_t threads)",
  destroy: `void danu_destroy(${queue})`,
  threads: status("threads"),
  alloc: `uint64_t danu_alloc(${queue}, int64_t bytes)`,
  free: status("free", address("address")),
  memory: `void danu_memory(${queue}, _Out_ void* out)`,
  resetPeak: `void danu_reset_peak(${queue})`,
  trim: `void danu_trim(${queue})`,
  write: `void danu_write(${queue}, uint64_t to, const void* host, int64_t bytes)`,
  read: `void danu_read(${queue}, uint32_t count, _Out_ void* host, uint64_t from, int64_t bytes)`,
  copy: `void danu_copy(${queue}, uint64_t to, uint64_t from, int64_t bytes)`,
  fill: status("fill", address("to"), "uint32_t value", code("elementBytes"), size("count")),
  submitted: `uint32_t danu_submitted(${queue})`,
  waitUntil: `void danu_wait_until(${queue}, uint32_t count)`,
  idle: status("idle"),
  error: status("error", "_Out_ void* out"),
  peakFlops: `double danu_peak_flops(${queue}, int32_t dtype, int32_t milliseconds)`,
  readBandwidth: `double danu_read_bandwidth(${queue}, int64_t bytes, int32_t milliseconds)`,
  gemm: status("gemm", ...gemm),
  gemmBatched: status("gemm_batched", ...gemm, size("batch strideA strideB strideC strideR")),
  cast: status("cast", address("y x"), size("n"), code("from to")),
  unary: status("unary", address("y x"), code("kind"), size("n"), code("dtype")),
  binary: status("binary", address("y a b"), code("kind rank"), sizes("shape stridesA stridesB"), code("dtype")),
  where: status("where", address("y mask a b"), code("rank"), sizes("shape stridesMask stridesA stridesB"), code("dtype")),
  addInto: status("add_into", address("y x"), size("n"), code("dtypeY dtypeX")),
  scaleInto: status("scale_into", address("y factor"), size("n"), code("dtype")),
  iota: status("iota", address("y"), size("n"), real("start step"), code("dtype")),
  reduce: status("reduce", address("y x"), code("kind"), size("outer reduced inner"), code("dtype")),
  argmax: status("argmax", address("y x"), size("outer reduced inner"), code("dtype")),
  stridedCopy: status(
    "strided_copy", address("y x"), code("rank"), sizes("shape stridesY stridesX"), size("offsetY offsetX"), code("elementBytes"),
  ),
  embeddingForward: status("embedding_forward", address("y ids table"), size("n C V"), code("dtype")),
  embeddingBackward: status("embedding_backward", address("dTable ids g"), size("n C V"), code("dtype")),
  rmsNormForward: status("rms_norm_forward", address("y inverseRms x weight"), size("rows C"), real("eps"), code("dtype")),
  rmsNormBackward: status(
    "rms_norm_backward", address("dx dWeight g x weight inverseRms residualGradient"), size("rows C"), code("dtype"),
  ),
  swigluForward: status("swiglu_forward", address("y gate up"), size("n"), code("dtype")),
  swigluBackward: status("swiglu_backward", address("dGate dUp g gate up"), size("n"), code("dtype")),
  linearCrossEntropy: status(
    "linear_cross_entropy", address("losses dx dWeight x weight targets factors"), size("N C V ignoreIndex"), real("scale"), code("dtype"),
  ),
  sum: status("sum", address("out x"), size("n")),
  attentionForward: status("attention_forward", address("o logSumExp query key value documentStart"), ...attention),
  attentionBackward: status(
    "attention_backward", address("dQuery dKey dValue g query key value o logSumExp documentStart"), ...attention,
  ),
  rope: status("rope", address("y x table positions"), size("rows H D tablePositions"), code("inverse dtype")),
  adamw: status(
    "adamw", address("param mean variance gradient copy gradientScale"), size("n"),
    real("learningRate beta1 beta2 eps weightDecay biasCorrection1 biasCorrection2"),
  ),
  sumSquares: status("sum_squares", address("out x"), size("n"), code("accumulate")),
  clipScale: status("clip_scale", address("scale norm sumSquares"), real("maxNorm")),
};
