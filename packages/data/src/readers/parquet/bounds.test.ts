import { describe, expect, test } from "vitest";
import { BytesEnd, parseStruct } from "./compact-protocol.ts";
import { checkDelta, checkIndices, countAtLevel } from "./runs.ts";

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];

describe("runs", () => {
  const count = (bytes: number[], highest: number, values: number): number =>
    countAtLevel(Uint8Array.from(bytes), 0, bytes.length, highest, values);

  test("of one value and of packed bits are counted at the highest level", () => {
    expect(count([...varint(5 << 1), 1, ...varint(3 << 1), 0], 1, 8)).toBe(5);
    expect(count([(1 << 1) | 1, 0b1010_0101], 1, 6)).toBe(3);
    // 3 bits each: 0 to 7.
    expect(count([(1 << 1) | 1, 0b10_001_000, 0b1_100_011_0 & 255, 0b111_110_10], 7, 8)).toBe(1);
  });

  test.each<[string, number[], number, RegExp]>([
    ["with far more values than there are", [...varint(2 ** 30), 1], 1, /a run has 536870912 values where 8 are left/],
    ["that end before the values do", [...varint(5 << 1), 1], 1, /3 levels fewer/],
    ["that go on past the page", [(9 << 1) | 1, 255], 1, /goes on past its page/],
    ["of no values", [0, 0], 1, /a run has no values/],
    ["with a level past the highest", [...varint(8 << 1), 3], 2, /levels past the highest/],
    ["with an endless number", Array.from({ length: 20 }, () => 128), 1, /more than 10 bytes/],
  ])("%s are refused", (_, bytes, highest, message) => {
    expect(() => count(bytes, highest, 8)).toThrow(message);
  });

  test("of indices need not be there where they have no bits", () => {
    expect(() => checkIndices(new Uint8Array(), 0, 0, 0, 100)).not.toThrow();
    expect(() => checkIndices(new Uint8Array(), 0, 0, 3, 100)).toThrow(/100 values fewer/);
    expect(() => checkIndices(Uint8Array.of(2, 0), 0, 2, 200, 1)).toThrow(/200 bits/);
  });
});

describe("delta blocks", () => {
  const head = [...varint(128), ...varint(4), ...varint(33), 0];

  test("within their page are let through", () => {
    expect(() => checkDelta(Uint8Array.from([...head, 0, 1, 0, 0, 0, 0, 0, 0, 0]), 0, 33)).not.toThrow();
    expect(() => checkDelta(Uint8Array.from(head), 0, 1)).not.toThrow();
  });

  test.each<[string, number[], RegExp]>([
    ["past their page", [...head, 0, 8, 0, 0, 0], /goes on past its page/],
    ["with wide values", [...head, 0, 65, 0, 0, 0], /damaged delta blocks/],
    ["without parts", [...varint(128), 0, 33, 0], /128 values in 0 parts/],
    ["of absurd length", [...varint(2 ** 31), 4, 33, 0], /2147483648 values/],
    ["that end early", [...varint(128)], /ends inside a number/],
  ])("%s are refused", (_, bytes, message) => {
    expect(() => checkDelta(Uint8Array.from(bytes), 0, 33)).toThrow(message);
  });
});

describe("the compact protocol", () => {
  test("gives fields by their numbers", () => {
    const bytes = [
      0x15, 0x05, 0x18, 2, 0x61, 0x62, 0x11, 0x19, 0x25, 2, 4, 0x1c, 0x12, 0x00, 0x06, 0x2a, 0x81, 0x01, 0x00,
    ];
    const { fields, end } = parseStruct(Uint8Array.from(bytes));
    expect(end).toBe(bytes.length);
    expect([...fields]).toEqual([
      [1, -3],
      [2, Uint8Array.of(0x61, 0x62)],
      [3, true],
      [4, [1, 2]],
      [5, new Map([[1, false]])],
      [21, -65],
    ]);
  });

  test.each<[string, number[]]>([
    ["a struct without end", [0x15, 2]],
    ["a list longer than the bytes", [0x19, 0xf5, 255, 255, 255, 127, 1]],
    ["a string longer than the bytes", [0x18, 255, 255, 127, 1]],
  ])("%s runs out of bytes", (_, bytes) => {
    expect(() => parseStruct(Uint8Array.from(bytes))).toThrow(BytesEnd);
  });

  test("depth, numbers and types are bounded", () => {
    expect(() => parseStruct(new Uint8Array(10_000).fill(0x1c))).toThrow(/nested deeper/);
    expect(() => parseStruct(Uint8Array.from([0x16, ...Array.from({ length: 90 }, () => 255)]))).toThrow(/10 bytes/);
    expect(() => parseStruct(Uint8Array.of(0x1b, 0))).toThrow(/type 11/);
  });
});
