import { type Decoder, DecodeState } from "./decoder.ts";
import { incompleteTail } from "./utf8.ts";

const FIRST_CAPACITY = 64;

/** Text of ids that arrive one by one, in whole characters. */
export class StreamDecoder {
  readonly #decoder: Decoder;
  readonly #skipSpecial: boolean;
  #state = new DecodeState(FIRST_CAPACITY);

  constructor(decoder: Decoder, skipSpecial: boolean) {
    this.#decoder = decoder;
    this.#skipSpecial = skipSpecial;
  }

  /** The text that the next id or ids complete, often empty; half a character waits for its rest.
   *  @throws TokenizerError `id-out-of-range`, and the ids of that call are then not taken */
  push(ids: number | ArrayLike<number>): string {
    const state = this.#state;
    this.#decoder.append(state, typeof ids === "number" ? [ids] : ids, this.#skipSpecial);
    return this.#decoder.text(state, state.length - incompleteTail(state.bytes, state.length));
  }

  /** The end of the text: an incomplete character comes out as U+FFFD. The decoder is then ready for another text. */
  flush(): string {
    const rest = this.#decoder.text(this.#state, this.#state.length);
    this.#state = new DecodeState(FIRST_CAPACITY);
    return rest;
  }
}
