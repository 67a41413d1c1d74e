import type { ropeOp } from "@danu/attention";
import type { KernelOf } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { fusedType } from "../flat.ts";

const kernels = {
  f32: defineKernel("rope", "rope_f32", "pppppiiiii"),
  bf16: defineKernel("rope", "rope_bf16", "pppppiiiii"),
};

export const rope: KernelOf<typeof ropeOp> = ([y], [x, table, positions], { inverse }) => {
  const cuda = cudaOf(y);
  const [H, D] = x.shape.slice(2) as [number, number];
  const rows = positions.size;
  cuda.launch(
    kernels[fusedType(x)], { grid: [Math.ceil(rows / 4)], block: 256 },
    y.handle, x.handle, table.handle, positions.handle, cuda.fault, rows, H, D, table.shape[0]!, Number(inverse),
  );
};
