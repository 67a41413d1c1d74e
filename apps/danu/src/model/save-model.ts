import {
  openSafetensors,
  parameterSources,
  writeModelFolder,
  writeSafetensors,
  type DecoderConfig,
  type DecoderParameters,
} from "@danu/model";
import type { TensorFiles } from "@danu/train";

/** Checkpoints keep their tensors in safetensors files. */
export const safetensorsFiles: TensorFiles = { write: writeSafetensors, open: openSafetensors };

/** Writes a model folder that the Hugging Face ecosystem reads as it is. */
export async function saveModel(
  folder: string,
  config: DecoderConfig,
  params: DecoderParameters,
  files: ReadonlyMap<string, Uint8Array | string>,
): Promise<void> {
  await writeModelFolder(folder, { config, tensors: parameterSources(params, config), files });
}
