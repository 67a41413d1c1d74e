import { readdirSync, readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { prototypes } from "../src/prototypes.ts";

const api = new URL("../native/api/", import.meta.url);

/** What a function looks like across the boundary: pointers are alike, whatever they point to. */
interface Signature {
  readonly returns: string;
  readonly parameters: readonly string[];
}

function typeOf(declaration: string): string {
  if (declaration.includes("*")) return "pointer";
  return declaration
    .replaceAll(/_Out_|const/g, "")
    .trim()
    .split(/\s+/)[0]!;
}

function signatureOf(returns: string, parameters: string): Signature {
  const each = parameters.trim() === "" ? [] : parameters.split(",");
  return { returns: typeOf(returns), parameters: each.map(typeOf) };
}

/** Every function that the C++ sources define for the outside. */
function definitions(): Map<string, Signature> {
  const found = new Map<string, Signature>();
  for (const file of readdirSync(api).filter((name) => name.endsWith(".cpp"))) {
    const source = readFileSync(new URL(file, api), "utf8").replaceAll(/\/\/.*$/gm, "");
    for (const [, returns, name, parameters] of source.matchAll(/DANU_API\s+([\w\s]+?[\s*]+)(danu_\w+)\(([^)]*)\)/g)) {
      found.set(name!, signatureOf(returns!, parameters!));
    }
  }
  return found;
}

/** The type that TypeScript gives a value which C declares so. */
const inTypeScript: Readonly<Record<string, readonly string[]>> = {
  pointer: ["Queue", "Uint8Array", "BigInt64Array"],
  uint64_t: ["Address"],
  int32_t: ["number"],
  uint32_t: ["number"],
  int64_t: ["number"],
  float: ["number"],
  double: ["number"],
  void: ["void"],
};

/** Methods of the interface `Prototypes`, as its source declares them. */
function declarations(): Map<string, Signature> {
  const source = readFileSync(new URL("../src/prototypes.ts", import.meta.url), "utf8");
  const body = /export interface Prototypes \{([^}]*)\}/.exec(source)![1]!;
  const found = new Map<string, Signature>();
  for (const [, name, parameters, returns] of body.matchAll(/(\w+)\(([^)]*)\):\s*(\w+);/g)) {
    const types = parameters!
      .split(",")
      .filter((part) => part.trim() !== "")
      .map((part) => part.split(":")[1]!.trim());
    found.set(name!, { returns: returns!, parameters: types });
  }
  return found;
}

const defined = definitions();
const declared = declarations();

test("the sources and the interface can be read", () => {
  expect(defined.size).toBeGreaterThanOrEqual(Object.keys(prototypes).length);
  expect([...declared.keys()].toSorted()).toEqual(Object.keys(prototypes).toSorted());
});

test.each(Object.entries(prototypes))("%s: C++, koffi and TypeScript agree", (name, prototype) => {
  const [, returns, symbol, parameters] = /^(.*?)(danu_\w+)\((.*)\)$/.exec(prototype)!;
  const bound = signatureOf(returns!, parameters!);
  expect(defined.get(symbol!), `${symbol} in native/api`).toEqual(bound);
  const typed = declared.get(name)!;
  expect(typed.parameters.length).toBe(bound.parameters.length);
  typed.parameters.forEach((type, i) => expect(inTypeScript[bound.parameters[i]!], `parameter ${i}`).toContain(type));
  const returned = returns!.startsWith("uint64_t")
    ? "Address"
    : returns!.includes("*")
      ? "Queue"
      : typeOf(returns!) === "void"
        ? "void"
        : "number";
  expect(typed.returns).toBe(returned);
});
