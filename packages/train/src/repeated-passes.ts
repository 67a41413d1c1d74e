import { assign, disposeTree, keep, mapTensors, Tensor, tensorsIn, type Repeated } from "@danu/tensor";

/** The passes of a step over its micro-batches as work that the device repeats while steps are alike: a GPU gets them as one
 *  graph. The graph knows tensors by their memory, so the batches of a step are copied to where those of the first were. */
export class RepeatedPasses<B, R> implements Disposable {
  readonly #passes: (batches: readonly B[], scale: number) => R;
  #key: string | null = null;
  #batches: readonly B[] | null = null;
  #work: Repeated<R> | null = null;

  /** @param passes enqueues the passes; what it makes belongs to its caller */
  constructor(passes: (batches: readonly B[], scale: number) => R) {
    this.#passes = passes;
  }

  /** Enqueues the passes, op by op for the first of several steps that are alike.
   *  @param key what passes depend on beside the values of tensors, shapes and the scale; null for what is never the same
   *  @returns what the passes made, which belongs to the caller */
  run(batches: readonly B[], scale: number, key: string | null): R {
    const full = key === null ? null : JSON.stringify([key, scale, batches.map((batch) => tensorsIn(batch).map(({ dtype, shape }) => [dtype, shape]))]);
    const alike = full !== null && full === this.#key;
    if (!alike) this[Symbol.dispose]();
    this.#key = full;
    if (alike) this.#work ??= this.#begin(batches, scale);
    if (this.#work === null) return this.#passes(batches, scale);
    const sources = tensorsIn(batches);
    tensorsIn(this.#batches).forEach((target, i) => assign(target, sources[i]!));
    return mapTensors(this.#work.run(), (made) => made.alias());
  }

  /** Starts over: the next step is like none before. */
  [Symbol.dispose](): void {
    this.#work?.[Symbol.dispose]();
    disposeTree(this.#batches);
    this.#key = this.#batches = this.#work = null;
  }

  /** @returns null where the device has nothing to gain */
  #begin(batches: readonly B[], scale: number): Repeated<R> | null {
    const [first] = tensorsIn(batches);
    const work = first?.device.repeat(() => this.#passes(this.#batches!, scale)) ?? null;
    if (work !== null) this.#batches = mapTensors(batches, ({ device, shape, dtype }) => keep(Tensor.empty(device, shape, dtype)));
    return work;
  }
}
