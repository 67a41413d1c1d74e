import { bytesPerElement, type embeddingGradOp, type embeddingOp, type Handle, type KernelOf, type Tensor } from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { convert } from "../primitives/cast.ts";
import { isFused } from "../flat.ts";

const rowsOf = defineKernel("embedding", "embedding_rows", "ppppiii");
const sortIds = defineKernel("embedding", "embedding_sort", "pppppppii");
const addRows = {
  f32: defineKernel("embedding", "embedding_add_f32", "ppppppii"),
  bf16: defineKernel("embedding", "embedding_add_bf16", "ppppppii"),
};

export const embeddingKernel: KernelOf<typeof embeddingOp> = ([y], [ids, table]) => {
  const cuda = cudaOf(y);
  const [V, C] = table.shape as [number, number];
  const rowBytes = C * bytesPerElement[table.dtype];
  // A thread carries 16 bytes of each of four rows at a time.
  const block = Math.min(1024, Math.max(32, Math.ceil(rowBytes / 512) * 32));
  cuda.launch(rowsOf, { grid: [Math.ceil(ids.size / 4)], block }, y.handle, table.handle, ids.handle, cuda.fault, ids.size, rowBytes, V);
};

export const embeddingGradKernel: KernelOf<typeof embeddingGradOp> = ([y], [g, ids], { V }) => {
  const cuda = cudaOf(y);
  cuda.fill(y.handle, 0, 4, y.size);
  if (isFused(g)) return sumRows(cuda, y, g.handle, g.dtype === "f32" ? "f32" : "bf16", ids, V);
  return cuda.withScratch(g.size * bytesPerElement.f32, (wide) => {
    convert(cuda, wide, "f32", g.handle, g.dtype, g.size);
    sumRows(cuda, y, wide, "f32", ids, V);
  });
};

// Of embedding.cu: bytes of a segment, how many positions of one id make it heavy, warps of a block.
const SEGMENT_BYTES = 16;
const HEAVY = 64;
const WARPS = 8;
// Beside the counters of the ids.
const SHARED_BYTES_OF_SORT = 1024;

/** Adds rows of g to the rows of y that their ids name, in a fixed order: the positions are sorted by id first. */
function sumRows(cuda: CudaDevice, y: Tensor, g: Handle, dtype: "f32" | "bf16", ids: Tensor, V: number): void {
  const [n, C] = [ids.size, y.shape[1]!];
  if (n === 0 || C === 0) return;
  const [mostLight, mostHeavy] = [Math.min(n, V), Math.max(1, Math.floor(n / HEAVY))];
  const countersFit = 4 * V + SHARED_BYTES_OF_SORT <= cuda.chip.sharedBytes;
  const sizes = [mostLight * SEGMENT_BYTES, mostHeavy * SEGMENT_BYTES, SEGMENT_BYTES, countersFit ? 0 : 4 * V, 4 * n];
  cuda.withScratch(sizes.reduce((sum, bytes) => sum + bytes, 0), (light) => {
    const heavy = light + sizes[0]!;
    const totals = heavy + sizes[1]!;
    const counters = totals + sizes[2]!;
    const order = counters + sizes[3]!;
    cuda.launch(
      sortIds, { grid: [1], block: 1024, shared: countersFit ? 4 * V : 0 },
      order, light, heavy, totals, countersFit ? 0 : counters, ids.handle, cuda.fault, n, V,
    );
    const slices = Math.ceil(C / (C % 8 !== 0 ? 32 : dtype === "f32" ? 128 : 256));
    const blocks = mostHeavy * slices + Math.ceil((mostLight * slices) / WARPS);
    cuda.launch(addRows[dtype], { grid: [blocks], block: 32 * WARPS }, y.handle, g, order, light, heavy, totals, n, C);
  });
}
