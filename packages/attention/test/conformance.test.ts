import { referenceDevice } from "@danu/tensor";
import { conformance } from "@danu/testing";

import { attentionCases } from "./conformance-cases.ts";

conformance("the reference device with the ops of attention", () => referenceDevice(), {
  runs: 4,
  cases: attentionCases,
});
