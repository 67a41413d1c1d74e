import { TokenizerError } from "../errors.ts";
import type { TokenizerSettings } from "../settings.ts";
import type { AddedToken } from "../text/added-tokens.ts";
import { AddedTokenReader } from "./added-token-reader.ts";
import { JsonReader } from "./json-reader.ts";
import { MOST_IDS } from "./vocabulary-reader.ts";

/** The small files beside a vocabulary, as bytes. */
export interface SettingsFiles {
  readonly config?: Uint8Array | undefined;
  readonly specialTokensMap?: Uint8Array | undefined;
  readonly addedTokens?: Uint8Array | undefined;
  readonly chatTemplate?: Uint8Array | undefined;
}

/** Bytes of a chat template. */
const LONGEST_TEMPLATE = 1 << 20;
/** Bytes of a special token's name. */
const LONGEST_NAME = 1 << 16;
const names = { bos_token: "bos", eos_token: "eos", unk_token: "unk", pad_token: "pad" } as const;

type Names = { -readonly [name in "bos" | "eos" | "unk" | "pad"]?: string | null };

/** What one file says. */
interface Said extends Names {
  addsBos?: boolean;
  addsEos?: boolean;
  legacy?: boolean;
  addedTokens?: readonly AddedToken[];
  chatTemplate?: string;
  /** Other special tokens that have names. */
  others?: readonly string[];
}

/** Reads tokenizer_config.json, special_tokens_map.json, added_tokens.json and chat_template.jinja, any of which may
 *  be absent. Where the config lists the added tokens it comes before the two older files, as in transformers; else
 *  they come before it. A named token that no file gives an id is not made up.
 *  @throws TokenizerError `malformed-model` */
export function readSettings(files: SettingsFiles): TokenizerSettings {
  const config = files.config === undefined ? {} : readNames(files.config, "tokenizer_config.json");
  const map = files.specialTokensMap === undefined ? {} : readNames(files.specialTokensMap, "special_tokens_map.json");
  const { others: _, ...said }: Said = config.addedTokens === undefined ? { ...config, ...map } : { ...map, ...config };
  if (files.addedTokens !== undefined && config.addedTokens === undefined) {
    const named = [said.bos, said.eos, said.unk, said.pad, ...(config.others ?? []), ...(map.others ?? [])];
    said.addedTokens = readAddedTokens(files.addedTokens, new Set(named));
  }
  if (files.chatTemplate !== undefined) said.chatTemplate = readTemplate(files.chatTemplate);
  return said;
}

/** Reads a file that names special tokens. */
function readNames(file: Uint8Array, name: string): Said {
  const reader = new JsonReader(file, name);
  const said: Said = {};
  reader.fields((field) => {
    const kind = reader.kind();
    if (isName(field)) said[names[field]] = readName(reader);
    else if (field === "additional_special_tokens" && kind === "array") said.others = readOthers(reader);
    else if (kind === "null") reader.skip();
    else if (field === "add_bos_token") said.addsBos = reader.boolean();
    else if (field === "add_eos_token") said.addsEos = reader.boolean();
    else if (field === "legacy") said.legacy = reader.boolean();
    else if (field === "added_tokens_decoder") said.addedTokens = readDecoder(reader);
    else if (field === "chat_template") {
      const template = readTemplates(reader);
      if (template !== undefined) said.chatTemplate = template;
    } else reader.skip();
  });
  reader.close();
  return said;
}

function isName(field: string): field is keyof typeof names {
  return Object.hasOwn(names, field);
}

/** A token's spelling: a string, or an object with `content`. */
function readName(reader: JsonReader): string | null {
  if (reader.isNull()) return null;
  if (reader.kind() === "string") return reader.stringUpTo(LONGEST_NAME);
  let content: string | undefined;
  reader.fields((field) => {
    if (field === "content") content = reader.stringUpTo(LONGEST_NAME);
    else reader.skip();
  });
  if (content === undefined) throw reader.fail("a token with content");
  return content;
}

function readOthers(reader: JsonReader): string[] {
  const others: string[] = [];
  reader.items(() => {
    const name = readName(reader);
    if (name !== null) others.push(name);
  });
  return others;
}

/** An object from ids to tokens. */
function readDecoder(reader: JsonReader): readonly AddedToken[] {
  const tokens = new AddedTokenReader(reader);
  reader.fields((id) => {
    if (!/^\d{1,7}$/.test(id) || Number(id) >= MOST_IDS) throw reader.fail(`ids of 0 to ${MOST_IDS - 1}`);
    tokens.read(Number(id));
  });
  return tokens.tokens;
}

/** A template, or a list of templates with names of which "default" counts. */
function readTemplates(reader: JsonReader): string | undefined {
  if (reader.kind() === "string") return reader.stringUpTo(LONGEST_TEMPLATE);
  let found: string | undefined;
  reader.items(() => {
    let name: string | undefined;
    let template: string | undefined;
    reader.fields((field) => {
      if (field === "name") name = reader.stringUpTo(LONGEST_NAME);
      else if (field === "template") template = reader.stringUpTo(LONGEST_TEMPLATE);
      else reader.skip();
    });
    if (name === "default") found = template;
  });
  return found;
}

/** added_tokens.json: an object from spellings to ids. @param special spellings of special tokens */
function readAddedTokens(file: Uint8Array, special: ReadonlySet<string | null | undefined>): readonly AddedToken[] {
  const reader = new JsonReader(file, "added_tokens.json");
  const tokens = new AddedTokenReader(reader);
  reader.fields((content) => {
    const isSpecial = special.has(content);
    tokens.add({ id: reader.integer(MOST_IDS - 1), content, special: isSpecial, normalized: !isSpecial });
  });
  reader.close();
  return tokens.tokens;
}

function readTemplate(file: Uint8Array): string {
  const wish = `UTF-8 of at most ${LONGEST_TEMPLATE} bytes`;
  try {
    if (file.length <= LONGEST_TEMPLATE) return new TextDecoder("utf-8", { fatal: true }).decode(file);
  } catch {
    // Told below.
  }
  throw new TokenizerError("malformed-model", `chat_template.jinja: expected ${wish}, got other bytes or more`);
}
