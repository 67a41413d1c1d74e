import { appendKeyValuesOp, attendNextOp, attentionGradOp, attentionOp } from "@danu/attention";
import type { KernelOf } from "@danu/tensor";

import type { CudaDevice } from "../../device.ts";
import { hopperBackward, hopperForward, isForHopper } from "./attention-hopper.ts";
import { isPortable, portableBackward, portableDecode, portableForward, portableNext } from "./attention-portable.ts";
import { appendKeyValues, hasWholePieces } from "./key-value-append.ts";

// As many queries as generation and its drafts have at a time: keys are then shared out over blocks instead.
const fewQueries = 16;

const attention: KernelOf<typeof attentionOp> = (y, x, attrs) => {
  const T = x[0].shape[1]!;
  if (isForHopper(x, attrs)) return hopperForward(y, x, attrs);
  if (T > 0 && T <= fewQueries) return portableDecode(y, x, attrs);
  return portableForward(y, x, attrs);
};

const attentionGrad: KernelOf<typeof attentionGradOp> = (y, x, attrs) => {
  const [, q, k] = x;
  return isForHopper([q, k], attrs) ? hopperBackward(y, x, attrs) : portableBackward(y, x, attrs);
};

/** Gives a GPU its own kernels for attention; the decomposition serves where these do not. */
export function provideAttention(cuda: CudaDevice): void {
  cuda.provide(attentionOp, attention, isPortable)
    .provide(attentionGradOp, attentionGrad, ([, q], attrs) => isPortable([q], attrs))
    .provide(attendNextOp, portableNext, ([q], attrs) => isPortable([q], attrs) && q.shape[1]! > 0 && q.shape[1]! <= fewQueries)
    .provide(appendKeyValuesOp, appendKeyValues, hasWholePieces);
}
