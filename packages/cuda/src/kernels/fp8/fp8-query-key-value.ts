import type { fp8QueryKeyValueGradOp, fp8QueryKeyValueOp } from "@danu/attention";
import { fp8Padded, type KernelOf, type Tensor } from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../../device.ts";
import { defineKernel, type Kernel } from "../../kernel.ts";
import type { CopyPlaces, Fp8Scale } from "./fp8-cast.ts";
import { castAsItIs, fp8NormLinears, normLinearsGrad, type CastGradient } from "./fp8-norm-linears.ts";
import { rope } from "../fused/rope.ts";

/** A kernel, and the rows of heads that a block of it takes. */
interface Form {
  readonly kernel: Kernel<"ppppppppiiiiii">;
  readonly rows: number;
  readonly heads: number;
  readonly threads: number;
}

const wide: Form = { kernel: defineKernel("rope-fp8", "rope_fp8_backward", "ppppppppiiiiii"), rows: 64, heads: 8, threads: 320 };
const narrow: Form = { kernel: defineKernel("rope-fp8", "rope_fp8_backward_narrow", "ppppppppiiiiii"), rows: 128, heads: 4, threads: 256 };
/** What the tile of a block may take on every GPU. */
const MOST_SHARED_BYTES = 99 * 1024;

/** For heads of D channels, whose halves are whole pieces of 16 bytes, or else of 8. */
function formOf(D: number): Form {
  return D % 16 === 0 ? wide : narrow;
}

function sharedBytes({ rows, heads, threads }: Form, D: number): number {
  return rows * Math.ceil((heads * D) / 128) * 128 + threads / 8;
}

/** Whether a kernel turns back heads of D channels. */
export function isForTurning(D: number): boolean {
  return D % 8 === 0 && sharedBytes(formOf(D), D) <= MOST_SHARED_BYTES;
}

export const fp8QueryKeyValue: KernelOf<typeof fp8QueryKeyValueOp> = (y, [x, norm, scaling, rowwise, transposed, table, positions, ...weights], attrs) => {
  fp8NormLinears([...y], [x, norm, scaling, rowwise, transposed, ...weights], attrs);
  const [, q, k] = y;
  for (const one of [q, k]) rope([one], [one, table, positions], { inverse: false });
};

/** Casts gradients of heads that are turned back on the way. @param g `[B, T, H, D]` */
function castTurned(cuda: CudaDevice, g: Tensor, table: Tensor, positions: Tensor): CastGradient {
  const [H, D] = g.shape.slice(2) as [number, number];
  const [rows, columns, form] = [positions.size, H * D, formOf(D)];
  const cast = ({ rowwise, pitch = columns, transposed }: CopyPlaces, { scale, amax }: Pick<Fp8Scale, "scale" | "amax">): void => {
    const shape = { grid: [Math.ceil(rows / form.rows) * Math.ceil(H / form.heads)], block: form.threads, shared: sharedBytes(form, D) } as const;
    const sizes = [rows, H, D, table.shape[0]!, pitch, fp8Padded(rows)] as const;
    cuda.launch(form.kernel, shape, g.handle, table.handle, positions.handle, cuda.fault, rowwise, transposed, amax, scale, ...sizes);
  };
  return { columns, cast, measure: (amax) => cast({ rowwise: 0, transposed: 0 }, { scale: 0, amax }) };
}

export const fp8QueryKeyValueGrad: KernelOf<typeof fp8QueryKeyValueGradOp> = (
  [dx, dNorm, dQuery, dKey, dValue, copy, copyTransposed], [x, norm, inverseRms, scaling, transposed, table, positions, gQ, gK, gV, residual, castBy], attrs,
) => {
  const cuda = cudaOf(x);
  const gradients = [
    castTurned(cuda, gQ, table, positions), castTurned(cuda, gK, table, positions),
    castAsItIs(cuda, { x: gV.handle, rows: positions.size, columns: gV.shape[2]! * gV.shape[3]! }),
  ];
  const outputs = [dx, dNorm, copy, copyTransposed, dQuery, dKey, dValue] as const;
  normLinearsGrad(outputs, { x, norm, inverseRms, scaling, transposed, residual, castBy }, gradients, attrs);
};
