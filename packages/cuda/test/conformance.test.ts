import { conformance } from "@danu/testing";
import { beforeAll, describe } from "vitest";

import { attentionCases } from "../../attention/test/conformance-cases.ts";
import { dpoCases } from "../../dpo/test/conformance-cases.ts";
import { optimCases } from "../../optim/test/conformance-cases.ts";
import type { CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";
import { openOn } from "./standin/on-chip.ts";

// Hopper runs what the other chips run, and more: it gets the most of the time.
const chips = [
  { capability: "9.0", products: "danu", runs: 20 }, { capability: "8.0", products: "danu", runs: 6 }, { capability: "8.9", products: "cublaslt", runs: 6 },
] as const;

describe.skipIf(twinMissing)(`kernels on the CPU twin${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load();
  }, 900_000);

  for (const { capability, products, runs } of chips) {
    const makeDevice = (): CudaDevice => {
      standin.reset();
      standin.setChip({ capability });
      return openOn(standin, products);
    };
    conformance(`CUDA, compute capability ${capability}, products of ${products}`, makeDevice, { runs, cases: [...attentionCases, ...optimCases, ...dpoCases] });
  }
});
