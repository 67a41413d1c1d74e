import { mapParameters, Random, type DecoderConfig, type DecoderParameters } from "@danu/model";
import { cast, keep, ones, scope, tensor, type Device } from "@danu/tensor";

const DRAWN = 1 << 20;

/** Normal weights of a model, from numbers that repeat after a million: to draw each would take a minute for the largest
 *  models, and equal ones would spare a GPU power that real ones cost. The caller owns them. */
export function benchWeights(device: Device, config: DecoderConfig, dtype: "f32" | "bf16" = "f32"): DecoderParameters {
  const random = new Random(1);
  const drawn = Float32Array.from({ length: DRAWN }, () => random.normal() * config.initializerRange);
  return mapParameters(config, (_, shape) => keep(scope(() => {
    if (shape.length === 1) return cast(ones(device, shape), dtype);
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    for (let i = 0; i < values.length; i += DRAWN) values.set(drawn.subarray(0, Math.min(DRAWN, values.length - i)), i);
    return cast(tensor(device, values, shape), dtype);
  })));
}
