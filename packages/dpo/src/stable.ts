import {
  abs,
  add,
  defineOp,
  div,
  DTypeError,
  equal,
  exp,
  isFloat,
  log,
  minimum,
  mul,
  neg,
  run,
  sigmoid,
  sub,
  tanh,
  where,
  type Op,
  type Tensor,
} from "@danu/tensor";

/** The fused op of `logSigmoid`, whose gradient is `σ(−x)`. */
export const logSigmoidOp: Op<readonly [Tensor], readonly [Tensor], null> = defineOp({
  name: "logSigmoid",
  infer: ([x]) => {
    if (!isFloat(x.dtype))
      throw new DTypeError(`logSigmoid: expected a float tensor, got ${x.dtype}`, { dtype: x.dtype });
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  vjp: ([g], [x]) => [g && mul(g, sigmoid(neg(x)))],
  // The order of the operands decides who takes the gradient of a tie: at 0 it must be ½.
  decompose: ([x]) => [sub(minimum(0, x), logOnePlus(exp(neg(abs(x)))))],
});

/** `log σ(x) = min(x, 0) − log(1 + e⁻|x|)`, element by element: finite for every finite x. */
export function logSigmoid(x: Tensor): Tensor {
  return run(logSigmoidOp, [x], null)[0];
}

/** `log(1 + u)` for u in [0, 1]: what `1 + u` rounds away is put back as the factor `u / ((1 + u) − 1)`.
 *  Kahan; Goldberg 1991, theorem 4. */
function logOnePlus(u: Tensor): Tensor {
  const w = add(u, 1);
  const rounded = sub(w, 1);
  const lost = equal(rounded, 0);
  return where(lost, u, mul(log(w), div(u, where(lost, w, rounded))));
}

/** `eˣ − 1 = tanh(x / 2) · (eˣ + 1)`, element by element, without cancellation around 0. */
export function expMinusOne(x: Tensor): Tensor {
  return mul(tanh(mul(x, 0.5)), add(exp(x), 1));
}
