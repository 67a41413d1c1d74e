import { commands } from "./commands/index.ts";
import { reportError, UsageError } from "./cli/errors.ts";
import { suggestion } from "./cli/flags.ts";
import type { Io } from "./cli/io.ts";

/** Runs a command line of `danu`. @param args the words after `danu`  @returns the exit code */
export async function main(args: readonly string[], io: Io): Promise<number> {
  const [first = "--help", second = ""] = args;
  if (["--help", "-h", "help"].includes(first)) return print(helpText(), io);
  if (["--version", "-v"].includes(first)) return print(`${await (await import("./version.ts")).version()}\n`, io);
  const entry = commands.find(({ name }) => name === first || name === `${first} ${second}`);
  try {
    if (entry === undefined) return missing(first, second, io);
    const command = await entry.load();
    return await command.run(args.slice(entry.name.split(" ").length), io);
  } catch (error) {
    return reportError(error, entry?.name ?? "", io);
  }
}

/** Runs the command line of this process and leaves the exit code to it. */
export async function runProcess(): Promise<void> {
  // A reader that has seen enough, as `head`, is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  process.exitCode = await main(process.argv.slice(2), process);
}

function missing(first: string, second: string, io: Io): number {
  const group = commands.filter(({ name }) => name.startsWith(`${first} `));
  if (group.length > 0 && (second === "" || second === "--help" || second === "-h")) return print(list(group), io);
  const names = commands.map(({ name }) => name);
  const typed = group.length > 0 ? `${first} ${second}` : first;
  throw new UsageError(`there is no command "${typed}"${suggestion(typed, names)}`);
}

function helpText(): string {
  return [
    "danu: from raw text to a chat model, in one tool.",
    "",
    "Usage: danu <command> [flags]",
    "",
    list(commands),
    '"danu <command> --help" tells more. Every command takes --json.',
    "",
  ].join("\n");
}

function list(entries: typeof commands): string {
  const width = Math.max(...entries.map(({ name }) => name.length)) + 3;
  return entries.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}\n`).join("");
}

function print(text: string, io: Io): number {
  io.stdout.write(text);
  return 0;
}
