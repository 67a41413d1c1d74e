import { bytesPerElement, encode, type Place, type Shape, type Tensor } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { elementBytes, kernelFamily, threads, unitOf, units as unitBytes, type ElementBytes, type Unit } from "../families.ts";
import { axesOf, forWalks, walk2, walkArguments, type Axis } from "./walk.ts";

const copyKernels = kernelFamily("movement", "copy", `pp${walk2}`, unitBytes);
const transposeKernels = kernelFamily("movement", "transpose", `pp${walk2}`, elementBytes);

/** Sets every element; also what padding starts from. */
export function fill(y: Tensor, value: number): void {
  const bytes = encode(y.dtype, [value]);
  const bits = bytes.reduce((word, byte, i) => word + byte * 2 ** (8 * i), 0);
  cudaOf(y).fill(y.handle, bits, bytes.length as 1 | 2 | 4, y.size);
}

/** Copies a block of `shape`. */
export function copy(to: Place, from: Place, shape: Shape): void {
  if (shape.includes(0)) return;
  const axes = axesOf(shape, [to.strides, from.strides]);
  const each = bytesPerElement[to.tensor.dtype] as Unit;
  const address = ({ tensor, offset = 0 }: Place): number => tensor.handle + offset * each;
  const [inner, next] = axes as [Axis, Axis?];
  if (next === undefined && inner.steps.every((step) => step === 1)) return cudaOf(to.tensor).copy(address(to), address(from), inner.size * each);
  const crossed = inner.steps[1] === 1 ? -1 : axes.findIndex(({ size, steps }, i) => i > 0 && steps[1] === 1 && size >= 8);
  if (inner.steps[0] === 1 && inner.size >= 8 && crossed > 0) return transpose(to, from, [inner, axes[crossed]!, ...axes.filter((_, i) => i > 0 && i !== crossed)]);
  const { unit, axes: units } = widest(axes, each, [address(to), address(from)]);
  return forWalks(units, (some, [startTo, startFrom]) => {
    const count = some.reduce((product, { size }) => product * size, 1);
    cudaOf(to.tensor).launch(
      copyKernels[unit], { grid: [Math.ceil(count / threads)], block: threads },
      address(to) + startTo! * unit, address(from) + startFrom! * unit, ...walkArguments(some, [0, 1], 0),
    );
  });
}

/** The same axes for the largest pieces, of up to 16 bytes, that runs of neighbours can be cut into. */
function widest(axes: readonly Axis[], each: Unit, addresses: readonly number[]): { unit: Unit; axes: readonly Axis[] } {
  const [inner, ...outer] = axes as readonly [Axis, ...Axis[]];
  if (inner.steps.some((step) => step !== 1)) return { unit: each, axes };
  const distances = [inner.size, ...outer.flatMap(({ steps }) => steps)].map((elements) => elements * each);
  const unit = unitOf([...distances, ...addresses]);
  const scaled = (elements: number): number => (elements * each) / unit;
  return { unit, axes: [{ size: scaled(inner.size), steps: inner.steps }, ...outer.map(({ size, steps }) => ({ size, steps: steps.map(scaled) }))] };
}

/** Copies where y is contiguous along the first axis and x along the second. */
function transpose(to: Place, from: Place, axes: readonly Axis[]): void {
  const each = bytesPerElement[to.tensor.dtype] as ElementBytes;
  const tile = each === 4 ? 32 : 64;
  forWalks(axes, (some, [startTo, startFrom]) => {
    const [width, height, ...batch] = some as [Axis, Axis, ...Axis[]];
    const blocks = batch.reduce((product, { size }) => product * size, Math.ceil(width.size / tile) * Math.ceil(height.size / tile));
    cudaOf(to.tensor).launch(
      transposeKernels[each], { grid: [blocks], block: threads },
      to.tensor.handle + ((to.offset ?? 0) + startTo!) * each, from.tensor.handle + ((from.offset ?? 0) + startFrom!) * each,
      ...walkArguments(some, [0, 1], 0),
    );
  });
}
