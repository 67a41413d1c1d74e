import { ShapeError } from "./errors.ts";

/** Sizes of a dense row-major tensor, outermost axis first. */
export type Shape = readonly number[];

/** Number of elements. */
export function sizeOf(shape: Shape): number {
  let size = 1;
  for (const n of shape) size *= n;
  return size;
}

/** Elements to step over for one step along each axis. */
export function stridesOf(shape: Shape): number[] {
  const strides = [...shape];
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** True when both shapes have the same axes. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((n, axis) => n === b[axis]);
}

/** `[2, 3]`, as error messages print a shape. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** The shape two operands broadcast to: axes align from the right, and an axis of 1 stretches.
 *  @throws ShapeError when two axes differ and neither is 1 */
export function broadcastShapes(name: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  const shape = a.length === rank ? [...a] : [...b];
  for (let i = 1; i <= rank; i++) {
    const m = a[a.length - i] ?? 1;
    const n = b[b.length - i] ?? 1;
    if (m !== n && m !== 1 && n !== 1) {
      throw new ShapeError(`${name}: shapes do not broadcast: ${formatShape(a)} and ${formatShape(b)}`, { a, b });
    }
    shape[rank - i] = m === 1 ? n : m;
  }
  return shape;
}

/** Strides that read `shape` as if it had been stretched to `target`: 0 along stretched axes. */
export function broadcastStrides(shape: Shape, target: Shape): number[] {
  const strides = stridesOf(shape);
  const shift = target.length - shape.length;
  return target.map((n, axis) => {
    const own = axis - shift;
    return own < 0 || (shape[own] === 1 && n !== 1) ? 0 : strides[own]!;
  });
}

/** Checks that every size is a non-negative integer and the product a safe one.
 *  @throws ShapeError otherwise */
export function checkShape(name: string, shape: Shape): void {
  if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0) || !Number.isSafeInteger(sizeOf(shape))) {
    throw new ShapeError(`${name}: expected sizes that are whole numbers of at least 0, got ${formatShape(shape)}`, { shape });
  }
}

/** The axis counted from the front; negative axes count from the back.
 *  @throws ShapeError when there is no such axis */
export function resolveAxis(name: string, axis: number, rank: number): number {
  const resolved = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || resolved < 0 || resolved >= rank) {
    throw new ShapeError(`${name}: axis ${axis} is not one of the ${rank} axes`, { axis, rank });
  }
  return resolved;
}

type Letters<S extends string> = S extends `${infer Head} ${infer Tail}` ? Letters<Head> | Letters<Tail>
  : S extends `${number}` ? never : S;

/** Names the axes of a tensor and checks the literal ones: `dims(x, "B T 3")` gives `{ B, T }`.
 *  @throws ShapeError when the rank or a literal axis differs */
export function dims<const S extends string>(x: { readonly shape: Shape }, pattern: S): Record<Letters<S>, number> {
  const names = pattern.split(" ");
  const fits = names.length === x.shape.length && names.every((name, i) => !/^\d+$/.test(name) || Number(name) === x.shape[i]);
  if (!fits) throw new ShapeError(`expected a tensor of shape [${names.join(", ")}], got ${formatShape(x.shape)}`, { shape: x.shape });
  const sizes: Record<string, number> = {};
  names.forEach((name, i) => { sizes[name] = x.shape[i]!; });
  return sizes as Record<Letters<S>, number>;
}
