import { disposeTree, encode, keep, linear, scope, tensor, tensorFromBytes, zeros, type DType, type Tensor, type Values } from "@danu/tensor";
import { hostTensor, relativeError, upload } from "@danu/testing";
import fc from "fast-check";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import { multiplyFp8, multiplyFp8Group, type Fp8Product, type Fp8Use } from "../src/kernels/fp8/fp8-product.ts";
import { multiply } from "../src/kernels/products/matmul.ts";
import { layoutOf, type Layout, type Operand, type Product } from "../src/kernels/products/product.ts";
import { twinMissing } from "./cuda-home.ts";
import { expectRight, type Sample } from "./fp8-product-cases.ts";
import { productsIn, testProducts } from "./product-cases.ts";
import { Standin } from "./standin/control.ts";
import { onChip, openOn } from "./standin/on-chip.ts";

/** A product in all that may be said of one. */
interface Described extends Pick<Product, "M" | "N" | "K" | "layout" | "count" | "steps" | "dtype" | "result"> {
  /** Elements of each row of a that do not belong to it. */
  readonly margin: number;
  readonly residual: "none" | "apart" | "in place";
  readonly seed: number;
}

const roundings: Readonly<Record<Operand, number>> = { f32: 2 ** -18, f16: 2 ** -10, bf16: 2 ** -7 };

/** What a product has on the host. */
interface HostProduct {
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly residual: readonly number[];
  readonly rowStepA: number;
}

function hostProductOf({ M, N, K, layout, count, steps, dtype, result, margin, seed }: Described): HostProduct {
  const [rows, columns] = layout[0] === "n" ? [M, K] : [K, M];
  const rowStepA = columns + margin;
  return {
    a: hostTensor(dtype, [(steps[0] * (count - 1)) * M * K + rows * rowStepA], seed).values,
    b: hostTensor(dtype, [(steps[1] * (count - 1) + 1) * N * K], seed + 1).values,
    residual: hostTensor(result, [count, M, N], seed + 2).values, rowStepA,
  };
}

/** The sums that the formula asks for. */
function expectedOf({ M, N, K, layout, count, steps, residual: added }: Described, { a, b, residual, rowStepA }: HostProduct): Float64Array {
  const [ta, tb] = [layout[0] === "t", layout[1] === "t"];
  return Float64Array.from({ length: count * M * N }, (_, at) => {
    const [index, m, n] = [Math.floor(at / (M * N)), Math.floor(at / N) % M, at % N];
    const [firstA, firstB] = [index * steps[0] * M * K, index * steps[1] * K * N];
    let sum = added === "none" ? 0 : residual[at]!;
    for (let k = 0; k < K; k++) sum += a[firstA + (ta ? k * rowStepA + m : m * rowStepA + k)]! * b[firstB + (tb ? n * K + k : k * N + n)]!;
    return sum;
  });
}

async function resultOf(cuda: CudaDevice, product: Described, { a, b, residual: added, rowStepA }: HostProduct): Promise<Values> {
  const { dtype, result, residual, margin, M, N, count, ...rest } = product;
  const put = (values: readonly number[], type: Operand): Tensor => tensor(cuda, values, [values.length], type);
  using y = scope(() => {
    const [left, right, other] = [put(a, dtype), put(b, dtype), put(added, result)];
    const y = keep(residual === "in place" ? put(added, result) : zeros(cuda, [count * M * N], result));
    multiply(cuda, {
      ...rest, M, N, count, dtype, result, y: y.handle, a: left.handle, b: right.handle,
      residual: residual === "none" ? 0 : residual === "apart" ? other.handle : y.handle, ...(margin === 0 ? {} : { rowStepA }),
    });
    return y;
  });
  return await y.read();
}

