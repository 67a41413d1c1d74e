import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Kind, parseModel, spellingOf } from "./model.ts";
import { ProtobufReader } from "./protobuf.ts";
import { type ModelSettings, writeModel } from "./write-model.ts";
import { ProtobufWriter } from "./write-protobuf.ts";

const settings: ModelSettings = {
  byteFallback: false,
  addDummyPrefix: true,
  removeExtraWhitespaces: false,
  splitDigits: true,
  allowWhitespaceOnlyPieces: false,
  maxPieceLength: 16,
  characterCoverage: 1,
  controlSymbols: ["<|x|>"],
  ids: { unk: 0, bos: -1, eos: -1, pad: -1 },
};

describe("ProtobufWriter", () => {
  it("the reader gives back what was written", () => {
    const field = fc.integer({ min: 1, max: 2 ** 29 - 1 });
    const entry = fc.oneof(
      fc.tuple(fc.constant("int32"), field, fc.integer()),
      fc.tuple(fc.constant("float"), field, fc.float({ noNaN: true })),
      fc.tuple(fc.constant("content"), field, fc.uint8Array({ maxLength: 300 })),
    );
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        const writer = new ProtobufWriter();
        for (const [kind, number, value] of entries) {
          if (kind === "int32") writer.int32(number, value as number);
          else if (kind === "float") writer.float(number, value as number);
          else writer.content(number, value as Uint8Array);
        }
        const bytes = writer.finish();
        const reader = new ProtobufReader(bytes);
        for (const [kind, number, value] of entries) {
          expect(reader.next()).toBe(true);
          expect(reader.field).toBe(number);
          if (kind === "int32") expect(reader.int32()).toBe(value);
          else if (kind === "float") expect(reader.float()).toBe(value);
          else {
            reader.content();
            expect(bytes.subarray(reader.start, reader.end)).toEqual(value);
          }
        }
        expect(reader.next()).toBe(false);
      }),
    );
  });

  it("integers are written as protobuf asks: −1 in ten bytes", () => {
    const writer = new ProtobufWriter();
    writer.int32(43, -1);
    writer.int32(1, 300);
    writer.boolean(2, true);
    expect([...writer.finish()]).toEqual([0xd8, 0x02, ...Array(9).fill(0xff), 0x01, 0x08, 0xac, 0x02, 0x10, 0x01]);
  });
});

describe("writeModel", () => {
  it("parseModel gives back the pieces and the settings", () => {
    const spelling = fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }).filter((text) => !text.includes("\0"));
    const piece = fc.record({ spelling, score: fc.float({ noNaN: true, noDefaultInfinity: true }) });
    const pieces = fc.uniqueArray(piece, { selector: (one) => one.spelling, maxLength: 40 });
    fc.assert(
      fc.property(pieces, fc.boolean(), fc.boolean(), (normal, addDummyPrefix, removeExtraWhitespaces) => {
        const unknown = { spelling: "<unk>", score: 0, kind: Kind.unknown };
        const all = [unknown, ...normal.map((one) => ({ ...one, kind: Kind.normal }))];
        const model = parseModel(writeModel(all, { ...settings, addDummyPrefix, removeExtraWhitespaces }));
        expect([...model.kinds]).toEqual(all.map(({ kind }) => kind));
        expect([...model.scores]).toEqual(all.map(({ score }) => score));
        expect(all.map((_, id) => spellingOf(model, id))).toEqual(all.map((one) => one.spelling));
        expect(model.normalizer).toMatchObject({ name: "identity", addDummyPrefix, removeExtraWhitespaces });
        expect(model.trainer).toMatchObject({ modelType: 2, byteFallback: false, whitespaceAsSuffix: false });
      }),
    );
  });
});
