import type { Tensor } from "../tensor.ts";
import { mul } from "./mul.ts";
import { sigmoid } from "./sigmoid.ts";

/** `x · sigmoid(x)`, element by element. Elfwing et al. 2017. */
export function silu(x: Tensor): Tensor {
  return mul(x, sigmoid(x));
}
