import type { BpeTokenizer } from "../bpe-tokenizer.ts";
import { fieldsOf, type SavedTokens } from "./saved-tokens.ts";

/** What the small files say beside what the tokenizer itself knows. */
export interface ConfigOptions {
  /** Class of transformers that reads the folder. */
  readonly tokenizerClass: "LlamaTokenizer" | "PreTrainedTokenizerFast";
  /** Whether every stretch between special tokens gets a dummy space; undefined where the vocabulary's file says it. */
  readonly legacy: boolean | undefined;
  /** Longest text of the model, in tokens. */
  readonly modelMaxLength: number | undefined;
}

/** The files `tokenizer_config.json` and `special_tokens_map.json`, as transformers 4 and 5 read them. */
export function configFiles(
  tokenizer: BpeTokenizer,
  tokens: SavedTokens,
  { tokenizerClass, legacy, modelMaxLength }: ConfigOptions,
): [name: string, file: Uint8Array][] {
  const { named } = tokens;
  const listed = tokens.all.map((token) => [token.id, fieldsOf(token)] as const);
  const config = {
    add_bos_token: tokenizer.addsBos,
    add_eos_token: tokenizer.addsEos,
    ...(listed.length > 0 ? { added_tokens_decoder: Object.fromEntries(listed) } : {}),
    ...named,
    ...(tokenizer.chatTemplate === undefined ? {} : { chat_template: tokenizer.chatTemplate }),
    clean_up_tokenization_spaces: false,
    ...(legacy === undefined ? {} : { legacy }),
    // Else transformers 4 gives token types too, which decoders refuse.
    model_input_names: ["input_ids", "attention_mask"],
    ...(modelMaxLength === undefined ? {} : { model_max_length: modelMaxLength }),
    ...(legacy === undefined ? {} : { sp_model_kwargs: {} }),
    tokenizer_class: tokenizerClass,
    ...(legacy === undefined ? {} : { use_default_system_prompt: false }),
  };
  const map = Object.entries(named).filter(([, name]) => name !== null);
  return [
    ["tokenizer_config.json", jsonFile(config)],
    ["special_tokens_map.json", jsonFile(Object.fromEntries(map))],
  ];
}

export function jsonFile(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}
