import { referenceDevice } from "@danu/tensor";
import { conformance } from "@danu/testing";

import { optimCases } from "./conformance-cases.ts";

conformance("the reference device with the ops of optim", () => referenceDevice(), { runs: 4, cases: optimCases });
