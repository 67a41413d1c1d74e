import { cast, decode, encode, keep, scope, tensor, tensorFromBytes, type Device, type DType, type Tensor } from "@danu/tensor";

import { ConfigError, type DecoderConfig } from "../config.ts";
import { fromSafetensorsDType, toSafetensorsDType, type TensorSource, type TensorStore } from "../safetensors/index.ts";
import { huggingFaceNames, mapParameters, type BlockParameters, type DecoderParameters } from "./parameters.ts";

/** Reads the weights of a decoder, tensor by tensor, converted to one element type. The caller owns them.
 *  @throws ConfigError when a weight is missing, or has another shape or an element type danu does not compute with */
export async function loadParameters(
  device: Device, weights: TensorStore, config: DecoderConfig, dtype: DType = "f32",
): Promise<DecoderParameters> {
  const wanted: { name: string; shape: readonly number[] }[] = [];
  mapParameters(config, (name, shape) => wanted.push({ name, shape }));
  const loaded = new Map<string, Tensor>();
  try {
    for (const { name, shape } of wanted) loaded.set(name, await loadTensor(device, weights, name, shape, dtype));
  } catch (error) {
    for (const tensor of loaded.values()) tensor.dispose();
    throw error;
  }
  return mapParameters(config, (name) => loaded.get(name)!);
}

/** Reads one tensor, converted to an element type. The caller owns it.
 *  @throws ConfigError when it is missing, or has another shape or an element type danu does not compute with */
export async function loadTensor(
  device: Device, weights: TensorStore, name: string, shape: readonly number[], dtype: DType,
): Promise<Tensor> {
  if (!weights.has(name)) throw new ConfigError(`model: expected a weight ${name}, found none; does config.json fit the weights?`, { name });
  const info = weights.info(name);
  const stored = fromSafetensorsDType(info.dtype);
  if (stored === undefined) throw new ConfigError(`model: ${name} is stored as ${info.dtype}, which is not supported`, { name });
  if (info.shape.join() !== shape.join()) {
    throw new ConfigError(`model: expected ${name} of [${shape.join(", ")}], got [${info.shape.join(", ")}]`, { name, shape });
  }
  const bytes = await weights.read(name);
  // The device's own encoding: a double-precision reference device stores other bytes than the file.
  return keep(scope(() => cast(fromFile(device, bytes, shape, stored), dtype)));
}

function fromFile(device: Device, bytes: Uint8Array, shape: readonly number[], dtype: DType): Tensor {
  const same = device.bytesPerElement(dtype) * shape.reduce((n, size) => n * size, 1) === bytes.byteLength;
  return same ? tensorFromBytes(device, bytes, shape, dtype) : tensor(device, decode(dtype, bytes), shape, dtype);
}

/** The weights of a decoder as a model folder stores them, read from the device one at a time, in the configured dtype. */
export function parameterSources(params: DecoderParameters, config: DecoderConfig): TensorSource[] {
  const names = huggingFaceNames(config);
  const sources: TensorSource[] = [];
  const add = (name: string, tensor: Tensor): void => {
    sources.push({
      name, dtype: toSafetensorsDType(config.dtype), shape: tensor.shape,
      read: async () => encode(config.dtype, await tensor.read()),
    });
  };
  add(names.embedding, params.embedding);
  params.blocks.forEach((block, i) => {
    for (const key of Object.keys(block) as (keyof BlockParameters)[]) add(names.blocks[i]![key], block[key]);
  });
  add(names.norm, params.norm);
  if (names.head !== null && params.head !== null) add(names.head, params.head);
  return sources;
}
