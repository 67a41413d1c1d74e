import { referenceDevice } from "@danu/tensor";
import { conformance } from "@danu/testing";

import { dpoCases } from "./conformance-cases.ts";

conformance("the reference device with the ops of dpo", () => referenceDevice(), { runs: 4, cases: dpoCases });
