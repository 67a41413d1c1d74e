import type { SentencePieceModel } from "../sentencepiece/model.ts";
import { cannotHold } from "./errors.ts";

/** A step as tokenizer.json describes it. */
export type Step = Readonly<Record<string, unknown>>;

/** What a tokenizer.json does before and after its model, by the names of that file. */
export interface Pipeline {
  readonly normalizer: Step;
  readonly pre_tokenizer: Step | null;
  readonly decoder: Step;
}

const SPACE_SYMBOL = "\u2581";
/** More spaces than any text begins with. */
const ALL = 2 ** 20;

/** A dummy space before the first stretch only. `Metaspace` leaves it out where the text begins with one already, and
 *  no text does once its spaces are `▁`: so the first makes the dummy a real space, and the second makes that a `▁`. */
const firstPrefix: readonly Step[] = [
  { type: "Metaspace", replacement: " ", prepend_scheme: "first", split: false },
  { type: "Metaspace", replacement: SPACE_SYMBOL, prepend_scheme: "never", split: false },
];

/** Removes spaces at both ends and all but one of a run; of `▁` that stood in the text, those at the end. Looking
 *  behind keeps a run inside the text from being tried once for each of its characters. */
const trimmed: readonly Step[] = [
  replace({ Regex: " {2,}" }, " "),
  replace({ Regex: "\\A " }, ""),
  replace({ Regex: `(?<![ ${SPACE_SYMBOL}])[ ${SPACE_SYMBOL}]+\\z` }, ""),
];

/** The steps that treat text as a SentencePiece model does.
 *  @param prefix which stretches between special tokens get the dummy space, if the model asks for it
 *  @param splits pre-tokenizers that cut out user-defined pieces
 *  @throws TokenizerError `unsupported-model` for a dummy space before the first stretch alone where leading spaces are
 *  removed: no step knows both */
export function pipelineOf(model: SentencePieceModel, prefix: "every" | "first", splits: readonly Step[]): Pipeline {
  const { addDummyPrefix, removeExtraWhitespaces } = model.normalizer;
  if (prefix === "first" && addDummyPrefix && removeExtraWhitespaces) {
    throw cannotHold("tokenizer.json", "extra spaces to stay, or legacy to be true, got a model that removes them");
  }
  const spaces = replace({ String: " " }, SPACE_SYMBOL);
  const prepend = addDummyPrefix && prefix === "every" ? [{ type: "Prepend", prepend: SPACE_SYMBOL }] : [];
  const normalizers = [...(removeExtraWhitespaces ? trimmed : []), ...prepend, spaces];
  const pretokenizers = [...(addDummyPrefix && prefix === "first" ? firstPrefix : []), ...splits];
  const leading = removeExtraWhitespaces ? ALL : addDummyPrefix ? 1 : 0;
  const decoders = [
    replace({ String: SPACE_SYMBOL }, " "),
    ...(model.trainer.byteFallback ? [{ type: "ByteFallback" }] : []),
    { type: "Fuse" },
    ...(leading > 0 ? [{ type: "Strip", content: " ", start: leading, stop: 0 }] : []),
  ];
  return {
    normalizer: { type: "Sequence", normalizers },
    pre_tokenizer: pretokenizers.length > 0 ? { type: "Sequence", pretokenizers } : null,
    decoder: { type: "Sequence", decoders },
  };
}

function replace(pattern: Step, content: string): Step {
  return { type: "Replace", pattern, content };
}

/** The step that puts tokens around a text, or null for none. */
export function templateOf(before: readonly NamedId[], after: readonly NamedId[]): Step | null {
  const around = [...before, ...after];
  if (around.length === 0) return null;
  const tokens = (list: readonly NamedId[], type: number): Step[] =>
    list.map(({ name }) => ({ SpecialToken: { id: name, type_id: type } }));
  const sequence = (id: string, type: number): Step[] => [
    ...tokens(before, type),
    { Sequence: { id, type_id: type } },
    ...tokens(after, type),
  ];
  const special = around.map(({ id, name }) => [name, { id: name, ids: [id], tokens: [name] }] as const);
  return {
    type: "TemplateProcessing",
    single: sequence("A", 0),
    pair: [...sequence("A", 0), ...sequence("B", 1)],
    special_tokens: Object.fromEntries(special),
  };
}

/** A token's id and spelling. */
export interface NamedId {
  readonly id: number;
  readonly name: string;
}
