import { conformance } from "@danu/testing";

import { attentionCases } from "../../attention/test/conformance-cases.ts";
import { dpoCases } from "../../dpo/test/conformance-cases.ts";
import { optimCases } from "../../optim/test/conformance-cases.ts";
import { bestIsa, cpuDevice, isasUpTo } from "../src/index.ts";

const best = bestIsa();

// The best instruction set is what users run: it gets the most of the time.
for (const isa of isasUpTo(best)) {
  for (const threads of [1, 3]) {
    const runs = isa === best ? 20 : 6;
    conformance(`the CPU on ${isa}, ${threads} threads`, () => cpuDevice({ isa, threads }), {
      runs,
      cases: [...attentionCases, ...optimCases, ...dpoCases],
    });
  }
}
