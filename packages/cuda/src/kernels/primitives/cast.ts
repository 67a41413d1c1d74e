import { dtypes, type DType, type Handle, type Tensor } from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../../device.ts";
import { kernelFamily } from "../families.ts";
import { flat } from "../flat.ts";

const kernels = kernelFamily("cast", "cast_to", "ppil", dtypes);

/** Writes `count` elements in another type. */
export function convert(cuda: CudaDevice, to: Handle, toType: DType, from: Handle, fromType: DType, count: number): void {
  cuda.launch(kernels[toType], flat(count), to, from, dtypes.indexOf(fromType), count);
}

/** Writes the elements of x in the type of y. */
export function castInto(y: Tensor, x: Tensor): void {
  convert(cudaOf(y), y.handle, y.dtype, x.handle, x.dtype, y.size);
}
