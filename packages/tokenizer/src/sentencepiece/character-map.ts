import { TokenizerError } from "../errors.ts";
import type { LiteralMatcher } from "../text/literal-matcher.ts";

/** Darts: the units of a trie come in blocks of this many, so that a block's base with any byte stays inside. */
const BLOCK = 256;
/** A unit's label with the bit that marks values, so that a value's unit has no byte's label. */
const LABEL = 0x800000ff | 0;
const HAS_VALUE = 0x100;
const VALUE = 0x7fffffff;

/** The longest rule in UTF-16 units; sentencepiece's own rules have 6. Without a limit a crafted trie is as deep as it
 *  is long, and then each place in the text costs as much. */
const LONGEST_RULE = 128;
/** Units that replacements may have per unit of text; NFKC makes 18 of one at most. */
const MOST_GROWTH = 32;
/** Units that replacements may always have together, so that short texts allow for long replacements. */
const FREE_GROWTH = 1 << 16;

/** Flag of a UTF-16 unit: some rule goes on after this first character. */
const CONTINUES = 1;
/** Flag of a UTF-16 unit: some rule may have this character second. */
const FOLLOWS = 2;
/** Flag of a UTF-16 unit: a rule of this character alone, or a surrogate. */
const LOOK = 4;

const loneSurrogates = /\p{Surrogate}/gu;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The character map of a NormalizerSpec (field precompiled_charsmap), such as NFKC: at each place the longest rule
 *  that matches is applied, and what it gives is not matched again.
 *
 *  The blob is the trie's size in bytes (u32, little endian), the trie with a byte per edge, and the replacements in
 *  UTF-8, each ended by a null. The trie is a double array as of Darts-clone: unit `i` has the label `bits 0–7`, its
 *  children are at `i ^ offset ^ byte` where their label says so, and a rule that ends at `i` has its replacement's
 *  place at `i ^ offset`. */
export class CharacterMap {
  readonly #trie: Int32Array;
  readonly #replacements: Uint8Array;
  readonly #literals: LiteralMatcher | undefined;
  /** `[65536]` flags of each UTF-16 unit. */
  readonly #flags = new Uint8Array(1 << 16);
  /** Replacements read so far, by their place; places are where strings start, so they never overlap. */
  readonly #read = new Map<number, string>();
  /** Place of the replacement that the last call of `#longestRule` found. */
  #found = 0;

