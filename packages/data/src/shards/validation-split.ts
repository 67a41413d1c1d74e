import { keyOf, mix } from "../keyed-hash.ts";

const million = 1_000_000;

/** Says which documents are held out for validation, as a pure function of seed and document number: of every
 *  `1/fraction` consecutive documents exactly one, chosen by a hash, so that small corpora get their share as well.
 *  @param fraction of the documents, from 0 to below 1, kept to six digits */
export function validationChooser(seed: number, fraction: number): (document: number) => boolean {
  const parts = Math.round(fraction * million);
  if (parts === 0) return () => false;
  const [key = 0, highKey = 0] = keyOf("validation", seed);
  return (document) => {
    const stratum = Math.floor((document * parts) / million);
    const first = Math.ceil((stratum * million) / parts);
    const next = Math.ceil(((stratum + 1) * million) / parts);
    const pick = mix(mix(stratum % 2 ** 32, key), highKey + Math.floor(stratum / 2 ** 32));
    return document === first + (pick % (next - first));
  };
}
