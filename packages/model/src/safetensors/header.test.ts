import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { held, rawFile, tensors } from "../../test/safetensors-files.ts";
import { bitsPerElement, safetensorsDTypes } from "./dtypes.ts";
import { SafetensorsError } from "./errors.ts";
import { maxHeaderBytes, readHeader } from "./header.ts";
import { encodeHeader } from "./writer.ts";

function reasonOf(bytes: Uint8Array, fileBytes?: number): unknown {
  try {
    readHeader(bytes, fileBytes === undefined ? {} : { fileBytes });
  } catch (error) {
    if (error instanceof SafetensorsError) return error.data["reason"];
    throw error;
  }
  return undefined;
}

const info = (shape: string, begin: number | string, end: number | string, dtype = "U8"): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;
const zeros = (n: number): Uint8Array => new Uint8Array(n);

describe("readHeader accepts", () => {
  it.each([
    ["no tensors", "{}", 0],
    ["trailing spaces", "{}      ", 0],
    ["a scalar", `{"a":${info("[]", 0, 1)}}`, 1],
    ["a dimension of 0", `{"a":${info("[3,0,9007199254740991]", 0, 0)}}`, 0],
    ["tensors in any order", `{"b":${info("[2]", 1, 3)},"a":${info("[1]", 0, 1)}}`, 3],
    ["empty tensors between others", `{"b":${info("[1]", 0, 1)},"e":${info("[0]", 0, 0)},"f":${info("[0]", 1, 1)}}`, 1],
    ["sub-byte types that fill bytes", `{"a":${info("[2,3]", 0, 3, "F4")}}`, 3],
    ["metadata", `{"__metadata__":{"format":"pt","":""},"a":${info("[1]", 0, 1)}}`, 1],
    ["special names", `{"__proto__":${info("[1]", 0, 1)},"":${info("[1]", 1, 2)}}`, 2],
  ])("%s", (_, header, size) => {
    const { dataBytes, dataStart } = readHeader(rawFile(header, zeros(size)));
    expect(dataBytes).toBe(size);
    expect(dataStart).toBe(8 + header.length);
  });

  it("every element type with the size it has", () => {
    for (const dtype of safetensorsDTypes) {
      const bytes = bitsPerElement(dtype);
      expect(reasonOf(rawFile(`{"a":${info("[8]", 0, bytes, dtype)}}`, zeros(bytes)))).toBeUndefined();
      expect(reasonOf(rawFile(`{"a":${info("[8]", 0, bytes + 1, dtype)}}`, zeros(bytes + 1)))).toBe("tensor-size");
    }
  });

  it("names and metadata without touching prototypes", () => {
    const header = `{"__metadata__":{"__proto__":"x"},"__proto__":${info("[1]", 0, 1)}}`;
    const { tensors: read, metadata } = readHeader(rawFile(header, zeros(1)));
    expect(read.get("__proto__")?.byteLength).toBe(1);
    expect(Object.entries(metadata)).toEqual([["__proto__", "x"]]);
    expect(Object.getPrototypeOf({ ...metadata })).toBe(Object.prototype);
  });
});