  /** @param literals what stays as it is where no rule has taken its start: user-defined pieces as the file spells them
   *  @throws TokenizerError `malformed-model` when the trie or a replacement points outside */
  constructor(blob: Uint8Array, literals?: LiteralMatcher) {
    const trieEnd = checkSizes(blob);
    this.#trie = readUnits(blob, trieEnd);
    this.#replacements = blob.slice(trieEnd);
    this.#literals = literals?.isEmpty === false ? literals : undefined;
    checkReplacements(this.#replacements);
    checkTrie(this.#trie, this.#replacements);
    this.#setFlags();
  }

  /** Text with every longest match replaced, and U+FFFD for lone surrogates.
   *  @throws TokenizerError `unsupported-model` when replacements are out of proportion to the text */
  apply(text: string): string {
    let result = "";
    this.scan(
      text,
      (from, to) => (result += text.slice(from, to)),
      (_from, _to, replacement) => (result += replacement),
    );
    return result;
  }

  /** The same, with the index in `text` of the match or character that each UTF-16 unit of the result came from.
   *  @returns `sources` `[result.length + 1]`; the last is `text.length`
   *  @throws TokenizerError as `apply` */
  applyAligned(text: string): { text: string; sources: Int32Array } {
    const result = this.apply(text);
    const sources = new Int32Array(result.length + 1);
    let length = 0;
    this.scan(
      text,
      (from, to) => {
        for (let at = from; at < to; at++) sources[length++] = isLowSurrogate(text.charCodeAt(at)) ? at - 1 : at;
      },
      (from, _to, replacement) => {
        sources.fill(from, length, length + replacement.length);
        length += replacement.length;
      },
    );
    sources[length] = text.length;
    return { text: result, sources };
  }

  /** Walks through `text`: `onText` gets each stretch that stays, `onMatch` each match of a rule or literal and each
   *  lone surrogate, with what stands in its place.
   *  @throws TokenizerError as `apply` */
  scan(
    text: string,
    onText: (from: number, to: number) => void,
    onMatch: (from: number, to: number, replacement: string) => void,
  ): void {
    const flags = this.#flags;
    const end = text.length;
    let room = FREE_GROWTH + MOST_GROWTH * end;
    // Literals may have U+FFFD; a replacement of equal length keeps the places.
    const wellFormed = this.#literals === undefined ? text : text.replace(loneSurrogates, "\ufffd");
    const literals = this.#literals?.matchesIn(wellFormed);
    let literal = literals?.next(0);
    let stays = 0;
    for (let at = 0, here = flags[text.charCodeAt(0)] ?? 0; at < end; ) {
      const next = at + 1 < end ? flags[text.charCodeAt(at + 1)]! : 0;
      if ((here & LOOK) === 0 && (here & (next >> 1) & CONTINUES) === 0 && at !== literal?.start) {
        here = next;
        at++;
        continue;
      }
      let matchEnd: number;
      let replacement: string | undefined;
      if (at === literal?.start) {
        matchEnd = literal.end;
        replacement = wellFormed.slice(at, matchEnd);
      } else if ((matchEnd = this.#longestRule(text, at)) > 0) {
        replacement = this.#replacement(this.#found);
      } else {
        const point = text.codePointAt(at)!;
        matchEnd = at + (point > 0xffff ? 2 : 1);
        if (isSurrogate(point)) replacement = "\ufffd";
      }
      if (replacement !== undefined) {
        if (at > stays) onText(stays, at);
        if ((room -= replacement.length) < 0) throw tooLong(end);
        onMatch(at, matchEnd, replacement);
        stays = matchEnd;
      }
      at = matchEnd;
      here = flags[text.charCodeAt(at)] ?? 0;
      if (literal !== undefined && literal.start < at) literal = literals!.next(at);
    }
    if (end > stays) onText(stays, end);
  }

  /** Where the longest rule that matches at `start` ends, or 0; `#found` is its replacement. */
  #longestRule(text: string, start: number): number {
    let node = 0;
    let longest = 0;
    for (let at = start; at < text.length; ) {
      const point = text.codePointAt(at)!;
      node = this.#descend(node, isSurrogate(point) ? 0xfffd : point);
      if (node < 0) break;
      at += point > 0xffff ? 2 : 1;
      if (at - start > LONGEST_RULE) throw unsupported(`rules of at most ${LONGEST_RULE} UTF-16 units, got a longer`);
      const unit = this.#trie[node]!;
      if ((unit & HAS_VALUE) !== 0) {
        longest = at;
        this.#found = this.#trie[node ^ offsetOf(unit)]! & VALUE;
      }
    }
    return longest;
  }

  /** The node below `node` by the UTF-8 bytes of a character, or −1. */
  #descend(node: number, point: number): number {
    if (point < 0x80) return this.#child(node, point);
    let at = node;
    if (point < 0x800) at = this.#child(at, 0xc0 | (point >> 6));
    else {
      if (point < 0x10000) at = this.#child(at, 0xe0 | (point >> 12));
      else {
        at = this.#child(at, 0xf0 | (point >> 18));
        if (at >= 0) at = this.#child(at, 0x80 | ((point >> 12) & 63));
      }
      if (at >= 0) at = this.#child(at, 0x80 | ((point >> 6) & 63));
    }
    return at < 0 ? -1 : this.#child(at, 0x80 | (point & 63));
  }

  #child(node: number, byte: number): number {
    const child = node ^ offsetOf(this.#trie[node]!) ^ byte;
    return (this.#trie[child]! & LABEL) === byte ? child : -1;
  }

  #replacement(place: number): string {
    let replacement = this.#read.get(place);
    if (replacement === undefined) {
      replacement = utf8.decode(this.#replacements.subarray(place, this.#replacements.indexOf(0, place)));
      this.#read.set(place, replacement);
    }
    return replacement;
  }

  /** Most places in text have no rule, and two flags tell that without a walk through the trie. */
  #setFlags(): void {
    const flags = this.#flags;
    const trie = this.#trie;
    /** Where the children of each first character's node are. */
    const bases = new Int32Array(1 << 16).fill(-1);
    const isBase = new Uint8Array(trie.length);
    for (let unit = 0; unit <= 0xffff; unit++) {
      if (isSurrogate(unit)) flags[unit] = LOOK;
      const node = isSurrogate(unit) ? -1 : this.#descend(0, unit);
      if (node < 0) continue;
      if ((trie[node]! & HAS_VALUE) !== 0) flags[unit]! |= LOOK;
      bases[unit] = node ^ offsetOf(trie[node]!);
      isBase[bases[unit]!] = 1;
    }
    const hasChildren = new Uint8Array(trie.length);
    /** Which bytes some rule has right after its first character. */
    const following = new Uint8Array(256);
    for (let child = 0; child < trie.length; child++) {
      const byte = trie[child]! & LABEL;
      if (byte < 0 || isBase[child ^ byte] === 0) continue;
      hasChildren[child ^ byte] = 1;
      following[byte] = 1;
    }
    // A surrogate may be half of a character of four bytes, or alone and U+FFFD, whose first byte is EF.
    const surrogateFollows = following.subarray(0xef).includes(1);
    for (let unit = 0; unit <= 0xffff; unit++) {
      const follows = isSurrogate(unit) ? surrogateFollows : following[firstByte(unit)] === 1;
      if (follows) flags[unit]! |= FOLLOWS;
      if (hasChildren[bases[unit]!] === 1) flags[unit]! |= CONTINUES;
    }
  }
}

/** @returns where the trie ends */
function checkSizes(blob: Uint8Array): number {
  const view = new DataView(blob.buffer, blob.byteOffset, blob.byteLength);
  const size = blob.length > 4 ? view.getUint32(0, true) : 0;
  if (size >= 4 * BLOCK && size % (4 * BLOCK) === 0 && size < blob.length - 4) return size + 4;
  throw malformed(`a trie of n · ${4 * BLOCK} bytes and replacements, got a size of ${size} in ${blob.length} bytes`);
}

function readUnits(blob: Uint8Array, trieEnd: number): Int32Array {
  const view = new DataView(blob.buffer, blob.byteOffset, trieEnd);
  const units = new Int32Array((trieEnd - 4) / 4);
  for (let i = 0; i < units.length; i++) units[i] = view.getInt32(4 + 4 * i, true);
  return units;
}

function checkReplacements(replacements: Uint8Array): void {
  if (replacements.at(-1) !== 0) throw malformed("replacements that end with a null character");
  try {
    utf8.decode(replacements);
  } catch {
    throw malformed("replacements in UTF-8, got other bytes");
  }
}

/** Checks every unit, reached or not, so that no walk needs to: all children lie in the block of the unit's base, and
 *  all values where a replacement starts. */
function checkTrie(units: Int32Array, replacements: Uint8Array): void {
  if (units[0]! < 0) throw malformed("a root in the trie, got a value");
  for (let i = 0; i < units.length; i++) {
    const unit = units[i]!;
    if (unit < 0) continue; // a value
    const base = i ^ offsetOf(unit);
    if (base >= units.length) throw malformed(`children below ${units.length} in the trie, got ${base} at unit ${i}`);
    if ((unit & HAS_VALUE) === 0) continue;
    const place = units[base]! & VALUE;
    if (place >= replacements.length || (place > 0 && replacements[place - 1] !== 0)) {
      throw malformed(`the start of a replacement in the trie, got ${place} at unit ${base}`);
    }
  }
}

/** Distance, by exclusive or, from a unit to its children's block: 21 bits, in units or in blocks. */
function offsetOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}

/** First byte in UTF-8 of a character below U+10000. */
function firstByte(unit: number): number {
  return unit < 0x80 ? unit : unit < 0x800 ? 0xc0 | (unit >> 6) : 0xe0 | (unit >> 12);
}

function isSurrogate(point: number): boolean {
  return point >= 0xd800 && point < 0xe000;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

function malformed(expectation: string): TokenizerError {
  return new TokenizerError("malformed-model", `character map of the tokenizer model: expected ${expectation}`);
}

function unsupported(expectation: string): TokenizerError {
  return new TokenizerError("unsupported-model", `character map of the tokenizer model: expected ${expectation}`);
}

function tooLong(length: number): TokenizerError {
  const limit = FREE_GROWTH + MOST_GROWTH * length;
  return unsupported(`replacements of at most ${limit} UTF-16 units in a text of ${length}, got more`);
}
