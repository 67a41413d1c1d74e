import type { Device } from "../device.ts";
import type { DType } from "../dtype.ts";
import { ShapeError } from "../errors.ts";
import { checkShape, formatShape, sizeOf, type Shape } from "../shape.ts";
import { Tensor } from "../tensor.ts";

/** A tensor with the given elements, rounded to `dtype`.
 *  @param values in row-major order  @throws ShapeError when their number does not fit the shape */
export function tensor(device: Device, values: ArrayLike<number>, shape: Shape = [values.length], dtype: DType = "f32"): Tensor {
  checkShape("tensor", shape);
  if (sizeOf(shape) !== values.length) {
    throw new ShapeError(`tensor: ${formatShape(shape)} needs ${sizeOf(shape)} values, got ${values.length}`, { shape });
  }
  const y = Tensor.empty(device, shape, dtype);
  device.write(y.handle, device.encode(dtype, values));
  return y;
}

/** A tensor with the given bytes, little-endian, as files hold them.
 *  @throws ShapeError when their number does not fit shape and dtype */
export function tensorFromBytes(device: Device, bytes: Uint8Array, shape: Shape, dtype: DType): Tensor {
  checkShape("tensorFromBytes", shape);
  const expected = sizeOf(shape) * device.bytesPerElement(dtype);
  if (bytes.byteLength !== expected) {
    throw new ShapeError(`tensorFromBytes: ${dtype} ${formatShape(shape)} needs ${expected} bytes, got ${bytes.byteLength}`, { shape });
  }
  const y = Tensor.empty(device, shape, dtype);
  device.write(y.handle, bytes);
  return y;
}

/** Copies a tensor to another device, through the host. */
export async function toDevice(x: Tensor, device: Device): Promise<Tensor> {
  return tensor(device, await x.read(), x.shape, x.dtype);
}
