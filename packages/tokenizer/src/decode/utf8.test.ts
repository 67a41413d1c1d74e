import fc from "fast-check";
import { expect, it } from "vitest";
import { incompleteTail } from "./utf8.ts";

it("agrees with the streaming TextDecoder on what could still be completed", () => {
  const byte = fc.oneof(fc.nat(255), fc.constantFrom(0xe0, 0xed, 0xf0, 0xf4, 0xc2, 0x80, 0x9f, 0xa0, 0xbf, 0x8f, 0x90));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 6 }), (list) => {
      const bytes = Uint8Array.from(list);
      const now = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes, { stream: true });
      const tail = incompleteTail(bytes, bytes.length);
      expect(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, bytes.length - tail))).toBe(now);
    }),
    { numRuns: 3000 },
  );
});