describe("readHeader refuses", () => {
  it.each<[string, string, string, number]>([
    ["leading whitespace", "header-start", " {}", 0],
    ["an array", "header-start", "[]", 0],
    ["a byte order mark", "header-start", "\ufeff{}", 0],
    ["no JSON", "json", "{nonsense}", 0],
    ["a NUL after the object", "json", "{}\u0000", 0],
    ["two objects", "json", "{}{}", 0],
    ["nesting", "limit", `{"a":{"shape":[[0]]}}`, 0],
    ["a tensor given twice", "duplicate-key", `{"a":${info("[1]", 0, 1)},"a":${info("[1]", 0, 1)}}`, 1],
    ["a field given twice", "duplicate-key", `{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1],
    ["metadata given twice", "duplicate-key", `{"__metadata__":{},"__metadata__":{}}`, 0],
    ["metadata that is no object", "metadata", `{"__metadata__":null}`, 0],
    ["metadata that is no text", "metadata", `{"__metadata__":{"a":1}}`, 0],
    ["an entry that is no object", "tensor-info", `{"a":[]}`, 0],
    ["an unknown field", "tensor-info", `{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":0}}`, 0],
    ["no dtype", "dtype", `{"a":{"shape":[0],"data_offsets":[0,0]}}`, 0],
    ["an unknown dtype", "dtype", `{"a":${info("[0]", 0, 0, "Q8")}}`, 0],
    ["a dtype from the prototype", "dtype", `{"a":${info("[0]", 0, 0, "toString")}}`, 0],
    ["no shape", "tensor-info", `{"a":{"dtype":"U8","data_offsets":[0,0]}}`, 0],
    ["a shape of text", "tensor-info", `{"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}}`, 1],
    ["a negative dimension", "number", `{"a":${info("[-1]", 0, 0)}}`, 0],
    ["a fractional dimension", "number", `{"a":${info("[1.0]", 0, 1)}}`, 1],
    ["one offset", "offsets", `{"a":{"dtype":"U8","shape":[0],"data_offsets":[0]}}`, 0],
    ["three offsets", "offsets", `{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}}`, 0],
    ["offsets reversed", "offsets", `{"a":${info("[1]", 1, 0)}}`, 1],
    ["an offset beyond 2^53", "number", `{"a":${info("[0]", "9007199254740993", "9007199254740993")}}`, 0],
    ["an offset of 2^64", "number", `{"a":${info("[1]", 0, "18446744073709551616")}}`, 0],
    ["a shape that overflows", "overflow", `{"a":${info("[2,9007199254740991]", 0, 2)}}`, 2],
    ["bits that overflow", "overflow", `{"a":${info("[4503599627370496]", 0, 8, "F64")}}`, 8],
    ["a shape beyond 2^53", "number", `{"a":${info("[2,18446744073709551615]", 0, 2)}}`, 2],
    ["a size that disagrees", "tensor-size", `{"a":${info("[3]", 0, 2)}}`, 2],
    ["a type ending within a byte", "sub-byte", `{"a":${info("[3]", 0, 2, "F4")}}`, 2],
    ["an overlap", "overlap", `{"a":${info("[2]", 0, 2)},"b":${info("[2]", 1, 3)}}`, 3],
    ["the same bytes twice", "overlap", `{"a":${info("[2]", 0, 2)},"b":${info("[2]", 0, 2)}}`, 2],
    ["a hole", "hole", `{"a":${info("[1]", 0, 1)},"b":${info("[1]", 2, 3)}}`, 3],
    ["a hole at the start", "hole", `{"a":${info("[1]", 1, 2)}}`, 2],
    ["missing bytes", "file-size", `{"a":${info("[3]", 0, 3)}}`, 2],
    ["trailing bytes", "file-size", `{"a":${info("[3]", 0, 3)}}`, 4],
    ["data without tensors", "file-size", "{}", 1],
  ])("%s: %s", (_, reason, header, size) => {
    expect(reasonOf(rawFile(header, zeros(size)))).toBe(reason);
  });

  it("a file without room for a length", () => {
    for (let size = 0; size < 8; size++) expect(reasonOf(zeros(size))).toBe("too-short");
  });

  it("a header over the limit, beyond the file, empty, or of bad UTF-8", () => {
    expect(reasonOf(rawFile("{}", zeros(0), BigInt(maxHeaderBytes) + 1n), 2 ** 40)).toBe("header-too-large");
    expect(reasonOf(rawFile("{}", zeros(0), 2n ** 64n - 1n))).toBe("header-too-large");
    expect(reasonOf(rawFile("{}", zeros(0), 3n))).toBe("header-length");
    expect(reasonOf(rawFile("", zeros(2), 0n))).toBe("header-start");
    expect(reasonOf(rawFile(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)))).toBe("utf-8");
    expect(reasonOf(rawFile(Uint8Array.of(0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x7d)))).toBe("utf-8");
  });

  it("floods of small values and of digits", () => {
    expect(reasonOf(rawFile(`{"a":{"shape":[${"0,".repeat(3_000_000)}0]}}`))).toBe("limit");
    expect(reasonOf(rawFile(`{"a":${"9".repeat(5_000_000)}}`))).toBe("number");
    expect(reasonOf(rawFile(`{${'"a":'.repeat(1_000_000)}`))).toBe("json");
    expect(reasonOf(rawFile(`{"${"a".repeat(20_000_000)}"}`))).toBe("json");
  });

  it("with one sentence that names the tensor, the expectation and the fact", () => {
    const file = rawFile(`{"w":${info("[2,2]", 0, 15, "F32")}}`, zeros(15));
    expect(() => readHeader(file, { source: "m.safetensors" })).toThrow(
      'm.safetensors: expected 16 bytes for tensor "w", F32 [2, 2], got 15'
    );
  });
});

describe("headers", () => {
  it("written are read back as they were", () => {
    fc.assert(
      fc.property(
        tensors,
        fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" })),
        (sources, metadata) => {
          const bytes = encodeHeader(sources, metadata, "test");
          const dataBytes = sources.reduce((sum, { bytes: { byteLength } }) => sum + byteLength, 0);
          const header = readHeader(bytes, { fileBytes: bytes.byteLength + dataBytes });
          expect(bytes.byteLength % 8).toBe(0);
          expect(Object.entries(header.metadata)).toEqual(Object.entries(metadata));
          for (const {
            name,
            dtype,
            shape,
            bytes: { byteLength },
          } of sources) {
            expect(header.tensors.get(name)).toMatchObject({ name, dtype, shape, byteLength });
          }
          expect(header.tensors.size).toBe(sources.length);
        }
      ),
      { numRuns: 500 }
    );
  });

  it("mutated in text, bytes or length give a typed error or a layout that fills the file", () => {
    const base = encodeHeader(
      [held("w.0", "F32", [2, 2], zeros(16)), held("w.1", "BF16", [3], zeros(6)), held("e", "U8", [0], zeros(0))],
      { format: "pt" },
      "test"
    );
    const text = new TextDecoder().decode(base.subarray(8));
    const pieces = [
      '"',
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      "0",
      "1",
      "-",
      "9007199254740993",
      "18446744073709551615",
      "\\u0000",
      "\\ud800",
      "é",
      " ",
      "F32",
      "F4",
      "I64",
      '"w.0":',
      '"shape":[2,2],',
      '"data_offsets":[0,16]',
      "null",
      "1e9",
      "__metadata__",
      "\u0000",
    ];
    const edit = fc.record({ at: fc.nat(text.length), remove: fc.nat(6), insert: fc.constantFrom("", ...pieces) });
    const flip = fc.record({ at: fc.nat(base.length - 1), to: fc.integer({ min: 0, max: 255 }) });
    let accepted = 0;
    const run = (file: Uint8Array, fileBytes: number): void => {
      if (reasonOf(file, fileBytes) !== undefined) return;
      accepted++;
      const header = readHeader(file, { fileBytes });
      let end = 0;
      for (const tensor of header.tensors.values()) {
        expect(tensor.byteOffset).toBe(end);
        end += tensor.byteLength;
      }
      expect(header.dataStart + end).toBe(fileBytes);
    };
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        let mutated = text;
        for (const { at, remove, insert } of edits)
          mutated = mutated.slice(0, at) + insert + mutated.slice(at + remove);
        const file = rawFile(mutated);
        run(file, file.byteLength + 22);
      }),
      { numRuns: runs }
    );
    fc.assert(
      fc.property(fc.array(flip, { minLength: 1, maxLength: 3 }), (flips) => {
        const mutated = base.slice();
        for (const { at, to } of flips) mutated[at] = to;
        run(mutated, base.byteLength + 22);
      }),
      { numRuns: runs }
    );
    expect(accepted).toBeGreaterThan(0);
  }, 3_600_000);
});

/** A soak (`DANU_SOAK=1`) runs a hundred times more. */
const runs = process.env["DANU_SOAK"] ? 2_000_000 : 20_000;