const sizes = fc.constantFrom(1, 2, 3, 8, 17, 40, 64);
const products: fc.Arbitrary<Described> = fc.record({
  M: sizes, N: sizes, K: fc.constantFrom(1, 6, 16, 33, 200), transposeA: fc.boolean(), transposeB: fc.boolean(), count: fc.constantFrom(1, 1, 3),
  steps: fc.constantFrom<[number, number]>([1, 1], [1, 0], [0, 1], [2, 1]), dtype: fc.constantFrom<Operand>("f32", "bf16", "f16"), isWide: fc.boolean(),
  margin: fc.constantFrom(0, 0, 8), residual: fc.constantFrom("none" as const, "apart" as const, "in place" as const), seed: fc.integer({ min: 0, max: 1e6 }),
}).map(({ transposeA, transposeB, isWide, margin, ...rest }) => ({
  ...rest, layout: layoutOf(rest.M, rest.N, transposeA, transposeB), result: isWide ? "f32" : rest.dtype, margin: rest.count === 1 ? margin : 0,
}));

type Shape = readonly [M: number, N: number, K: number];
const operandTypes = {
  bf16: ["bf16", "bf16"], forward: ["f8e4m3", "f8e4m3"], inputGradient: ["f8e5m2", "f8e4m3"], weightGradient: ["f8e5m2", "f8e4m3"],
} as const;

// A prime, so that rows of no large matrix are equal.
const DRAWN = 65_537;

/** Bytes of as many drawn numbers as a large matrix takes turns with. */
function drawnBytes(dtype: DType, seed: number): Uint8Array {
  return encode(dtype, hostTensor(dtype, [DRAWN], seed).values);
}

/** A matrix of drawn numbers, which come again and again: to draw all takes minutes. */
function recurring(cuda: CudaDevice, drawn: Uint8Array, shape: readonly [rows: number, columns: number], dtype: DType): Tensor {
  const bytes = new Uint8Array(shape[0] * shape[1] * cuda.bytesPerElement(dtype));
  for (let at = 0; at < bytes.length; at += drawn.length) bytes.set(drawn.subarray(0, bytes.length - at), at);
  return tensorFromBytes(cuda, bytes, shape, dtype);
}

const layouts: readonly Layout[] = ["nn", "nt", "tn", "tt"];
const pairs = [["f32", "f32"], ["bf16", "bf16"], ["bf16", "f32"], ["f16", "f16"], ["f16", "f32"]] as const;

