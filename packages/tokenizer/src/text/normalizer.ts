/** A stretch of text as merges see it. */
export interface NormalizedText {
  /** With a plain space for every `▁`, where the vocabulary spells spaces so. */
  readonly text: string;
  /** Whether a dummy space belongs before it; kept apart, because joining long strings is slow. */
  readonly spaceBefore: boolean;
  /** Where each code unit of `text` came from in the original, and the original's length at the end; absent where they
   *  are the same. */
  readonly sources?: Int32Array;
  /** Where in the original each code unit of `text` ends; absent where the next one's source tells. */
  readonly sourceEnds?: Int32Array;
  /** Where the dummy space came from, if not from the place of the first code unit. */
  readonly spaceSource?: number;
}

/** What happens to text before merging. */
export interface Normalizer {
  /** @param prefixSpace whether a dummy space may be added  @param aligned whether `sources` are asked for */
  normalize(text: string, prefixSpace: boolean, aligned: boolean): NormalizedText;
}
