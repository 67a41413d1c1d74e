export { DanuError, DeviceError, DisposedError, DTypeError, GradientError, ShapeError, UsageError } from "./errors.ts";
export { bytesPerElement, decode, dtypes, encode, isFloat, type DType, type Values } from "./dtype.ts";
export {
  broadcastShapes, broadcastStrides, dims, formatShape, sameShape, sizeOf, stridesOf, type Shape,
} from "./shape.ts";
export { matmulBatches, type MatmulBatch } from "./batches.ts";
export { movementKernels, type Movement, type Place } from "./movement.ts";
export { Device, type Handle, type Repeated } from "./device.ts";
export { Tensor } from "./tensor.ts";
export { disposeTree, leavesOf, mapTensors, mapTree, tensorsIn, type MapTree, type Tree } from "./tree.ts";
export { keep, scope } from "./scope.ts";
export {
  defineOp, defineUpdate, run, runUpdate,
  type AnyOp, type AnyUpdate, type AttrsOf, type Inputs, type InputsOf, type KernelOf, type Neighbours, type Op, type OpDefinition, type Outputs, type Saves,
  type Spec, type Update, type UpdateDefinition,
} from "./op.ts";
export { isTracked } from "./tape.ts";
export { accumulateGrad, pullback, remat, valueAndGrad } from "./grad.ts";
export * from "./ops/index.ts";
export { primitives, providePrimitives, type PrimitiveKernels } from "./primitives.ts";
export { referenceDevice, type ReferenceDevice } from "./reference/device.ts";
