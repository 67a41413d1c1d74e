import { DataError } from "../data-error.ts";
import { type ChatTemplate, parseChatTemplate, type SpecialTokens, type TemplateOptions } from "./chat-template.ts";
import { danubeTemplate } from "./danube-template.ts";
import { describe, isPlainObject } from "./json.ts";

const tokenNames = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) => `${name}_token`);

/** The chat template of a tokenizer_config.json, with its special tokens; Danube's where it has none.
 *  @param tokenizerConfig the parsed file: `chat_template` is a source, or a list of `{ name, template }`
 *  @param name which of a list  @throws DataError `bad-template`, `template-limit` */
export function templateOf(
  tokenizerConfig: unknown,
  { name = "default", limits }: { readonly name?: string; readonly limits?: TemplateOptions["limits"] } = {},
): ChatTemplate {
  if (!isPlainObject(tokenizerConfig)) {
    throw bad(`expected tokenizer_config.json to hold an object, got ${describe(tokenizerConfig)}`);
  }
  const specialTokens = specialTokensOf(tokenizerConfig);
  const template = tokenizerConfig["chat_template"] ?? undefined;
  const source = template === undefined ? danubeTemplate.source : sourceOf(template, name);
  const tokens = template === undefined ? { ...danubeTemplate.specialTokens, ...specialTokens } : specialTokens;
  return parseChatTemplate(source, { specialTokens: tokens, ...(limits === undefined ? {} : { limits }) });
}

function sourceOf(template: unknown, name: string): string {
  if (typeof template === "string") return template;
  if (!Array.isArray(template)) {
    throw bad(`expected chat_template to be a string or a list of named templates, got ${describe(template)}`);
  }
  const named = template.filter(isPlainObject);
  const chosen = named.find((one) => one["name"] === name)?.["template"];
  if (typeof chosen === "string") return chosen;
  const names = named.map((one) => describe(one["name"])).slice(0, 20);
  throw bad(`expected chat_template to hold a template named ${describe(name)}, got ${names.join(", ") || "none"}`);
}

function specialTokensOf(config: Record<string, unknown>): SpecialTokens {
  const tokens: Record<string, string> = {};
  for (const name of tokenNames) {
    const token = config[name] ?? undefined;
    if (token === undefined) continue;
    const spelling = isPlainObject(token) ? token["content"] : token;
    if (typeof spelling !== "string") {
      throw bad(`expected ${name} to be a string or an object with content, got ${describe(spelling)}`);
    }
    tokens[name] = spelling;
  }
  return tokens;
}

function bad(message: string): DataError {
  return new DataError("bad-template", message);
}
