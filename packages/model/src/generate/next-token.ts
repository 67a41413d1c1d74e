import type { AttentionCache, KeyValueCache } from "@danu/attention";
import { cast, chooseNext, disposeTree, keep, scope, zeros, type Repeated, type Tensor } from "@danu/tensor";

import type { Decoder } from "../decoder/decoder.ts";
import type { AdaptedParameters } from "../lora/adapted-weight.ts";

/** What differs from token to token: its id, its position in the text, and positions that the caches store before it. */
interface StepInput {
  readonly id: Tensor;
  readonly position: Tensor;
  readonly stored: Tensor;
}

/** Reading one token of a text as work that the device repeats: everything that differs from token to token is in its
 *  memory. It is set up anew when the caches move, each time they double. */
export class NextToken implements Disposable {
  readonly #decoder: Decoder;
  readonly #params: AdaptedParameters;
  readonly #caches: readonly KeyValueCache[];
  readonly #chooses: boolean;
  #input: StepInput | null = null;
  #work: Repeated<Tensor> | null = null;
  #room: number | undefined;

  /** @param chooses makes the best token, which `readChosen` reads, of the scores */
  constructor(decoder: Decoder, params: AdaptedParameters, caches: readonly KeyValueCache[], chooses = false) {
    this.#decoder = decoder;
    this.#params = params;
    this.#caches = caches;
    this.#chooses = chooses;
  }

  /** Enqueues reading a token. @returns scores of the token after it, f32 `[1, 1, V]`, or the best one, i32 `[1, 1]`, until the
   *  next call; null where the device does not repeat work: nothing has happened then */
  read(id: number, position: number): Tensor | null {
    this.#work ??= this.#repeat();
    if (this.#work === null) return null;
    let stored = 0;
    for (const cache of this.#caches) stored = cache.next();
    if (this.#caches[0]?.room !== this.#room) {
      this.#work[Symbol.dispose]();
      this.#work = this.#repeat()!;
    }
    this.#input ??= this.#emptyInput();
    this.#write(this.#input.id, id);
    this.#write(this.#input.position, position);
    this.#write(this.#input.stored, stored);
    return this.#run(this.#work);
  }

  /** Enqueues reading the token that was chosen last, which the host need not know yet. @returns the best one after it; null where
   *  the caches have no room as they are: nothing has happened then */
  readChosen(): Tensor | null {
    if (this.#work === null || this.#caches[0]!.spare === 0) return null;
    for (const cache of this.#caches) cache.next();
    return this.#run(this.#work);
  }

  [Symbol.dispose](): void {
    this.#work?.[Symbol.dispose]();
    disposeTree(this.#input);
    this.#work = this.#input = null;
  }

  #run(work: Repeated<Tensor>): Tensor {
    const scores = work.run();
    return this.#chooses ? this.#input!.id : scores;
  }

  #repeat(): Repeated<Tensor> | null {
    this.#room = this.#caches[0]?.room;
    return this.#decoder.device.repeat(() => (this.#chooses ? this.#choose(this.#scores()) : cast(this.#scores(), "f32")));
  }

  #scores(): Tensor {
    const { id, position, stored } = this.#input!;
    const layers = this.#caches.map((cache): AttentionCache => ({ attend: (q, k, v) => cache.attendNext(q, k, v, stored) }));
    const input = { ids: id, positions: position, documentStart: null };
    return this.#decoder.logits(this.#params, input, layers);
  }

  /** Makes the best token the input. */
  #choose(scores: Tensor): Tensor {
    const { id, position, stored } = this.#input!;
    chooseNext(id, position, stored, scores);
    return scores;
  }

  #emptyInput(): StepInput {
    const { device } = this.#decoder;
    const integer = (shape: readonly number[]): Tensor => zeros(device, shape, "i32");
    return keep(scope(() => ({ id: integer([1, 1]), position: integer([1, 1]), stored: integer([1]) })));
  }

  #write({ device, handle }: Tensor, value: number): void {
    device.write(handle, device.encode("i32", [value]));
  }
}
