import type { Device } from "./device.ts";
import { isFloat, type DType } from "./dtype.ts";
import { DeviceError, DisposedError, GradientError } from "./errors.ts";
import { scope } from "./scope.ts";
import { checkShape, formatShape, type Shape } from "./shape.ts";
import { isTracked, paused, record } from "./tape.ts";
import { Tensor } from "./tensor.ts";

/** Inputs of an op; null stands for an optional input that is absent. */
export type Inputs = readonly (Tensor | null)[];
/** Outputs of an op. */
export type Outputs = readonly Tensor[];
/** Shape and element type of a tensor to be made. */
export interface Spec {
  readonly shape: Shape;
  readonly dtype: DType;
}

type Each<T extends readonly unknown[], V> = { readonly [K in keyof T]: V };

/** Which inputs and outputs the gradient rule reads the elements of; the rest is freed early. */
export interface Saves {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
}

/** What a gradient rule may know of the ops beside its own, so that what passes from one to the next is read and written once. */
export interface Neighbours {
  /** Gradient that has arrived from other ops for the input that the rule completes, of its shape and type; null where none has. */
  readonly arrived: Tensor | null;
  /** By which scaling (see `fp8Scaling`) the completed gradient is cast to fp8 by the rule that reads it next; null where none does,
   *  or something else is to be added before. */
  readonly castBy: Tensor | null;
  /** Companions of the gradient of the first output; empty where it came without. */
  readonly companions: readonly Tensor[];
}

/** Everything about an operation except how a device runs it. */
export interface OpDefinition<X extends Inputs, Y extends Outputs, A> {
  readonly name: string;
  /** Shapes and types of the outputs. @throws ShapeError or DTypeError when the inputs do not fit */
  readonly infer: (x: X, attrs: A) => Each<Y, Spec>;
  /** Gradients of the inputs from those of the outputs (null: none arrived), or null where the op has no gradient.
   *  `needs` tells which inputs a gradient is asked for: what is costly may return null for the others. Tensors beyond the inputs
   *  are companions of the gradient that the rule completes: they go with it to the rule that reads it. */
  readonly vjp:
    | ((g: Each<Y, Tensor | null>, x: X, y: Y, attrs: A, needs: Each<X, boolean>, beside: Neighbours) => readonly [...Each<X, Tensor | null>, ...Tensor[]])
    | null;
  /** Index of the input whose gradient the rule completes: it returns the sum with what has arrived for it. */
  readonly completes?: number;
  /** By which scaling the rule casts the gradient of its first output, null where it does not: the rule before may cast it instead
   *  and send the result as companions, see `Fp8Copies`. */
  readonly castsGradient?: (x: X, attrs: A) => Tensor | null;
  /** The same result from simpler ops, or null for a primitive. */
  readonly decompose: ((x: X, attrs: A) => Y) | null;
  /** Defaults to all inputs and no outputs. */
  readonly saves?: Saves;
}

/** An operation as a value. */
export interface Op<X extends Inputs, Y extends Outputs, A> extends OpDefinition<X, Y, A> {
  readonly id: number;
}

/** An operation that writes into tensors it is given: optimizer steps, accumulation, copies. It has no gradient. */
export interface UpdateDefinition<X extends Inputs, A> {
  readonly name: string;
  /** @throws ShapeError or DTypeError when the tensors do not fit */
  readonly check: (x: X, attrs: A) => void;
  /** The same effect from simpler ops, or null for a primitive. */
  readonly decompose: ((x: X, attrs: A) => void) | null;
}

/** An in-place operation as a value. */
export interface Update<X extends Inputs, A> extends UpdateDefinition<X, A> {
  readonly id: number;
}

// `any` is the only type that every op is assignable to: its functions are contravariant in X, Y and A.
/* oxlint-disable typescript/no-explicit-any */
export type AnyOp = Op<any, any, any>;
export type AnyUpdate = Update<any, any>;
/* oxlint-enable typescript/no-explicit-any */

