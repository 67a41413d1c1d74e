import { beforeAll, describe } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { testProducts } from "./product-cases.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

describe.skipIf(twinMissing)(`products of cuBLASLt${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["cast", "elementwise", "gemm", "matmul"]);
  }, 600_000);

  describe("of any shape", () => {
    let cuda: CudaDevice;
    onChip(() => standin, "8.9", (opened) => (cuda = opened), () => ({ products: "cublaslt", cublasLt: standin.cublasLt }));
    testProducts(() => cuda);
  });
});
