import {
  broadcastTo, cast, defineOp, dims, DTypeError, exp, formatShape, full, iota, less, lessEqual, logSumExp, matmul, mul, permute,
  pullback, reshape, run, scope, ShapeError, slice, sub, where,
  type Op, type Tensor,
} from "@danu/tensor";

/** What a query may see, and how scores are scaled. */
export interface AttentionAttrs {
  /** Factor of the dot products, usually `1 / sqrt(D)`. */
  readonly scale: number;
  /** Number of keys a query sees, itself included; null for all before it. */
  readonly slidingWindow: number | null;
  /** Number of keys in use when `k` and `v` have room for more; null for all. */
  readonly keyLength: number | null;
}

type AttentionInputs = readonly [q: Tensor, k: Tensor, v: Tensor, documentStart: Tensor | null];

export const attentionOp: Op<AttentionInputs, readonly [o: Tensor, logSumExp: Tensor], AttentionAttrs> = defineOp({
  name: "attention",
  infer: (inputs, attrs) => {
    checkInputs(inputs, attrs);
    const [q] = inputs;
    const { B, T, H } = dims(q, "B T H D");
    return [{ shape: q.shape, dtype: q.dtype }, { shape: [B, H, T], dtype: "f32" }];
  },
  vjp: ([g], [q, k, v, documentStart], [o, lse], attrs) => (
    g === null ? [null, null, null, null] : [...run(attentionGradOp, [g, q, k, v, o, lse, documentStart], attrs), null]
  ),
  decompose: (inputs, attrs) => attend(inputs, attrs),
  saves: { inputs: [0, 1, 2, 3], outputs: [0, 1] },
});

type GradInputs = readonly [
  g: Tensor, q: Tensor, k: Tensor, v: Tensor, o: Tensor, logSumExp: Tensor, documentStart: Tensor | null,
];

/** Gradients of `attention` with respect to q, k and v; the scores are formed again from q, k and their log-sum-exp. */
export const attentionGradOp: Op<GradInputs, readonly [dq: Tensor, dk: Tensor, dv: Tensor], AttentionAttrs> = defineOp({
  name: "attentionGrad",
  infer: ([, q, k, v]) => [q, k, v].map(({ shape, dtype }) => ({ shape, dtype })) as never,
  vjp: null,
  decompose: ([g, q, k, v, , , documentStart], attrs) => {
    const { pull } = pullback((a, b, c) => [attend([a!, b!, c!, documentStart], attrs)[0]] as const, [q, k, v]);
    return pull([g]) as [Tensor, Tensor, Tensor];
  },
});

function checkInputs([q, k, v, documentStart]: AttentionInputs, { slidingWindow, keyLength }: AttentionAttrs): void {
  const { B, T, H, D } = dims(q, "B T H D");
  const { S, G } = dims(k, "B S G D");
  const used = keyLength ?? S;
  if (k.shape[0] !== B || k.shape[3] !== D || formatShape(k.shape) !== formatShape(v.shape)) {
    throw new ShapeError(`attention: expected keys and values [${B}, S, G, ${D}], got ${formatShape(k.shape)} and ${formatShape(v.shape)}`);
  }
  if (G === 0 || H % G !== 0) throw new ShapeError(`attention: expected heads to be a multiple of key-value heads, got ${H} and ${G}`);
  if (!(used >= T && used <= S)) throw new ShapeError(`attention: expected ${T} to ${S} keys in use, got ${used}`);
  if (slidingWindow !== null && !(Number.isInteger(slidingWindow) && slidingWindow > 0)) {
    throw new ShapeError(`attention: expected a sliding window of at least 1 key, got ${slidingWindow}`);
  }
  if (q.dtype !== k.dtype || q.dtype !== v.dtype) {
    throw new DTypeError(`attention: expected one dtype, got ${q.dtype}, ${k.dtype} and ${v.dtype}`);
  }
  if (documentStart !== null && (documentStart.dtype !== "i32" || formatShape(documentStart.shape) !== formatShape([B, S]))) {
    throw new ShapeError(`attention: expected document starts i32 [${B}, ${S}], got ${documentStart.dtype} ${formatShape(documentStart.shape)}`);
  }
}