/** What a device provides for an op: outputs first, already allocated; inputs; attributes. */
export type KernelOf<O> = O extends Op<infer X, infer Y, infer A> ? (y: Y, x: X, attrs: A) => void
  : O extends Update<infer X, infer A> ? (x: X, attrs: A) => void
  : never;

/** The inputs of an op. */
export type InputsOf<O> = O extends Op<infer X, infer _Y, infer _A> ? X : O extends Update<infer X, infer _B> ? X : never;

/** The attributes of an op. */
export type AttrsOf<O> = O extends Op<infer _X, infer _Y, infer A> ? A : O extends Update<infer _Z, infer B> ? B : never;

let nextId = 0;

/** Makes an op. One definition a file, beside its public function; its types come from the declared type of the value. */
export function defineOp<X extends Inputs, Y extends Outputs, A>(definition: NoInfer<OpDefinition<X, Y, A>>): Op<X, Y, A> {
  return { ...definition, id: nextId++ };
}

/** Makes an in-place op. */
export function defineUpdate<X extends Inputs, A>(definition: NoInfer<UpdateDefinition<X, A>>): Update<X, A> {
  return { ...definition, id: nextId++ };
}

/** Runs an op: the device's kernel if it has one, else the decomposition. Tapes it where a gradient may be asked for.
 *  @throws DeviceError when the inputs live on different devices or the device can neither run nor decompose the op */
export function run<X extends Inputs, Y extends Outputs, A>(op: Op<X, Y, A>, x: X, attrs: A): Y {
  const device = deviceOf(op.name, x);
  const specs = op.infer(x, attrs);
  const kernel = device.kernelOf(op, x as never, attrs as never);
  if (kernel === undefined) {
    if (op.decompose === null) throw new DeviceError(`${op.name}: the ${device.name} device has no kernel for this primitive`);
    const decompose = op.decompose;
    if (op.vjp === null || !x.some(isTracked)) return scope(() => decompose(x, attrs));
    // The op's own rule is taped, so that gradients have the same types on a device with a kernel and on one without.
    const y = paused(() => scope(() => decompose(x, attrs)));
    record(op, x, y, attrs);
    return y;
  }
  const y = specs.map((spec) => {
    checkShape(op.name, spec.shape);
    return Tensor.empty(device, spec.shape, spec.dtype);
  }) as unknown as Y;
  (kernel as (y: Y, x: X, attrs: A) => void)(y, x, attrs);
  record(op, x, y, attrs);
  return y;
}

/** Runs an in-place op.
 *  @throws GradientError when a tensor it would touch is being differentiated */
export function runUpdate<X extends Inputs, A>(op: Update<X, A>, x: X, attrs: A): void {
  const device = deviceOf(op.name, x);
  op.check(x, attrs);
  for (const tensor of x) {
    if (tensor !== null && isFloat(tensor.dtype) && isTracked(tensor)) {
      throw new GradientError(`${op.name}: cannot write in place while its tensors are differentiated; call it outside of valueAndGrad`);
    }
  }
  const kernel = device.kernelOf(op, x as never, attrs as never);
  if (kernel !== undefined) return (kernel as (x: X, attrs: A) => void)(x, attrs);
  if (op.decompose === null) throw new DeviceError(`${op.name}: the ${device.name} device has no kernel for this primitive`);
  const decompose = op.decompose;
  scope(() => decompose(x, attrs));
}

function deviceOf(name: string, x: Inputs): Device {
  let device: Device | null = null;
  for (const tensor of x) {
    if (tensor === null) continue;
    if (tensor.disposed) {
      throw new DisposedError(`${name}: an input of ${formatShape(tensor.shape)} was freed; keep it with keep() or return it from the scope`);
    }
    if (device !== null && tensor.device !== device) {
      throw new DeviceError(`${name}: inputs live on different devices: ${device.name} and ${tensor.device.name}; move one with toDevice()`);
    }
    device = tensor.device;
  }
  if (device === null) throw new DeviceError(`${name}: no input tells on which device to run`);
  return device;
}
