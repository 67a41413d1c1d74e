import { readFileSync } from "node:fs";
import { join } from "node:path";

import { decode, scope, keep, tensor, tensorFromBytes, zeros, type DType, type Tensor } from "@danu/tensor";
import { relativeError } from "@danu/testing";
import { beforeAll, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import { multiplyFp8 } from "../src/kernels/fp8/fp8-product.ts";
import { multiply } from "../src/kernels/products/matmul.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

// cuBLAS as the oracle, on a GPU with PyTorch: gpu/cublas.py writes its products into this folder.
const folder = process.env["DANU_CUBLAS_PRODUCTS"];

interface Stored {
  readonly file: string;
  readonly dtype: DType;
  readonly shape: readonly [number, number];
}
interface Case {
  readonly use: "forward" | "inputGradient" | "bf16";
  readonly a: Stored;
  readonly b: Stored;
  readonly y: Stored;
}

const cases = folder === undefined ? [] : (JSON.parse(readFileSync(join(folder, "index.json"), "utf8")) as { readonly cases: readonly Case[] }).cases;
const bytesOf = ({ file }: Stored): Uint8Array => readFileSync(join(folder!, file));

function productOf(cuda: CudaDevice, { use, a, b, y }: Case): Tensor {
  return scope(() => {
    const put = (stored: Stored): Tensor => tensorFromBytes(cuda, bytesOf(stored), stored.shape, stored.dtype);
    const [left, right, result] = [put(a), put(b), keep(zeros(cuda, y.shape, y.dtype))];
    const [M, K, N] = [...a.shape, b.shape[0]];
    const operands = { y: result.handle, a: left.handle, b: right.handle, M, N, K };
    if (use === "bf16") multiply(cuda, { ...operands, residual: 0, dtype: "bf16", result: "bf16", layout: "nt", count: 1, steps: [0, 0] });
    else {
      const [scaleA, scaleB] = [tensor(cuda, [0.5], []), tensor(cuda, [0.25], [])];
      multiplyFp8(cuda, use, { ...operands, scaleA: scaleA.handle, scaleB: scaleB.handle });
    }
    return result;
  });
}

describe.skipIf(folder === undefined)("products of cuBLAS, where DANU_CUBLAS_PRODUCTS has what gpu/cublas.py wrote", () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["elementwise", "gemm", "matmul"]);
  }, 600_000);

  describe.each(["9.0", "8.9"])("on compute capability %s", (capability) => {
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened));

    test.each(cases.map((one) => [`${one.use} [${one.a.shape.join(", ")}] · [${one.b.shape.join(", ")}]ᵀ`, one] as const))("%s", async (_, one) => {
      using product = productOf(cuda, one);
      // Both round sums in f32 to bf16 once.
      expect(relativeError(await product.read(), decode(one.y.dtype, bytesOf(one.y)))).toBeLessThan(2 ** -8);
    }, 120_000);
  });
});