/** Attention in primitives, with the whole score matrix in memory. */
function attend([q, k, v, documentStart]: AttentionInputs, attrs: AttentionAttrs): readonly [o: Tensor, logSumExp: Tensor] {
  const T = q.shape[1]!;
  const S = attrs.keyLength ?? k.shape[1]!;
  const visible = visibility(iota(q.device, T, { start: S - T }), S, attrs.slidingWindow);
  if (documentStart === null) return attendWhere(visible, q, k, v, S, attrs.scale);
  const starts = reshape(slice(documentStart, 1, S - T, S), [documentStart.shape[0]!, 1, T, 1]);
  const key = reshape(iota(q.device, S), [1, 1, 1, S]);
  return attendWhere(mul(visible, lessEqual(starts, key)), q, k, v, S, attrs.scale);
}

/** Attention over the first S keys where `visible`, `[1 or B, 1, T, S]`, is 1. */
export function attendWhere(visible: Tensor, q: Tensor, k: Tensor, v: Tensor, S: number, scale: number): readonly [o: Tensor, logSumExp: Tensor] {
  const { B, T, H, D } = dims(q, "B T H D");
  const queries = permute(cast(q, "f32"), [0, 2, 1, 3]);
  const [keys, values] = [perQueryHead(k, S, H), perQueryHead(v, S, H)];
  const scores = mul(matmul(queries, keys, { transposeB: true }), scale);
  const hidden = full(q.device, [], -Infinity);
  const masked = where(visible, scores, hidden);
  const lse = logSumExp(masked);
  const o = matmul(exp(sub(masked, lse)), values);
  return [cast(reshape(permute(o, [0, 2, 1, 3]), [B, T, H, D]), q.dtype), reshape(lse, [B, H, T])];
}

/** Keys or values in use, repeated for the query heads that share them: `[B, S, G, D]` to `[B, H, S, D]` in f32. */
function perQueryHead(x: Tensor, S: number, H: number): Tensor {
  const { B, G, D } = dims(x, "B S G D");
  const heads = reshape(permute(cast(slice(x, 1, 0, S), "f32"), [0, 2, 1, 3]), [B, G, 1, S, D]);
  return reshape(broadcastTo(heads, [B, G, H / G, S, D]), [B, H, S, D]);
}

/** 1 where the query at a position may see one of the first S keys, but for documents: `[1, 1, T, S]`.
 *  @param positions i32 `[T]` */
export function visibility(positions: Tensor, S: number, slidingWindow: number | null): Tensor {
  const position = reshape(positions, [1, 1, positions.size, 1]);
  const key = reshape(iota(positions.device, S), [1, 1, 1, S]);
  const visible = lessEqual(key, position);
  return slidingWindow === null ? visible : mul(visible, less(sub(position, slidingWindow), key));
}

/** Options of `attention`; see `AttentionAttrs`. */
export interface AttentionOptions extends Partial<AttentionAttrs> {
  /** For each key position the position of the first key of its document, i32 `[B, S]`: a query sees no earlier key. */
  readonly documentStart?: Tensor | null;
}

/** Causal grouped-query attention with an optional sliding window and document mask:
 *  `o = softmax(scale · q kᵀ + mask) v`, the T queries being the last T of the S positions.
 *
 *  Ainslie et al. 2023 (grouped queries); Beltagy et al. 2020 and Mistral 7B (window); Dao 2023 (tiling).
 *  @param q `[B, T, H, D]`  @param k `[B, S, G, D]`  @param v `[B, S, G, D]`; head h reads key-value head `h·G/H`
 *  @returns `[B, T, H, D]`, dtype of q, accumulated in f32
 *  @throws ShapeError when shapes do not fit, DTypeError when types differ */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const { scale = 1 / Math.sqrt(q.shape[3] ?? 1), slidingWindow = null, keyLength = null, documentStart = null } = options;
  return scope(() => run(attentionOp, [q, k, v, documentStart], { scale, slidingWindow, keyLength })[0]);
}
