import { expect, test } from "vitest";

import { ArgumentMemory } from "../src/arguments.ts";
import { defineKernel } from "../src/kernel.ts";

test("members lie where C puts them, in structs and in arrays of them", () => {
  const { slots, parameters, bytes } = defineKernel("file", "name", "i(fd)f([3 pif]i)d");
  const members = [{ type: "p", offset: 0 }, { type: "i", offset: 8 }, { type: "f", offset: 12 }];
  expect(slots).toEqual([
    { type: "i", offset: 0 }, { type: "f", offset: 8 }, { type: "d", offset: 16 }, { type: "f", offset: 24 },
    { type: "array", offset: 32, most: 3, bytes: 16, members }, { type: "i", offset: 80 }, { type: "d", offset: 88 },
  ]);
  expect(parameters).toEqual([0, 8, 24, 32, 88]);
  expect(bytes).toBe(96);
  expect(defineKernel("file", "name", "([2 pi])").slots).toMatchObject([{ bytes: 16 }]);
});

test.each(["(pp", "([3 p)", "p(", "[3 p"])("a bracket that is not closed is refused: %s", (signature) => {
  expect(() => defineKernel("file", "name", signature)).toThrow("kernel: expected every bracket closed in the signature, got ");
});

test("more structs than an array has room for are refused", () => {
  const memory = new ArgumentMemory();
  const kernel = defineKernel("file", "name", "([2 pl]i)");
  memory.write(kernel, [[[1, 2], [3, 4]], 2]);
  expect(() => memory.write(kernel, [[[1, 2], [3, 4], [5, 6]], 3])).toThrow("kernel: expected at most 2 structs in an array, got 3; launch it several times");
});
