import { DataError, parseChatTemplate, type ChatTemplate, type SystemMessages } from "@danu/data";
import { openModelFolder, type DecoderConfig } from "@danu/model";

import { InputError } from "../../cli/errors.ts";
import { readText } from "../../cli/read-file.ts";
import { chatTemplateOf } from "../../model/chat-template.ts";
import { openTokenizer, tokenizerFilesFor, type TokenizerFile } from "../../model/tokenizer-file.ts";

const maxTemplateBytes = 2 ** 20;

/** What fine-tuning starts from. */
export interface TuningSource {
  readonly config: DecoderConfig;
  readonly tokenizer: TokenizerFile;
  readonly template: ChatTemplate;
}

/** Opens a model folder's configuration with its tokenizer and chat template.
 *  @param templatePath a file in Jinja; null for the tokenizer's own template, or Danube's where it has none
 *  @throws InputError when the tokenizer does not fit; and the errors of the files */
export async function openTuningSource(
  model: string, tokenizerPath: string, templatePath: string | null,
): Promise<TuningSource> {
  const folder = await openModelFolder(model);
  await folder.close();
  const tokenizer = await openTokenizer(tokenizerPath);
  const { vocabularySize, eosId } = tokenizer.tokenizer;
  if (eosId < 0) {
    throw new InputError(
      `${tokenizer.path}: expected a tokenizer with an end-of-sequence token, by which a model learns to end its ` +
        "answers, it names none; set eos_token in tokenizer_config.json",
    );
  }
  if (vocabularySize > folder.config.vocabularySize) {
    const most = folder.config.vocabularySize;
    throw new InputError(`${tokenizer.path}: expected at most the model's ${most} tokens, got ${vocabularySize}`);
  }
  const template = await openTemplate(tokenizer, templatePath);
  requireWorking(template);
  return { config: folder.config, tokenizer, template };
}

async function openTemplate(tokenizer: TokenizerFile, path: string | null): Promise<ChatTemplate> {
  if (path === null) return chatTemplateOf(tokenizer);
  const source = await readText(path, maxTemplateBytes);
  const { specialTokens } = chatTemplateOf(tokenizer);
  return parseChatTemplate(source, { specialTokens });
}

/** Finds what is wrong with a template before it is the fault of every row. @throws DataError `template-failed` */
function requireWorking(template: ChatTemplate): void {
  try {
    template.render(
      [{ role: "user", content: "Why?" }, { role: "assistant", content: "So." }], { unknownVariables: "error" },
    );
  } catch (error) {
    // One that wants other messages says so itself.
    if (!(error instanceof DataError) || error.code !== "template-raised") throw error;
  }
}

/** `keep` for templates that know system messages, else `prepend`. */
export function systemMessagesOf(template: ChatTemplate): SystemMessages {
  try {
    template.render([{ role: "system", content: "Be brief." }, { role: "user", content: "Why?" }]);
    return "keep";
  } catch (error) {
    if (error instanceof DataError) return "prepend";
    throw error;
  }
}

/** The tokenizer's files of a model folder, with the chat template in `tokenizer_config.json`. */
export async function chatFilesFor(
  { tokenizer, config, template }: TuningSource,
): Promise<ReadonlyMap<string, Uint8Array | string>> {
  const files = new Map(await tokenizerFilesFor(tokenizer, config));
  const name = "tokenizer_config.json";
  const given = files.get(name);
  const settings = given === undefined ? {} : (JSON.parse(Buffer.from(given).toString("utf8")) as object);
  const written = { ...template.specialTokens, ...settings, chat_template: template.source };
  // It would come before the one in the settings.
  if (files.has("chat_template.jinja")) files.set("chat_template.jinja", template.source);
  return files.set(name, `${JSON.stringify(written, null, 2)}\n`);
}
