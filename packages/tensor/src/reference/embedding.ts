import { DeviceError } from "../errors.ts";
import type { KernelOf } from "../op.ts";
import type { embeddingGradOp, embeddingOp } from "../ops/embedding.ts";
import type { Tensor } from "../tensor.ts";
import type { ReferenceDevice } from "./device.ts";
import { load, store } from "./memory.ts";

/** Calls `row` for every id in range; reports the first that is not. */
function forEachRow(ids: Tensor, V: number, row: (id: number, i: number) => void): void {
  load(ids).forEach((id, i) => {
    if (id >= 0 && id < V) return row(id, i);
    (ids.device as ReferenceDevice).fail(new DeviceError(`embedding: expected ids from 0 to ${V - 1}, got ${id}`, { id, V }));
  });
}

export const embeddingKernel: KernelOf<typeof embeddingOp> = ([y], [ids, table]) => {
  const [V, C] = table.shape as [number, number];
  const rows = load(table);
  const result = new Float64Array(y.size);
  forEachRow(ids, V, (id, i) => result.set(rows.subarray(id * C, (id + 1) * C), i * C));
  store(y, result);
};

export const embeddingGradKernel: KernelOf<typeof embeddingGradOp> = ([y], [g, ids], { V }) => {
  const C = y.shape[1]!;
  const rows = load(g);
  const result = new Float64Array(y.size);
  forEachRow(ids, V, (id, i) => {
    for (let c = 0; c < C; c++) result[id * C + c]! += rows[i * C + c]!;
  });
  store(y, result);
};
