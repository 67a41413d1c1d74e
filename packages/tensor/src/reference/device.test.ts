import { conformance } from "@danu/testing";

import { referenceDevice } from "./device.ts";

conformance("the reference device in f32", () => referenceDevice(), { runs: 10 });
