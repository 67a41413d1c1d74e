import { writeSafetensors } from "@danu/model";
import { encode } from "@danu/tensor";

import { defineCommand, type Command } from "../cli/command.ts";
import { deviceFlags, openDevice } from "../cli/device.ts";
import { readJson } from "../cli/read-file.ts";
import { Reporter } from "../cli/reporter.ts";
import { computeLogits } from "../model/compute-logits.ts";
import { checkIdRows } from "../model/id-rows.ts";
import { loadModel } from "../model/open-model.ts";

export const command: Command = defineCommand({
  name: "logits",
  description: "Writes the scores of every next token as a safetensors file with one tensor, logits, f32 [B, T, V], "
    + "for comparison with other implementations.",
  flags: {
    model: { type: "text", value: "DIR", required: true, help: "model folder" },
    ids: { type: "text", value: "FILE", required: true, help: "JSON, [[id, …], …] with rows of equal length" },
    out: { type: "text", value: "FILE", required: true, help: "safetensors file to write" },
    dtype: { type: "choice", choices: ["f32", "bf16"], default: "f32", help: "element type to compute in" },
    ...deviceFlags,
  },
  examples: ["danu logits --model runs/stories/model --ids ids.json --out logits.safetensors"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    const json = await readJson(flags.ids);
    using open = openDevice(flags, io, reporter);
    using model = await loadModel(open.device, flags.model, flags.dtype);
    const ids = checkIdRows(json, model.config.vocabularySize, flags.ids);
    const shape = [ids.rows, ids.columns, model.config.vocabularySize];
    const show = (row: number): void => reporter.progress(`row ${row} of ${ids.rows}`);
    const values = await computeLogits(open.device, model, ids, show);
    const { out } = flags;
    await writeSafetensors(out, [{ name: "logits", dtype: "F32", shape, read: () => encode("f32", values) }]);
    reporter.result({ out, shape }, () => reporter.line(`wrote logits [${shape.join(", ")}] to ${out}`));
  },
});
