import { readFileSync } from "node:fs";

import { expect } from "vitest";

const AsyncFunction = Object.getPrototypeOf(async () => undefined).constructor as new (
  ...code: string[]
) => (modules: object, console: { log: (...values: unknown[]) => void }) => Promise<void>;

/** Runs the first example of a README and returns what it prints, a list of values for every `console.log`.
 *  @param modules what the example may import, by name; it fails on a name that the module does not have */
export async function runExample(readme: URL, modules: Readonly<Record<string, object>>): Promise<unknown[][]> {
  const example = /```[jt]s\n([^]*?)```/.exec(readFileSync(readme, "utf8"))![1]!;
  const code = example.replaceAll(/^import (\{.*\}) from (".*");$/gm, (_, names: string, name: string) => {
    for (const each of names.slice(1, -1).split(",")) expect(modules[JSON.parse(name) as string]).toHaveProperty(each.trim());
    return `const ${names} = modules[${name}];`;
  });
  const lines: unknown[][] = [];
  await new AsyncFunction("modules", "console", code)(modules, { log: (...values) => lines.push(values) });
  return lines;
}
