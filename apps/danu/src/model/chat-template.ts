import { encodeChat, templateOf, type ChatTemplate } from "@danu/data";
import type { Tokenizer } from "@danu/tokenizer";

import { InputError } from "../cli/errors.ts";
import type { TokenizerFile } from "./tokenizer-file.ts";

/** The chat template of a model folder: chat_template.jinja, else that of tokenizer_config.json, else Danube's.
 *  @throws InputError, DataError when tokenizer_config.json or the template is none */
export function chatTemplateOf({ tokenizer, files }: Pick<TokenizerFile, "tokenizer" | "files">): ChatTemplate {
  const { bosId, eosId, pieces, chatTemplate } = tokenizer;
  const named = (name: string, id: number): object => (id < 0 ? {} : { [name]: pieces[id] });
  return templateOf({
    ...named("bos_token", bosId),
    ...named("eos_token", eosId),
    ...(files.config === undefined ? {} : parseConfig(files.config)),
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
  });
}

function parseConfig(bytes: Uint8Array): object {
  const config: unknown = JSON.parse(new TextDecoder().decode(bytes));
  if (typeof config === "object" && config !== null && !Array.isArray(config)) return config;
  throw new InputError("tokenizer_config.json: expected an object");
}

/** Ids that end an answer: the end and begin tokens, and the special token that the template writes after an answer. */
export function answerEnds(tokenizer: Tokenizer, template: ChatTemplate): readonly number[] {
  const { ids, trained } = encodeChat(tokenizer, template, [
    { role: "user", content: "question" },
    { role: "assistant", content: "answer" },
  ]);
  const last = ids[trained.lastIndexOf(1)];
  const mark = last !== undefined && tokenizer.isSpecial(last) ? [last] : [];
  return [...new Set([tokenizer.bosId, tokenizer.eosId, ...mark])].filter((id) => id >= 0);
}