describe.skipIf(twinMissing)(`products of cuBLASLt${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["cast", "elementwise", "few-rows", "gemm", "matmul"]);
  }, 600_000);
  beforeEach(() => standin.clear());
  /** Whether cuBLASLt was asked for a way to do a product. */
  const isAsked = (): boolean => standin.calls().some((call) => call.startsWith("cublasLtMatmulAlgoGetHeuristic"));
  afterEach(() => expect(standin.reports()).toEqual([]));

  describe("where danu has no kernels for Hopper", () => {
    let cuda: CudaDevice;
    onChip(() => standin, "8.9", (opened) => (cuda = opened), "cublaslt");

    testProducts(() => cuda);

    async function expectDescribed(product: Described): Promise<void> {
      const host = hostProductOf(product);
      const actual = await resultOf(cuda, product, host);
      expect(relativeError(actual, expectedOf(product, host))).toBeLessThan(roundings[product.result]);
      expect(await resultOf(cuda, product, host)).toEqual(actual);
    }

    test("every order, type, distance, batch and residual", async () => {
      await fc.assert(fc.asyncProperty(products, expectDescribed), { numRuns: 150, seed: 4 });
    }, 300_000);

    test.each(layouts.flatMap((layout) => pairs.map(([dtype, result]) => [layout, dtype, result] as const)))("it does %s of %s into %s", async (layout, dtype, result) => {
      const shape = { M: 32, N: 48, K: 64, layout, dtype, result, seed: 3 };
      await expectDescribed({ ...shape, count: 1, steps: [0, 0], margin: 16, residual: "none" });
      await expectDescribed({ ...shape, count: 2, steps: [1, 0], margin: 0, residual: "in place" });
      expect(productsIn(standin.calls())).toEqual(Array.from({ length: 4 }, () => "cublasLtMatmul"));
    });

    const wide = { M: 40, N: 144, K: 160, margin: 16 };
    test.each<[use: Fp8Use, sample: Sample, by: string]>([
      ["forward", wide, "cublasLtMatmul"],
      ["inputGradient", wide, "cublasLtMatmul"],
      ["weightGradient", wide, "cublasLtMatmul"],
      ["forward", { M: 16, N: 32, K: 48, margin: 0 }, "cublasLtMatmul"],
      ["forward", { ...wide, margin: 8 }, "matmul_e4m3_nt"],
      ["forward", { ...wide, N: 136 }, "matmul_e4m3_nt"],
      ["inputGradient", { ...wide, K: 152, margin: 4 }, "matmul_e5m2_nt"],
      ["weightGradient", { ...wide, K: 0 }, "matmul_e5m2_nt"],
    ])("fp8: %s, %j", async (use, sample, by) => {
      await expectRight(cuda, use, [sample], ([product]) => multiplyFp8(cuda, use, product!), 2 ** -8);
      expect(productsIn(standin.calls())).toEqual([by]);
      expect(isAsked()).toBe(by === "cublasLtMatmul");
    });

    test("fp8 with a residual", async () => {
      const [zero, ones] = await Promise.all([0, 1].map(async (value) => {
        using residual = tensor(cuda, Array.from({ length: 16 * 32 }, () => value), [16, 32], "bf16");
        using y = zeros(cuda, [16, 32], "bf16");
        const operands = scope(() => [keep(upload(cuda, hostTensor("f8e4m3", [16, 32], 1))), keep(upload(cuda, hostTensor("f8e4m3", [32, 32], 2))), keep(tensor(cuda, [0.5], []))]);
        const [a, b, scale] = operands as [Tensor, Tensor, Tensor];
        multiplyFp8(cuda, "forward", { y: y.handle, a: a.handle, b: b.handle, scaleA: scale.handle, scaleB: scale.handle, M: 16, N: 32, K: 32 }, residual.handle);
        disposeTree(operands);
        return await y.read();
      }));
      expect(relativeError(ones!, Float64Array.from(zero!, (value) => value + 1))).toBeLessThan(2 ** -7);
      expect(productsIn(standin.calls())).toEqual(["cublasLtMatmul", "cublasLtMatmul"]);
    });

    test("gradients of several weights", async () => {
      const samples = [{ M: 16, N: 32, K: 144, margin: 0 }, { M: 0, N: 16, K: 144, margin: 0 }, { M: 48, N: 16, K: 32, margin: 16 }];
      await expectRight(cuda, "weightGradient", samples, (products: readonly Fp8Product[]) => multiplyFp8Group(cuda, products), 2 ** -8);
      expect(productsIn(standin.calls())).toEqual(["cublasLtMatmul", "cublasLtMatmul"]);
    });

    test("repeated work goes into a graph, with the workspace", async () => {
      const [x, weight] = [tensor(cuda, Array.from({ length: 8 * 256 }, (_, i) => (i % 7) - 3), [8, 256], "bf16"), upload(cuda, hostTensor("bf16", [32, 256], 2))];
      const once = async (): Promise<Values> => {
        using y = scope(() => linear(x, weight));
        return await y.read();
      };
      const work = cuda.repeat(() => linear(x, weight))!;
      for (const value of [3, 4, 5]) {
        cuda.write(x.handle, cuda.encode("bf16", Array.from({ length: 8 * 256 }, (_, i) => (i % value) - 1)));
        expect(await work.run().read()).toEqual(await once());
      }
      expect(standin.calls().filter((call) => call.startsWith("cuGraphLaunch"))).toHaveLength(2);
      expect(new Set(productsIn(standin.calls()))).toEqual(new Set(["cublasLtMatmul"]));
      work[Symbol.dispose]();
      disposeTree([x, weight]);
    });
  });

  describe("beside danu's kernels for Hopper", () => {
    // M, N and K of Danube's layers with few tokens, 40 to 108 pairs of tiles; plain loops take the smallest that danu's kernels
    // take.
    const shapes = (): readonly Shape[] => (
      standin.cublasLt === standin.library ? [[32, 8320, 32]] : [[1040, 2560, 2560], [272, 13_824, 2560], [784, 2560, 6912]]
    );

    async function productBy(products: "danu" | "cublaslt", use: Fp8Use | "bf16", [M, N, K]: Shape, drawn: readonly Uint8Array[]): Promise<Values> {
      standin.setChip({ capability: products === "danu" ? "9.0" : "8.9" });
      using cuda = openOn(standin, products);
      using y = scope(() => {
        const [a, b] = operandTypes[use].map((dtype, i) => recurring(cuda, drawn[i]!, i === 0 ? [M, K] : [N, K], dtype)) as [Tensor, Tensor];
        const y = keep(zeros(cuda, [M, N], use === "weightGradient" ? "f32" : "bf16"));
        const operands = { y: y.handle, a: a.handle, b: b.handle, M, N, K };
        if (use === "bf16") multiply(cuda, { ...operands, residual: 0, dtype: "bf16", result: "bf16", layout: "nt", count: 1, steps: [0, 0] });
        else multiplyFp8(cuda, use, { ...operands, scaleA: tensor(cuda, [0.5], []).handle, scaleB: tensor(cuda, [0.25], []).handle });
        return y;
      });
      return await y.read();
    }

    test.each<[use: Fp8Use | "bf16", kernel: string]>([
      ["bf16", "gemm_bf16_forward"], ["forward", "gemm_fp8_forward"], ["inputGradient", "gemm_fp8_input_gradient"], ["weightGradient", "gemm_fp8_weight_gradient"],
    ])("large products, %s", async (use, kernel) => {
      const drawn = operandTypes[use].map(drawnBytes);
      for (const shape of shapes()) {
        standin.reset();
        const own = await productBy("danu", use, shape, drawn);
        expect(relativeError(await productBy("cublaslt", use, shape, drawn), own)).toBeLessThan(2 ** -7);
        expect(productsIn(standin.calls())).toEqual([kernel, "cublasLtMatmul"]);
      }
    }, 120_000);
  });

  test("before Ada products in fp8 stay with danu's kernels", async () => {
    standin.reset();
    standin.setChip({ capability: "8.0" });
    using cuda = openOn(standin, "cublaslt");
    await expectRight(cuda, "forward", [{ M: 16, N: 32, K: 48, margin: 0 }], ([product]) => multiplyFp8(cuda, "forward", product!));
    expect(productsIn(standin.calls())).toEqual(["matmul_e4m3_nt"]);
    expect(isAsked()).toBe(false);
  });

  describe("on Hopper", () => {
    let cuda: CudaDevice;
    onChip(() => standin, "9.0", (opened) => (cuda = opened), "cublaslt");

    test("large products stay with danu's kernels, small ones go to cuBLASLt", async () => {
      const base = { K: 32, layout: "nt", dtype: "bf16", result: "bf16", count: 1, steps: [0, 0], margin: 0, residual: "none", seed: 5 } as const;
      for (const product of [{ ...base, M: 32, N: 8320 }, { ...base, M: 32, N: 64 }]) {
        const host = hostProductOf(product);
        expect(relativeError(await resultOf(cuda, product, host), expectedOf(product, host))).toBeLessThan(roundings.bf16);
      }
      expect(productsIn(standin.calls())).toEqual(["gemm_bf16_forward", "cublasLtMatmul"]);
    }, 120_000);
  });
});
