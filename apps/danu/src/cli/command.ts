import { UsageError } from "./errors.ts";
import { flagName, parseFlags, valueHint, type Flag, type FlagTable, type FlagValues } from "./flags.ts";
import type { Io } from "./io.ts";

/** Words of a command line that are no flags. */
interface Positionals {
  /** Name in the help text, as `PATH…`. */
  readonly name: string;
  readonly min: number;
  readonly max: number;
}

/** What a command's author writes. */
export interface CommandDefinition<F extends FlagTable> {
  /** Words after `danu`. */
  readonly name: string;
  /** What it does, in a sentence or a few. */
  readonly description: string;
  readonly flags: F;
  readonly positionals?: Positionals;
  /** Whole command lines. */
  readonly examples: readonly string[];
  /** @returns the exit code; 0 by default */
  run(
    args: { readonly flags: FlagValues<F & CommonFlags>; readonly positionals: readonly string[] },
    io: Io,
  ): Promise<number | void>;
}

/** A command of `danu`. */
export interface Command {
  readonly name: string;
  readonly help: string;
  /** Parses the arguments and runs. @returns the exit code */
  run(args: readonly string[], io: Io): Promise<number>;
}

const common = {
  json: { type: "boolean", help: "print one JSON object; progress goes to standard error" },
  help: { type: "boolean", help: "print this text" },
} as const;

type CommonFlags = typeof common;

/** Makes a command of its parts: typed flags in, exit code out. */
export function defineCommand<const F extends FlagTable>(definition: CommandDefinition<F>): Command {
  const { name, positionals = { name: "", min: 0, max: 0 } } = definition;
  const flags = { ...definition.flags, ...common };
  const help = helpText(definition, flags);
  return {
    name,
    help,
    run: async (args, io) => {
      if (args.includes("--help") || args.includes("-h")) {
        io.stdout.write(help);
        return 0;
      }
      const parsed = parseFlags(args, flags);
      checkPositionals(parsed.positionals, positionals);
      return (await definition.run(parsed as Parameters<typeof definition.run>[0], io)) ?? 0;
    },
  };
}

function checkPositionals(given: readonly string[], { name, min, max }: Positionals): void {
  if (given.length < min) throw new UsageError(`expected ${name}`);
  if (given.length > max) throw new UsageError(`unexpected argument ${JSON.stringify(given[max])}`);
}

function helpText<F extends FlagTable>(
  { name, description, positionals, examples }: CommandDefinition<F>,
  flags: FlagTable,
): string {
  const required = Object.entries(flags).filter(([, flag]) => flag.required === true);
  const words = [
    `danu ${name}`,
    ...(positionals === undefined ? [] : [positionals.name]),
    ...required.map(([key, flag]) => `--${flagName(key)}${valueHint(flag)}`),
    "[flags]",
  ];
  const left = Object.entries(flags).map(([key, flag]) => `  --${flagName(key)}${valueHint(flag)}`);
  const width = Math.min(36, Math.max(...left.map((text) => text.length)) + 2);
  const rows = Object.values(flags).map((flag, i) => {
    const start = left[i]!.length + 2 > width ? `${left[i]}\n${" ".repeat(width)}` : left[i]!.padEnd(width);
    return `${start}${flag.help}${defaultHint(flag)}`;
  });
  return [
    `Usage: ${words.join(" ")}`,
    "",
    description,
    "",
    "Flags:",
    ...rows,
    "",
    "Examples:",
    ...examples.map((example) => `  ${example}`),
    "",
  ].join("\n");
}

function defaultHint(flag: Flag): string {
  return flag.type === "boolean" || flag.default === undefined ? "" : ` (default ${flag.default})`;
}
