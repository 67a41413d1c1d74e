import { Decoder, loadParameters, openModelFolder, type DecoderConfig, type DecoderParameters } from "@danu/model";
import { disposeTree, type Device, type DType } from "@danu/tensor";

/** A model on a device, ready for a forward pass. */
export interface LoadedModel extends Disposable {
  readonly config: DecoderConfig;
  readonly decoder: Decoder;
  readonly params: DecoderParameters;
}

/** Loads a model folder onto a device.
 *  @param dtype element type to compute in; null for the one the weights are stored in, f16 as f32
 *  @throws FileError, ConfigError, SafetensorsError naming the file and what is wrong with it */
export async function loadModel(device: Device, path: string, dtype: DType | null): Promise<LoadedModel> {
  const folder = await openModelFolder(path);
  try {
    const { config } = folder;
    const params = await loadParameters(
      device,
      folder.weights,
      config,
      dtype ?? (config.dtype === "bf16" ? "bf16" : "f32"),
    );
    const decoder = new Decoder(device, config);
    return {
      config,
      decoder,
      params,
      [Symbol.dispose]: () => {
        disposeTree(params);
        decoder[Symbol.dispose]();
      },
    };
  } finally {
    await folder.close();
  }
}
