import { isUtf8 } from "node:buffer";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeUtf8, firstInvalidByte } from "./utf8.ts";

const nearlyText = fc
  .array(fc.oneof(fc.string({ unit: "binary" }).map((s) => Buffer.from(s)), fc.uint8Array({ maxLength: 3 })))
  .map((parts) => Buffer.concat(parts));

test("the first invalid byte agrees with the platform's check", () => {
  fc.assert(
    fc.property(nearlyText, (bytes) => {
      const at = firstInvalidByte(bytes);
      expect(at === bytes.length).toBe(isUtf8(bytes));
      expect(isUtf8(bytes.subarray(0, at))).toBe(true);
      for (let length = 1; length <= 4 && at < bytes.length; length++) {
        if (at + length <= bytes.length) expect(isUtf8(bytes.subarray(at, at + length))).toBe(false);
      }
    }),
    { numRuns: 2000 },
  );
});

test("an invalid byte is named by its place in the file, or replaced", () => {
  const bytes = Buffer.from([0x61, 0xc3, 0xa9, 0xff, 0x62]);
  expect(() => decodeUtf8(bytes, "error", "a.txt", 100)).toThrow("a.txt: byte 103 is not valid UTF-8");
  expect(decodeUtf8(bytes, "replace", "a.txt", 100)).toBe("aé\ufffdb");
});
