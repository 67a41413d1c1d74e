/** Scripts of Unicode 15, the frequent ones first: a character is asked for them in this order. */
const NAMES = (
  "Common Latin Han Inherited Hiragana Katakana Hangul Cyrillic Greek Arabic Hebrew Devanagari Thai Bengali Tamil " +
  "Telugu Gujarati Gurmukhi Kannada Malayalam Oriya Sinhala Armenian Georgian Ethiopic Khmer Lao Myanmar Tibetan " +
  "Mongolian Bopomofo Adlam Ahom Anatolian_Hieroglyphs Avestan Balinese Bamum Bassa_Vah Batak Bhaiksuki Brahmi " +
  "Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Coptic " +
  "Cuneiform Cypriot Cypro_Minoan Deseret Dives_Akuru Dogra Duployan Egyptian_Hieroglyphs Elbasan Elymaic " +
  "Glagolitic Gothic Grantha Gunjala_Gondi Hanifi_Rohingya Hanunoo Hatran Imperial_Aramaic Inscriptional_Pahlavi " +
  "Inscriptional_Parthian Javanese Kaithi Kawi Kayah_Li Kharoshthi Khitan_Small_Script Khojki Khudawadi Lepcha " +
  "Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Makasar Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin " +
  "Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mro Multani Nabataean Nag_Mundari " +
  "Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki Old_Hungarian Old_Italic " +
  "Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian Old_Turkic Old_Uyghur Osage Osmanya " +
  "Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada " +
  "Shavian Siddham SignWriting Sogdian Sora_Sompeng Soyombo Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le " +
  "Tai_Tham Tai_Viet Takri Tangsa Tangut Thaana Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi " +
  "Yezidi Yi Zanabazar_Square"
).split(" ");

/** Punctuation, symbols, digits, and whatever has no script of its own. */
export const COMMON = 1;
export const LATIN = 2;
/** Kanji, and kana too: one Japanese word mixes them. */
const HAN = 3;
/** Combining marks: they are of the script of the character before. */
export const INHERITED = 4;
const HIRAGANA = 5;
const KATAKANA = 6;
/** Digits that are each to be a piece of their own: 0 to 9, and their wide forms, as sentencepiece has it. */
export const DIGIT = 255;
const PROLONGED_SOUND_MARK = 0x30fc;

/** Numbers for the Unicode scripts of characters, grouped as sentencepiece groups them. They are asked of the engine, so
 *  two engines may cut differently around a character that one of them does not know yet. */
export class ScriptTable {
  readonly #splitDigits: boolean;
  readonly #expressions = NAMES.map((name) => new RegExp(`\\p{Script=${name}}`, "u"));
  /** Answers by code point, 0 for one that was not asked for yet. */
  readonly #known = new Uint8Array(0x110000);

  /** @param splitDigits whether digits are `DIGIT` instead of their script */
  constructor(splitDigits: boolean) {
    this.#splitDigits = splitDigits;
  }

  scriptOf(codePoint: number): number {
    return this.#known[codePoint]! || (this.#known[codePoint] = this.#lookUp(codePoint));
  }

  #lookUp(codePoint: number): number {
    const character = String.fromCodePoint(codePoint);
    if (this.#splitDigits && /[0-9\uff10-\uff19]/.test(character)) return DIGIT;
    const script = this.#expressions.findIndex((expression) => expression.test(character)) + 1;
    if (script === HIRAGANA || script === KATAKANA || codePoint === PROLONGED_SOUND_MARK) return HAN;
    return script || COMMON;
  }
}
