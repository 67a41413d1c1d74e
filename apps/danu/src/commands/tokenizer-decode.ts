import { defineCommand, type Command } from "../cli/command.ts";
import { InputError, UsageError } from "../cli/errors.ts";
import { readJson } from "../cli/read-file.ts";
import { Reporter } from "../cli/reporter.ts";
import { checkId } from "../model/id-rows.ts";
import { openTokenizer } from "../model/tokenizer-file.ts";

export const command: Command = defineCommand({
  name: "tokenizer decode",
  description: 'Prints the text of token ids, with --json as {"text": …}.',
  positionals: { name: "[ID…]", min: 0, max: Infinity },
  flags: {
    tokenizer: { type: "text", value: "PATH", required: true, help: "tokenizer.model, tokenizer.json, or a folder with one" },
    file: { type: "text", value: "FILE", help: 'JSON, [id, …] or {"ids": [id, …]}' },
    special: { type: "boolean", help: "write the names of control tokens, as <s>" },
  },
  examples: [
    "danu tokenizer decode --tokenizer tokenizer.model 403 407 261 378",
    "danu tokenizer decode --tokenizer tokenizer.model --file ids.json --json",
  ],
  run: async ({ flags, positionals }, io) => {
    if ((flags.file === undefined) === (positionals.length === 0))
      throw new UsageError("expected either ids or --file");
    const { tokenizer } = await openTokenizer(flags.tokenizer);
    const given =
      flags.file === undefined
        ? positionals.map((word) => (/^\d+$/.test(word) ? Number(word) : word))
        : listOf(await readJson(flags.file), flags.file);
    const name = flags.file ?? "ids";
    const ids = given.map((id, i) => checkId(id, tokenizer.vocabularySize, `${name}: number ${i}`));
    const text = tokenizer.decode(ids, { skipSpecial: !flags.special });
    const reporter = new Reporter(io, flags.json);
    reporter.result({ text }, () => reporter.line(text));
  },
});

function listOf(value: unknown, name: string): readonly unknown[] {
  const list = Array.isArray(value) ? value : (value as { readonly ids?: unknown } | null)?.ids;
  if (Array.isArray(list)) return list as unknown[];
  throw new InputError(`${name}: expected [id, …] or {"ids": [id, …]}`);
}
