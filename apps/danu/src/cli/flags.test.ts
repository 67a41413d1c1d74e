import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { UsageError } from "./errors.ts";
import { flagName, parseFlags, suggestion, type FlagTable } from "./flags.ts";

const table = {
  learningRate: { type: "number", value: "X", min: 0, default: 0.1, help: "" },
  maxTokens: { type: "integer", value: "N", help: "" },
  kind: { type: "choice", choices: ["cosine", "linear"], help: "" },
  data: { type: "text", value: "PATH", multiple: true, help: "" },
  resume: { type: "boolean", help: "" },
} as const satisfies FlagTable;

describe("parseFlags", () => {
  test("gives defaults, values, several values and words", () => {
    expect(parseFlags([], table)).toEqual({
      flags: { learningRate: 0.1, maxTokens: undefined, kind: undefined, data: [], resume: false }, positionals: [],
    });
    const args = [
      "x", "--data", "a", "b", "--resume", "y", "--data=c", "--learning-rate=1e-3", "--max-tokens", "-5", "--", "--kind",
    ];
    expect(parseFlags(args, table)).toEqual({
      flags: { learningRate: 1e-3, maxTokens: -5, kind: undefined, data: ["a", "b", "c"], resume: true },
      positionals: ["x", "y", "--kind"],
    });
  });

  test("reads back any numbers and texts", () => {
    const values = fc.record({
      learningRate: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }).map((x) => x + 0),
      maxTokens: fc.maxSafeInteger(),
      data: fc.array(fc.string(), { minLength: 1 }), resume: fc.boolean(),
    });
    fc.assert(fc.property(values, ({ learningRate, maxTokens, data, resume }) => {
      const args = [
        `--learning-rate=${learningRate}`, `--max-tokens=${maxTokens}`, ...data.map((text) => `--data=${text}`),
        ...(resume ? ["--resume"] : []),
      ];
      expect(parseFlags(args, table).flags).toEqual({ learningRate, maxTokens, kind: undefined, data, resume });
    }));
  });

  test("answers any words at all with values or a UsageError", () => {
    const word = fc.oneof(fc.string(), fc.constantFrom("--data", "--kind", "--resume", "--max-tokens", "--", "-x"));
    fc.assert(fc.property(fc.array(word), (args) => {
      try {
        parseFlags(args, table);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
      }
    }));
  });
});

test("a flag is spelled with hyphens, and a near word is suggested", () => {
  expect(flagName("keyValueHeads")).toBe("key-value-heads");
  expect(suggestion("coseni", ["linear", "cosine"])).toBe("; did you mean cosine?");
  expect(suggestion("zzz", ["linear", "cosine"])).toBe("");
});
