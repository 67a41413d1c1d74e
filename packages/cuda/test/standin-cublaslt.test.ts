import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { WORKSPACE_BYTES } from "../src/cublaslt/cublaslt.ts";
import { Description, type ColumnMajor, type Multiplication } from "../src/cublaslt/description.ts";
import { CublasLtLibrary } from "../src/cublaslt/library.ts";
import type { CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";
import { openOn } from "./standin/on-chip.ts";

const [INVALID_VALUE, NOT_SUPPORTED] = [7, 15];
const one = new Float32Array(new ArrayBuffer(256), 0, 1).fill(1);

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(256));
  bytes[0] = value;
  return bytes;
}

/** What a product may be called with beside what it was asked with. */
interface Changes {
  readonly A?: number;
  readonly D?: number;
  readonly algorithm?: Uint8Array;
  readonly workspaceBytes?: number;
  readonly alpha?: Float32Array;
}

// What other tests take from the stand-in is that nothing wrong goes unnoticed, so that is what these look at.
describe.skipIf(twinMissing)(`the stand-in for cuBLASLt${twinMissing}`, () => {
  let standin: Standin;
  let library: CublasLtLibrary;
  let cuda: CudaDevice;
  beforeAll(async () => {
    standin = await Standin.load([]);
    library = CublasLtLibrary.load(standin.cublasLt);
  }, 600_000);
  beforeEach(() => open("9.0"));
  afterEach(() => cuda[Symbol.dispose]());

  function open(capability: string): void {
    cuda?.[Symbol.dispose]();
    standin.reset();
    standin.setChip({ capability });
    cuda = openOn(standin);
  }

  const matrix = (type: ColumnMajor["type"], rows: number, columns: number, step = rows): ColumnMajor => ({ type, rows, columns, step, stride: step * columns });

  /** A `[32, 16]` = `[32, 64]` · `[64, 16]` by columns, A transposed; every matrix has 4096 bytes. */
  function product(type: ColumnMajor["type"] = "bf16", other: ColumnMajor["type"] = type, changes: Partial<Multiplication> = {}): Multiplication {
    const [A, B, D] = [cuda.allocate(4096), cuda.allocate(4096), cuda.allocate(4096)];
    return {
      A: matrix(type, 64, 32), B: matrix(other, 64, 16), D: matrix("bf16", 32, 16), transposeA: true, transposeB: false, count: 1, fastAccumulation: false,
      operands: { A, B, C: 0, D, scaleA: 0, scaleB: 0 }, ...changes,
    };
  }

  /** Asks for an algorithm. @param reductions that sums of parts may be of, those of danu by default */
  function ask(asked: Multiplication, reductions?: number): { readonly status: number; readonly found: number; readonly algorithm: Uint8Array } {
    const { functions } = library;
    using described = new Description(library, asked, WORKSPACE_BYTES);
    const { operation, A, B, D, preference } = described;
    if (reductions !== undefined) functions.MatmulPreferenceSetAttribute(preference, 3, word(reductions), 4);
    const [results, found] = [new Uint8Array(4096), new Int32Array(1)];
    const handle = library.handle("cublasLtCreate", (out) => functions.Create(out));
    const status = functions.MatmulAlgoGetHeuristic(handle, operation, A, B, D, D, preference, 1, results, found);
    functions.Destroy(handle);
    return { status, found: found[0]!, algorithm: results.slice(0, 64) };
  }

  /** Calls a product. @returns the status */
  function call(asked: Multiplication, changes: Changes = {}): number {
    const { functions } = library;
    const { operands } = asked;
    const { A: at = operands.A, D: to = operands.D, algorithm = ask(asked).algorithm, workspaceBytes = WORKSPACE_BYTES, alpha = one } = changes;
    using described = new Description(library, asked, WORKSPACE_BYTES);
    const { operation, A, B, D } = described;
    const handle = library.handle("cublasLtCreate", (out) => functions.Create(out));
    const status = functions.Matmul(
      handle, operation, alpha, at, A, operands.B, B, new Float32Array(1), to, D, to, D, algorithm, cuda.allocate(workspaceBytes), workspaceBytes, 0,
    );
    functions.Destroy(handle);
    return status;
  }

  const reported = (text: RegExp): void => expect(standin.reports()).toEqual([expect.stringMatching(text)]);

  test("does what is right, and says nothing", () => {
    expect([ask(product()), ask(product("f8e4m3")), ask(product("f8e4m3", "f8e5m2"))]).toEqual(Array.from({ length: 3 }, () => expect.objectContaining({ status: 0, found: 1 }) as unknown));
    expect([call(product()), standin.reports()]).toEqual([0, []]);
  });

  test.each<[name: string, changes: (own: Multiplication) => Changes, report: RegExp]>([
    ["a matrix aligned to less than was told", ({ operands: { A } }) => ({ A: A + 2 }), /aligned to less than was told/],
    ["too small a workspace", () => ({ workspaceBytes: 16 }), /a workspace of 16 bytes, needed are 2048/],
    ["half an algorithm", (own) => ({ algorithm: ask(own).algorithm.fill(0, 32) }), /without an algorithm/],
    ["an algorithm for another product", () => ({ algorithm: ask(product("f16", "f16", { D: matrix("f16", 32, 16) })).algorithm }), /an algorithm for another product/],
    ["a factor in alpha", () => ({ alpha: new Float32Array([2]) }), /a product times 2/],
  ])("refuses %s", (_, changes, report) => {
    const own = product();
    expect(call(own, changes(own))).toBe(INVALID_VALUE);
    reported(report);
  });

  test("stops a product that leaves its memory", () => {
    const own = product();
    expect(call(own, { D: cuda.allocate(512) })).toBe(0);
    reported(/^cublasLtMatmul: D, 1024 bytes from .* of allocation #\d+ of 512 bytes$/);
  });

  test.each([1, 3, 4, 7])("refuses sums of parts as %d, in place or rounded", (reductions) => {
    expect(ask(product(), reductions).status).toBe(INVALID_VALUE);
    reported(/sums of parts as/);
  });

  test("refuses attributes that it does not have, or of other sizes, matrices that overlap themselves, and TF32", () => {
    const { functions } = library;
    using described = new Description(library, product(), WORKSPACE_BYTES);
    const out = new BigUint64Array(1);
    expect([
      functions.MatmulDescSetAttribute(described.operation, 3, word(1), 8), functions.MatmulDescSetAttribute(described.operation, 99, word(1), 4),
      functions.MatrixLayoutSetAttribute(described.A, 5, word(1), 8), functions.MatmulPreferenceSetAttribute(described.preference, 1, word(1), 4),
      functions.MatrixLayoutCreate(out, 14, 64, 32, 63), functions.MatmulDescCreate(out, 77, 0),
    ]).toEqual(Array.from({ length: 6 }, () => INVALID_VALUE));
    expect(standin.reports()).toHaveLength(6);
  });

  test("refuses matrices that do not fit", () => {
    expect(ask(product("bf16", "bf16", { B: matrix("bf16", 48, 16) })).status).toBe(INVALID_VALUE);
    reported(/do not fit/);
  });

  test.each<[name: string, own: () => Multiplication]>([
    ["other than transposed times plain", () => product("f8e4m3", "f8e4m3", { A: matrix("f8e4m3", 32, 64), transposeA: false })],
    ["of gradients times gradients", () => product("f8e5m2")],
    ["whose columns do not start at multiples of 16 bytes", () => product("f8e4m3", "f8e4m3", { A: matrix("f8e4m3", 64, 32, 72) })],
    ["whose columns are no multiples of 16 bytes", () => product("f8e4m3", "f8e4m3", { A: matrix("f8e4m3", 56, 32, 64), B: matrix("f8e4m3", 56, 16, 64) })],
  ])("has nothing for fp8 %s", (_, own) => {
    expect(ask(own())).toMatchObject({ status: NOT_SUPPORTED, found: 0 });
    expect(standin.reports()).toEqual([]);
  });

  test("has nothing for fp8 before Ada", () => {
    open("8.6");
    expect(ask(product("f8e4m3"))).toMatchObject({ status: NOT_SUPPORTED, found: 0 });
  });

  test("tells of what is left when a context ends", () => {
    const left = new Description(library, product(), WORKSPACE_BYTES);
    library.handle("cublasLtCreate", (out) => library.functions.Create(out));
    cuda[Symbol.dispose]();
    expect(standin.reports().map((line) => /with an? (cuBLASLt \w+)$/.exec(line)?.[1]).sort()).toEqual([
      "cuBLASLt handle", "cuBLASLt layout", "cuBLASLt layout", "cuBLASLt layout", "cuBLASLt operation", "cuBLASLt preference",
    ]);
    expect(left.operation).not.toBe(0);
  });
});
