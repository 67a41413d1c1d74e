import { conformance } from "@danu/testing";
import { beforeAll, describe } from "vitest";

import { attentionCases } from "../../attention/test/conformance-cases.ts";
import { dpoCases } from "../../dpo/test/conformance-cases.ts";
import { optimCases } from "../../optim/test/conformance-cases.ts";
import { cudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";

// Hopper runs what the other chips run, and more: it gets the most of the time.
const chips = [{ capability: "9.0", runs: 20 }, { capability: "8.0", runs: 6 }];

describe.skipIf(twinMissing)(`kernels on the CPU twin${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load();
  }, 900_000);

  for (const { capability, runs } of chips) {
    const makeDevice = (): ReturnType<typeof cudaDevice> => {
      standin.reset();
      standin.setChip({ capability });
      return cudaDevice({ driver: standin.library, kernels: standin.folder });
    };
    conformance(`CUDA, compute capability ${capability}`, makeDevice, { runs, cases: [...attentionCases, ...optimCases, ...dpoCases] });
  }
});
