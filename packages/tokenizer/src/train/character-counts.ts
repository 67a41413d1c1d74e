import { FIRST_ROOM, grown } from "./grown.ts";

/** How often each character occurs. */
export class CharacterCounts {
  /** Occurrences by code point, up to the highest seen and some beyond. */
  counts: Float64Array = new Float64Array(FIRST_ROOM);

  add(codePoint: number, count: number): void {
    if (codePoint >= this.counts.length) this.counts = grown(this.counts, codePoint * 2);
    this.counts[codePoint]! += count;
  }

  copy(): CharacterCounts {
    const copy = new CharacterCounts();
    copy.counts = this.counts.slice();
    return copy;
  }
}
